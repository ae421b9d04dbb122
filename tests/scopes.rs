//! What scopes count, held against exact arithmetic: on one thread, across threads, nested, under load.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Barrier, mpsc};

use alloc_core::{Amount, Config, Metric, Scope, TraceAlloc, Usage, assert_memory, measure};
use alloc_tests::Random;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests!(
    an_empty_scope_counts_nothing,
    a_scope_counts_to_the_byte,
    reallocations_are_one_change,
    reallocations_are_charged_to_their_callers,
    blocks_from_before_are_counted_apart,
    nested_scopes_count_in_all_around_them,
    a_block_belongs_to_the_scope_that_allocated_it,
    other_threads_do_not_count,
    handles_take_a_scope_along,
    threads_are_counted_where_they_are_started,
    only_what_is_started_in_a_scope_is_taken_in,
    assertions_notice_threads_however_tracing_is_done,
    threads_give_a_scope_back,
    the_peak_of_many_threads_in_turn_is_exact,
    scopes_do_not_mind_tracing,
    the_tracer_s_own_does_not_count,
    panics_leave_a_scope,
    guards_in_any_order_are_safe,
    slots_are_used_again,
    more_scopes_than_there_can_be_are_refused,
    stacks_of_a_scope_add_up,
    at_the_scope_s_peak,
    futures_take_their_scope_along,
    random_work_equals_a_model,
    many_threads_with_scopes_of_their_own,
    freed_behind_a_scope_s_back,
    a_child_of_a_fork_is_refused,
);

fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

fn amount(bytes: u64, blocks: u64) -> Amount {
    Amount::new(bytes, blocks)
}

fn an_empty_scope_counts_nothing() {
    let measured = measure(|| 7);
    assert_eq!((measured.value, measured.usage), (7, Usage::default()));
}

fn a_scope_counts_to_the_byte() {
    let measured = measure(|| {
        drop(block(1000));
        let kept = block(30);
        drop(block(500));
        kept
    });
    let usage = measured.usage;
    assert_eq!(usage.allocated, amount(1530, 3));
    assert_eq!(usage.freed, amount(1500, 2));
    assert_eq!(usage.current, amount(30, 1));
    assert_eq!(usage.peak, amount(1000, 2));
    assert_eq!(usage.reallocations, 0);
    assert_eq!(usage.freed_before, amount(0, 0));
}

fn reallocations_are_one_change() {
    let usage = measure(|| {
        let mut grown = block(100);
        grown.reserve_exact(300);
        grown
    })
    .usage;
    assert_eq!(usage.allocated, amount(400, 2));
    assert_eq!(usage.freed, amount(100, 1));
    // Not 400: the block is in one place at a time.
    assert_eq!(usage.peak, amount(300, 1));
    assert_eq!(usage.current, amount(300, 1));
    assert_eq!(usage.reallocations, 1);
}

fn reallocations_are_charged_to_their_callers() {
    let scope = Scope::enter_with_stacks().unwrap();
    let mut grown = block(100);
    grown.reserve_exact(300);
    let snapshot = scope.snapshot().unwrap();
    drop(scope);
    let held = |it: &&alloc_core::Trace| it.counters.current.bytes.get() == 300;
    let trace = snapshot.traces().iter().find(held).expect("the block");
    let names: Vec<_> = trace
        .traceback
        .iter()
        .filter_map(|it| it.function())
        .collect();
    // NOTE: and not at one of the tracer's own.
    assert!(names[0].starts_with("alloc::"), "{names:?}");
    assert!(
        names
            .iter()
            .any(|it| it.ends_with("reallocations_are_charged_to_their_callers"))
    );
    drop(grown);
}

fn blocks_from_before_are_counted_apart() {
    let (old, mut grown) = (block(700), block(10));
    let usage = measure(|| {
        drop(old);
        grown.reserve_exact(50);
    })
    .usage;
    assert_eq!(usage.freed_before, amount(710, 2));
    assert_eq!(usage.allocated, amount(50, 1));
    assert_eq!(usage.current, amount(50, 1));
    assert_eq!(usage.freed, amount(0, 0));
    assert_eq!((usage.peak, usage.reallocations), (amount(50, 1), 1));
}

