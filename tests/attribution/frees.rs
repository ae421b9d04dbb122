//! Who frees whose memory: labels against labels and threads against threads, compared with exact
//! arithmetic and with a model.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use alloc_core::{
    Amount, Config, Filter, Freer, Frees, GroupBy, Label, Names, Snapshot, TraceAlloc, start_with,
    take_snapshot, untraced,
};
use alloc_tests::Random;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    labels_and_threads_free_what_they_free,
    each_free_is_counted_for_the_label_it_happens_in,
    a_reallocation_frees_the_block_of_another,
    what_a_thread_frees_at_its_end_is_counted,
    what_is_freed_while_muted_is_counted,
    tracked_memory_is_freed_in_a_label,
    scopes_and_lifetimes_do_not_change_who_frees,
    no_more_is_freed_by_someone_than_was_freed,
    clearing_forgets_who_freed,
    a_file_keeps_who_freed,
    without_the_option_nothing_is_recorded,
    frees_need_every_block_and_its_stack,
];

const NONE: &str = "<no label>";

/// What was freed: by the group of the callsite, then by who freed.
type Matrix = BTreeMap<(String, String), Amount>;

fn start() {
    start_with(Config::default().frees(true).threads(true)).unwrap();
}

#[inline(never)]
fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

fn in_label<T>(name: &str, work: impl FnOnce() -> T) -> T {
    match name {
        NONE => work(),
        name => Label::new(name).run(work),
    }
}

fn on_thread<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|threads| {
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn_scoped(threads, work).unwrap().join().unwrap()
    })
}

/// Who freed what functions of this file allocated.
fn matrix(snapshot: &Snapshot, by: GroupBy, freer: Freer) -> Matrix {
    let filter = Filter::include("*/frees.rs").function("*::block");
    let frees = snapshot.filter_traces(&[filter]).frees(by, freer);
    let mut matrix = Matrix::new();
    for row in &frees.rows {
        for (name, amount) in frees.freers.iter().zip(&row.by) {
            if *amount != Amount::default() {
                matrix.insert((row.key.to_string(), name.to_string()), *amount);
            }
        }
    }
    matrix
}

#[track_caller]
fn check(snapshot: &Snapshot, by: GroupBy, freer: Freer, expected: &[(&str, &str, u64, u64)]) {
    let expected = expected.iter().map(|&(of, freer, bytes, blocks)| {
        (
            (of.to_owned(), freer.to_owned()),
            Amount::new(bytes, blocks),
        )
    });
    assert_eq!(matrix(snapshot, by, freer), expected.collect());
}

/// Of every callsite it is known who freed its blocks, and of no more than were freed.
#[track_caller]
fn check_sums(snapshot: &Snapshot) {
    for trace in snapshot.traces() {
        let mut sum = Amount::default();
        for freed in trace.freed_by.as_ref().unwrap().iter() {
            sum += freed.amount;
        }
        assert_eq!(sum, trace.counters.freed(), "{trace}");
    }
    for freer in [Freer::Label, Freer::Thread] {
        let frees = snapshot.frees(GroupBy::Line, freer);
        assert!(frees.freers.iter().all(|it| **it != *Frees::NOT_RECORDED));
    }
}

/// Three labels allocate on four threads, and three labels free on four others.
fn labels_and_threads_free_what_they_free() {
    const LABELS: [&str; 3] = ["parse", "answer", NONE];
    start();
    let (mut labels, mut threads) = (Matrix::new(), Matrix::new());
    for (size, of) in (1..).zip(LABELS) {
        for allocator in 1..=4 {
            for (times, by) in (1..).zip(LABELS) {
                for freer in 1..=4 {
                    // As many blocks as no other combination has.
                    let blocks = times * (10 * allocator + freer);
                    let on = [format!("allocator-{allocator}"), format!("freer-{freer}")];
                    let all: Vec<Vec<u8>> = on_thread(&on[0], || {
                        in_label(of, || (0..blocks).map(|_| block(100 * size)).collect())
                    });
                    on_thread(&on[1], || in_label(by, || drop(all)));
                    untraced(|| {
                        let freed = Amount::new((100 * size * blocks) as u64, blocks as u64);
                        *labels.entry((of.to_owned(), by.to_owned())).or_default() += freed;
                        let [allocator, freer] = on;
                        *threads.entry((allocator, freer)).or_default() += freed;
                    });
                }
            }
        }
    }
    let snapshot = take_snapshot().unwrap();
    assert_eq!(matrix(&snapshot, GroupBy::Label, Freer::Label), labels);
    assert_eq!(matrix(&snapshot, GroupBy::Thread, Freer::Thread), threads);
    assert_eq!((labels.len(), threads.len()), (9, 16));
    assert_eq!(
        labels[&("parse".to_owned(), "answer".to_owned())],
        // 4 * (10 + 20 + 30 + 40) + 4 * (1 + 2 + 3 + 4) blocks, twice.
        Amount::new(88_000, 880)
    );
    check_sums(&snapshot);
}

