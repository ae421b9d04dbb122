//! [`Limit`]: the values of `--max-growth`.

use std::fmt;

use alloc_core_snapshot::Bytes;
use clap::ValueEnum as _;

use super::gauge::Gauge;

/// A limit for one metric, or for all metrics of its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    gauge: Option<Gauge>,
    growth: Growth,
}

/// The allowed growth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Growth {
    /// A percentage of the old number.
    Percent(f64),
    Bytes(u64),
    Blocks(u64),
    /// The variation between runs of the same program, caused by threads.
    Noise,
}

const EXPECTED: &str = "expected a percentage such as 5%, or a metric with a percentage or an \
    amount, such as peak=5%, current=1MiB or allocations=100";

/// The tolerated noise: a percentage, or an amount if that is more.
const NOISE_PERCENT: f64 = 2.0;
const NOISE_BYTES: u64 = 64 << 10;
const NOISE_BLOCKS: u64 = 100;

/// Parses one limit of a comma-separated list.
pub(super) fn parse(text: &str) -> Result<Limit, String> {
    let (gauge, growth) = match text.split_once('=') {
        None => (None, text),
        Some((name, growth)) => {
            let gauge = Gauge::from_str(name.trim(), false);
            (Some(gauge.map_err(|_| EXPECTED.to_owned())?), growth)
        }
    };
    let growth = parse_growth(growth.trim()).ok_or_else(|| EXPECTED.to_owned())?;
    let suits = match (gauge, growth) {
        (_, Growth::Percent(_)) => true,
        // NOTE: a plain number without a metric is ambiguous.
        (gauge, Growth::Blocks(_)) => gauge.is_some_and(Gauge::counts_blocks),
        (gauge, Growth::Bytes(_)) => !gauge.is_some_and(Gauge::counts_blocks),
        (_, Growth::Noise) => true,
    };
    match suits {
        true => Ok(Limit { gauge, growth }),
        false => Err(EXPECTED.to_owned()),
    }
}

fn parse_growth(text: &str) -> Option<Growth> {
    if text == "0" {
        return Some(Growth::Percent(0.0));
    }
    if let Some(percent) = text.strip_suffix('%') {
        let percent = percent.trim().parse().ok();
        return percent
            .filter(|it| (0.0..=1e6).contains(it))
            .map(Growth::Percent);
    }
    let number = Bytes::parse(text)?.get();
    match text.ends_with('B') {
        true => Some(Growth::Bytes(number)),
        false => Some(Growth::Blocks(number)),
    }
}

/// The metrics to check, each with its allowed growth.
///
/// They are the `selected` ones, or else the usual ones if a limit applies to all metrics, and
/// those that a limit names.
pub(super) fn of(limits: &[Limit], selected: &[Gauge]) -> Vec<(Gauge, Growth)> {
    let named = limits.iter().filter_map(|it| it.gauge);
    let has_common = limits.is_empty() || limits.iter().any(|it| it.gauge.is_none());
    let mut gauges: Vec<Gauge> = selected.to_vec();
    if selected.is_empty() && has_common {
        gauges.extend(Gauge::USUAL);
    }
    for gauge in named {
        if !gauges.contains(&gauge) {
            gauges.push(gauge);
        }
    }
    let growth = |gauge: Gauge| {
        // The last limit wins.
        let own = limits.iter().rfind(|it| it.gauge == Some(gauge));
        let common = limits.iter().rfind(|it| {
            it.gauge.is_none() && (!matches!(it.growth, Growth::Bytes(_)) || !gauge.counts_blocks())
        });
        own.or(common).map_or(Growth::Noise, |it| it.growth)
    };
    gauges.into_iter().map(|it| (it, growth(it))).collect()
}

