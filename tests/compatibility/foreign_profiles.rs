//! Heap profiles of other tools, read with the result that Go's pprof shows.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use alloc_core::{GroupBy, Metric, Snapshot};
use alloc_tests::{Message, Tool};

/// A profile of two stacks, `leak` and `cache`, each called by `main`.
#[derive(Clone)]
struct Profile {
    types: Vec<(&'static str, &'static str)>,
    /// The values of each stack.
    samples: Vec<Vec<i64>>,
    is_packed: bool,
    has_mapping: bool,
    /// The names of the functions.
    names: [&'static [u8]; 3],
}

const GO: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

impl Profile {
    fn of(types: &[(&'static str, &'static str)], samples: &[&[i64]]) -> Profile {
        Profile {
            types: types.to_vec(),
            samples: samples.iter().map(|values| values.to_vec()).collect(),
            is_packed: true,
            has_mapping: true,
            names: [b"main.leak", b"main.cache", b"main.main"],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut strings: Vec<&[u8]> = vec![b"", b"/app/main.go", b"/app/bin"];
        strings.extend(self.names);
        let mut string = |text: &'static str| {
            strings.push(text.as_bytes());
            strings.len() as u64 - 1
        };
        let mut profile = Message::new();
        for (name, unit) in &self.types {
            let mut value_type = Message::new();
            value_type.number(1, string(name)).number(2, string(unit));
            profile.message(1, &value_type);
        }
        for (values, leaf) in self.samples.iter().zip(1..) {
            profile.message(2, &self.sample(values, leaf));
        }
        if self.has_mapping {
            let mut mapping = Message::new();
            mapping
                .number(1, 1)
                .number(2, 0x40_0000)
                .number(3, 0x80_0000);
            profile.message(3, mapping.number(5, 2).number(7, 1));
        }
        for id in 1..=3 {
            let mut line = Message::new();
            line.number(1, id).number(2, 10 * id);
            let mut location = Message::new();
            location.number(1, id).number(3, 0x40_0000 + 16 * id);
            if self.has_mapping {
                location.number(2, 1);
            }
            profile.message(4, location.message(4, &line));
            let mut function = Message::new();
            function.number(1, id).number(2, 2 + id).number(4, 1);
            profile.message(5, &function);
        }
        for string in strings {
            profile.bytes_of(6, string);
        }
        profile.number(9, 1_700_000_000_000_000_000);
        profile.bytes().to_vec()
    }