/// A block, and the label that its last reallocation happened in.
type Kept = (&'static str, Vec<u8>);

const PATHS: [&str; 5] = [NONE, "request", "request > decode", "upload", "background"];

fn in_path<T>(path: &str, work: impl FnOnce() -> T) -> T {
    match path.split_once(" > ") {
        Some((outer, inner)) => Label::new(outer).run(|| in_label(inner, work)),
        None => in_label(path, work),
    }
}

/// Allocates, grows and frees in random labels.
fn work(seed: u64, rounds: usize, freed: &mut Matrix) -> Vec<Kept> {
    let mut random = Random::new(seed);
    let mut kept: Vec<Kept> = untraced(|| Vec::with_capacity(rounds));
    let mut count = |of: &str, by: &str, bytes: usize| {
        untraced(|| {
            let pair = (of.to_owned(), by.to_owned());
            *freed.entry(pair).or_default() += Amount::new(bytes as u64, 1);
        });
    };
    for _ in 0..rounds {
        let path = PATHS[random.below(PATHS.len())];
        let size = 1 + random.below(500);
        kept.push((path, in_path(path, || block(size))));
        if random.one_in(3) {
            let by = PATHS[random.below(PATHS.len())];
            let (of, block) = kept.swap_remove(random.below(kept.len()));
            count(of, by, block.capacity());
            in_path(by, || drop(block));
        }
    }
    kept
}

fn each_free_is_counted_for_the_label_it_happens_in() {
    start();
    let mut freed = Matrix::new();
    // The blocks of each thread end on the main thread, in a label of its own.
    let kept: Vec<(Vec<Kept>, Matrix)> = thread::scope(|threads| {
        let start = |seed| {
            threads.spawn(move || {
                let mut freed = Matrix::new();
                (work(seed, 5000, &mut freed), freed)
            })
        };
        let threads: Vec<_> = (1..=4).map(start).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let mut live = 0;
    for (kept, of_thread) in kept {
        untraced(|| {
            let pairs = of_thread.into_iter();
            pairs.for_each(|(pair, it)| *freed.entry(pair).or_default() += it);
        });
        for (at, (of, block)) in kept.into_iter().enumerate() {
            if at % 2 == 0 {
                untraced(|| {
                    let pair = (of.to_owned(), "cleaner".to_owned());
                    let amount = Amount::new(block.capacity() as u64, 1);
                    *freed.entry(pair).or_default() += amount;
                });
                in_label("cleaner", || drop(block));
            } else {
                live += 1;
                untraced(|| std::mem::forget(block));
            }
        }
    }
    let snapshot = take_snapshot().unwrap();
    assert_eq!(matrix(&snapshot, GroupBy::Label, Freer::Label), freed);
    assert_eq!(freed.len(), PATHS.len() * (PATHS.len() + 1));
    assert!(live > 1000);
    check_sums(&snapshot);
}

fn a_reallocation_frees_the_block_of_another() {
    start();
    let mut bytes = in_label("parse", || block(1000));
    in_label("answer", || bytes.reserve_exact(5000));
    black_box(&bytes);
    let snapshot = take_snapshot().unwrap();
    check(
        &snapshot,
        GroupBy::Label,
        Freer::Label,
        &[("parse", "answer", 1000, 1)],
    );
    drop(bytes);
    check_sums(&take_snapshot().unwrap());
}

/// Its blocks are freed when the thread ends.
struct AtEnd(Vec<Vec<u8>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        let rest = self.0.split_off(3);
        in_label("end", || drop(rest));
    }
}

fn what_a_thread_frees_at_its_end_is_counted() {
    thread_local! {
        static KEPT: std::cell::RefCell<AtEnd> = const { std::cell::RefCell::new(AtEnd(Vec::new())) };
    }
    start();
    on_thread("worker", || {
        KEPT.with_borrow_mut(|kept| {
            kept.0 = in_label("parse", || (0..10).map(|_| block(100)).collect())
        });
    });
    let snapshot = take_snapshot().unwrap();
    let expected = [("parse", "end", 700, 7), ("parse", NONE, 300, 3)];
    check(&snapshot, GroupBy::Label, Freer::Label, &expected);
    check_sums(&snapshot);
}

fn what_is_freed_while_muted_is_counted() {
    start();
    let (first, mut second) = in_label("parse", || (block(100), block(200)));
    // No record is made, but what was recorded before is freed.
    in_label("muted", || {
        untraced(|| {
            drop(first);
            second.reserve_exact(5000);
        })
    });
    drop(second);
    let snapshot = take_snapshot().unwrap();
    let expected = [("parse", "muted", 300, 2)];
    check(&snapshot, GroupBy::Label, Freer::Label, &expected);
    check_sums(&snapshot);
}

fn tracked_memory_is_freed_in_a_label() {
    start();
    in_label("map", || alloc_core::track(7, 0x1000, 4096)).unwrap();
    in_label("unmap", || alloc_core::untrack(7, 0x1000)).unwrap();
    let snapshot = take_snapshot().unwrap();
    let tracked = snapshot.filter_traces(&[Filter::include("*").domain(7)]);
    let frees = tracked.frees(GroupBy::Label, Freer::Label);
    assert_eq!(*frees.freers, ["unmap".into()]);
    assert_eq!(frees.rows[0].key.to_string(), "map");
    assert_eq!(frees.rows[0].by, [Amount::new(4096, 1)]);
    check_sums(&snapshot);
}

fn scopes_and_lifetimes_do_not_change_who_frees() {
    start_with(Config::default().frees(true).lifetimes(true)).unwrap();
    let mut freed = Matrix::new();
    let measured = alloc_core::measure(|| work(7, 2000, &mut freed));
    assert!(measured.usage.allocated.blocks >= 2000);
    let snapshot = take_snapshot().unwrap();
    assert_eq!(matrix(&snapshot, GroupBy::Label, Freer::Label), freed);
    check_sums(&snapshot);
    for trace in snapshot.traces() {
        let lifetimes = trace.lifetimes.as_ref().unwrap();
        assert_eq!(lifetimes.freed.count(), trace.counters.freed().blocks);
    }
    drop(measured);
    check_sums(&take_snapshot().unwrap());
}

fn no_more_is_freed_by_someone_than_was_freed() {
    start();
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        for label in ["one", "two", "three", NONE] {
            let done = &done;
            threads.spawn(move || {
                // NOTE: at least once, however late the thread begins.
                loop {
                    let blocks: Vec<Vec<u8>> = (1..20).map(|it| block(10 * it)).collect();
                    in_label(label, || drop(blocks));
                    if done.load(Relaxed) {
                        break;
                    }
                }
            });
        }
        for _ in 0..50 {
            let snapshot = take_snapshot().unwrap();
            for trace in snapshot.recorded().callsites.iter() {
                let freed = trace.counters.freed();
                let by = trace.freed_by.as_ref().unwrap().iter();
                let blocks: u64 = by.map(|it| it.amount.blocks).sum();
                assert!(blocks <= freed.blocks, "{blocks} of {}", freed.blocks);
            }
        }
        done.store(true, Relaxed);
    });
    let snapshot = take_snapshot().unwrap();
    check_sums(&snapshot);
    let all = matrix(&snapshot, GroupBy::Label, Freer::Label);
    assert_eq!(all.len(), 4);
}

