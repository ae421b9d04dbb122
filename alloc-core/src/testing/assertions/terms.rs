//! [`Term`]: what an assertion demands of a piece of work.

use crate::scope::{Scope, Usage};
use crate::{Bytes, Error, Metric};

/// What a limit is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Bytes live at one moment.
    Peak,
    /// Bytes ever allocated.
    Allocated,
    /// Bytes live at the end.
    Leaked,
    /// Blocks ever allocated.
    Allocations,
    /// Blocks reallocated.
    Reallocations,
}

/// How a limit is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// No more than that.
    AtMost,
    /// No less.
    AtLeast,
    /// Just that.
    Exactly,
}

/// One limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What it is on.
    pub quantity: Quantity,
    /// How it is meant.
    pub comparison: Comparison,
    /// Bytes or blocks.
    pub number: u64,
}

/// What becomes of what threads do that the work starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// There must be none.
    None,
    /// It does not count.
    Own,
    /// It counts.
    All,
}

/// What is asked of a piece of work.
#[derive(Clone, Copy, Debug)]
pub enum Term {
    /// To keep to a limit.
    Limit(Limit),
    /// What becomes of its threads.
    Threads(Threads),
}

impl Threads {
    /// What the terms say, or else that there must be none.
    pub(crate) fn of(terms: &[Term]) -> Threads {
        let threads = terms.iter().find_map(|term| match term {
            Term::Threads(threads) => Some(*threads),
            Term::Limit(_) => None,
        });
        threads.unwrap_or(Threads::None)
    }

    pub(crate) fn enter(self) -> Result<Scope, Error> {
        match self {
            Threads::None => Scope::enter_noticing_threads(),
            Threads::Own => Scope::enter_with_stacks(),
            Threads::All => Scope::enter_with_threads(),
        }
    }
}

impl Quantity {
    fn of(self, usage: &Usage) -> u64 {
        match self {
            Quantity::Peak => usage.peak.bytes.get(),
            Quantity::Allocated => usage.allocated.bytes.get(),
            Quantity::Leaked => usage.current.bytes.get(),
            Quantity::Allocations => usage.allocated.blocks,
            Quantity::Reallocations => usage.reallocations,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Quantity::Peak => "peak",
            Quantity::Allocated => "allocated",
            Quantity::Leaked => "leaked",
            Quantity::Allocations => "allocations",
            Quantity::Reallocations => "reallocations",
        }
    }

    /// Bytes as people say them, and to the byte where that is not the same.
    fn number(self, number: u64) -> String {
        match self {
            Quantity::Allocations | Quantity::Reallocations => number.to_string(),
            _ => {
                let short = Bytes::new(number).to_string();
                match short.strip_suffix(" B") {
                    Some(_) => short,
                    None => format!("{short} ({number} B)"),
                }
            }
        }
    }

    /// By what the lines are sorted that did it, and how that is called.
    pub(super) fn metric(self) -> (Metric, &'static str) {
        match self {
            Quantity::Peak => (Metric::AtPeak, "held at the peak"),
            Quantity::Leaked => (Metric::Current, "still held"),
            _ => (Metric::Total, "allocated"),
        }
    }
}

impl Limit {
    pub(super) fn is_kept(&self, usage: &Usage) -> bool {
        let found = self.quantity.of(usage);
        match self.comparison {
            Comparison::AtMost => found <= self.number,
            Comparison::AtLeast => found >= self.number,
            Comparison::Exactly => found == self.number,
        }
    }

    /// `peak: expected at most 1024 B, found 1500 B: 476 B too much`.
    pub(super) fn failure(&self, usage: &Usage) -> String {
        let (quantity, found) = (self.quantity, self.quantity.of(usage));
        let comparison = match self.comparison {
            Comparison::AtMost => "at most ",
            Comparison::AtLeast => "at least ",
            Comparison::Exactly => "",
        };
        let is_more = found > self.number;
        let many = matches!(quantity, Quantity::Allocations | Quantity::Reallocations);
        let far = match (is_more, many) {
            (true, true) => "too many",
            (true, false) => "too much",
            (false, true) => "too few",
            (false, false) => "too little",
        };
        format!(
            "{}: expected {comparison}{}, found {}: {} {far}",
            quantity.name(),
            quantity.number(self.number),
            quantity.number(found),
            quantity.number(found.abs_diff(self.number)),
        )
    }
}
