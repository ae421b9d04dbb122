//! Slack: the usable bytes of each block beyond those that were asked for, compared with sums over
//! the blocks that the program holds.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::RefCell;
use std::hint::black_box;
use std::thread;

use alloc_core::{
    Bytes, Config, GroupBy, Names, Slack, Snapshot, TraceAlloc, start_with, take_snapshot,
};
use alloc_tests::slack::{block, check_slack_of_all_sizes, slack_of};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    slack_is_what_the_blocks_of_each_callsite_have_more,
    glibc_rounds_up_to_eight_more_than_sixteen_times_a_number,
    many_threads_free_the_blocks_of_others,
    a_block_that_a_thread_frees_at_its_end_is_subtracted,
    a_reallocation_that_fails_changes_nothing,
    lifetimes_and_slack_in_one_session,
    clearing_forgets_slack,
    tracked_memory_has_no_slack,
    files_keep_slack,
    without_the_option_there_is_none,
    slack_needs_every_block_and_its_stack,
];

fn usable_size(block: *const u8) -> usize {
    // SAFETY: the callers hold the block.
    unsafe { libc::malloc_usable_size(block.cast_mut().cast()) }
}

fn start() {
    start_with(Config::default().slack(true)).unwrap();
}

fn slack(current: u64, total: u64) -> Slack {
    let (current, total) = (Bytes::new(current), Bytes::new(total));
    Slack { current, total }
}

fn now(function: &str) -> Slack {
    slack_of(&take_snapshot().unwrap(), function)
}

fn slack_is_what_the_blocks_of_each_callsite_have_more() {
    check_slack_of_all_sizes(usable_size);
}

fn glibc_rounds_up_to_eight_more_than_sixteen_times_a_number() {
    if !cfg!(all(target_env = "gnu", target_pointer_width = "64")) {
        return;
    }
    start();
    let mut total = 0;
    // The sum is that of differences from the last row.
    for (size, usable) in [
        (1, 24),
        (24, 24),
        (25, 40),
        (40, 40),
        (41, 56),
        (1000, 1000),
        (1001, 1016),
    ] {
        let kept = block(size);
        let unused = usable - size as u64;
        total += unused;
        assert_eq!(now("block"), slack(unused, total), "{size}");
        drop(kept);
        assert_eq!(now("block"), slack(0, total), "{size}");
    }
}

/// The usable bytes beyond the capacity. Blocks of one size differ: malloc leaves a rest that is too
/// small for a block in the one before.
fn unused(block: &Vec<u8>) -> u64 {
    (usable_size(block.as_ptr()) - block.capacity()) as u64
}

fn sum<'a>(blocks: impl IntoIterator<Item = &'a Vec<u8>>) -> u64 {
    blocks.into_iter().map(unused).sum()
}

fn many_threads_free_the_blocks_of_others() {
    start();
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<Vec<u8>>>();
    let killer = thread::spawn(move || receiver.iter().map(|it| sum(&it)).sum::<u64>());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut kept = Vec::new();
                for round in 0..50 {
                    let blocks: Vec<_> = (0..100).map(|size| block(1 + size + round)).collect();
                    sender.send(blocks).unwrap();
                    kept.push(block(50));
                }
                kept
            })
        })
        .collect();
    drop(sender);
    let kept: Vec<_> = threads
        .into_iter()
        .flat_map(|it| it.join().unwrap())
        .collect();
    let freed = killer.join().unwrap();
    let live = sum(&kept);
    assert!(freed > live && live > 0);
    assert_eq!(now("block"), slack(live, live + freed));
}

