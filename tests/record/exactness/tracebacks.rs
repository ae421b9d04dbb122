//! The stack of a block: whole, truncated, folded, and in a full table of callsites.

use std::hint::black_box;

use alloc_core::{ChargeTo, Config, Frame, GroupBy, start, traced_memory};
use alloc_tests::{Source, at_function};

use crate::{check, check_heap, checked_snapshot};

const HERE: Source = alloc_tests::source!();

#[inline(never)]
fn made_in_a_function() -> Box<[u64; 9]> {
    Box::new(black_box([9; 9]))
}

pub(crate) fn traceback_of_a_block() {
    let before = black_box(Box::new(1_u64));
    let on_the_stack = black_box([0_u64; 8]);
    start().unwrap();
    let block = made_in_a_function(); // mark: call of made_in_a_function
    let traceback = alloc_core::traceback_of(&*block).unwrap();
    let innermost = traceback.charged(ChargeTo::Caller);
    assert!(
        innermost
            .function()
            .unwrap()
            .ends_with("made_in_a_function"),
        "{innermost}"
    );
    assert!(
        innermost.file().unwrap().full().ends_with(HERE.file),
        "{innermost}"
    );
    let place = traceback
        .iter()
        .position(|frame| frame == innermost)
        .unwrap();
    let caller = &traceback[place + 1];
    assert!(
        caller.function().unwrap().ends_with("traceback_of_a_block"),
        "{caller}"
    );
    assert_eq!(caller.line(), HERE.line("call of made_in_a_function"));
    assert!(!traceback.is_truncated() && !traceback.is_broken() && !traceback.is_overflow());
    let outermost = traceback.iter().filter_map(|frame| frame.function());
    assert!(
        outermost.into_iter().any(|name| name.ends_with("main")),
        "{traceback}"
    );

    assert!(alloc_core::traceback_of(&*before).is_none());
    assert!(alloc_core::traceback_of(&on_the_stack).is_none());
    assert!(alloc_core::traceback_of(std::ptr::null::<u8>()).is_none());
    let address = std::ptr::from_ref(&*block);
    drop(block);
    assert!(alloc_core::traceback_of(address).is_none());

    // The type and the length of the block do not matter.
    let text = String::from(black_box("a text"));
    assert!(alloc_core::traceback_of(text.as_str()).is_some());
    let slice = vec![1_u16; black_box(3)];
    assert!(alloc_core::traceback_of(&slice[..]).is_some());
}

#[inline(never)]
fn deep(levels: usize) -> Box<[u8; 96]> {
    if levels > 0 {
        // The work after the call keeps it from becoming a jump.
        black_box(deep(black_box(levels - 1)))
    } else {
        Box::new(black_box([0; 96]))
    }
}

pub(crate) fn few_frames() {
    for frames in [1, 2, 32, 1000] {
        alloc_core::start_with(Config::default().frames(frames)).unwrap();
        let blocks = (deep(300), deep(300), deep(301));
        let snapshot = checked_snapshot();
        assert_eq!(snapshot.traceback_limit(), frames);
        let function = at_function(&snapshot, "deep");
        check(function, ("deep", (288, 3), (288, 3), (288, 3), 0));

        let traceback = alloc_core::traceback_of(&*blocks.0).unwrap();
        let is_deep = |name: &str| name.rsplit("::").next() == Some("deep");
        let calls = traceback
            .iter()
            .filter(|frame| frame.function().is_some_and(is_deep))
            .count();
        if frames == 1000 {
            assert_eq!((calls, traceback.is_truncated()), (301, false));
        } else {
            // The number of kept frames counts from the line that is charged.
            assert_eq!(
                (calls, traceback.is_truncated()),
                (frames.into(), true),
                "{traceback}"
            );
        }
        let truncated = snapshot
            .traces()
            .iter()
            .filter(|it| it.traceback.is_truncated())
            .count();
        assert_eq!(snapshot.health().truncated_stacks, truncated as u64);
        drop(blocks);
        assert_eq!(traced_memory().current, 0);
        alloc_core::stop();
    }
}

pub(crate) fn a_recursion_of_any_depth_is_one_folded_stack() {
    #[inline(never)]
    fn there(levels: usize) -> Box<[u8; 64]> {
        black_box(match black_box(levels) {
            0 => Box::new([0; 64]),
            _ => back(levels - 1),
        })
    }
    #[inline(never)]
    fn back(levels: usize) -> Box<[u8; 64]> {
        black_box(there(black_box(levels)))
    }
    alloc_core::start_with(Config::default().frames(1000)).unwrap();
    let mut blocks = Vec::with_capacity(100);
    let mut pairs = Vec::with_capacity(100);
    (0..50).for_each(|levels| blocks.push(deep(levels)));
    (0..50).for_each(|levels| pairs.push(there(levels)));
    let snapshot = checked_snapshot();
    let of = |name: &str, by| {
        let is_charged = |it: &alloc_core::Statistic| {
            let function = it.key.charged(ChargeTo::Caller).and_then(Frame::function);
            function.is_some_and(|it| it.rsplit("::").next() == Some(name))
        };
        let mut statistics = snapshot.statistics(by);
        statistics.retain(is_charged);
        statistics
    };
    let numbers = |it: &alloc_core::Statistic| (it.size.get(), it.count, it.counters.total.blocks);

    let folded = of("deep", GroupBy::FoldedTraceback);
    assert_eq!(of("deep", GroupBy::Traceback).len(), 50);
    assert_eq!(
        folded.iter().map(numbers).collect::<Vec<_>>(),
        [(50 * 96, 50, 50)]
    );
    // The first call of the pair has no other to be folded with.
    let folded = of("there", GroupBy::FoldedTraceback);
    assert_eq!(of("there", GroupBy::Traceback).len(), 50);
    assert_eq!(
        folded.iter().map(numbers).collect::<Vec<_>>(),
        [(49 * 64, 49, 49), (64, 1, 1)]
    );
    let sum = |by| -> u64 { snapshot.statistics(by).iter().map(|it| it.size.get()).sum() };
    assert_eq!(sum(GroupBy::FoldedTraceback), sum(GroupBy::Line));
    drop((blocks, pairs));
}

/// Twenty callsites in a table with room for eight.
pub(crate) fn a_full_callsite_table() {
    alloc_core::start_with(Config::default().max_callsites(8)).unwrap();
    macro_rules! boxes {
        ($($size:literal)*) => { ($(Box::new(black_box([0_u8; $size])),)*) };
    }
    let mut boxes =
        black_box(boxes!(10 20 30 40 50 60 70 80 90 100 110 120 130 140 150 160 170 180 190 200));
    check_heap(2100, 2100);
    let snapshot = checked_snapshot();
    let distinct = snapshot
        .traces()
        .iter()
        .filter(|it| !it.traceback.is_overflow())
        .count();
    assert_eq!(distinct, 8);
    let overflow = alloc_tests::sum_of(&snapshot, |it| it.traceback.is_overflow());
    assert_eq!(overflow.current.blocks, 20 - distinct as u64);
    assert_eq!(snapshot.health().overflowed, overflow.total.blocks);

    // A block that is freed is subtracted from the overflow.
    boxes.19 = Box::new(black_box([1; 200]));
    check_heap(2100, 2300);
    let overflow = alloc_tests::sum_of(&checked_snapshot(), |it| it.traceback.is_overflow());
    assert_eq!(overflow.current.blocks, 20 - distinct as u64);
    assert_eq!(overflow.total.blocks, 21 - distinct as u64);
    drop(boxes);
    checked_snapshot();
    assert_eq!(traced_memory().current, 0);
}
