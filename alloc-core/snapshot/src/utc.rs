//! A moment as text: for file names that sort by time, and for people.

use std::time::Duration;

const DAY: u64 = 86_400;
/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
/// The days in four hundred years, after which the calendar repeats.
const CYCLE: u64 = 146_097;

/// A time since 1970, in UTC, to the second and without colons: `20260131T235959Z`.
pub fn to_text(since_1970: Duration) -> String {
    let [year, month, day, hour, minute, second] = parts(since_1970);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A time since 1970 for people: `2026-01-31 23:59:59 UTC`.
pub(crate) fn to_sentence(since_1970: Duration) -> String {
    let [year, month, day, hour, minute, second] = parts(since_1970);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month, day, hour, minute and second.
///
/// Years begin in March here, so that a leap day is the last day of a year; see Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
fn parts(since_1970: Duration) -> [u64; 6] {
    let seconds = since_1970.as_secs();
    let days = seconds / DAY + DAYS_BEFORE_1970;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 {
        (month + 3, year)
    } else {
        (month - 9, year + 1)
    };
    let year = year + 400 * cycle;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    [year, month, day_of_month, hour, minute, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_match_the_calendar() {
        // The output of `date -u -d @SECONDS +%Y%m%dT%H%M%SZ`.
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (1_735_689_600, "20250101T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            assert_eq!(to_text(Duration::from_secs(seconds)), text);
        }
        let sentence = to_sentence(Duration::from_secs(951_782_399));
        assert_eq!(sentence, "2000-02-28 23:59:59 UTC");
    }
}
