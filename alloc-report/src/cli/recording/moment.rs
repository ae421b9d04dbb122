//! [`Moment`]: a row of a recording, and times in seconds since 1970.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use alloc_core_snapshot::Snapshot;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// The memory at one moment: a row of `memory.csv`. A number that was not measured is empty.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Moment {
    /// Seconds since 1970.
    pub(crate) seconds: f64,
    pub(crate) heap_bytes: Option<u64>,
    pub(crate) heap_peak_bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) total_blocks: Option<u64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,
    pub(crate) uss_bytes: Option<u64>,
    /// The memory of the tracer itself.
    #[serde(default)]
    pub(crate) tracer_bytes: Option<u64>,
}

/// Reads `memory.csv`.
pub(super) fn read_moments(path: &Path) -> Result<Vec<Moment>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut moments: Vec<Moment> = Vec::new();
    for row in reader.deserialize() {
        let row: std::result::Result<Moment, csv::Error> = row;
        match row {
            Ok(moment) if moment.seconds.is_finite() => moments.push(moment),
            // If `alloc-report` was killed, the last row may be incomplete.
            Err(_) if is_last_row(path, moments.len()) => break,
            Ok(_) => bail!("{}: expected a number of seconds", path.display()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    Ok(moments)
}

/// Whether the row after `rows` rows is the last line of the file.
fn is_last_row(path: &Path, rows: usize) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.lines().count() <= rows + 2)
}

/// The current time in seconds since 1970, to the millisecond.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as f64 / 1000.0
}

/// The time of a snapshot in seconds since 1970.
pub(crate) fn taken_at(snapshot: &Snapshot) -> f64 {
    let since = snapshot.taken_at().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// A time as `20261125-200102`, in UTC, which needs no time zone database.
pub(crate) fn stamp(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's `civil_from_days`: eras of 400 years, years that start in March.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates_in_utc() {
        // From `date -u -d @... +%Y%m%d-%H%M%S`.
        for (seconds, text) in [
            (0.0, "19700101-000000"),
            (951_782_399.9, "20000228-235959"),
            (951_868_799.0, "20000229-235959"),
            (951_868_800.0, "20000301-000000"),
            (1_795_636_862.0, "20261125-200102"),
            (4_107_542_400.0, "21000301-000000"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
    }
}