fn clearing_forgets_who_freed() {
    start();
    in_label("before", || drop(block(10)));
    alloc_core::clear_traces();
    in_label("after", || drop(block(10)));
    let after = [("after", "after", 10, 1)];
    let snapshot = take_snapshot().unwrap();
    check(&snapshot, GroupBy::Label, Freer::Label, &after);
    alloc_core::stop();
    in_label("between", || drop(block(10)));
    start();
    in_label("after", || drop(block(10)));
    let snapshot = take_snapshot().unwrap();
    check(&snapshot, GroupBy::Label, Freer::Label, &after);
}

fn a_file_keeps_who_freed() {
    start();
    let mut freed = Matrix::new();
    let kept = work(3, 2000, &mut freed);
    let snapshot = take_snapshot().unwrap();
    let threads = matrix(&snapshot, GroupBy::Thread, Freer::Thread);
    assert_eq!(threads.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    for names in [Names::Addresses, Names::Symbols] {
        snapshot.dump_with(&path, names).unwrap();
        let read = Snapshot::load(&path).unwrap();
        assert_eq!(
            matrix(&read, GroupBy::Label, Freer::Label),
            freed,
            "{names:?}"
        );
        assert_eq!(matrix(&read, GroupBy::Thread, Freer::Thread), threads);
        check_sums(&read);
    }
    drop(kept);
}

fn without_the_option_nothing_is_recorded() {
    start_with(Config::default()).unwrap();
    in_label("parse", || drop(block(10)));
    let snapshot = take_snapshot().unwrap();
    assert!(snapshot.traces().iter().all(|it| it.freed_by.is_none()));
    let expected = [("parse", Frees::NOT_RECORDED, 10, 1)];
    check(&snapshot, GroupBy::Label, Freer::Label, &expected);
}

fn frees_need_every_block_and_its_stack() {
    let frees = || Config::default().frees(true);
    for config in [frees().sample_every(1000), frees().frames(0)] {
        let error = start_with(config).unwrap_err();
        assert!(error.is_invalid_config());
        assert_eq!(
            error.to_string(),
            "the configuration cannot be used: who frees needs stacks of every block: expected at least \
             one frame and no sample"
        );
    }
}
