//! Whole files: round trips, and cut, damaged and hostile input.

use std::fs;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::*;
use crate::recorded::{Recorded, StackEnd};
use crate::snapshot::{About, Run};
use crate::{Ages, Bytes, Frame, FreedBy, Lifetimes, Trace, Traceback, TracedMemory};

fn sample() -> Snapshot {
    let inner = Frame::new(
        Some("alloc::vec::push"),
        Some("/rustc/5/library/alloc/src/vec.rs"),
        7,
        3,
    );
    let fill = Frame::new(Some("demo::<T>::fill"), Some("/w/src/größe.rs"), 41, 9);
    let main = Frame::new(Some("demo::main"), Some("/w/src/main.rs"), 3, 1).at(0x5000, false);
    let counters = Counters {
        current: Amount::new(100, 2),
        peak: Amount::new(200, 3),
        at_peak: Amount::new(150, 1),
        total: Amount::new(1 << 40, 1000),
        reallocations: 12,
        copied: Bytes::new(1 << 41),
    };
    let stack = |frames: &[&Frame], end| {
        Traceback::with_end(frames.iter().map(|it| (*it).clone()).collect(), end)
    };
    let inlined = inner.at(0x1000, true);
    let fill = fill.at(0x1000, false);
    let traces = vec![
        Trace::new(
            stack(&[&inlined, &fill, &main], StackEnd::Truncated),
            counters,
        ),
        Trace::new(stack(&[&main], StackEnd::Complete), Counters::default())
            .with_domain(u32::MAX)
            .with_thread("größe")
            .with_label("größe > \u{1b}[31m")
            .with_slack(crate::Slack {
                current: Bytes::new(15),
                total: Bytes::new(1 << 40),
            })
            .with_lifetimes(Lifetimes::new(
                Ages::from_buckets(1_000_000, &[5, 0, 0, 7], &[12]),
                Ages::from_buckets(1_000_000, &[0, 1], &[0, 0, 1]),
            ))
            .with_freed_by([
                FreedBy::new(Amount::new(1 << 40, 7)).in_label("größe"),
                FreedBy::new(Amount::new(100, 2)).on_thread("größe"),
                FreedBy::default(),
            ]),
        Trace::new(
            stack(
                &[&Frame::new(Some("<overflow>"), None, 0, 0)],
                StackEnd::Overflow,
            ),
            counters,
        ),
    ];
    let recorded = Recorded {
        heap: TracedMemory {
            current: 200.into(),
            peak: 300.into(),
            peak_error: 8.into(),
            sampled: true,
        },
        traceback_limit: 32,
        sampling: crate::sampling::Interval::from_bytes(4096),
        health: crate::Health {
            unknown_frees: 5,
            ..Default::default()
        },
        ..Recorded::default()
    };
    let about = About {
        duration: Default::default(),
        run: Run {
            began: Duration::from_nanos(1_000_000_000_001),
            uptime: Duration::from_nanos(234_567_890_124),
        },
        taken_at: std::time::SystemTime::UNIX_EPOCH
            + std::time::Duration::from_nanos(1_234_567_890_123),
        process_id: 42,
        is_at_exit: true,
        program: "/w/target/demo".to_owned(),
        command_line: vec!["demo".to_owned(), "--all".to_owned()],
        modules: vec![crate::modules::Module {
            start: 0x400,
            end: 0x9000,
            file_offset: 0x10,
            path: "/w/target/demo".to_owned(),
            build_id: "ab0c".to_owned(),
        }],
        metadata: [("commit".to_owned(), "1c4e7d".to_owned())].into(),
        unknown: Default::default(),
    };
    let mut snapshot = Snapshot::of_parts(traces, recorded, about);
    snapshot.set_filtered_out(7);
    snapshot
}

fn bytes_of(snapshot: &Snapshot) -> Vec<u8> {
    let mut file = Vec::new();
    snapshot.write_to(&mut file).unwrap();
    file
}

#[test]
fn a_round_trip_keeps_everything() {
    let snapshot = sample();
    let back = Snapshot::read_from(&bytes_of(&snapshot)[..]).unwrap();
    assert_eq!(back.traces(), snapshot.traces());
    for (mine, theirs) in back.traces().iter().zip(snapshot.traces()) {
        assert_eq!(mine.traceback.end(), theirs.traceback.end());
        for (mine, theirs) in mine.traceback.iter().zip(&theirs.traceback[..]) {
            assert_eq!(mine.is_inlined(), theirs.is_inlined());
            assert_eq!(mine.address(), theirs.address());
            assert_eq!(mine.origin(), theirs.origin());
        }
    }
    assert_eq!(back.traced_memory(), snapshot.traced_memory());
    assert_eq!(back.health(), snapshot.health());
    assert_eq!(back.traceback_limit(), 32);
    assert_eq!(back.sampled_every(), Some(4096.into()));
    assert_eq!(back.about.modules, snapshot.about.modules);
    assert_eq!(back.metadata(), snapshot.metadata());
    assert_eq!(back.filtered_out(), 7);
    assert!(back.is_at_exit());
    assert_eq!(back.run(), snapshot.run());
    assert!(back.run().is_some());
    assert_eq!(back.first_metric(), crate::Metric::AtPeak);
    assert_eq!(
        (
            back.taken_at(),
            back.process_id(),
            back.program(),
            back.command_line()
        ),
        (
            snapshot.taken_at(),
            42,
            "/w/target/demo",
            snapshot.command_line()
        )
    );
}

