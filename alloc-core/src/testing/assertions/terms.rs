//! [`Term`]: what an assertion demands of a piece of work.

use crate::scope::{Scope, Usage, in_full};
use crate::{Bytes, Error, Metric};

/// The quantity that a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Bytes live at one moment.
    Peak,
    /// Bytes allocated in total.
    Allocated,
    /// Bytes live at the end.
    Leaked,
    /// Blocks allocated in total.
    Allocations,
    /// Blocks reallocated.
    Reallocations,
}

/// How a quantity compares with a limit's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<=`.
    AtMost,
    /// `>=`.
    AtLeast,
    /// `==`.
    Exactly,
}

/// A bound on one quantity.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The quantity.
    pub quantity: Quantity,
    /// The operator.
    pub comparison: Comparison,
    /// Bytes or blocks, depending on the quantity.
    pub number: u64,
}

/// How threads that the work starts are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The assertion fails if the work starts any.
    None,
    /// Only the work's own thread counts.
    Own,
    /// They all count.
    All,
}

/// One term of an assertion.
#[derive(Clone, Copy, Debug)]
pub enum Term {
    /// A limit on a quantity.
    Limit(Limit),
    /// How threads that the work starts are treated.
    Threads(Threads),
}

impl Threads {
    /// Returns what the terms say of threads; [`Threads::None`] if they say nothing.
    pub(crate) fn of(terms: &[Term]) -> Threads {
        let threads = terms.iter().find_map(|term| match term {
            Term::Threads(threads) => Some(*threads),
            Term::Limit(_) => None,
        });
        threads.unwrap_or(Threads::None)
    }

    /// Enters a scope that treats threads in this way.
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

    fn number(self, number: u64) -> String {
        match self {
            Quantity::Allocations | Quantity::Reallocations => number.to_string(),
            _ => in_full(Bytes::new(number)),
        }
    }

    /// The metric that ranks the stacks of a broken limit, and the verb that goes with it.
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

    /// Describes a broken limit: `peak: expected at most 1024 B, found 1500 B: 476 B too much`.
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
