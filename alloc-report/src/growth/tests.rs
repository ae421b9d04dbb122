//! What is a suspect, and what is said of it, for numbers that are chosen one by one.

use std::time::Duration;

use alloc_core_snapshot::{
    Ages, Amount, Counters, Frame, GroupBy, Lifetimes, Snapshot, Trace, Traceback,
};

use super::{Growth, Order};

/// What a line held and did until a snapshot.
#[derive(Clone, Copy, Default)]
struct Held {
    bytes: u64,
    blocks: u64,
    /// The most bytes that it ever held, if that is more.
    peak: u64,
    /// Blocks that were ever freed, each of the mean size, without reallocations.
    freed: u64,
    reallocations: u64,
}

fn held(bytes: u64, blocks: u64) -> Held {
    Held {
        bytes,
        blocks,
        ..Held::default()
    }
}

impl Held {
    fn freed(self, freed: u64) -> Held {
        Held { freed, ..self }
    }

    fn peak(self, peak: u64) -> Held {
        Held { peak, ..self }
    }

    fn reallocations(self, reallocations: u64) -> Held {
        Held {
            reallocations,
            ..self
        }
    }

    fn trace(self, line: u32) -> Trace {
        let current = Amount::new(self.bytes, self.blocks);
        let past = self.freed + self.reallocations;
        let size = self.bytes / self.blocks.max(1);
        let counters = Counters {
            current,
            peak: Amount::new(self.peak.max(self.bytes), self.blocks),
            at_peak: current,
            total: Amount::new(self.bytes + past * size, self.blocks + past),
            reallocations: self.reallocations,
            ..Counters::default()
        };
        let frame = Frame::new(None, Some("src/a.rs"), line, 0);
        Trace::new(Traceback::new(vec![frame]), counters)
    }
}

/// The snapshots of a program that also does other work, as much in each step.
fn snapshots(levels: &[Held]) -> Vec<Snapshot> {
    let of = |(it, step): (&Held, u64)| {
        let work = Held::default().freed(step * 100_000_000);
        Snapshot::from_traces(vec![it.trace(5), work.trace(900)], 1)
    };
    levels.iter().zip(1..).map(of).collect()
}

/// Checks what is said of a line, or that it is no suspect.
#[track_caller]
fn check(levels: &[Held], expected: Option<&str>) {
    let snapshots = snapshots(levels);
    let growth = Growth::of(
        &Order::of_snapshots(&snapshots, GroupBy::Line),
        GroupBy::Line,
    );
    let words: Vec<String> = growth.suspects.iter().map(|it| it.to_string()).collect();
    let expected: Vec<String> = expected
        .iter()
        .map(|it| format!("src/a.rs:5 {it}"))
        .collect();
    assert_eq!(words, expected);
}

#[test]
fn growth_at_every_step_is_named() {
    check(
        &[held(1_000, 10), held(2_000, 20), held(3_000, 30)],
        Some("grew in each of 2 steps, by 1000 B a step; nothing that it allocated was freed"),
    );
    check(&[held(1_000, 10), held(2_000, 20), held(2_000, 20)], None);
    check(&[held(1_000, 10), held(900, 9), held(3_000, 30)], None);
    // A line that is not there yet holds nothing.
    check(
        &[held(0, 0), held(500, 5), held(1_000, 10)],
        Some("grew in each of 2 steps, by 500 B a step; nothing that it allocated was freed"),
    );
}

#[test]
fn two_snapshots_have_one_step() {
    check(
        &[held(1_000, 10), held(2_000, 20)],
        Some("grew by 1000 B; nothing that it allocated was freed"),
    );
    check(&[held(1_000, 10)], None);
    check(&[], None);
}

#[test]
fn a_plateau_is_not_named() {
    let to = |last| {
        [
            held(1_000, 10),
            held(2_000, 20),
            held(3_000, 30),
            held(last, 35),
        ]
    };
    // At half of the earlier pace it is named; below, it is not.
    check(&to(3_499), None);
    check(
        &to(3_500),
        Some("grew in each of 3 steps, by 833 B a step; nothing that it allocated was freed"),
    );
}

