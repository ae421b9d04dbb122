//! Scopes and other threads: handles, blocks that move, and threads with scopes of their own.

use std::sync::{Barrier, mpsc};

use alloc_core::{Scope, Usage, measure};
use expect_test::expect;

use crate::{amount, block, check, untraced_room};

pub(crate) fn a_block_belongs_to_the_scope_that_allocated_it() {
    let scope = Scope::enter().unwrap();
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    let far = std::thread::spawn(move || receiver.into_iter().for_each(drop));
    let before = scope.usage().unwrap();
    sender.send(block(1 << 20)).unwrap();
    drop(sender);
    far.join().unwrap();
    let after = scope.usage().unwrap();
    // The channel allocates for the message, and either thread may free that.
    let large = |usage: Usage| {
        (
            usage.allocated.bytes.get() >> 20,
            usage.freed.bytes.get() >> 20,
        )
    };
    assert_eq!((large(before), large(after)), ((0, 0), (1, 1)));
    assert!(after.peak.bytes >= 1 << 20);
}

pub(crate) fn other_threads_do_not_count() {
    let (go, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            go.wait();
            (0..1000).for_each(|_| drop(block(99)));
            done.wait();
        });
        let usage = measure(|| {
            go.wait();
            let kept = block(10);
            done.wait();
            kept
        })
        .usage;
        check(
            usage,
            expect!["allocated 10 in 1, live 10 in 1, peak 10 in 1"],
        );
    });
}

pub(crate) fn handles_carry_a_scope_to_other_threads() {
    let scope = Scope::enter().unwrap();
    let handle = scope.handle();
    // What a handle takes is not counted.
    check(scope.usage().unwrap(), expect![""]);
    let kept = untracked_thread(|| handle.run(|| (block(100), measure(|| block(7)).value)));
    check(
        scope.usage().unwrap(),
        expect!["allocated 107 in 2, live 107 in 2, peak 107 in 2"],
    );
    untracked_thread(|| drop(kept));
    check(
        scope.usage().unwrap(),
        expect!["allocated 107 in 2, freed 107 in 2, peak 107 in 2"],
    );
    drop(scope);
    // A handle whose scope has ended does no harm.
    handle.run(|| drop(block(5)));
}

/// Runs `work` on another thread. Its start and end are in no scope.
fn untracked_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    alloc_core::untraced(|| std::thread::scope(|threads| threads.spawn(work).join().unwrap()))
}

pub(crate) fn the_peak_of_many_threads_in_turn_is_exact() {
    let scope = Scope::enter().unwrap();
    let handle = scope.handle();
    let mut kept = untraced_room(50);
    for i in 1..=50 {
        let block = untracked_thread(|| {
            handle.run(|| {
                drop(block(10_000));
                block(i)
            })
        });
        kept.push(block);
    }
    // The threads keep 1 + 2 + ... + 50 = 1275 bytes. The last one allocates 10,000 bytes on top of
    // what the 49 before it kept.
    check(
        scope.usage().unwrap(),
        expect!["allocated 501275 in 100, freed 500000 in 50, live 1275 in 50, peak 11225 in 50"],
    );
}

pub(crate) fn futures_carry_their_scope() {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    struct Noisy(Vec<u8>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            drop(block(self.0.capacity()));
        }
    }
    let scope = Scope::enter().unwrap();
    let handle = scope.handle();
    let mut polls = 0;
    let future = handle.instrument(async {
        let _kept = Noisy(block(50));
        poll_fn(|_| {
            polls += 1;
            drop(block(10));
            if polls == 3 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        std::future::pending::<()>().await;
    });
    alloc_core::untraced(|| {
        let mut context = Context::from_waker(Waker::noop());
        let mut future = Box::pin(future);
        for _ in 0..4 {
            // Each poll is on its own thread, and outside of the scope.
            let polled = std::thread::scope(|threads| {
                let poll = || {
                    let mut context = Context::from_waker(Waker::noop());
                    future.as_mut().poll(&mut context).is_ready()
                };
                threads.spawn(poll).join().unwrap()
            });
            assert!(!polled);
        }
        assert!(pin!(async {}).poll(&mut context).is_ready());
        // The drop is outside of the scope, too, before the future has ended.
        drop(future);
    });
    // Fifty bytes are kept, ten are allocated three times, and the destructor allocates fifty.
    check(
        scope.usage().unwrap(),
        expect!["allocated 130 in 5, freed 130 in 5, peak 100 in 2"],
    );
}

pub(crate) fn many_threads_with_scopes_of_their_own() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 3_000;
    let shared = Scope::enter().unwrap();
    let handle = shared.handle();
    alloc_core::untraced(|| {
        std::thread::scope(|threads| {
            for thread in 0..THREADS {
                let handle = handle.clone();
                threads.spawn(move || {
                    for round in 0..ROUNDS {
                        let size = 1 + (thread * 31 + round) % 200;
                        let own = measure(|| {
                            drop(block(size));
                            block(size)
                        });
                        assert_eq!(own.usage.allocated, amount(2 * size as u64, 2));
                        assert_eq!(own.usage.peak, amount(size as u64, 1));
                        handle.run(|| {
                            let kept = block(10);
                            let inner = measure(|| drop((block(1), block(2)))).usage;
                            assert_eq!(inner.allocated, amount(3, 2));
                            drop(kept);
                        });
                    }
                });
            }
        });
    });
    let usage = shared.usage().unwrap();
    let rounds = (THREADS * ROUNDS) as u64;
    assert_eq!(usage.allocated, amount(13 * rounds, 3 * rounds));
    assert_eq!(usage.current, amount(0, 0));
    assert!(usage.peak.bytes >= 13 && usage.peak.bytes <= 13 * THREADS as u64);
}