impl Growth {
    /// The largest allowed number of a metric that was `old`.
    pub(super) fn most(self, gauge: Gauge, old: u64) -> u64 {
        // NOTE: rounded down, so that a limit is never exceeded. No heap reaches 2^53 bytes, where
        // `f64` becomes inexact.
        let part = |percent: f64| (old as f64 * (percent / 100.0)) as u64;
        let more = match self {
            Growth::Percent(percent) => part(percent),
            Growth::Bytes(number) | Growth::Blocks(number) => number,
            Growth::Noise => part(NOISE_PERCENT).max(match gauge.counts_blocks() {
                true => NOISE_BLOCKS,
                false => NOISE_BYTES,
            }),
        };
        old.saturating_add(more)
    }

    pub(super) fn shown(self, gauge: Gauge) -> String {
        match self {
            Growth::Noise if gauge.counts_blocks() => format!("{NOISE_PERCENT}% or {NOISE_BLOCKS}"),
            Growth::Noise => format!("{NOISE_PERCENT}% or {}", Bytes::new(NOISE_BYTES)),
            growth => growth.to_string(),
        }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Growth::Percent(percent) => write!(f, "{percent}%"),
            Growth::Bytes(number) => Bytes::new(*number).fmt(f),
            Growth::Blocks(number) => number.fmt(f),
            Growth::Noise => write!(f, "{NOISE_PERCENT}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Limit> {
        text.split(',').map(|it| parse(it).unwrap()).collect()
    }

    #[test]
    fn a_limit_is_a_percentage_or_an_amount() {
        let limit = |gauge, growth| Ok(Limit { gauge, growth });
        assert_eq!(parse("0"), limit(None, Growth::Percent(0.0)));
        assert_eq!(parse("5%"), limit(None, Growth::Percent(5.0)));
        assert_eq!(parse("1MiB"), limit(None, Growth::Bytes(1 << 20)));
        assert_eq!(
            parse("allocations=100"),
            limit(Some(Gauge::Allocations), Growth::Blocks(100))
        );
        assert_eq!(
            parse("current=1.5%"),
            limit(Some(Gauge::Current), Growth::Percent(1.5))
        );
        for wrong in [
            "much",
            "5",
            "peak=5",
            "allocations=1MiB",
            "heap=5%",
            "-1%",
            "inf%",
            "peak=",
            "1TB",
            "",
        ] {
            assert_eq!(parse(wrong), Err(EXPECTED.to_owned()), "{wrong}");
        }
    }

    #[test]
    fn each_metric_has_its_own_limit_or_the_common_one() {
        use Gauge::{Allocated, Allocations, Current, Peak};
        use Growth::{Bytes, Noise, Percent};
        assert_eq!(of(&[], &[]), [(Peak, Noise), (Allocations, Noise)]);
        assert_eq!(
            of(&all("peak=5%,current=1MiB"), &[]),
            [(Peak, Percent(5.0)), (Current, Bytes(1 << 20))]
        );
        assert_eq!(
            of(&all("5%,current=1MiB"), &[]),
            [
                (Peak, Percent(5.0)),
                (Allocations, Percent(5.0)),
                (Current, Bytes(1 << 20))
            ]
        );
        assert_eq!(
            of(&all("1MiB"), &[Allocated, Allocations]),
            [(Allocated, Bytes(1 << 20)), (Allocations, Noise)]
        );
    }

    #[test]
    fn the_largest_allowed_number_is_the_old_one_plus_the_growth() {
        let most = |growth: Growth, gauge, old| growth.most(gauge, old);
        assert_eq!(most(Growth::Percent(5.0), Gauge::Peak, 1000), 1050);
        assert_eq!(most(Growth::Bytes(7), Gauge::Peak, 1000), 1007);
        assert_eq!(most(Growth::Noise, Gauge::Peak, 1000), 1000 + NOISE_BYTES);
        assert_eq!(most(Growth::Noise, Gauge::Allocations, 50_000), 51_000);
        assert_eq!(most(Growth::Noise, Gauge::Allocations, 50), 150);
    }
}