/// A pace is the growth for each allocation of the program, whatever time that took.
#[test]
fn idle_time_is_no_plateau() {
    let of = |(bytes, work): (u64, u64)| {
        let traces = vec![
            held(bytes, bytes / 100).trace(5),
            Held::default().freed(work).trace(9),
        ];
        Snapshot::from_traces(traces, 1)
    };
    let count = |levels: [(u64, u64); 3]| {
        let snapshots = levels.map(of);
        Growth::of(
            &Order::of_snapshots(&snapshots, GroupBy::Line),
            GroupBy::Line,
        )
        .suspects
        .len()
    };
    // A tenth of the growth in a tenth of the work, and in as much work.
    assert_eq!(count([(0, 0), (10_000, 50_000), (11_000, 55_000)]), 1);
    assert_eq!(count([(0, 0), (10_000, 50_000), (11_000, 100_000)]), 0);
}

#[test]
fn growth_that_slows_is_said_to() {
    check(
        &[
            held(0, 0),
            held(1_000, 10),
            held(1_900, 19),
            held(2_500, 25),
        ],
        Some(
            "grew in each of 3 steps, by 833 B a step; nothing that it allocated was freed; it \
             slows, to 60 % of its first pace, so it may reach a limit",
        ),
    );
}

#[test]
fn memory_that_only_comes_back_is_not_named() {
    let levels = [held(1_000, 10), held(2_000, 20), held(3_000, 30)];
    check(&levels.map(|it| it.peak(3_000)), None);
    // Half of the growth is beyond the earlier peak.
    let [first, second, third] = levels;
    let beyond = |before| [first.peak(before), second.peak(before), third];
    check(&beyond(2_001), None);
    check(
        &beyond(2_000),
        Some("grew in each of 2 steps, by 1000 B a step; nothing that it allocated was freed"),
    );
    // A peak that was reset says nothing of what was before.
    check(
        &[first.peak(9_000), second, third],
        Some("grew in each of 2 steps, by 1000 B a step; nothing that it allocated was freed"),
    );
}

/// Of N blocks that were all replaced, the variance of the difference is 2 N.
#[test]
fn growth_within_noise_is_not_named() {
    let with = |n: u64| {
        [
            held(10_000, 1_000),
            held(10_500, 1_050),
            held(10 * n, n).freed(90_000),
        ]
    };
    // Three standard errors of 1,142 blocks are 143.4.
    check(&with(1_142), None);
    check(
        &with(1_150),
        Some(
            "grew in each of 2 steps, by 750 B a step; most of what it allocated was freed, but \
             150 of 90,150 blocks stayed",
        ),
    );
    // Where few blocks were replaced, little growth is sure.
    check(
        &[
            held(10_000, 1_000),
            held(10_100, 1_010),
            held(10_200, 1_020).freed(2),
        ],
        Some(
            "grew in each of 2 steps, by 100 B a step; of what it allocated, 20 of 22 blocks stayed",
        ),
    );
}

#[test]
fn a_small_share_that_stays_is_counted() {
    let leak = |step: u64| held(step * 30 * 64, step * 30).freed(step * 970);
    check(
        &[1, 2, 3, 4, 5].map(leak),
        Some(
            "grew in each of 4 steps, by 1920 B a step; most of what it allocated was freed, but \
             3 of 100 blocks stayed",
        ),
    );
}

#[test]
fn a_collection_that_only_grows_is_recognized() {
    let vector = |doublings: u64| held(1_024 << doublings, 1).reallocations(doublings);
    check(
        &[0, 1, 2].map(vector),
        Some(
            "grew in each of 2 steps, by 1536 B a step; one block held 4096 B at the end and \
             1024 B at the start, as in a collection that only grows",
        ),
    );
    // A table is allocated, and the one before is freed.
    let table = |doublings: u64| held(1_024 << doublings, 1).freed(doublings);
    check(&[0, 1, 2].map(table), None);
    check(
        &[0, 1, 2, 3].map(table),
        Some(
            "grew in each of 3 steps, by 2389 B a step; one block held 8192 B at the end and \
             1024 B at the start, as in a collection that only grows",
        ),
    );
}

