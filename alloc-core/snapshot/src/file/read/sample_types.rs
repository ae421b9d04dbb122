//! [`SampleTypes`]: the meaning and unit of each value of a sample.

use crate::error::Error;
use crate::file::SAMPLE_TYPES;

/// How many values a snapshot has a place for.
pub(super) const COLUMNS: usize = SAMPLE_TYPES.len();

/// The position in a sample of each value that a snapshot has a place for, and its scale in bytes.
///
/// # Names
///
/// Each writer has its own names for the same numbers: see [`NAMES`]. Case does not matter, dashes
/// and underscores are equal, and a name may be part of a Pyroscope or Parca profile type, such as
/// `memory:inuse_space:bytes:space:bytes`. If two names have the same meaning, Go's own name takes
/// precedence, otherwise the first one. Plain `objects` and `space` mean live blocks and bytes, as
/// in Node.js and tcmalloc.
///
/// # Units
///
/// The units are those of pprof, where `kB` has 1,024 bytes, and `KiB` to `PiB`. A number without a
/// unit counts bytes or blocks, according to its type. An unknown unit is an error, so that its
/// numbers are not mistaken for bytes.
#[derive(Debug)]
pub(super) struct SampleTypes {
    columns: [Option<Column>; COLUMNS],
    number: usize,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// The index of the value in a sample.
    at: usize,
    /// How many bytes or blocks a value of one represents.
    scale: i64,
    is_exact: bool,
}

/// The names that other writers use, and the equivalent name in [`SAMPLE_TYPES`].
const NAMES: [(&str, &str); 17] = [
    // Node.js, tcmalloc.
    ("objects", "inuse_objects"),
    ("space", "inuse_space"),
    // Datadog.
    ("heap_live_samples", "inuse_objects"),
    ("heap_live_size", "inuse_space"),
    ("heap_space", "inuse_space"),
    ("alloc_samples", "alloc_objects"),
    ("alloc_size", "alloc_space"),
    // Plainer synonyms.
    ("inuse_blocks", "inuse_objects"),
    ("inuse_bytes", "inuse_space"),
    ("live_objects", "inuse_objects"),
    ("live_bytes", "inuse_space"),
    ("alloc_blocks", "alloc_objects"),
    ("alloc_bytes", "alloc_space"),
    ("allocated_objects", "alloc_objects"),
    ("allocated_bytes", "alloc_space"),
    // Names of the JVM, from its thread-local buffers.
    ("alloc_in_new_tlab_objects", "alloc_objects"),
    ("alloc_in_new_tlab_bytes", "alloc_space"),
];

/// How many names an error lists.
const LISTED: usize = 8;

impl SampleTypes {
    /// The longest name that is considered. All known names are far shorter.
    pub(super) const LONGEST: usize = 128;

    /// Finds the columns among names and units, in the order of the file.
    pub(super) fn of<'a>(
        types: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<SampleTypes, Error> {
        let mut found = SampleTypes {
            columns: [None; COLUMNS],
            number: 0,
        };
        for (at, (name, unit)) in types.clone().enumerate() {
            found.number += 1;
            let Some((place, is_exact)) = place_of(name) else {
                continue;
            };
            let column = &mut found.columns[place];
            if column.is_some_and(|known| known.is_exact || !is_exact) {
                continue;
            }
            let scale = scale_of(unit, place).ok_or_else(|| unknown_unit(name, unit, place))?;
            *column = Some(Column {
                at,
                scale,
                is_exact,
            });
        }
        let of_a_heap = ["inuse_space", "alloc_space", "at_peak_space"];
        if of_a_heap.iter().any(|name| found.knows(name)) {
            return Ok(found);
        }
        Err(not_a_heap(types.map(|(name, _)| name), found.number))
    }

    /// How many values a sample has.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Whether the file has the values of this snapshot name.
    pub(super) fn knows(&self, name: &str) -> bool {
        let place = SAMPLE_TYPES.iter().position(|(known, _)| *known == name);
        place.is_some_and(|place| self.columns[place].is_some())
    }

    /// The values of a sample in bytes and blocks, in the order of [`SAMPLE_TYPES`]; zero for
    /// values that are missing in the file.
    pub(super) fn in_order(&self, values: &[i64]) -> Result<[i64; COLUMNS], Error> {
        if values.len() != self.number {
            return Err(Error::invalid_file(format!(
                "found a sample with {} values where the profile has {} sample types",
                values.len(),
                self.number
            )));
        }
        let mut ordered = [0; COLUMNS];
        for (place, column) in ordered.iter_mut().zip(&self.columns) {
            if let Some(Column { at, scale, .. }) = column {
                *place = values[*at].checked_mul(*scale).ok_or_else(|| {
                    Error::invalid_file(format!(
                        "found a value of {} times {scale} bytes, which is more than 2^63",
                        values[*at]
                    ))
                })?;
            }
        }
        Ok(ordered)
    }
}

