//! Threads that are started in a scope, which counts them if it is entered that way.

use std::sync::mpsc;

use alloc_core::{Amount, Config, Scope, assert_memory, measure};

use crate::{amount, block};

const PARENTS: u64 = 2;
/// Children of each parent.
const CHILDREN: u64 = 3;
/// Mebibytes that a family allocates: three by each child, and one by each parent.
const WORK: u64 = PARENTS * CHILDREN * 3 + PARENTS;

/// Starts threads that start threads, and waits for all of them. Each block is a mebibyte or two.
fn family() {
    const MIB: usize = 1 << 20;
    let child = || drop((block(MIB), block(2 * MIB)));
    let parent = move || {
        let children: Vec<_> = (0..CHILDREN).map(|_| std::thread::spawn(child)).collect();
        drop(block(MIB));
        children.into_iter().for_each(|it| it.join().unwrap());
    };
    let parents: Vec<_> = (0..PARENTS).map(|_| std::thread::spawn(parent)).collect();
    parents.into_iter().for_each(|it| it.join().unwrap());
}

/// Whole mebibytes: without what the standard library allocates for a thread, which is far less.
fn mebibytes(amount: Amount) -> u64 {
    amount.bytes.get() >> 20
}

pub(crate) fn threads_are_counted_where_they_are_started() {
    let scope = Scope::enter_with_threads().unwrap();
    family();
    let usage = scope.usage().unwrap();
    drop(scope);
    let all = [usage.allocated, usage.freed, usage.current].map(mebibytes);
    assert_eq!(all, [WORK, WORK, 0]);
    assert!(usage.allocated.blocks >= PARENTS * CHILDREN * 2 + PARENTS);

    // An inner scope that does not count threads leaves them to the outer scope.
    let outer = Scope::enter_with_threads().unwrap();
    let inner = Scope::enter().unwrap();
    family();
    let (inner, outer) = (inner.usage().unwrap(), outer.usage().unwrap());
    assert_eq!([inner.allocated, outer.allocated].map(mebibytes), [0, WORK]);
    assert!(outer.allocated.blocks >= inner.allocated.blocks + PARENTS * CHILDREN * 2 + PARENTS);
    let kept = inner.current.bytes.get() + inner.freed.bytes.get();
    assert_eq!(kept, inner.allocated.bytes.get());
}

/// A task for a worker.
type Task = Box<dyn FnOnce() + Send>;

fn worker() -> (mpsc::Sender<Task>, std::thread::JoinHandle<()>) {
    let (sender, tasks) = mpsc::channel::<Task>();
    let work = move || tasks.into_iter().for_each(|task| task());
    let thread = std::thread::spawn(work);
    let (done, is_done) = mpsc::channel();
    sender
        .send(Box::new(move || done.send(()).unwrap()))
        .unwrap();
    is_done.recv().unwrap();
    (sender, thread)
}

pub(crate) fn only_threads_started_in_a_scope_count() {
    // While the scope is open, neither worker allocates or frees before it receives a block of the
    // scope.
    let (older, older_thread) = worker();
    let (starter, starter_thread) = worker();
    let scope = Scope::enter_with_threads().unwrap();
    let before = scope.usage().unwrap().allocated;
    let sent = [block(100), block(200)];
    let sent_blocks = scope.usage().unwrap().allocated.blocks - before.blocks;
    let [one, other] = sent;
    let (done, is_done) = alloc_core::untraced(mpsc::channel);
    alloc_core::untraced(|| {
        // This thread is older than the scope. The block is the first that it frees.
        let (done, also_done) = (done.clone(), done);
        let task = move || {
            drop(one);
            drop(block(10_000));
            done.send(()).unwrap();
        };
        older.send(Box::new(task)).unwrap();
        is_done.recv().unwrap();
        // This thread is younger, but was not started in the scope.
        let task = move || {
            let work = move || {
                drop(other);
                drop(block(10_000));
            };
            std::thread::spawn(work).join().unwrap();
            also_done.send(()).unwrap();
        };
        starter.send(Box::new(task)).unwrap();
        is_done.recv().unwrap();
    });
    let usage = scope.usage().unwrap();
    assert_eq!(sent_blocks, 2);
    assert_eq!(usage.allocated.bytes, before.bytes + 300.into());
    assert_eq!(usage.current, before);
    drop((scope, older, starter));
    older_thread.join().unwrap();
    starter_thread.join().unwrap();
}

pub(crate) fn assertions_notice_threads_in_every_mode() {
    std::panic::set_hook(Box::new(|_| {}));
    let is_refused = |work: fn()| {
        let panic = std::panic::catch_unwind(|| assert_memory!(work(), peak <= 1 MiB));
        let Err(panic) = panic else { return false };
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(
            message.starts_with("this work started threads; "),
            "{message}"
        );
        true
    };
    let join = || drop(std::thread::spawn(|| drop(block(9))).join());
    let scoped = || {
        std::thread::scope(|threads| {
            threads.spawn(|| drop(block(9)));
        });
    };
    let within = || {
        // The inner assertion counts its threads, and so does the outer one.
        let join = || drop(std::thread::spawn(|| drop(block(9))).join());
        assert_memory!(join(), allocated >= 9 B, threads = "all");
    };
    let left_out = || {
        let join = || drop(std::thread::spawn(|| drop(block(9))).join());
        assert_memory!(join(), allocated >= 9 B, threads = "own");
    };
    let check = |what: &str| {
        assert!(is_refused(join) && is_refused(scoped), "{what}");
        assert!(
            is_refused(left_out),
            "{what}: left out by the inner one only"
        );
        assert!(
            !is_refused(within) && !is_refused(|| drop(block(9))),
            "{what}"
        );
    };
    check("off");
    for config in [
        Config::default(),
        Config::default().frames(0),
        Config::default().sample_every(4096),
    ] {
        alloc_core::start_with(config.clone()).unwrap();
        check(&format!("{config:?}"));
        alloc_core::stop();
    }
    drop(std::panic::take_hook());
}

pub(crate) fn threads_release_their_scope() {
    // The first rounds create all tables.
    for _ in 0..100 {
        let scope = Scope::enter_with_threads().unwrap();
        std::thread::spawn(|| drop(block(10))).join().unwrap();
        assert!(scope.usage().unwrap().allocated.blocks >= 2);
    }
    let memory = || alloc_core::tracer_memory().get();
    let before = memory();
    for _ in 0..1_000 {
        let scope = Scope::enter_with_threads().unwrap();
        std::thread::spawn(|| drop(block(10))).join().unwrap();
        drop(scope);
    }
    // A thread keeps no slot. Different pages of the heap may be in use.
    assert!(memory() < before + 100_000, "{before}, {}", memory());
    // A thread that outlives the scope is harmless.
    let (sender, receiver) = mpsc::channel::<()>();
    let scope = Scope::enter_with_threads().unwrap();
    let thread = std::thread::spawn(move || {
        let _ = receiver.recv();
        block(7)
    });
    drop(scope);
    assert_eq!(measure(|| drop(block(8))).usage.allocated, amount(8, 1));
    drop(sender);
    assert_eq!(thread.join().unwrap().capacity(), 7);
}
