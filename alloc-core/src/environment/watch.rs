//! [`Watch`]: conditions on which a snapshot is written, such as memory that runs out.
//!
//! In: the heap's size, and what the kernel counts and permits. Out: a [`Reason`]. Never: a use of
//! the heap.

mod kernel;

use std::fmt;
use std::time::{Duration, Instant};

use crate::{Bytes, control};

pub(crate) use kernel::{Memory, memory};

/// When a snapshot is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// At this part of the limit on the process's memory, in percent.
    pub(crate) limit: Option<u8>,
    /// When the heap has grown by this many percent since the last snapshot.
    pub(crate) growth: Option<u32>,
    /// When the heap has grown by this many bytes since the last snapshot.
    pub(crate) step: Option<u64>,
    /// When tasks have waited for memory in this many percent of the last ten seconds.
    pub(crate) pressure: Option<u8>,
}

/// What [`Conditions::parse`] expects.
pub(crate) const EXPECTED: &str = "conditions with commas between them, as limit=90%, growth=20%, \
    step=1GiB, pressure=10%";

impl Conditions {
    /// Parses `limit=90%,growth=20%,step=1GiB,pressure=10%`. `None` if a part is not one of these.
    pub(crate) fn parse(text: &str) -> Option<Conditions> {
        let mut all = Conditions::default();
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let percent = |most: u32| {
                let number = value.strip_suffix('%')?;
                let is_plain = number.bytes().all(|it| it.is_ascii_digit());
                let number: u32 = number.parse().ok().filter(|_| is_plain)?;
                (1..=most).contains(&number).then_some(number)
            };
            match name {
                "limit" => all.limit = Some(percent(99)? as u8),
                "growth" => all.growth = Some(percent(10_000)?),
                "step" => all.step = Some(Bytes::parse(value)?.get()).filter(|it| *it > 0),
                "pressure" => all.pressure = Some(percent(100)? as u8),
                _ => return None,
            }
        }
        (all != Conditions::default()).then_some(all)
    }
}

/// Why a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reason {
    /// Memory is at this part of its limit, in percent.
    Limit(u8),
    /// The heap grew to so many bytes, from so many.
    Growth(u64, u64),
    /// Tasks waited for memory in so many percent of the last ten seconds.
    Pressure(f64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::Limit(percent) => write!(f, "memory was at {percent} % of its limit"),
            Reason::Growth(to, from) => {
                let (to, from) = (Bytes::new(to), Bytes::new(from));
                write!(f, "the heap grew from {from} to {to}")
            }
            Reason::Pressure(percent) => {
                write!(
                    f,
                    "tasks waited for memory in {percent:.0} % of ten seconds"
                )
            }
        }
    }
}

/// Looks at the conditions from time to time.
pub(crate) struct Watch {
    conditions: Conditions,
    /// The size of the heap at the last snapshot.
    heap: u64,
    /// The part of the limit at which a snapshot is written next, in percent.
    limit: u8,
    /// Until when pressure is no reason, since it was one.
    calm_until: Instant,
    /// Why a snapshot could not be written, and when it is tried again.
    owed: Option<(Reason, Instant)>,
}

/// How often the conditions are looked at. A program that takes a GiB a second grows by 100 MiB
/// meanwhile.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

