//! What the numbers of a [`Suspect`] say, in words.

use std::fmt;

use alloc_core_snapshot::Bytes;

use super::text::{self, plural};
use crate::growth::Suspect;

/// From this part of the first step's pace on, the growth does not count as slowing.
const SLOWING: f64 = 0.75;

/// What stands for the label of allocations outside of labels.
const NO_LABEL: &str = "<no label>";

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, words(self))
    }
}

/// `grew in each of 4 steps, by 1.2 MiB a minute; nothing that it allocated was freed`.
pub(crate) fn words(suspect: &Suspect) -> String {
    let parts = [
        Some(how_fast(suspect)),
        whereby(suspect),
        slowing(suspect),
        by_whom(suspect),
        age(suspect),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join("; ")
}

fn how_fast(suspect: &Suspect) -> String {
    let steps = suspect.steps.len() as u64;
    let pace = match suspect.rate {
        Some(rate) => self::rate(rate),
        None => format!("{} a step", Bytes::new(suspect.growth.get() / steps.max(1))),
    };
    match (steps, suspect.rate) {
        (1, Some(_)) => format!("grew by {pace}"),
        (1, None) => format!("grew by {}", suspect.growth),
        _ => format!("grew in each of {steps} steps, by {pace}"),
    }
}

/// What became of the blocks that were allocated.
fn whereby(suspect: &Suspect) -> Option<String> {
    let history = &suspect.history;
    let dropped = history.dropped?;
    if !history.ever_freed {
        return Some("nothing that it allocated was freed".to_owned());
    }
    if suspect.freed.blocks == 0 {
        return Some("nothing that it allocated was freed in that time".to_owned());
    }
    if suspect.count_diff <= 0 {
        let blocks = match suspect.count {
            1 => "one block".to_owned(),
            n => plural(n, "block"),
        };
        let before = match suspect.count_diff {
            0 => String::new(),
            fewer => {
                let then = suspect.count.saturating_add(fewer.unsigned_abs());
                format!(" in {}", plural(then, "block"))
            }
        };
        return Some(format!(
            "{blocks} held {} at the end and {}{before} at the start, as in a collection that \
             only grows",
            suspect.size, history.size_before,
        ));
    }
    let kept = suspect.count_diff.unsigned_abs();
    if dropped == 0 {
        return Some("its blocks were enlarged, and none was freed for good".to_owned());
    }
    if kept > history.fresh {
        // Blocks came from elsewhere, by reallocation.
        return None;
    }
    let part = match history.is_sample {
        true => format!("about {}", rounded(kept, history.fresh)),
        false => exact(kept, history.fresh),
    };
    Some(match kept.saturating_mul(2) < history.fresh {
        true => format!("most of what it allocated was freed, but {part} stayed"),
        false => format!("of what it allocated, {part} stayed"),
    })
}

/// `3 of 100 blocks`, or the whole numbers if the share is no whole number of hundredths.
fn exact(part: u64, whole: u64) -> String {
    let is_round = whole > 100 && (u128::from(part) * 100).is_multiple_of(whole.into());
    match is_round {
        true => rounded(part, whole),
        false => format!("{} of {}", text::grouped(part), plural(whole, "block")),
    }
}

/// The share in hundredths, or in as many parts as it takes to be one of them.
fn rounded(part: u64, whole: u64) -> String {
    let share = part as f64 / whole as f64;
    let mut parts = 100_u64;
    while share * (parts as f64) < 0.95 && parts < 1_000_000_000 {
        parts *= 10;
    }
    let some = (share * parts as f64).round() as u64;
    format!("{} of {}", text::grouped(some), plural(parts, "block"))
}

/// Whether each step was slower than the one before, as when a cache of limited size fills.
fn slowing(suspect: &Suspect) -> Option<String> {
    let paces = &suspect.history.paces;
    let (first, last) = (*paces.first()?, *paces.last()?);
    let is_slowing = paces.windows(2).all(|it| it[1] < it[0]) && last < first * SLOWING;
    is_slowing.then(|| {
        let percent = last / first * 100.0;
        format!("it slows, to {percent:.0} % of its first pace, so it may reach a limit")
    })
}

/// Who allocated most of the growth, if that is known.
fn by_whom(suspect: &Suspect) -> Option<String> {
    let thread = suspect.thread.as_ref();
    let label = suspect.label.as_deref().filter(|it| *it != NO_LABEL);
    match (thread, label) {
        (None, None) => None,
        (Some(thread), None) => Some(format!("thread {thread} allocated it")),
        (None, Some(label)) => Some(format!("it was allocated in {label}")),
        (Some(thread), Some(label)) => Some(format!("thread {thread} allocated it in {label}")),
    }
}

/// How old the oldest block is, if that is known.
fn age(suspect: &Suspect) -> Option<String> {
    let oldest = suspect.oldest?.as_secs_f64();
    Some(format!("its oldest block is some {} old", duration(oldest)))
}

/// A sentence in lines of at most `room` columns, unless a word is longer.
pub(crate) fn lines(sentence: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if text::width(line) + 1 + text::width(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `1.2 MiB a minute`: bytes a second, a minute or an hour, whichever is a readable size.
pub(crate) fn rate(bytes_a_second: f64) -> String {
    /// A readable size: no fewer bytes, unless they are few in an hour.
    const READABLE: f64 = 100.0 * 1024.0;
    let (factor, unit) = match bytes_a_second {
        it if it >= READABLE => (1.0, "a second"),
        it if it * 60.0 >= READABLE => (60.0, "a minute"),
        _ => (3600.0, "an hour"),
    };
    format!("{} {unit}", size(bytes_a_second * factor))
}

/// A size that is no whole number of bytes.
pub(crate) fn size(bytes: f64) -> Bytes {
    Bytes::new(bytes.round() as u64)
}

/// `35 ms`, `90 seconds`, `39 minutes`, `3 hours`, `12 days`, `more than 10 years`.
pub(crate) fn duration(seconds: f64) -> String {
    match Duration::of(seconds) {
        Duration::Milliseconds(n) => format!("{n} ms"),
        Duration::Of(n, unit) => plural(n, unit),
        Duration::Years => "more than 10 years".to_owned(),
    }
}

/// `35 ms`, `90 s`, `39 min`, `3 h`, `12 d`, `>10 y`.
pub(crate) fn short_duration(seconds: f64) -> String {
    match Duration::of(seconds) {
        Duration::Milliseconds(n) => format!("{n} ms"),
        Duration::Of(n, "minute") => format!("{n} min"),
        Duration::Of(n, unit) => format!("{n} {}", &unit[..1]),
        Duration::Years => ">10 y".to_owned(),
    }
}

enum Duration {
    Milliseconds(u64),
    /// A number of units: 2 or more, so that rounding hides little, except for one second.
    Of(u64, &'static str),
    /// More than ten years.
    Years,
}

impl Duration {
    fn of(seconds: f64) -> Duration {
        const DAY: f64 = 86_400.0;
        const YEAR: f64 = 365.25 * DAY;
        let units = [
            (1.0, "second"),
            (60.0, "minute"),
            (3600.0, "hour"),
            (DAY, "day"),
            (YEAR, "year"),
        ];
        if seconds < 1.0 {
            return Duration::Milliseconds((seconds * 1000.0).round() as u64);
        }
        if seconds > 10.0 * YEAR {
            return Duration::Years;
        }
        let fits = |(length, _): &&(f64, &str)| seconds >= 2.0 * length;
        let (length, unit) = *units.iter().rev().find(fits).unwrap_or(&units[0]);
        Duration::Of((seconds / length).round() as u64, unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_durations_have_readable_units() {
        for (a_second, text) in [
            (0.01, "36 B an hour"),
            (100.0, "352 KiB an hour"),
            (2_000.0, "117 KiB a minute"),
            (20_971.52, "1229 KiB a minute"),
            (3_000_000.0, "2930 KiB a second"),
        ] {
            assert_eq!(rate(a_second), text);
        }
        for (seconds, long, short) in [
            (0.0, "0 ms", "0 ms"),
            (0.25, "250 ms", "250 ms"),
            (1.0, "1 second", "1 s"),
            (119.0, "119 seconds", "119 s"),
            (120.0, "2 minutes", "2 min"),
            (7_199.0, "120 minutes", "120 min"),
            (86_400.0, "24 hours", "24 h"),
            (2_000_000.0, "23 days", "23 d"),
            (1e8, "3 years", "3 y"),
            (f64::INFINITY, "more than 10 years", ">10 y"),
        ] {
            assert_eq!(duration(seconds), long);
            assert_eq!(short_duration(seconds), short);
        }
    }

    #[test]
    fn sentences_break_between_words() {
        assert_eq!(lines("a bc def", 4), ["a bc", "def"]);
        assert_eq!(lines("a bc def", 0), ["a", "bc", "def"]);
        assert_eq!(lines("a bc def", usize::MAX), ["a bc def"]);
    }

    #[test]
    fn shares_have_the_smallest_round_base() {
        for (part, whole, text) in [
            (30, 1_000, "3 of 100 blocks"),
            (31, 1_000, "31 of 1,000 blocks"),
            (3, 50, "3 of 50 blocks"),
            (1, 1, "1 of 1 block"),
        ] {
            assert_eq!(exact(part, whole), text);
        }
        assert_eq!(rounded(31, 1_000), "3 of 100 blocks");
        assert_eq!(rounded(2, 100_000), "2 of 100,000 blocks");
    }
}