thread_local! {
    static LAST: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn a_block_that_a_thread_frees_at_its_end_is_subtracted() {
    start();
    let unused = thread::spawn(|| {
        let kept = block(1001);
        let unused = usable_size(kept.as_ptr()) - 1001;
        LAST.with_borrow_mut(|it| it.push(kept));
        unused as u64
    });
    let unused = unused.join().unwrap();
    assert_eq!(now("block"), slack(0, unused));
}

#[inline(never)]
fn grow(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: the callers hold the block, which has this layout.
    black_box(unsafe { realloc(block, layout, size) })
}

fn a_reallocation_that_fails_changes_nothing() {
    start();
    let layout = Layout::from_size_align(1001, 8).unwrap();
    // SAFETY: the size is not zero.
    let kept = black_box(unsafe { alloc(layout) });
    let all = || {
        let snapshot = take_snapshot().unwrap();
        slack_of(&snapshot, "a_reallocation_that_fails_changes_nothing")
    };
    let before = all();
    assert_eq!(before.current.get(), (usable_size(kept) - 1001) as u64);
    assert!(grow(kept, layout, isize::MAX as usize - 4096).is_null());
    assert_eq!(all(), before);
    // SAFETY: it has this layout.
    unsafe { dealloc(kept, layout) };
    assert_eq!(all(), slack(0, before.total.get()));
}

fn lifetimes_and_slack_in_one_session() {
    start_with(Config::default().slack(true).lifetimes(true)).unwrap();
    let kept: Vec<_> = (1..100).map(block).collect();
    let freed: u64 = (1..1000).map(|size| unused(&block(size))).sum();
    let expected = slack(sum(&kept), sum(&kept) + freed);
    let snapshot = take_snapshot().unwrap();
    assert_eq!(slack_of(&snapshot, "block"), expected);
    let groups = snapshot.statistics(GroupBy::Function);
    let group = groups
        .iter()
        .find(|it| it.key.to_string().ends_with("::block"));
    let group = group.unwrap();
    let lifetimes = group.lifetimes.as_ref().unwrap();
    assert_eq!((lifetimes.freed.count(), lifetimes.live.count()), (999, 99));
    assert_eq!(group.slack, Some(expected));
}

fn clearing_forgets_slack() {
    start();
    let old = block(1001);
    alloc_core::clear_traces();
    drop(old);
    let kept = block(1001);
    let each = (usable_size(kept.as_ptr()) - 1001) as u64;
    assert_eq!(now("block"), slack(each, each));
    alloc_core::stop();
    start();
    drop(kept);
    let kept = block(1001);
    assert_eq!(now("block"), slack(each, each));
    drop(kept);
}

fn tracked_memory_has_no_slack() {
    start();
    alloc_core::track(7, 0x1000, 500).unwrap();
    let snapshot = take_snapshot().unwrap();
    let tracked = snapshot.traces().iter().find(|it| it.domain == 7).unwrap();
    assert_eq!(tracked.slack, None);
    alloc_core::untrack(7, 0x1000).unwrap();
}

fn files_keep_slack() {
    start();
    let kept: Vec<_> = (1..100).map(block).collect();
    (1..1000).for_each(|size| drop(block(size)));
    let snapshot = take_snapshot().unwrap();
    let expected = slack_of(&snapshot, "block");
    assert!(expected.current > 0 && expected.total > expected.current);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    for names in [Names::Addresses, Names::Symbols] {
        snapshot.dump_with(&path, names).unwrap();
        let read = Snapshot::load(&path).unwrap();
        assert_eq!(slack_of(&read, "block"), expected, "{names:?}");
    }
    drop(kept);
}

fn without_the_option_there_is_none() {
    start_with(Config::default()).unwrap();
    let kept = block(10);
    let snapshot = take_snapshot().unwrap();
    assert!(!snapshot.traces().is_empty());
    assert!(snapshot.traces().iter().all(|it| it.slack.is_none()));
    drop(kept);
}

fn slack_needs_every_block_and_its_stack() {
    let slack = || Config::default().slack(true);
    for config in [slack().sample_every(1000), slack().frames(0)] {
        let error = start_with(config).unwrap_err();
        assert!(error.is_invalid_config());
        assert!(
            error.to_string().contains(
                "slack needs stacks of every block: expected at least one frame and no sample"
            ),
            "{error}"
        );
    }
}