/// A file from before copied bytes were counted has one sample type less.
#[test]
fn what_reallocations_copied_is_unknown_in_files_of_earlier_versions() {
    let snapshot = sample();
    let read = |file: &proto::Profile| Snapshot::read_from(&file.encode_to_vec()[..]).unwrap();
    let (packed, mut whole) = (bytes_of(&snapshot), Vec::new());
    let mut unpacked = flate2::read::GzDecoder::new(&packed[..]);
    unpacked.read_to_end(&mut whole).unwrap();
    let mut file = proto::Profile::decode(&whole[..]).unwrap();
    assert!(read(&file).knows_copied());

    file.sample_type.pop();
    for sample in &mut file.sample {
        sample.value.pop();
    }
    let back = read(&file);
    assert!(!back.knows_copied());
    for (mine, theirs) in back.traces().iter().zip(snapshot.traces()) {
        let copied = Bytes::ZERO;
        assert_eq!(
            mine.counters,
            Counters {
                copied,
                ..theirs.counters
            }
        );
    }
}

#[test]
fn short_paths_stay_short_on_another_machine() {
    let roots: [Arc<str>; 1] = ["/far/away".into()];
    let file = crate::stack::frame::SourcePath::new("/far/away/src/a.rs", &roots);
    let frame = Frame::of(None, Some(file), 1, 0);
    let trace = Trace::new(Traceback::new(vec![frame]), Counters::default());
    let back = Snapshot::read_from(&bytes_of(&Snapshot::from_traces(vec![trace], 1))[..]).unwrap();
    assert_eq!(back.traces()[0].traceback[0].to_string(), "src/a.rs:1");
}

#[test]
fn a_truncated_or_damaged_file_is_an_error_and_never_a_panic() {
    let whole = bytes_of(&sample());
    for len in 0..whole.len() {
        let error = Snapshot::read_from(&whole[..len]).unwrap_err();
        assert!(error.is_invalid_file(), "{len}: {error}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        // gzip's checksum covers the content, but not the header's own fields.
        if let Err(error) = Snapshot::read_from(&damaged[..]) {
            assert!(error.is_invalid_file(), "{at}: {error}");
        }
    }
}

/// Damage that gzip cannot see, as from a foreign writer.
#[test]
fn inconsistent_profiles_are_errors_and_never_a_panic() {
    use prost::Message as _;

    let mut profile = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(&bytes_of(&sample())[..]),
        &mut profile,
    )
    .unwrap();
    let again = |bytes: &[u8]| {
        let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        file.write_all(bytes).unwrap();
        Snapshot::read_from(&file.finish().unwrap()[..])
    };
    for at in 0..profile.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = profile.clone();
            damaged[at] ^= flip;
            if let Err(error) = again(&damaged) {
                assert!(error.is_invalid_file(), "{at}: {error}");
            }
        }
    }

    let good = proto::Profile::decode(&profile[..]).unwrap();
    let check = |change: &dyn Fn(&mut proto::Profile), found: &str| {
        let mut wrong = good.clone();
        change(&mut wrong);
        let error = again(&wrong.encode_to_vec()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("expected a heap profile in pprof's format, {found}")
        );
    };
    check(
        &|it| it.sample[0].value.truncate(3),
        "found a sample with 3 values where the profile has 10 sample types",
    );
    check(
        &|it| it.sample[0].location_id[0] = 99,
        "found a sample at location 99, which is not there",
    );
    check(
        &|it| it.location[0].line[0].function_id = 77,
        "found a location in function 77, which is not there",
    );
    check(
        &|it| it.function[0].name = 1000,
        "found a reference to string 1000, which is not there",
    );
    check(
        &|it| it.sample_type.clear(),
        "found one without sample types",
    );
    check(
        &|it| it.sample.iter_mut().for_each(|it| it.value[3] = i64::MAX),
        "found samples that sum up to more than 2^63",
    );
    check(
        &|it| it.sample[0].value[3] = -1,
        "found the difference of two, with negative values: `alloc-report diff FILE` shows it, and \
         Snapshot::read_difference reads it",
    );
    check(
        &|it| it.sample[1].label[2].num = 1 << 32,
        "found a sample in domain 4294967296, which is not a number of 32 bits",
    );
}

#[test]
fn other_files_are_named() {
    let check = |file: &[u8], found: &str| {
        let error = Snapshot::read_from(file).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("expected a heap profile in pprof's format, {found}")
        );
    };
    check(b"", "found an empty file");
    check(
        b"{\"dhatFileVersion\": 2}",
        "found JSON of dhat's: `alloc-report import FILE` makes a snapshot of it",
    );
    check(b"\x7fELF\x02\x01", "found a program or a library");
    check(
        &bytes_of(&sample())[..40],
        "found one that is cut off: it ends in the middle",
    );
}

