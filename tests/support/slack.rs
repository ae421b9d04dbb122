//! Slack, compared with sums over the blocks that a program holds.

use std::hint::black_box;

use alloc_core::{Config, Slack, Snapshot, Trace, start_with, take_snapshot};

use crate::Random;

/// The slack of what a function allocated.
pub fn slack_of(snapshot: &Snapshot, function: &str) -> Slack {
    let is_of = |trace: &&Trace| {
        let mut functions = trace.traceback.iter().filter_map(|it| it.function());
        functions.any(|it| it.rsplit("::").next() == Some(function))
    };
    let mut sum = Slack::default();
    for trace in snapshot.traces().iter().filter(is_of) {
        sum += trace.slack.expect("the session measures slack");
    }
    sum
}

/// A block of so many bytes.
#[inline(never)]
/// A block that the compiler keeps.
pub fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

#[inline(never)]
fn zeroed_block(size: usize) -> Vec<u8> {
    black_box(vec![0; size])
}

#[inline(never)]
fn resized(mut block: Vec<u8>, size: usize) -> Vec<u8> {
    block.clear();
    block.shrink_to(size);
    block.reserve_exact(size);
    black_box(block)
}

/// How the blocks were made: the function, the live ones, and the slack of all that there were.
struct Made {
    function: &'static str,
    live: Vec<Vec<u8>>,
    total: u64,
}

/// Allocates, resizes and frees blocks of many sizes, also on another thread, and compares the slack
/// of each function with what the inner allocator says of the blocks that are held.
///
/// `usable_size` is what the inner allocator gives for a block.
pub fn check_slack_of_all_sizes(usable_size: impl Fn(*const u8) -> usize) {
    let slack = |block: &Vec<u8>| (usable_size(block.as_ptr()) - block.capacity()) as u64;
    let mut random = Random::new(7);
    // From before tracing: they are in no number.
    let mut before: Vec<_> = (1..100).map(block).collect();
    let mut made = ["block", "zeroed_block", "resized"].map(|function| Made {
        function,
        live: Vec::with_capacity(20_000),
        total: 0,
    });
    start_with(Config::default().slack(true)).expect("the inner allocator gives usable sizes");
    for round in 0..20_000 {
        let size = match random.below(40) {
            0 => 1 + random.below(300_000),
            _ => 1 + random.below(1200),
        };
        match random.below(8) {
            0..=3 => {
                let at = random.below(2);
                let block = [block, zeroed_block][at](size);
                made[at].total += slack(&block);
                made[at].live.push(block);
            }
            4 | 5 => {
                let from = &mut made[random.below(2)].live;
                if let Some(old) = from.pop().or_else(|| before.pop()) {
                    // Shrinks or grows: if it grows, it does not shrink first.
                    let old_capacity = old.capacity();
                    let block = resized(old, size);
                    if size != old_capacity {
                        made[2].total += slack(&block);
                        made[2].live.push(block);
                    } else {
                        drop(block);
                    }
                }
            }
            _ => {
                let from = &mut made[random.below(3)].live;
                if !from.is_empty() {
                    drop(from.swap_remove(random.below(from.len())));
                }
            }
        }
        if round % 4000 == 0 {
            check(&made, slack);
        }
    }
    check(&made, slack);
    for it in &mut made {
        let half = it.live.len() / 2;
        let freed: Vec<_> = it.live.drain(half..).collect();
        std::thread::spawn(|| drop(freed))
            .join()
            .expect("freeing does not panic");
    }
    check(&made, slack);
    made.iter_mut().for_each(|it| it.live.clear());
    check(&made, slack);
}

#[track_caller]
fn check(made: &[Made], slack: impl Fn(&Vec<u8>) -> u64) {
    let snapshot = take_snapshot().expect("tracing is on");
    for it in made {
        let current: u64 = it.live.iter().map(&slack).sum();
        let found = slack_of(&snapshot, it.function);
        let expected = (current, it.total);
        assert_eq!(
            (found.current.get(), found.total.get()),
            expected,
            "{}",
            it.function
        );
    }
}