/// Growth of a heap that is smaller than this is no reason.
const SMALL: u64 = 8 << 20;
/// How long pressure is no reason, once it was one: as long as the kernel's mean.
const CALM: Duration = Duration::from_secs(10);
/// How long after a snapshot that could not be written it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Watch {
    pub(crate) fn new(conditions: Conditions) -> Watch {
        Watch {
            conditions,
            heap: 0,
            limit: conditions.limit.unwrap_or(0),
            calm_until: Instant::now(),
            owed: None,
        }
    }

    /// A snapshot was written.
    pub(crate) fn wrote(&mut self) {
        self.heap = control::traced_memory().current.get();
        self.owed = None;
    }

    /// A snapshot could not be written.
    pub(crate) fn failed(&mut self, reason: Reason) {
        self.owed = Some((reason, Instant::now() + AGAIN));
    }

    /// Whether a condition holds, or held when a snapshot could not be written.
    pub(crate) fn look(&mut self) -> Option<Reason> {
        if self.owed.is_some_and(|(_, again)| Instant::now() < again) {
            return None;
        }
        self.holds().or(self.owed.map(|(reason, _)| reason))
    }

    fn holds(&mut self) -> Option<Reason> {
        let by_limit = self.conditions.limit.and_then(|first| {
            let Memory { current, limit } = memory()?;
            self.at_limit(first, current, limit?)
        });
        let by_growth = || self.grown(control::traced_memory().current.get());
        let reason = by_limit.or_else(by_growth);
        reason.or_else(|| {
            let most = f64::from(self.conditions.pressure?);
            let found = kernel::pressure().filter(|it| *it >= most)?;
            let now = Instant::now();
            if now < self.calm_until {
                return None;
            }
            self.calm_until = now + CALM;
            Some(Reason::Pressure(found))
        })
    }

    /// Whether memory is at the next part of its limit. After the first, each is half as far from
    /// the limit as the one before: 80, 90, 95, 98 %.
    fn at_limit(&mut self, first: u8, current: u64, limit: u64) -> Option<Reason> {
        let percent = (u128::from(current) * 100 / u128::from(limit.max(1))).min(100) as u8;
        if percent < self.limit {
            // Memory that was given back counts again.
            if percent + 5 < first {
                self.limit = first;
            }
            return None;
        }
        while self.limit <= percent && self.limit < 100 {
            self.limit += (100 - self.limit).div_ceil(2);
        }
        // The last part is never reached twice.
        if self.limit >= 100 {
            self.limit = 101;
        }
        Some(Reason::Limit(percent))
    }

    fn grown(&self, heap: u64) -> Option<Reason> {
        let Conditions { growth, step, .. } = self.conditions;
        let since = heap.checked_sub(self.heap)?;
        let by_percent = growth.is_some_and(|percent| {
            let least = u128::from(self.heap.max(SMALL)) * u128::from(percent);
            u128::from(since) * 100 >= least
        });
        let by_bytes = step.is_some_and(|step| since >= step);
        (by_percent || by_bytes).then_some(Reason::Growth(heap, self.heap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_parsed() {
        let all = Conditions::parse("limit=90%, growth=20%,step=1GiB,pressure=10%").unwrap();
        assert_eq!((all.limit, all.growth), (Some(90), Some(20)));
        assert_eq!((all.step, all.pressure), (Some(1 << 30), Some(10)));
        for wrong in [
            "",
            "limit",
            "limit=90",
            "limit=0%",
            "limit=100%",
            "growth=+5%",
            "step=0",
            "step=x",
            "memory=5%",
            "limit=90%,",
            "pressure=101%",
        ] {
            assert_eq!(Conditions::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_limit_is_approached_in_halves() {
        let mut watch = Watch::new(Conditions {
            limit: Some(80),
            ..Conditions::default()
        });
        let mut at = |percent| watch.at_limit(80, percent, 100).is_some();
        let found: Vec<u64> = (0..=100).filter(|it| at(*it)).collect();
        assert_eq!(found, [80, 90, 95, 98, 99]);
        assert!(!at(100));
        assert!(!at(78), "so little is not given back");
        assert!(!at(90));
        assert!(!at(70));
        assert!(at(81), "it fell, and rose again");
    }

    #[test]
    fn what_could_not_be_written_is_owed() {
        let mut watch = Watch::new(Conditions::default());
        assert_eq!(watch.look(), None);
        let reason = Reason::Limit(80);
        watch.failed(reason);
        assert_eq!(watch.look(), None, "not at once");
        watch.owed = Some((reason, Instant::now()));
        assert_eq!(watch.look(), Some(reason));
        assert_eq!(watch.look(), Some(reason), "until it is written");
        watch.wrote();
        assert_eq!(watch.look(), None);
    }

    #[test]
    fn growth_counts_from_the_last_snapshot() {
        let conditions = Conditions {
            growth: Some(20),
            step: Some(1 << 30),
            ..Conditions::default()
        };
        let mut watch = Watch::new(conditions);
        watch.heap = 100 << 20;
        assert_eq!(watch.grown(119 << 20), None);
        assert!(watch.grown(120 << 20).is_some());
        assert_eq!(watch.grown(10 << 20), None);
        watch.heap = 100 << 30;
        assert!(watch.grown(101 << 30).is_some());
        watch.heap = 0;
        assert_eq!(watch.grown(1 << 20), None, "a small heap");
    }
}