fn nested_scopes_count_in_all_around_them() {
    let mut inner = Usage::default();
    let mut innermost = Usage::default();
    let outer = measure(|| {
        let early = block(1);
        let measured = measure(|| {
            drop(early);
            let measured = measure(|| (block(20), block(300)));
            innermost = measured.usage;
            measured.value.0
        });
        inner = measured.usage;
        block(4000)
    })
    .usage;
    assert_eq!(innermost.allocated, amount(320, 2));
    assert_eq!(innermost.current, amount(320, 2));
    assert_eq!(inner.allocated, amount(320, 2));
    assert_eq!(inner.freed_before, amount(1, 1), "it is the outer scope's");
    assert_eq!(inner.current, amount(20, 1));
    assert_eq!(outer.allocated, amount(4321, 4));
    assert_eq!(outer.freed_before, amount(0, 0));
    assert_eq!(outer.peak, amount(4020, 2));
    assert_eq!(outer.current, amount(4000, 1));
}

fn a_block_belongs_to_the_scope_that_allocated_it() {
    let scope = Scope::enter().unwrap();
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    let far = std::thread::spawn(move || receiver.into_iter().for_each(drop));
    let before = scope.usage().unwrap();
    sender.send(block(1 << 20)).unwrap();
    drop(sender);
    far.join().unwrap();
    let after = scope.usage().unwrap();
    // The message's own memory is the channel's, whichever thread frees it.
    let large = |usage: Usage| {
        (
            usage.allocated.bytes.get() >> 20,
            usage.freed.bytes.get() >> 20,
        )
    };
    assert_eq!((large(before), large(after)), ((0, 0), (1, 1)));
    assert!(after.peak.bytes >= 1 << 20);
}

fn other_threads_do_not_count() {
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
        assert_eq!(
            (usage.allocated, usage.peak),
            (amount(10, 1), amount(10, 1))
        );
    });
}

fn handles_take_a_scope_along() {
    let scope = Scope::enter().unwrap();
    let handle = scope.handle();
    let before = scope.usage().unwrap();
    assert_eq!(
        before,
        Usage::default(),
        "a handle is no work of the program's"
    );
    let kept = untracked_thread(|| handle.run(|| (block(100), measure(|| block(7)).value)));
    let after = scope.usage().unwrap();
    assert_eq!(
        (after.allocated, after.current),
        (amount(107, 2), amount(107, 2))
    );
    untracked_thread(|| drop(kept));
    assert_eq!(scope.usage().unwrap().freed, amount(107, 2));
    drop(scope);
    // Nobody sees it, and nothing happens.
    handle.run(|| drop(block(5)));
}

/// Starts threads that start threads, each with blocks of a size, and waits for all.
///
/// What their starts take is the same each time, as long as there are no more than eleven at once: the standard library
/// keeps a tree of those that are alive, and as many fit into one node.
fn family(size: usize) {
    let parent = move || {
        let children: Vec<_> = (0..CHILDREN)
            .map(|_| std::thread::spawn(move || drop((block(size), block(2 * size)))))
            .collect();
        drop(block(size));
        children.into_iter().for_each(|it| it.join().unwrap());
    };
    let parents: Vec<_> = (0..PARENTS).map(|_| std::thread::spawn(parent)).collect();
    parents.into_iter().for_each(|it| it.join().unwrap());
}

const PARENTS: usize = 2;
/// Of each.
const CHILDREN: usize = 3;