#[test]
fn numbers_of_a_file_that_are_not_true_do_no_harm() {
    let levels = [
        held(0, 0),
        held(u64::MAX / 2, u64::MAX / 2),
        held(u64::MAX, u64::MAX),
    ];
    let of = |it: Held| Snapshot::from_traces(vec![it.trace(5), it.trace(6)], 1);
    let snapshots = levels.map(of);
    let page = crate::suspects(&snapshots).limit_memory(1).to_string();
    assert!(
        page.starts_with("2 lines grew in each of 2 steps, by 16777216 TiB\n"),
        "{page}"
    );
}

#[test]
fn the_largest_growth_comes_first() {
    let of = |step: u64| {
        let traces = [(7, 100), (5, 300), (6, 200)];
        let traces = traces.map(|(line, bytes)| held(step * bytes, step).trace(line));
        Snapshot::from_traces(traces.to_vec(), 1)
    };
    let snapshots = [1, 2, 3].map(of);
    let growth = Growth::of(
        &Order::of_snapshots(&snapshots, GroupBy::Line),
        GroupBy::Line,
    );
    let keys = growth.suspects.iter().map(|it| it.key.to_string());
    assert!(keys.eq(["src/a.rs:5", "src/a.rs:6", "src/a.rs:7"]));
}

#[test]
fn the_thread_the_label_and_the_age_of_the_growth_are_named() {
    #[track_caller]
    fn check(with: fn(Trace, &str) -> Trace, words: &str) {
        let of = |step: u64| {
            let trace = |name, n: u64| with(held(n * 100, n).trace(5), name);
            Snapshot::from_traces(vec![trace("worker", step * 10), trace("main", 50)], 1)
        };
        let snapshots = [1, 2, 3].map(of);
        let growth = Growth::of(
            &Order::of_snapshots(&snapshots, GroupBy::Line),
            GroupBy::Line,
        );
        let sentence = "src/a.rs:5 grew in each of 2 steps, by 1000 B a step; nothing that it \
            allocated was freed";
        assert_eq!(growth.suspects[0].to_string(), format!("{sentence}{words}"));
    }
    check(|it, _| it, "");
    check(
        |it, name| it.with_thread(name),
        "; thread worker allocated it",
    );
    check(
        |it, name| it.with_label(name),
        "; it was allocated in worker",
    );
    check(
        |it, name| it.with_thread(name).with_label(name),
        "; thread worker allocated it in worker",
    );
    // To the end of the bucket: 2^26 microseconds.
    check(
        |it, _| {
            let mut lifetimes = Lifetimes::default();
            let minute = Duration::from_secs(60);
            lifetimes.live = Ages::default().with_times(minute, it.counters.current.blocks);
            it.with_lifetimes(lifetimes)
        },
        "; its oldest block is some 67 seconds old",
    );
    // What grows is outside of labels.
    check(
        |it, name| match name {
            "main" => it.with_label(name),
            _ => it,
        },
        "",
    );
}

/// Half of the heap or more, a MiB or more, and no block came or went.
#[test]
fn what_is_held_throughout_is_found() {
    #[track_caller]
    fn check(first: Held, last: Held, is_held: bool) {
        let snapshots = snapshots(&[first, last]);
        let growth = Growth::of(
            &Order::of_snapshots(&snapshots, GroupBy::Line),
            GroupBy::Line,
        );
        assert_eq!(
            growth.held.map(|it| it.size.get()),
            is_held.then_some(last.bytes)
        );
        assert_eq!(growth.suspects, []);
    }
    let large = held(1 << 20, 1);
    check(large, large, true);
    check(large, large.freed(1), false);
    check(held((1 << 20) - 1, 1), held((1 << 20) - 1, 1), false);
}