/// The place of a type, and whether the name is Go's or our own.
fn place_of(name: &str) -> Option<(usize, bool)> {
    let place = |name: &str| SAMPLE_TYPES.iter().position(|(known, _)| *known == name);
    if let Some(place) = place(name) {
        return Some((place, true));
    }
    if name.len() > SampleTypes::LONGEST {
        return None;
    }
    let plain = name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    let by_name = plain.split(':').find_map(|part| {
        let alias = NAMES.iter().find(|(known, _)| *known == part);
        place(alias.map_or(part, |(_, meant)| meant))
    });
    by_name.map(|place| (place, false))
}

/// How many bytes or blocks one unit of a place is.
fn scale_of(unit: &str, place: usize) -> Option<i64> {
    if unit.len() > SampleTypes::LONGEST {
        return None;
    }
    let unit = unit.to_ascii_lowercase();
    // As in pprof, a plural is the same as the singular.
    let unit = match unit.len() {
        0..=2 => unit.as_str(),
        _ => unit.strip_suffix('s').unwrap_or(&unit),
    };
    match (SAMPLE_TYPES[place].1, unit) {
        (_, "") => Some(1),
        ("bytes", "b" | "byte") => Some(1),
        ("bytes", "kb" | "kbyte" | "kilobyte" | "kib" | "kibibyte") => Some(1 << 10),
        ("bytes", "mb" | "mbyte" | "megabyte" | "mib" | "mebibyte") => Some(1 << 20),
        ("bytes", "gb" | "gbyte" | "gigabyte" | "gib" | "gibibyte") => Some(1 << 30),
        ("bytes", "tb" | "tbyte" | "terabyte" | "tib" | "tebibyte") => Some(1 << 40),
        ("bytes", "pb" | "pbyte" | "petabyte" | "pib" | "pebibyte") => Some(1 << 50),
        ("count", "count" | "object" | "block" | "sample" | "allocation") => Some(1),
        _ => None,
    }
}

fn unknown_unit(name: &str, unit: &str, place: usize) -> Error {
    let expected = match SAMPLE_TYPES[place].1 {
        "bytes" => "bytes, or kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB or PiB",
        _ => "count",
    };
    Error::invalid_file(format!(
        "found the sample type {} in the unit {}: expected {expected}",
        shown(name),
        shown(unit),
    ))
}

fn not_a_heap<'a>(names: impl Iterator<Item = &'a str>, number: usize) -> Error {
    let names: Vec<&str> = names.take(LISTED).map(shown).collect();
    let of_time = |name: &&str| {
        let name = name.to_ascii_lowercase();
        ["cpu", "wall", "delay", "contentions"]
            .iter()
            .any(|word| name.contains(word))
    };
    let what = match names.iter().find(|name| of_time(name)) {
        Some(name) if name.to_ascii_lowercase().contains("cpu") => "a CPU profile",
        Some(_) => "a profile of time",
        None if names.is_empty() => return Error::invalid_file("found one without sample types"),
        None => "a profile of something else",
    };
    let and_more = if number > names.len() {
        " and more"
    } else {
        ""
    };
    Error::invalid_file(format!(
        "found {what}: expected a sample type such as inuse_space or alloc_space, found {}{and_more}",
        names.join(", ")
    ))
}