#[test]
fn a_failed_dump_names_the_path_and_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    sample().dump(&path).unwrap();
    assert_eq!(Snapshot::load(&path).unwrap().traces(), sample().traces());

    let nowhere = folder.path().join("no/such/folder.pb.gz");
    let error = sample().dump(&nowhere).unwrap_err();
    assert!(
        error.is_io() && error.to_string().contains("no/such/folder.pb.gz"),
        "{error}"
    );
    assert!(Snapshot::load(&nowhere).unwrap_err().is_io());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

/// A damaged file yields an error or another snapshot, wherever the damage is.
#[test]
fn damaged_files_never_panic() {
    let whole = unpacked(&bytes_of(&sample()));
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % n
    };
    let mut read = 0;
    for _ in 0..5_000 {
        let mut damaged = whole.clone();
        for _ in 0..1 + below(4) {
            let at = below(damaged.len());
            match below(4) {
                0 => damaged.truncate(at.max(1)),
                1 => drop(damaged.drain(at..(at + 1 + below(8)).min(damaged.len()))),
                2 => damaged[at] = below(256) as u8,
                _ => damaged[at] ^= 1 << below(8),
            }
            if damaged.is_empty() {
                damaged.push(0);
            }
        }
        if let Ok(snapshot) = Snapshot::read_from(&packed(&damaged)[..]) {
            read += 1;
            // The snapshot supports statistics, and can be written again.
            let statistics = snapshot.statistics(crate::GroupBy::Line);
            statistics.iter().for_each(|it| drop(it.to_string()));
            let again = Snapshot::read_from(&bytes_of(&snapshot)[..]).unwrap();
            assert_eq!(again.traces(), snapshot.traces());
        }
    }
    assert!(read > 250, "{read}");
}

/// Fuzzer findings worth keeping: see `fuzz/`.
#[test]
fn the_fuzzing_corpus_never_panics() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/read_snapshot");
    let (mut files, mut read) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        read += usize::from(Snapshot::read_from(&packed(&bytes)[..]).is_ok());
    }
    // Three whole files, and the rest of a damaged one.
    assert!(files > 50 && read >= 3, "{read} of {files}");
}

fn unpacked(file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut bytes).unwrap();
    bytes
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut file, bytes).unwrap();
    file.finish().unwrap()
}

#[track_caller]
fn refuses(file: &[u8], found: &str) {
    let error = Snapshot::read_from(file).unwrap_err();
    assert!(error.is_invalid_file());
    assert!(error.to_string().contains(found), "{error}");
}

#[test]
fn other_formats_are_named() {
    refuses(b"heap_v2/524288\n", "jemalloc");
    refuses(b"PERFILE2____", "perf");
    refuses(b"\x28\xB5\x2F\xFD____", "zstd");
    refuses(b"\x7FELF____", "a program or a library");
    refuses(b"{\"dhatFileVersion\":2}", "dhat");
    refuses(b"hello", "begins with \"hello\"");
    refuses(&packed(b"hello"), "something else in it");
    refuses(&packed(b""), "without sample types");
}

#[test]
fn a_profile_of_empty_messages_is_refused() {
    let mut profile = b"\x0A\x02\x08\x01\x32\x00\x32\x0Binuse_space".to_vec();
    // Each sample would become a trace of a hundred bytes.
    profile.extend([0x12, 0x00].repeat(1 << 20));
    refuses(
        &profile,
        "one of 2097171 bytes that would take up more than 16 times that and 4 MiB in memory, with its \
         samples",
    );
}

/// The best compressible real profile: one location a thousand times, and no numbers.
#[test]
fn stacks_of_pure_recursion_survive_a_round_trip() {
    let frame = Frame::new(Some("demo::walk"), Some("/w/src/walk.rs"), 7, 1);
    let frame = frame.at(0x1000, false);
    let traceback = Traceback::new(vec![frame; 1_000]);
    let traces = vec![Trace::new(traceback, Counters::default()); 3_000];
    let file = bytes_of(&Snapshot::from_traces(traces.clone(), 1_000));
    assert!(unpacked(&file).len() > 50 * file.len());
    let back = Snapshot::read_from(&file[..]).unwrap();
    assert_eq!(back.traces(), traces);
}

#[test]
fn duplicate_ids_are_refused() {
    use prost::Message as _;

    let good = proto::Profile::decode(&unpacked(&bytes_of(&sample()))[..]).unwrap();
    let mut wrong = good.clone();
    wrong.location[1].id = 1;
    refuses(&wrong.encode_to_vec(), "two locations with the id 1");
    let mut wrong = good;
    wrong.function[2].id = 1;
    refuses(&wrong.encode_to_vec(), "two functions with the id 1");
}

#[test]
fn a_later_format_is_refused() {
    let mut file = unpacked(&bytes_of(&sample()));
    // A second copy of the extension, which merges with the first: field 7100 with three bytes, and
    // field 22 in it.
    file.extend([0xE2, 0xBB, 0x03, 0x03, 0xB0, 0x01, 0x02]);
    refuses(
        &packed(&file),
        "of format 2, of a later alloc-core: this one reads up to 1",
    );
}