fn threads_are_counted_where_they_are_started() {
    let usage = |size| {
        let scope = Scope::enter_with_threads().unwrap();
        family(size);
        scope.usage().unwrap()
    };
    let (none, some) = (usage(0), usage(1000));
    assert_eq!(some.current, none.current);
    let children = (PARENTS * CHILDREN) as u64;
    let parents = PARENTS as u64;
    // Two blocks of each child, and one of each parent.
    let work = amount(children * 3_000 + parents * 1_000, children * 2 + parents);
    assert_eq!(some.allocated.bytes, none.allocated.bytes + work.bytes);
    assert_eq!(some.allocated.blocks, none.allocated.blocks + work.blocks);

    // In a scope within, and in one that does not ask for threads, they are the outer one's.
    let outer = Scope::enter_with_threads().unwrap();
    let before = outer.usage().unwrap();
    let inner = Scope::enter().unwrap();
    family(1000);
    let (inner, outer) = (inner.usage().unwrap(), outer.usage().unwrap());
    assert!(inner.allocated.bytes + work.bytes <= outer.allocated.bytes);
    let (bytes, blocks) = (outer.allocated.bytes, outer.allocated.blocks);
    assert_eq!(bytes - before.allocated.bytes, some.allocated.bytes);
    assert_eq!(blocks - before.allocated.blocks, some.allocated.blocks);
    let kept = inner.current.bytes.get() + inner.freed.bytes.get();
    assert_eq!(kept, inner.allocated.bytes.get());
}

/// What a thread that is there already does for others.
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

