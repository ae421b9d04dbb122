//! Compares a hand-written estimate of a value's size with what the value holds.

use super::message::stacks;
use super::run::{Checked, cannot_measure, refuse_threads};
use super::terms::Threads;
use crate::record::thread;
use crate::scope::{Scope, ScopeHandle, in_full};
use crate::{Bytes, Error, Metric};

/// One term of a comparison.
#[derive(Clone, Copy, Debug)]
pub enum SizeTerm {
    /// How far the estimate may be from the truth.
    Tolerance(Tolerance),
    /// Whether the bytes of the value itself count.
    SizeOfVal(bool),
    /// How threads that the work starts are treated.
    Threads(Threads),
}

/// How far an estimate may be from the truth, either way.
#[derive(Clone, Copy, Debug)]
pub enum Tolerance {
    /// Hundredths of the truth.
    Percent(f64),
    /// A number of bytes.
    Bytes(u64),
}

/// The type of a hand-written estimate: a number of bytes.
#[diagnostic::on_unimplemented(
    message = "an estimate is a number of bytes: expected `usize`, `u64` or `Bytes`, found `{Self}`"
)]
pub trait Estimate {
    /// The number of bytes.
    fn bytes(self) -> Bytes;
}

impl Estimate for usize {
    fn bytes(self) -> Bytes {
        Bytes::new(self as u64)
    }
}

impl Estimate for u64 {
    fn bytes(self) -> Bytes {
        Bytes::new(self)
    }
}

impl Estimate for Bytes {
    fn bytes(self) -> Bytes {
        self
    }
}

/// What the terms ask for.
struct Terms {
    tolerance: Tolerance,
    counts_itself: bool,
    threads: Threads,
}

impl Terms {
    fn of(terms: &[SizeTerm]) -> Terms {
        let mut of = Terms {
            tolerance: Tolerance::Bytes(0),
            counts_itself: false,
            threads: Threads::None,
        };
        for &term in terms {
            match term {
                SizeTerm::Tolerance(tolerance) => of.tolerance = tolerance,
                SizeTerm::SizeOfVal(counts) => of.counts_itself = counts,
                SizeTerm::Threads(threads) => of.threads = threads,
            }
        }
        of
    }

    fn enter(&self) -> Result<Scope, String> {
        self.threads.enter().map_err(cannot_measure)
    }
}

/// Builds a value and panics if the estimate of its size is wrong.
///
/// NOTE: the estimate comes last, so that the type of its parameter is known from the value.
#[track_caller]
pub fn assert_size<T, N: Estimate>(
    terms: &[SizeTerm],
    build: impl FnOnce() -> T,
    estimate: impl FnOnce(&T) -> N,
) -> T {
    let terms = Terms::of(terms);
    let measured = || {
        let scope = terms.enter()?;
        let value = build();
        refuse_threads(scope.has_started_threads())?;
        // The estimate runs outside of the scope.
        let handle = scope.handle();
        drop(scope);
        check(&terms, &handle, value, estimate)
    };
    Checked::from(measured()).or_panic()
}

/// Awaits a value, on whichever threads poll its future, and checks the estimate.
pub async fn assert_size_async<T, N: Estimate>(
    terms: &[SizeTerm],
    build: impl AsyncFnOnce() -> T,
    estimate: impl FnOnce(&T) -> N,
) -> Checked<T> {
    let terms = Terms::of(terms);
    let measured = async {
        let handle = terms.enter()?.handle();
        let value = handle.instrument(build()).await;
        refuse_threads(handle.has_started_threads())?;
        check(&terms, &handle, value, estimate)
    };
    Checked::from(measured.await)
}

fn check<T, N: Estimate>(
    terms: &Terms,
    scope: &ScopeHandle,
    value: T,
    estimate: impl FnOnce(&T) -> N,
) -> Result<T, String> {
    let held = scope.usage().map_err(cannot_measure)?.current.bytes;
    let estimate = estimate(&value).bytes();
    let itself = Bytes::new(if terms.counts_itself {
        size_of::<T>() as u64
    } else {
        0
    });
    if terms.tolerance.allows(estimate, held + itself) {
        return Ok(value);
    }
    Err(message(terms, estimate, held, itself, scope).unwrap_or_else(cannot_measure))
}

/// Formats the numbers, then the stacks that hold the most.
fn message(
    terms: &Terms,
    estimate: Bytes,
    held: Bytes,
    itself: Bytes,
    scope: &ScopeHandle,
) -> Result<String, Error> {
    let snapshot = scope.snapshot()?;
    let _muted = thread::mute();
    let truth = held + itself;
    let of_itself = match terms.counts_itself {
        true => format!(", {itself} of them in itself"),
        false => String::new(),
    };
    let off = Bytes::new(estimate.get().abs_diff(truth.get()));
    let far = if estimate > truth {
        "too much"
    } else {
        "too little"
    };
    let share = match truth.get() {
        0 => String::new(),
        truth => format!(" ({:.1} %)", 100.0 * off.get() as f64 / truth as f64),
    };
    let allowed = match terms.tolerance {
        Tolerance::Bytes(0) => String::new(),
        Tolerance::Bytes(bytes) => format!("; the tolerance is {}", in_full(Bytes::new(bytes))),
        Tolerance::Percent(percent) => format!("; the tolerance is {percent} %"),
    };
    let mut message = format!(
        "size: expected {} as the value holds{of_itself}, found an estimate of {}: {} {far}{share}{allowed}\n",
        in_full(truth),
        in_full(estimate),
        in_full(off),
    );
    // Writing to a string does not fail.
    let _ = stacks(&mut message, &snapshot, Metric::Current, "still held");
    message.truncate(message.trim_end().len());
    Ok(message)
}

impl Tolerance {
    fn allows(self, estimate: Bytes, truth: Bytes) -> bool {
        let off = estimate.get().abs_diff(truth.get());
        match self {
            Tolerance::Bytes(bytes) => off <= bytes,
            // Both products are exact for whole hundredths and fewer than 2^46 bytes.
            Tolerance::Percent(percent) => off as f64 * 100.0 <= truth.get() as f64 * percent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tolerance;
    use crate::Bytes;

    #[track_caller]
    fn check(tolerance: Tolerance, truth: u64, allowed: std::ops::RangeInclusive<u64>) {
        let allows = |estimate| tolerance.allows(Bytes::new(estimate), Bytes::new(truth));
        let (least, most) = (*allowed.start(), *allowed.end());
        assert!(allows(least) && allows(most));
        assert!(least == 0 || !allows(least - 1), "below {least}");
        assert!(!allows(most + 1), "above {most}");
    }

    #[test]
    fn a_tolerance_is_for_both_directions() {
        check(Tolerance::Bytes(0), 100, 100..=100);
        check(Tolerance::Bytes(7), 100, 93..=107);
        check(Tolerance::Bytes(200), 100, 0..=300);
        check(Tolerance::Percent(5.0), 100, 95..=105);
        check(Tolerance::Percent(5.0), 119, 114..=124);
        check(Tolerance::Percent(0.5), 1000, 995..=1005);
        // Of nothing, each share is nothing.
        check(Tolerance::Percent(50.0), 0, 0..=0);
    }
}