/// The part of a name that an error shows.
fn shown(name: &str) -> &str {
    match name.char_indices().nth(40) {
        Some((end, _)) => &name[..end],
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(types: &[(&str, &str)]) -> Result<SampleTypes, Error> {
        SampleTypes::of(types.iter().copied())
    }

    /// How a sample with one value reads for a type and a unit, by snapshot names.
    #[track_caller]
    fn check(name: &str, unit: &str, expected: &str, scale: i64) {
        // Adds bytes, since blocks alone are no heap.
        let beside = if expected == "alloc_space" {
            "inuse_space"
        } else {
            "alloc_space"
        };
        let types = of(&[(name, unit), (beside, "bytes")]).unwrap();
        let at = SAMPLE_TYPES.iter().position(|it| it.0 == expected);
        let at = at.expect("a name of snapshots");
        let mut ordered = [0; COLUMNS];
        ordered[at] = 200 * scale;
        assert_eq!(types.in_order(&[200, 0]).unwrap(), ordered, "{name} {unit}");
    }

    #[track_caller]
    fn refuses(types: &[(&str, &str)], found: &str) {
        let error = of(types).unwrap_err().to_string();
        let (_, after) = error.split_once(", found ").expect("what was found");
        assert_eq!(after, found);
    }

    #[test]
    fn units_of_bytes_have_the_right_scale() {
        for (units, scale) in [
            (&["bytes", "byte", "B", "Bytes", ""][..], 1),
            (
                &["kilobytes", "kB", "KB", "kbytes", "KiB", "kibibytes"],
                1 << 10,
            ),
            (&["megabytes", "MB", "mbyte", "MiB", "mebibytes"], 1 << 20),
            (&["gigabytes", "GB", "GiB", "gibibytes"], 1 << 30),
            (&["terabytes", "TB", "TiB", "tebibytes"], 1 << 40),
            (&["petabytes", "PB", "PiB", "pebibytes"], 1 << 50),
        ] {
            for unit in units {
                check("inuse_space", unit, "inuse_space", scale);
            }
        }
        for unit in ["count", "counts", "objects", ""] {
            check("inuse_objects", unit, "inuse_objects", 1);
        }
    }

    #[test]
    fn an_unknown_unit_is_refused_by_name() {
        refuses(
            &[("inuse_space", "pages")],
            "the sample type inuse_space in the unit pages: expected bytes, or kB, MB, GB, TB, PB, KiB, \
             MiB, GiB, TiB or PiB",
        );
        refuses(
            &[("inuse_space", "bytes"), ("objects", "dozens")],
            "the sample type objects in the unit dozens: expected count",
        );
        for unit in ["k", "bits", "nanoseconds", "kb2", "count"] {
            assert!(of(&[("inuse_space", unit)]).is_err(), "{unit}");
        }
        // The unit of an unused type does not matter.
        assert!(of(&[("inuse_space", "bytes"), ("cpu", "nanoseconds")]).is_ok());
    }

    #[test]
    fn names_of_other_writers_are_known() {
        for (name, expected) in [
            ("space", "inuse_space"),
            ("objects", "inuse_objects"),
            ("inuse-space", "inuse_space"),
            ("Inuse_Space", "inuse_space"),
            ("heap-space", "inuse_space"),
            ("heap-live-size", "inuse_space"),
            ("heap-live-samples", "inuse_objects"),
            ("alloc-space", "alloc_space"),
            ("alloc-size", "alloc_space"),
            ("alloc-samples", "alloc_objects"),
            ("memory:inuse_space:bytes", "inuse_space"),
            ("memory:inuse_space:bytes:space:bytes", "inuse_space"),
            ("memory:alloc_objects:count:space:bytes", "alloc_objects"),
            (
                "memory:alloc_in_new_tlab_bytes:bytes:space:bytes",
                "alloc_space",
            ),
        ] {
            check(name, "", expected, 1);
        }
    }

    #[test]
    fn go_s_own_name_takes_precedence() {
        let types = of(&[
            ("space", "kB"),
            ("inuse_space", "bytes"),
            ("live_bytes", "MB"),
        ])
        .unwrap();
        assert_eq!(types.in_order(&[1, 2, 3]).unwrap().iter().sum::<i64>(), 2);
        let types = of(&[("space", "kB"), ("live_bytes", "MB")]).unwrap();
        assert_eq!(types.in_order(&[1, 3]).unwrap().iter().sum::<i64>(), 1024);
    }

    #[test]
    fn other_kinds_of_profiles_are_named() {
        refuses(
            &[("samples", "count"), ("cpu", "nanoseconds")],
            "a CPU profile: expected a sample type such as inuse_space or alloc_space, found samples, cpu",
        );
        refuses(
            &[("contentions", "count"), ("delay", "nanoseconds")],
            "a profile of time: expected a sample type such as inuse_space or alloc_space, found \
             contentions, delay",
        );
        refuses(
            &[("goroutine", "count")],
            "a profile of something else: expected a sample type such as inuse_space or alloc_space, \
             found goroutine",
        );
        let long = "x".repeat(1000);
        let many = vec![(long.as_str(), ""); 1000];
        assert!(of(&many).unwrap_err().to_string().len() < 600);
        refuses(&[], "one without sample types");
    }

    #[test]
    fn a_value_that_is_too_large_in_bytes_is_refused() {
        let types = of(&[("inuse_space", "PB")]).unwrap();
        assert!(types.in_order(&[8191]).is_ok());
        let error = types.in_order(&[8192]).unwrap_err().to_string();
        assert!(
            error.contains("8192 times 1125899906842624 bytes"),
            "{error}"
        );
        let error = types.in_order(&[1, 2]).unwrap_err().to_string();
        assert!(
            error.contains("2 values where the profile has 1 sample types"),
            "{error}"
        );
    }
}
