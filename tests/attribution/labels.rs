//! Labels: each block belongs to the label that allocated it, compared with a model.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use alloc_core::{
    Amount, Config, Filter, GroupBy, Grouping, Label, Metric, Names, Scope, Snapshot, Statistic,
    TraceAlloc, start_with, take_snapshot, untraced,
};
use alloc_tests::Random;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    each_block_belongs_to_the_label_that_allocated_it,
    lines_have_labels,
    a_sample_has_labels,
    labels_and_threads_and_sizes_at_once,
    labels_of_all_threads_add_up_to_the_heap,
    a_block_that_grows_belongs_to_the_label_that_grew_it,
    a_future_is_in_its_label_wherever_it_is_polled,
    a_label_entered_before_tracing_starts_counts_from_the_start,
    a_thread_starts_in_no_label,
    a_file_keeps_the_labels,
    tracked_memory_has_labels,
    a_scope_has_labels,
    a_million_names_are_counted_under_what_is_left,
];

type Labels = BTreeMap<String, Amount>;

const NONE: &str = "<no label>";

/// What `blocks` allocated, by label.
fn labels(snapshot: &Snapshot, metric: Metric) -> Labels {
    let filter = Filter::include("*/labels.rs").function("*::block");
    let grouping = Grouping::by(GroupBy::Label).with_metric(metric);
    let statistics = snapshot.filter_traces(&[filter]).statistics(grouping);
    let groups = statistics.iter();
    groups
        .map(|it| (it.key.to_string(), Amount::new(it.size.get(), it.count)))
        .collect()
}

#[inline(never)]
fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

/// Paths of labels as the tests enter them.
const PATHS: [&str; 6] = [
    NONE,
    "request",
    "request > decode",
    "request > decode > utf-8",
    "upload",
    "upload > decode",
];

/// Runs `work` in the labels of a path, entered one after the other.
fn in_labels<T>(path: &str, work: impl FnOnce() -> T) -> T {
    match path.split_once(" > ") {
        _ if path == NONE => work(),
        None => Label::new(path).run(work),
        Some((name, within)) => {
            let _guard = Label::enter(name);
            in_labels(within, work)
        }
    }
}

/// Allocates in random labels, and frees a third of the blocks in others.
fn allocate(seed: u64, rounds: usize, live: &mut Labels, total: &mut Labels) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    let mut kept: Vec<(usize, Vec<u8>)> = untraced(|| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        let path = random.below(PATHS.len());
        let size = 1 + random.below(1000);
        let new = in_labels(PATHS[path], || block(size));
        untraced(|| {
            *total.entry(PATHS[path].to_owned()).or_default() += Amount::new(size as u64, 1);
            *live.entry(PATHS[path].to_owned()).or_default() += Amount::new(size as u64, 1);
        });
        kept.push((path, new));
        if random.one_in(3) {
            let (path, old) = kept.swap_remove(random.below(kept.len()));
            untraced(|| {
                let size = old.capacity() as u64;
                let live = live.get_mut(PATHS[path]).unwrap();
                *live = Amount::new(live.bytes.get() - size, live.blocks - 1);
            });
            in_labels(PATHS[random.below(PATHS.len())], || drop(old));
        }
    }
    untraced(|| kept.into_iter().map(|(_, block)| block).collect())
}

/// A scope needs no session.
fn a_scope_has_labels() {
    let scope = Scope::enter_with_stacks().unwrap();
    let (mut live, mut total) = (Labels::new(), Labels::new());
    let kept = allocate(1, 300, &mut live, &mut total);
    let (usage, snapshot) = (scope.usage().unwrap(), scope.snapshot().unwrap());
    assert_eq!(labels(&snapshot, Metric::Current), live);
    assert_eq!(labels(&snapshot, Metric::Total), total);
    assert_eq!(total.len(), PATHS.len());
    let grouping = Grouping::by(GroupBy::Label).with_metric(Metric::Total);
    let sum =
        |of: fn(&Statistic) -> u64| snapshot.statistics(grouping.clone()).iter().map(of).sum();
    let (bytes, blocks): (u64, u64) = (sum(|it| it.size.get()), sum(|it| it.count));
    assert_eq!(Amount::new(bytes, blocks), usage.allocated);
    drop(kept);
}

