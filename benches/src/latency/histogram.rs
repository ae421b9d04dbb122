//! Histograms of nanoseconds, within a process and across processes.

use std::hint::black_box;

use hdrhistogram::Histogram;

use super::clock::Clock;
use crate::contender::Outcome;

/// The latencies of allocations, of frees, and of nothing: two readings of the clock in a row.
#[derive(Clone, Debug)]
pub struct Latencies {
    clock: Clock,
    /// Latencies of allocations.
    pub alloc: Histogram<u64>,
    /// Latencies of frees.
    pub free: Histogram<u64>,
    /// The cost of the clock, and what the machine adds to any piece of code.
    pub nothing: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

impl Latencies {
    /// Makes empty histograms. All memory is allocated here and never while measuring.
    pub fn new() -> Latencies {
        Latencies {
            clock: Clock::new(),
            alloc: empty(),
            free: empty(),
            nothing: empty(),
        }
    }

    /// Allocates a block and records the time; records the time of nothing first.
    #[inline(always)]
    pub(super) fn alloc(&mut self, size: usize) -> Vec<u8> {
        let start = self.clock.read();
        let end = self.clock.read();
        record(&mut self.nothing, self.clock.nanoseconds(start, end));
        let start = self.clock.read();
        let block = black_box(Vec::with_capacity(black_box(size)));
        let end = self.clock.read();
        record(&mut self.alloc, self.clock.nanoseconds(start, end));
        block
    }

    /// Frees a block and records the time.
    #[inline(always)]
    pub(super) fn free(&mut self, block: Vec<u8>) {
        let start = self.clock.read();
        drop(black_box(block));
        let end = self.clock.read();
        record(&mut self.free, self.clock.nanoseconds(start, end));
    }

    /// Forgets what was recorded during the warm-up.
    pub(super) fn clear(&mut self) {
        self.alloc.reset();
        self.free.reset();
        self.nothing.reset();
    }

    /// Adds the histograms to an outcome.
    pub fn write(&self, outcome: &mut Outcome) {
        let all = [&self.alloc, &self.free, &self.nothing];
        for (name, histogram) in NAMES.into_iter().zip(all) {
            let counts = histogram
                .iter_recorded()
                .map(|step| format!("{}:{}", step.value_iterated_to(), step.count_at_value()));
            outcome.set(name, counts.collect::<Vec<_>>().join(","));
        }
    }

    /// Adds the histograms of an outcome to these.
    ///
    /// # Errors
    ///
    /// If a histogram is missing or malformed.
    pub fn add(&mut self, outcome: &Outcome) -> Result<(), String> {
        let all = [&mut self.alloc, &mut self.free, &mut self.nothing];
        for (name, histogram) in NAMES.into_iter().zip(all) {
            let counts = outcome
                .text(name)
                .ok_or_else(|| format!("expected a histogram named {name}, found none"))?;
            for step in counts.split(',').filter(|step| !step.is_empty()) {
                let numbers = step
                    .split_once(':')
                    .and_then(|(value, count)| Some((value.parse().ok()?, count.parse().ok()?)));
                let (value, count): (u64, u64) = numbers
                    .ok_or_else(|| format!("expected VALUE:COUNT in {name}, found {step:?}"))?;
                histogram.saturating_record_n(value, count);
            }
        }
        Ok(())
    }
}

const NAMES: [&str; 3] = ["alloc", "free", "nothing"];

/// Three significant digits from 1 ns to 100 s.
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("the bounds are valid")
}

#[inline(always)]
fn record(histogram: &mut Histogram<u64>, nanoseconds: u64) {
    histogram.saturating_record(nanoseconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_survive_the_pipe() {
        let mut latencies = Latencies::new();
        latencies.alloc.record_n(20, 1_000).expect("in bounds");
        latencies.alloc.record(1_500_000).expect("in bounds");
        latencies.free.record(11).expect("in bounds");
        let mut outcome = Outcome::default();
        latencies.write(&mut outcome);
        let outcome: Outcome = outcome.to_string().parse().expect("what was just written");

        let mut sum = Latencies::new();
        sum.add(&outcome).expect("all histograms are there");
        sum.add(&outcome).expect("all histograms are there");
        assert_eq!(sum.alloc.len(), 2 * 1_001);
        assert_eq!(sum.alloc.value_at_quantile(0.5), 20);
        assert_eq!(sum.alloc.max(), latencies.alloc.max());
        assert_eq!((sum.free.len(), sum.nothing.len()), (2, 0));
    }

    #[test]
    fn a_malformed_histogram_is_refused() {
        let mut latencies = Latencies::new();
        let mut outcome = Outcome::default();
        let error = latencies.add(&outcome).expect_err("it is empty");
        assert_eq!(error, "expected a histogram named alloc, found none");
        outcome.set("alloc", "20");
        let error = latencies.add(&outcome).expect_err("no count");
        assert_eq!(error, "expected VALUE:COUNT in alloc, found \"20\"");
    }

    #[test]
    fn each_operation_is_recorded_once() {
        let mut latencies = Latencies::new();
        let block = latencies.alloc(100);
        assert!(block.capacity() >= 100);
        latencies.free(block);
        let counts = |it: &Latencies| (it.alloc.len(), it.free.len(), it.nothing.len());
        assert_eq!(counts(&latencies), (1, 1, 1));
        latencies.clear();
        assert_eq!(counts(&latencies), (0, 0, 0));
    }
}