fn only_what_is_started_in_a_scope_is_taken_in() {
    // While there is a scope, neither of these allocates or frees before the scope's block reaches it.
    let (older, older_thread) = worker();
    let (starter, starter_thread) = worker();
    let scope = Scope::enter_with_threads().unwrap();
    let before = scope.usage().unwrap().allocated;
    let sent = [block(100), block(200)];
    let sent_blocks = scope.usage().unwrap().allocated.blocks - before.blocks;
    let [one, other] = sent;
    let (done, is_done) = alloc_core::untraced(mpsc::channel);
    alloc_core::untraced(|| {
        // The thread is older than the scope: the block is the first thing that it frees.
        let (done, also_done) = (done.clone(), done);
        let task = move || {
            drop(one);
            drop(block(10_000));
            done.send(()).unwrap();
        };
        older.send(Box::new(task)).unwrap();
        is_done.recv().unwrap();
        // This one is younger, but nobody in the scope started it.
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

fn assertions_notice_threads_however_tracing_is_done() {
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
        // The inner one counts its threads, and so does the outer one.
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

fn threads_give_a_scope_back() {
    // All the tables that there will be.
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
    // Not a slot for each. Which pages of the heap are in use may differ.
    assert!(memory() < before + 100_000, "{before}, {}", memory());
    // One that goes on counts to the end of its own.
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

/// Runs on another thread, whose start and end are in no scope.
fn untracked_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    alloc_core::untraced(|| std::thread::scope(|threads| threads.spawn(work).join().unwrap()))
}

fn the_peak_of_many_threads_in_turn_is_exact() {
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
    let usage = scope.usage().unwrap();
    let sum: u64 = (1..=50).sum();
    assert_eq!(usage.allocated, amount(50 * 10_000 + sum, 100));
    assert_eq!(usage.current, amount(sum, 50));
    // The last thread found what 49 had kept.
    assert_eq!(usage.peak, amount(10_000 + sum - 50, 50));
}

fn untraced_room<T>(len: usize) -> Vec<T> {
    alloc_core::untraced(|| Vec::with_capacity(len))
}

fn scopes_do_not_mind_tracing() {
    let work = || {
        let mut kept = Vec::new();
        (0..100).for_each(|i| kept.push(i));
        kept
    };
    let off = measure(work).usage;
    for config in [
        Config::default(),
        Config::default().frames(1),
        Config::default().frames(0),
        Config::default().frames(3),
        Config::default().sample_every(4096),
        Config::default().max_callsites(1),
    ] {
        alloc_core::start_with(config.clone()).unwrap();
        assert_eq!(measure(work).usage, off, "{config:?}");
        alloc_core::stop();
    }
    // Tracing that begins and ends within a scope.
    let usage = measure(|| {
        let kept = block(40);
        alloc_core::start().unwrap();
        drop(block(60));
        alloc_core::clear_traces();
        drop(kept);
        alloc_core::stop();
        block(2)
    })
    .usage;
    assert_eq!(usage.allocated, amount(102, 3));
    assert_eq!((usage.peak, usage.current), (amount(100, 2), amount(2, 1)));
}

fn the_tracer_s_own_does_not_count() {
    alloc_core::start().unwrap();
    let usage = measure(|| {
        let kept = block(9);
        let snapshot = alloc_core::take_snapshot().unwrap();
        assert!(!snapshot.traces().is_empty());
        alloc_core::untraced(|| drop(block(1 << 16)));
        kept
    })
    .usage;
    assert_eq!(usage.allocated, amount(9, 1));
    alloc_core::stop();
}

fn panics_leave_a_scope() {
    std::panic::set_hook(Box::new(|_| {}));
    let failed = std::panic::catch_unwind(|| measure(|| panic!("on purpose")));
    assert!(failed.is_err());
    drop(std::panic::take_hook());
    let outer = Scope::enter().unwrap();
    drop(block(10));
    assert_eq!(outer.usage().unwrap().allocated, amount(10, 1));
}

fn guards_in_any_order_are_safe() {
    let first = Scope::enter().unwrap();
    let second = Scope::enter().unwrap();
    drop(first);
    drop(block(5));
    assert_eq!(second.usage().unwrap().allocated, amount(5, 1));
    drop(second);
    // Out of both: a new one has no parent that counts.
    assert_eq!(measure(|| drop(block(8))).usage.allocated, amount(8, 1));

    let third = Scope::enter().unwrap();
    let handle = third.handle();
    handle.run(|| drop(third));
    drop(handle);
    let escaped = measure(|| Scope::enter().unwrap()).value;
    drop(block(3));
    assert_eq!(escaped.usage().unwrap().allocated, amount(3, 1));
    drop(escaped);
    std::mem::forget(Scope::enter().unwrap());
    assert_eq!(measure(|| drop(block(8))).usage.allocated, amount(8, 1));
}

fn slots_are_used_again() {
    const SURVIVORS: usize = 100_000;
    let mut room = untraced_room(SURVIVORS);
    let mut memory = untraced_room(3);
    for _ in 0..3 {
        for i in 0..SURVIVORS {
            let measured = measure(|| block(1 + i % 7));
            assert_eq!(measured.usage.allocated.bytes, 1 + (i % 7) as u64);
            // Blocks that outlive their scopes hold their places.
            room.push(measured.value);
        }
        memory.push(alloc_core::tracer_memory().get());
        room.clear();
    }
    assert_eq!(memory[1], memory[2], "{memory:?}");
}

fn more_scopes_than_there_can_be_are_refused() {
    let mut kept: Vec<Scope> = untraced_room((1 << 20) + 1);
    let error = loop {
        // Not one within the other.
        match alloc_core::untraced(Scope::enter) {
            Ok(scope) => kept.push(scope),
            Err(error) => break error,
        }
    };
    assert!(error.is_broken(), "{error}");
    assert!(kept.len() > 1_000_000, "{}", kept.len());
    drop(kept);
    assert_eq!(measure(|| drop(block(8))).usage.allocated, amount(8, 1));
}

fn stacks_of_a_scope_add_up() {
    #[inline(never)]
    fn leak_like() -> Vec<u8> {
        block(111)
    }
    for tracing in [false, true] {
        if tracing {
            alloc_core::start_with(Config::default().frames(5)).unwrap();
        }
        let scope = Scope::enter_with_stacks().unwrap();
        let kept: [Vec<u8>; 3] = std::array::from_fn(|_| leak_like());
        drop(block(1000));
        let inner = measure(leak_like);
        let (usage, snapshot) = (scope.usage().unwrap(), scope.snapshot().unwrap());
        assert_eq!(usage.allocated, amount(1444, 5));
        let sum = |metric| {
            let amounts = snapshot
                .traces()
                .iter()
                .map(|it| it.counters.amount(metric));
            amounts.fold(Amount::default(), |mut sum, it| {
                sum += it;
                sum
            })
        };
        assert_eq!(sum(Metric::Total), usage.allocated);
        assert_eq!(sum(Metric::Current), usage.current);
        assert_eq!(sum(Metric::AtPeak).bytes, usage.peak.bytes);
        let of_leak_like = |it: &&alloc_core::Trace| {
            let mut functions = it.traceback.iter().filter_map(|it| it.function());
            functions.any(|it| it.contains("leak_like"))
        };
        // NOTE: where the compiler unrolled the loop, several stacks.
        let held = snapshot
            .traces()
            .iter()
            .filter(of_leak_like)
            .map(|it| it.counters.current.bytes.get())
            .sum::<u64>();
        assert_eq!(held, 444);
        for trace in snapshot.traces() {
            let functions = || trace.traceback.iter().filter_map(|it| it.function());
            assert!(functions().any(|it| it.contains("stacks_of_a_scope_add_up")));
            let first = functions().next().unwrap();
            assert!(!first.contains("alloc_core"), "{first}");
        }
        drop((kept, inner));
        assert_eq!(scope.usage().unwrap().current, amount(0, 0));
        assert!(
            scope
                .snapshot()
                .unwrap()
                .traces()
                .iter()
                .all(|it| it.counters.current.blocks == 0)
        );
        drop(scope);
        alloc_core::stop();
    }
}

fn at_the_scope_s_peak() {
    let scope = Scope::enter_with_stacks().unwrap();
    let first = block(300);
    let second = block(700);
    drop(first);
    let third = block(100);
    drop((second, third));
    let snapshot = scope.snapshot().unwrap();
    let mut at_peak: Vec<_> = snapshot
        .traces()
        .iter()
        .map(|it| it.counters.at_peak.bytes.get())
        .collect();
    at_peak.sort_unstable();
    assert_eq!(at_peak, [0, 300, 700]);
    assert_eq!(scope.usage().unwrap().peak.bytes, 1000);
    assert_eq!(snapshot.traced_memory().peak, 1000);
}

fn futures_take_their_scope_along() {
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
            // Each poll on a thread of its own, all of them outside of the scope.
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
        // Dropped outside as well, before it is done.
        drop(future);
    });
    let usage = scope.usage().unwrap();
    // Fifty kept, three times ten, and fifty in the destructor.
    assert_eq!(usage.allocated, amount(50 + 30 + 50, 5));
    assert_eq!((usage.current, usage.peak), (amount(0, 0), amount(100, 2)));
}

/// What a scope should have counted, by the definition.
#[derive(Clone, Default)]
struct Model {
    allocated: Amount,
    live: Amount,
    peak: Amount,
    before: Amount,
    reallocations: u64,
}

impl Model {
    fn born(&mut self, size: u64) {
        self.allocated += Amount::new(size, 1);
        self.live += Amount::new(size, 1);
        self.raise();
    }

    fn raise(&mut self) {
        self.peak.bytes = self.peak.bytes.max(self.live.bytes);
        self.peak.blocks = self.peak.blocks.max(self.live.blocks);
    }

    fn died(&mut self, size: u64) {
        self.live = Amount::new(self.live.bytes.get() - size, self.live.blocks - 1);
    }

    fn check(&self, usage: Usage) {
        assert_eq!(usage.allocated, self.allocated);
        assert_eq!(usage.current, self.live);
        assert_eq!(usage.peak, self.peak);
        assert_eq!(usage.freed_before, self.before);
        assert_eq!(usage.reallocations, self.reallocations);
    }
}

fn random_work_equals_a_model() {
    struct Block {
        address: *mut u8,
        size: usize,
        /// How many scopes it was allocated in.
        depth: usize,
    }
    let mut random = Random::new(1);
    let mut below = |end| random.below(end);
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    let mut blocks: Vec<Block> = untraced_room(100_000);
    let mut scopes: Vec<Scope> = untraced_room(16);
    let mut models: Vec<Model> = untraced_room(16);
    let mut checked = 0;
    for _ in 0..100_000 {
        match below(20) {
            0 if scopes.len() < 6 => {
                scopes.push(Scope::enter().unwrap());
                models.push(Model::default());
            }
            1 if !scopes.is_empty() && below(4) == 0 => {
                models
                    .pop()
                    .unwrap()
                    .check(scopes.last().unwrap().usage().unwrap());
                drop(scopes.pop());
                // What it had is the outer scope's now.
                let depth = scopes.len();
                blocks
                    .iter_mut()
                    .for_each(|it| it.depth = it.depth.min(depth));
                checked += 1;
            }
            2..10 => {
                let size = 1 + below(500);
                // SAFETY: a layout that is not empty.
                let address = unsafe { ALLOC.alloc(layout(size)) };
                let depth = scopes.len();
                models.iter_mut().for_each(|it| it.born(size as u64));
                blocks.push(Block {
                    address,
                    size,
                    depth,
                });
            }
            10..13 if !blocks.is_empty() => {
                let at = below(blocks.len());
                let (old, size) = (&mut blocks[at], 1 + below(900));
                // SAFETY: a live block with its layout, and a size that is not zero.
                let address = unsafe { ALLOC.realloc(old.address, layout(old.size), size) };
                for (depth, model) in models.iter_mut().enumerate() {
                    model.reallocations += 1;
                    if depth < old.depth {
                        model.died(old.size as u64);
                    } else {
                        model.before += Amount::new(old.size as u64, 1);
                    }
                    model.born(size as u64);
                }
                *old = Block {
                    address,
                    size,
                    depth: scopes.len(),
                };
            }
            _ if !blocks.is_empty() => {
                let at = below(blocks.len());
                let block = blocks.swap_remove(at);
                // SAFETY: a live block with its layout.
                unsafe { ALLOC.dealloc(block.address, layout(block.size)) };
                for (depth, model) in models.iter_mut().enumerate() {
                    if depth < block.depth {
                        model.died(block.size as u64);
                    } else {
                        model.before += Amount::new(block.size as u64, 1);
                    }
                }
            }
            _ => {}
        }
    }
    assert!(checked > 500, "{checked}");
    while let Some(scope) = scopes.pop() {
        models.pop().unwrap().check(scope.usage().unwrap());
    }
    for block in blocks {
        // SAFETY: a live block with its layout.
        unsafe { ALLOC.dealloc(block.address, layout(block.size)) };
    }
}

fn many_threads_with_scopes_of_their_own() {
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

fn freed_behind_a_scope_s_back() {
    // Many blocks whose scopes ended, freed while no scope is alive, and their addresses come back.
    for round in 0..50 {
        let kept: Vec<_> = (0..100).map(|_| measure(|| block(64)).value).collect();
        drop(kept);
        let others: Vec<_> = (0..100).map(|_| block(64)).collect();
        let usage = measure(|| drop(others)).usage;
        // And the vector that held them.
        assert_eq!(usage.freed_before.blocks, 101, "{round}");
        assert_eq!(
            (usage.allocated, usage.current),
            (amount(0, 0), amount(0, 0))
        );
    }
}

fn a_child_of_a_fork_is_refused() {
    let scope = Scope::enter().unwrap();
    drop(block(10));
    // SAFETY: the child calls nothing that another thread may have been in the middle of: there is none.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = scope.usage().is_err_and(|error| error.is_forked());
        // Its own are as good as any.
        let own = measure(|| drop(block(7))).usage.allocated == amount(7, 1);
        // SAFETY: ends the child without what belongs to its parent.
        unsafe { libc::_exit(i32::from(!(refused && own))) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and room for a status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(scope.usage().unwrap().allocated, amount(10, 1));
}
