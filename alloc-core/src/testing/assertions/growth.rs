//! Runs a piece of work in rounds and finds the lines that hold more after each.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::run::{Checked, cannot_measure, refuse_threads};
use super::terms::{Term, Threads};
use super::value::Value;
use crate::record::thread;
use crate::snapshot::recorded::{Recorded, RecordedCallsite, StackEnd};
use crate::snapshot::snapshot::Snapshot;
use crate::{Bytes, Error, Frame};

/// Runs `work` in rounds and panics if a line holds more after each.
#[track_caller]
pub fn assert_no_growth<T>(
    rounds: usize,
    warmup: usize,
    threads: Term,
    mut work: impl FnMut() -> T,
    _value: &Value<T>,
) {
    let mut measured = || {
        expect_rounds(rounds)?;
        let scope = Threads::of(&[threads]).enter().map_err(cannot_measure)?;
        (0..warmup).for_each(|_| drop(work()));
        let mut held = Held::new(rounds, scope.snapshot())?;
        for round in 1..=rounds {
            drop(work());
            held.note(round, scope.snapshot())?;
        }
        refuse_threads(scope.has_started_threads())?;
        held.has_not_grown()
    };
    Checked::from(measured()).or_panic();
}

/// Runs futures in rounds, on whichever threads poll them, and checks for growth.
pub async fn assert_no_growth_async<T>(
    rounds: usize,
    warmup: usize,
    threads: Term,
    mut work: impl AsyncFnMut() -> T,
    _value: &Value<T>,
) -> Checked<()> {
    let measured = async {
        expect_rounds(rounds)?;
        let handle = Threads::of(&[threads]).enter().map(|scope| scope.handle());
        let handle = handle.map_err(cannot_measure)?;
        for _ in 0..warmup {
            drop(handle.instrument(work()).await);
        }
        let mut held = Held::new(rounds, handle.snapshot())?;
        for round in 1..=rounds {
            drop(handle.instrument(work()).await);
            held.note(round, handle.snapshot())?;
        }
        refuse_threads(handle.has_started_threads())?;
        held.has_not_grown()
    };
    Checked::from(measured.await)
}

fn expect_rounds(rounds: usize) -> Result<(), String> {
    match rounds {
        0 | 1 => Err(format!("expected at least 2 rounds, found {rounds}")),
        _ => Ok(()),
    }
}

/// The bytes that each stack held after each round.
type HeldByStack = HashMap<(StackEnd, Box<[usize]>), Vec<u64>>;

/// Sums what stacks held by the lines that they are charged to.
fn by_line<'h>(
    held: impl Iterator<Item = (&'h (StackEnd, Box<[usize]>), &'h Vec<u64>)>,
    snapshot: &Snapshot,
) -> Vec<(Frame, Vec<u64>)> {
    let mut recorded = Recorded {
        traceback_limit: snapshot.traceback_limit(),
        ..Recorded::default()
    };
    let mut bytes = Vec::new();
    for ((stack_end, stack), held) in held {
        let start = recorded.addresses.len();
        recorded.addresses.extend(stack);
        recorded.callsites.push(RecordedCallsite {
            stack: start..recorded.addresses.len(),
            stack_end: *stack_end,
            ..RecordedCallsite::default()
        });
        bytes.push(held);
    }
    let mut lines: HashMap<Frame, Vec<u64>> = HashMap::new();
    for (frame, held) in snapshot.charged(&recorded).into_iter().zip(bytes) {
        let line = lines.entry(frame).or_insert_with(|| vec![0; held.len()]);
        line.iter_mut().zip(held).for_each(|(sum, it)| *sum += it);
    }
    lines.into_iter().collect()
}

/// The memory held after each round.
struct Held {
    rounds: usize,
    by_stack: HeldByStack,
    last: Snapshot,
}

impl Held {
    /// Starts with what is held before the first round, as the baseline.
    fn new(rounds: usize, before: Result<Snapshot, Error>) -> Result<Held, String> {
        let before = before.map_err(cannot_measure)?;
        let mut held = Held {
            rounds,
            by_stack: thread::outside_scope(HashMap::new),
            last: before,
        };
        held.add(0);
        Ok(held)
    }

    fn note(&mut self, round: usize, after: Result<Snapshot, Error>) -> Result<(), String> {
        self.last = after.map_err(cannot_measure)?;
        self.add(round);
        Ok(())
    }

    fn add(&mut self, round: usize) {
        let _muted = thread::mute();
        let Recorded {
            addresses,
            callsites,
            ..
        } = self.last.recorded();
        for callsite in callsites {
            let stack = addresses[callsite.stack.clone()].into();
            let held = self.by_stack.entry((callsite.stack_end, stack));
            let bytes = held.or_insert_with(|| vec![0; self.rounds + 1]);
            bytes[round] += callsite.counters.current.bytes.get();
        }
    }

    /// Fails if lines grow, with a message that lists them.
    fn has_not_grown(&self) -> Result<(), String> {
        let _muted = thread::mute();
        let Held {
            rounds,
            by_stack: held,
            last,
        } = self;
        // PERF: naming is slow, so stacks are checked first. A line that grows has a stack that
        // grows.
        let has_grown = |round: usize| held.values().any(|bytes| bytes[round - 1] < bytes[round]);
        if !(1..=*rounds).all(has_grown) {
            return Ok(());
        }
        let has_changed = |bytes: &[u64]| bytes.iter().any(|it| *it != bytes[0]);
        let changed = held.iter().filter(|(_, bytes)| has_changed(bytes));
        let is_growing = |(_, bytes): &(Frame, Vec<u64>)| bytes.is_sorted_by(|a, b| a < b);
        if !by_line(changed, last).iter().any(is_growing) {
            return Ok(());
        }
        // The sums of growing lines include stacks that have not changed.
        let mut grown = by_line(held.iter(), last);
        grown.retain(is_growing);
        grown.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes[*rounds] - bytes[0]));
        let lines = if grown.len() == 1 {
            "line holds"
        } else {
            "lines hold"
        };
        let mut message = format!("{} {lines} more after each of {rounds} rounds", grown.len());
        for (frame, bytes) in &grown {
            let after: Vec<String> = bytes.iter().map(|&it| Bytes::new(it).to_string()).collect();
            let function = frame.function().unwrap_or_default();
            let _ = write!(message, "\n  {frame} {function}: {}", after.join(", "));
        }
        Err(message)
    }
}