#[track_caller]
fn check_random(config: Config) {
    start_with(config).unwrap();
    let (mut live, mut total) = (Labels::new(), Labels::new());
    let kept = allocate(1, 3000, &mut live, &mut total);
    let snapshot = take_snapshot().unwrap();
    assert_eq!(labels(&snapshot, Metric::Current), live);
    assert_eq!(labels(&snapshot, Metric::Total), total);
    assert_eq!(total.len(), PATHS.len());
    in_labels("another", || drop(kept));
    let snapshot = take_snapshot().unwrap();
    assert_eq!(labels(&snapshot, Metric::Current), Labels::new());
    assert_eq!(labels(&snapshot, Metric::Total), total);
}

fn each_block_belongs_to_the_label_that_allocated_it() {
    check_random(Config::default());
}

fn lines_have_labels() {
    check_random(Config::default().frames(1));
}

fn labels_and_threads_and_sizes_at_once() {
    check_random(Config::default().threads(true).sizes(true));
}

/// Blocks much larger than the interval are all sampled, and each counts for itself.
fn a_sample_has_labels() {
    start_with(Config::default().sample_every(16)).unwrap();
    let first = in_labels("request", || block(5000));
    let second = in_labels("upload", || block(7000));
    let third = block(9000);
    let snapshot = take_snapshot().unwrap();
    let expected = [("request", 5000), ("upload", 7000), (NONE, 9000)];
    let expected = expected.map(|(path, size)| (path.to_owned(), Amount::new(size, 1)));
    assert_eq!(labels(&snapshot, Metric::Current), Labels::from(expected));
    drop((first, second, third));
}

/// Threads free each other's blocks.
fn labels_of_all_threads_add_up_to_the_heap() {
    start_with(Config::default()).unwrap();
    let (sender, receiver) = mpsc::channel::<Vec<Vec<u8>>>();
    let (mut live, mut total) = (Labels::new(), Labels::new());
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut counts = untraced(|| (Labels::new(), Labels::new()));
                let kept = allocate(seed, 3000, &mut counts.0, &mut counts.1);
                in_labels("sender", || sender.send(kept).unwrap());
                counts
            })
        })
        .collect();
    drop(sender);
    let mut kept: Vec<Vec<Vec<u8>>> = receiver.iter().collect();
    for thread in threads {
        let counts = thread.join().unwrap();
        untraced(|| {
            counts
                .0
                .into_iter()
                .for_each(|(path, amount)| *live.entry(path).or_default() += amount);
            counts
                .1
                .into_iter()
                .for_each(|(path, amount)| *total.entry(path).or_default() += amount);
        });
    }
    let snapshot = take_snapshot().unwrap();
    assert_eq!(labels(&snapshot, Metric::Current), live);
    assert_eq!(labels(&snapshot, Metric::Total), total);
    let all = snapshot.statistics(GroupBy::Label);
    let sum: u64 = all.iter().map(|it| it.size.get()).sum();
    assert_eq!(sum, snapshot.traced_memory().current.get());
    // Those of two threads are freed by another one, in another label.
    kept.truncate(2);
    let left: u64 = kept.iter().flatten().map(|it| it.capacity() as u64).sum();
    let snapshot = take_snapshot().unwrap();
    let live = labels(&snapshot, Metric::Current);
    assert_eq!(live.values().map(|it| it.bytes.get()).sum::<u64>(), left);
    thread::spawn(move || in_labels("cleaner", || drop(kept)))
        .join()
        .unwrap();
    let snapshot = take_snapshot().unwrap();
    assert_eq!(labels(&snapshot, Metric::Current), Labels::new());
}

fn a_block_that_grows_belongs_to_the_label_that_grew_it() {
    start_with(Config::default()).unwrap();
    let mut grown = in_labels("request", || block(100));
    in_labels("upload", || grow_block(&mut grown));
    let snapshot = take_snapshot().unwrap();
    let upload = snapshot.filter_traces(&[Filter::include("*").label("upload")]);
    let lines = upload.statistics(GroupBy::Function);
    assert_eq!(lines[0].size.get(), 5000);
    assert_eq!(labels(&snapshot, Metric::Current), Labels::new());
}

#[inline(never)]
fn grow_block(block: &mut Vec<u8>) {
    block.reserve_exact(5000);
}

/// A future that allocates when it is polled first and second, and frees when it is dropped.
#[derive(Default)]
struct Twice {
    blocks: Vec<Vec<u8>>,
}