    fn sample(&self, values: &[i64], leaf: u64) -> Message {
        let mut sample = Message::new();
        if self.is_packed {
            let mut packed = Message::new();
            values.iter().for_each(|&value| packed.varint(value as u64));
            sample
                .bytes_of(1, &[leaf as u8, 3])
                .bytes_of(2, packed.bytes());
        } else {
            sample.number(1, leaf).number(1, 3);
            for &value in values {
                sample.number(2, value as u64);
            }
        }
        sample
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    file.write_all(bytes).expect("memory");
    file.finish().expect("memory")
}

fn read(file: &[u8]) -> Snapshot {
    Snapshot::read_from(file).expect("a profile")
}

/// Numbers by function, without those that are zero.
type ByFunction = BTreeMap<String, i64>;

/// The bytes or blocks charged to each function.
fn ours(snapshot: &Snapshot, metric: Metric, is_of_bytes: bool) -> ByFunction {
    let groups = snapshot.statistics_by(GroupBy::Function, metric);
    let rows = groups.iter().map(|group| {
        let number = if is_of_bytes {
            group.size.get()
        } else {
            group.count
        };
        (group.key.to_string(), number as i64)
    });
    rows.filter(|(_, number)| *number != 0).collect()
}

/// What pprof shows, or `None` where Go is not installed.
fn pprofs(name: &str, file: &[u8], value: usize, unit: &str) -> Option<ByFunction> {
    let mut go = Tool("go").command("version")?;
    let file_name = format!("alloc-tests-{name}-{}", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(file_name);
    std::fs::write(&path, file).expect("a place for it");
    go.args([
        "tool",
        "pprof",
        "-top",
        unit,
        &format!("-sample_index={value}"),
    ])
    .arg(&path)
    .env("HOME", std::env::temp_dir())
    .env("PPROF_TMPDIR", std::env::temp_dir());
    let output = go.output().expect("go runs");
    std::fs::remove_file(&path).expect("it was written");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {message}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `204800B 90.91% 90.91%    225280B   100%  main.leak`
    let rows = text
        .lines()
        .skip_while(|line| !line.contains("flat%"))
        .skip(1);
    let rows = rows.filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let flat = columns.next()?.trim_end_matches('B').parse().ok()?;
        Some((columns.nth(4)?.to_owned(), flat))
    });
    Some(rows.filter(|(_, number)| *number != 0).collect())
}

/// Reads a file, and compares each of its values with pprof's.
#[track_caller]
fn check(name: &str, file: &[u8], values: &[(Metric, bool)]) {
    let snapshot = read(file);
    for (at, &(metric, is_of_bytes)) in values.iter().enumerate() {
        let own = ours(&snapshot, metric, is_of_bytes);
        assert!(!own.is_empty(), "{name}: {metric}");
        let unit = if is_of_bytes {
            "-unit=b"
        } else {
            "-unit=count"
        };
        if let Some(theirs) = pprofs(name, file, at, unit) {
            assert_eq!(own, theirs, "{name}: {metric}");
        }
    }
}

const OF_GO: [(Metric, bool); 4] = [
    (Metric::Total, false),
    (Metric::Total, true),
    (Metric::Current, false),
    (Metric::Current, true),
];
const OF_ONE: [(Metric, bool); 2] = [(Metric::Current, false), (Metric::Current, true)];

fn go() -> Profile {
    Profile::of(
        &GO,
        &[&[100, 409_600, 50, 204_800], &[10, 20_480, 10, 20_480]],
    )
}

#[test]
fn packed_in_each_way_that_pprof_knows() {
    check("packed", &gzip(&go().bytes()), &OF_GO);
    check("plain", &go().bytes(), &OF_GO);
    let bytes = go().bytes();
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    check("members", &[gzip(head), gzip(tail)].concat(), &OF_GO);
    let unpacked = Profile {
        is_packed: false,
        ..go()
    };
    check("unpacked-fields", &gzip(&unpacked.bytes()), &OF_GO);
    // pprof refuses the file, although gzip only warns.
    let after = [&gzip(&bytes)[..], b"\n"].concat();
    assert_eq!(read(&after).traces(), read(&bytes).traces());
}

#[test]
fn types_of_other_names() {
    let two = |types: &[(&'static str, &'static str)]| {
        gzip(&Profile::of(types, &[&[50, 204_800], &[10, 20_480]]).bytes())
    };
    check(
        "node",
        &two(&[("objects", "count"), ("space", "bytes")]),
        &OF_ONE,
    );
    check(
        "dashes",
        &two(&[("inuse-objects", "count"), ("inuse-space", "bytes")]),
        &OF_ONE,
    );
    check(
        "pyroscope",
        &two(&[
            ("memory:inuse_objects:count:space:bytes", "count"),
            ("memory:inuse_space:bytes:space:bytes", "bytes"),
        ]),
        &OF_ONE,
    );
    let allocated = two(&[("alloc_objects", "count"), ("alloc_space", "bytes")]);
    check("allocated", &allocated, &OF_GO[..2]);
    let snapshot = read(&allocated);
    assert!(!snapshot.knows(Metric::Current) && !snapshot.knows(Metric::Freed));
    assert!(snapshot.knows(Metric::Total) && snapshot.knows_blocks());
}

#[test]
fn units_of_other_sizes() {
    for unit in ["kilobytes", "kB", "KB", "megabytes", "MB", "gbytes"] {
        let types = [("inuse_objects", "count"), ("inuse_space", unit)];
        let file = gzip(&Profile::of(&types, &[&[50, 200], &[1, 3]]).bytes());
        check(unit, &file, &OF_ONE);
    }
    let types = [("inuse_objects", "count"), ("inuse_space", "KiB")];
    let file = Profile::of(&types, &[&[50, 200]]).bytes();
    assert_eq!(read(&file).traced_memory().current, 200 * 1024);
    let types = [("inuse_objects", "count"), ("inuse_space", "pages")];
    let file = Profile::of(&types, &[&[50, 200]]).bytes();
    let error = Snapshot::read_from(&file[..]).expect_err("it is refused");
    assert!(error.to_string().contains("in the unit pages"), "{error}");
}

#[test]
fn profiles_that_lack_something() {
    let bare = Profile {
        has_mapping: false,
        ..Profile::of(&[("inuse_space", "bytes")], &[&[204_800]])
    };
    check("parca", &gzip(&bare.bytes()), &[(Metric::Current, true)]);
    assert!(!read(&bare.bytes()).knows_blocks());
    let empty = Profile::of(&GO, &[]);
    assert!(read(&empty.bytes()).traces().is_empty());
}

#[test]
fn names_that_are_not_utf_8() {
    let file = Profile {
        names: [b"l\xE9ak", b"c\xFF\xFEche", b"main"],
        ..go()
    };
    let own = ours(&read(&file.bytes()), Metric::Current, true);
    let names: Vec<&str> = own.keys().map(String::as_str).collect();
    assert_eq!(names, ["c\u{FFFD}\u{FFFD}che", "l\u{FFFD}ak"]);
}

#[test]
fn what_changed_between_two_moments() {
    let delta = Profile::of(
        &GO,
        &[&[100, 409_600, 50, 204_800], &[10, 20_480, -10, -20_480]],
    );
    let file = gzip(&delta.bytes());
    let error = Snapshot::read_from(&file[..]).expect_err("it is refused");
    assert!(error.is_invalid_file(), "{error}");
    assert!(
        error.to_string().contains("the difference of two"),
        "{error}"
    );
    let (added, taken_away) = Snapshot::read_difference(&file[..]).expect("a difference");
    assert!(added.is_difference() && taken_away.is_difference());
    for (at, &(metric, is_of_bytes)) in OF_GO.iter().enumerate() {
        let mut change = ours(&added, metric, is_of_bytes);
        for (function, number) in ours(&taken_away, metric, is_of_bytes) {
            *change.entry(function).or_default() -= number;
        }
        change.retain(|_, number| *number != 0);
        let unit = if is_of_bytes {
            "-unit=b"
        } else {
            "-unit=count"
        };
        if let Some(theirs) = pprofs("delta", &file, at, unit) {
            assert_eq!(change, theirs, "{metric}");
        }
    }
    let whole = Snapshot::read_difference(&go().bytes()[..]).expect_err("it is refused");
    assert!(
        whole.to_string().contains("one of a single moment"),
        "{whole}"
    );
}

#[test]
fn profiles_of_something_else_are_named() {
    let types = [("samples", "count"), ("cpu", "nanoseconds")];
    let file = Profile::of(&types, &[&[50, 204_800]]).bytes();
    let error = Snapshot::read_from(&file[..]).expect_err("it is refused");
    assert!(error.to_string().contains("a CPU profile"), "{error}");
}