impl Future for Twice {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let new = block(1000);
        untraced(|| self.blocks.push(new));
        match self.blocks.len() {
            2 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

fn a_future_is_in_its_label_wherever_it_is_polled() {
    start_with(Config::default()).unwrap();
    let label = Label::new("request");
    let mut future = Box::pin(label.instrument(Twice::default()));
    let poll = |future: &mut Pin<Box<alloc_core::Labelled<Twice>>>| {
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(Label::current(), Label::default());
        polled
    };
    assert_eq!(poll(&mut future), Poll::Pending);
    let between = block(10);
    let future = thread::spawn(move || {
        assert_eq!(poll(&mut future), Poll::Ready(()));
        let after = block(20);
        (future, after)
    });
    let (future, after) = future.join().unwrap();
    let snapshot = take_snapshot().unwrap();
    let expected = [("request", (2000, 2)), (NONE, (30, 2))];
    let expected =
        expected.map(|(path, (bytes, blocks))| (path.to_owned(), Amount::new(bytes, blocks)));
    assert_eq!(labels(&snapshot, Metric::Current), Labels::from(expected));
    drop((future, between, after));
    assert_eq!(
        labels(&take_snapshot().unwrap(), Metric::Current),
        Labels::new()
    );
}

fn a_label_entered_before_tracing_starts_counts_from_the_start() {
    let _guard = Label::enter("request");
    let before = block(10);
    start_with(Config::default()).unwrap();
    let first = block(100);
    alloc_core::stop();
    start_with(Config::default().frames(1)).unwrap();
    let second = block(200);
    let expected = ("request".to_owned(), Amount::new(200, 1));
    let snapshot = take_snapshot().unwrap();
    assert_eq!(labels(&snapshot, Metric::Current), Labels::from([expected]));
    drop((before, first, second));
}

/// Threads take over the recording state of threads that ended.
fn a_thread_starts_in_no_label() {
    start_with(Config::default()).unwrap();
    for _ in 0..10 {
        let in_label = thread::spawn(|| {
            std::mem::forget(Label::enter("forgotten"));
            block(100)
        });
        let in_none = thread::spawn(|| block(10));
        let blocks = (in_label.join().unwrap(), in_none.join().unwrap());
        let snapshot = take_snapshot().unwrap();
        let expected = [("forgotten", 100), (NONE, 10)];
        let expected = expected.map(|(path, bytes)| (path.to_owned(), Amount::new(bytes, 1)));
        assert_eq!(labels(&snapshot, Metric::Current), Labels::from(expected));
        drop(blocks);
    }
}

fn a_file_keeps_the_labels() {
    start_with(Config::default()).unwrap();
    let _blocks = [
        in_labels("größe \u{1b}[31m > decode", || block(100)),
        block(10),
    ];
    let snapshot = take_snapshot().unwrap();
    let expected = [("größe \\u{1b}[31m > decode", 100), (NONE, 10)];
    let expected = expected.map(|(path, bytes)| (path.to_owned(), Amount::new(bytes, 1)));
    let expected = Labels::from(expected);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    #[track_caller]
    fn check(path: &std::path::Path, expected: &Labels) {
        let read = Snapshot::load(path).unwrap();
        assert_eq!(labels(&read, Metric::Current), *expected);
    }
    for names in [Names::Addresses, Names::Symbols] {
        snapshot.dump_with(&path, names).unwrap();
        check(&path, &expected);
    }
}

fn tracked_memory_has_labels() {
    start_with(Config::default()).unwrap();
    in_labels("texture", || alloc_core::track(7, 0x1000, 5000).unwrap());
    let snapshot = take_snapshot().unwrap();
    let tracked = snapshot.filter_traces(&[Filter::include("*").domain(7).label("texture")]);
    assert_eq!(tracked.statistics(GroupBy::Domain)[0].size.get(), 5000);
    alloc_core::untrack(7, 0x1000).unwrap();
    assert!(tracked.traces().len() == 1);
}

fn a_million_names_are_counted_under_what_is_left() {
    start_with(Config::default().frames(1)).unwrap();
    let mut kept = untraced(|| Vec::with_capacity(20_000));
    for number in 0..1_000_000 {
        let label = untraced(|| Label::new(&format!("user {number}\n")));
        if number % 50 == 0 {
            kept.push(label.run(|| block(10)));
        }
    }
    let live = labels(&take_snapshot().unwrap(), Metric::Current);
    let others = live["<other labels>"];
    assert!(others.blocks > 19_000, "{others:?}");
    assert_eq!(live["user 0\\u{a}"], Amount::new(10, 1));
    let sum: u64 = live.values().map(|it| it.bytes.get()).sum();
    assert_eq!(sum, 10 * kept.len() as u64);
}
