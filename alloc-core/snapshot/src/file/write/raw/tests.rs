//! The raw file as readers see it.

use std::io::Read as _;
use std::time::Duration;

use prost::Message as _;

use super::*;
use crate::{Ages, Amount, Bytes, FreedBy, Snapshot};

const RUN: Run = Run {
    began: Duration::from_nanos(1_000_000_000_001),
    uptime: Duration::from_nanos(234_567_890_122),
};

fn counters(bytes: u64, blocks: u64) -> Counters {
    let amount = Amount::new(bytes, blocks);
    Counters {
        current: amount,
        peak: amount,
        at_peak: amount,
        total: Amount::new(2 * bytes, 2 * blocks),
        reallocations: blocks / 2,
        copied: (3 * bytes).into(),
    }
}

fn residence() -> Residence {
    Residence {
        resident: 1.into(),
        live: 2.into(),
        between: 3.into(),
        free: 4.into(),
        tracer: 5.into(),
        files: 6.into(),
        other: 7.into(),
        sparse: (1 << 50).into(),
    }
}

/// Two modules, and a callsite of each kind.
fn sample() -> Pages<u8> {
    let mut file = RawFile::new().unwrap();
    let thread = file.text(b"gr\xC3\xB6\xC3\x9Fe").unwrap();
    let label = file.text(b"request > decode").unwrap();
    let lifetimes = Lifetimes {
        unit: 1_000_000,
        freed: (&[5, 0, 0, 7], &[12]),
        live: (&[0, 1], &[0, 0, 1]),
    };
    let freed = [(label, thread, 4096), (Text::EMPTY, Text::EMPTY, 1 << 40)];
    let freed = freed.map(|(label, thread, bytes)| Freed {
        label,
        thread,
        amount: Amount::new(bytes, 7),
    });
    let slack = Slack {
        current: 15.into(),
        total: (1 << 40).into(),
    };
    let pinned = Pinned {
        unused: 1.into(),
        alone: (1 << 40).into(),
        own: 3.into(),
    };
    let stacks: [(&[usize], StackEnd, u64, u32); 6] = [
        (&[0x1001, 0x2001, 0x9001], StackEnd::Complete, 100, 0),
        (&[0x1001, 0x2001], StackEnd::Truncated, 200, 7),
        (&[0x1001], StackEnd::Broken, 300, 0),
        (&[], StackEnd::Broken, 400, 0),
        (&[], StackEnd::Overflow, 500, 0),
        (&[], StackEnd::Uncaptured, 1 << 50, 0),
    ];
    for (stack, stack_end, bytes, domain) in stacks {
        file.callsite(Callsite {
            stack,
            stack_end,
            counters: counters(bytes, bytes / 10),
            before: Counters::default(),
            domain,
            thread: Some(thread).filter(|_| domain == 7),
            label: Some(label).filter(|_| bytes == 300),
            size_class: Some(16).filter(|_| domain == 7),
            lifetimes: Some(lifetimes).filter(|_| bytes == 300),
            freed_by: match bytes {
                100 => Some(&freed),
                200 => Some(&[]),
                _ => None,
            },
            slack: Some(slack).filter(|_| bytes == 300),
            pinned: Some(pinned).filter(|_| bytes == 300),
        })
        .unwrap();
    }
    for (start, end, path, build_id) in [
        (0x2000, 0x3000, "/lib/b.so", "0c"),
        (0x1000, 0x2000, "/bin/a", "ab"),
    ] {
        file.module(Segment {
            start,
            end,
            file_offset: 0x40,
            path: path.as_bytes(),
            build_id: build_id.as_bytes(),
        })
        .unwrap();
    }
    let summary = Summary {
        nanoseconds: 1_234_567_890_123,
        duration: 0,
        run: RUN,
        shows_allocated: false,
        process_id: 42,
        at_exit: true,
        heap: TracedMemory {
            current: 1000.into(),
            peak: 2000.into(),
            peak_error: 8.into(),
            sampled: true,
        },
        traceback_limit: 16,
        sampled_every: 4096,
        health: Health {
            truncated_stacks: 1,
            broken_stacks: 2,
            overflowed: 3,
            skipped: 4,
            unknown_frees: 5,
            lost_blocks: 6,
        },
        residence: Some(residence()),
    };
    let arguments = [&b"a"[..], b"--all"];
    let metadata = [("commit", "1c4e7d")];
    file.finish(
        &summary,
        b"/bin/a",
        arguments.into_iter(),
        metadata.into_iter(),
    )
    .unwrap()
}

fn decoded(file: &[u8]) -> Profile {
    let mut bytes = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(file);
    reader.read_to_end(&mut bytes).unwrap();
    Profile::decode(&bytes[..]).unwrap()
}

#[test]
fn counters_labels_and_the_summary_survive_a_round_trip() {
    let snapshot = Snapshot::read_from(&sample()[..]).unwrap();
    let traces = snapshot.traces();
    let bytes = [100, 200, 300, 400, 500, 1 << 50];
    assert_eq!(traces.len(), bytes.len());
    for (trace, bytes) in traces.iter().zip(bytes) {
        assert_eq!(trace.counters, counters(bytes, bytes / 10));
    }
    assert_eq!(
        (traces[1].domain, traces[1].thread.as_deref()),
        (7, Some("größe"))
    );
    assert_eq!((traces[0].domain, traces[0].thread.as_deref()), (0, None));
    let labels = traces.iter().map(|trace| trace.label.as_deref());
    let expected = [None, None, Some("request > decode"), None, None, None];
    assert_eq!(labels.collect::<Vec<_>>(), expected);
    let pinned = traces[2].pinned.unwrap();
    assert_eq!(
        (pinned.unused.get(), pinned.alone.get(), pinned.own.get()),
        (1, 1 << 40, 3)
    );
    assert_eq!(
        (traces[0].pinned, snapshot.residence()),
        (None, Some(residence()))
    );
    let lived = traces[2].lifetimes.as_deref().unwrap();
    let freed = Ages::from_buckets(1_000_000, &[5, 0, 0, 7], &[12]);
    let live = Ages::from_buckets(1_000_000, &[0, 1], &[0, 0, 1]);
    assert_eq!(*lived, crate::Lifetimes::new(freed, live));
    assert!(traces[1].lifetimes.is_none());
    let freed = [
        FreedBy::new(Amount::new(4096, 7))
            .in_label("request > decode")
            .on_thread("größe"),
        FreedBy::new(Amount::new(1 << 40, 7)),
    ];
    let freed_by = [0, 1, 2].map(|at| traces[at].freed_by.as_deref());
    assert_eq!(freed_by, [Some(&freed[..]), Some(&[]), None]);
    let slack = traces[2].slack.map(|it| (it.current.get(), it.total.get()));
    assert_eq!(slack, Some((15, 1 << 40)));
    assert_eq!(traces[1].slack, None);
    let ends = traces.iter().map(|trace| trace.traceback.end());
    let expected = [
        StackEnd::Complete,
        StackEnd::Truncated,
        StackEnd::Broken,
        StackEnd::Broken,
        StackEnd::Overflow,
        StackEnd::Uncaptured,
    ];
    assert_eq!(ends.collect::<Vec<_>>(), expected);
    let names = traces[3..].iter().map(|it| it.traceback[0].to_string());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["<unknown>", "<overflow>", "<heap>"]
    );

    let heap = snapshot.traced_memory();
    assert_eq!(
        (heap.current, heap.peak),
        (Bytes::new(1000), Bytes::new(2000))
    );
    assert_eq!(heap.peak_error, Bytes::new(8));
    assert_eq!(snapshot.traceback_limit(), 16);
    assert_eq!(snapshot.sampled_every(), Some(Bytes::new(4096)));
    assert_eq!(snapshot.health().lost_blocks, 6);
    assert_eq!(snapshot.health().truncated_stacks, 1);
    assert_eq!(snapshot.process_id(), 42);
    assert!(snapshot.is_at_exit());
    assert_eq!(snapshot.run(), Some(RUN));
    assert_eq!(snapshot.program(), "/bin/a");
    assert_eq!(snapshot.command_line(), ["a", "--all"]);
    assert_eq!(snapshot.metadata()["commit"], "1c4e7d");
}

#[test]
fn locations_are_calls_in_modules_without_names() {
    let profile = decoded(&sample());
    let text = |at: i64| &*profile.string_table[at as usize];
    let mappings = profile.mapping.iter().map(|it| {
        let named = it.has_functions || it.has_filenames;
        assert!(!named && !it.has_line_numbers && !it.has_inline_frames);
        (
            it.id,
            it.memory_start,
            it.memory_limit,
            it.file_offset,
            text(it.filename),
            text(it.build_id),
        )
    });
    assert_eq!(
        mappings.collect::<Vec<_>>(),
        [
            (1, 0x2000, 0x3000, 0x40, "/lib/b.so", "0c"),
            (2, 0x1000, 0x2000, 0x40, "/bin/a", "ab"),
        ]
    );
    let locations = profile.location.iter();
    let locations = locations.map(|it| (it.id, it.mapping_id, it.address, it.line.len()));
    assert_eq!(
        locations.collect::<Vec<_>>(),
        [
            (1, 2, 0x1000, 0),
            (2, 1, 0x2000, 0),
            (3, 0, 0x9000, 0),
            (4, 0, 0, 1),
            (5, 0, 0, 1),
            (6, 0, 0, 1),
        ]
    );
    let stacks = profile.sample.iter().map(|it| &it.location_id[..]);
    assert_eq!(
        stacks.collect::<Vec<_>>(),
        [&[1_u64, 2, 3][..], &[1, 2], &[1], &[4], &[5], &[6]]
    );
    let types = profile.sample_type.iter();
    let types = types.map(|it| (text(it.r#type), text(it.unit)));
    assert!(types.eq(SAMPLE_TYPES));
    assert_eq!(text(profile.default_sample_type), "inuse_space");
    let period = profile.period_type.unwrap();
    assert_eq!((text(period.r#type), text(period.unit)), ("space", "bytes"));
    assert_eq!(
        (profile.period, profile.time_nanos),
        (4096, 1_234_567_890_123)
    );
    let extension = profile.extension.as_ref().unwrap();
    assert!(extension.unnamed && extension.format == FORMAT);
}

#[test]
fn a_file_of_gos_types_holds_what_changed() {
    let mut file = RawFile::of_go().unwrap();
    file.callsite(Callsite {
        stack: &[0x1001],
        stack_end: StackEnd::Complete,
        counters: counters(100, 10),
        before: Counters {
            current: Amount::new(300, 30),
            total: Amount::new(50, 5),
            ..Counters::default()
        },
        domain: 0,
        thread: None,
        label: None,
        size_class: None,
        lifetimes: None,
        freed_by: None,
        slack: None,
        pinned: None,
    })
    .unwrap();
    let summary = Summary {
        duration: 5_000_000_000,
        run: Run::default(),
        shows_allocated: true,
        ..Summary::default()
    };
    let file = file.finish(&summary, b"", std::iter::empty(), std::iter::empty());
    let file = file.unwrap();
    let profile = decoded(&file);
    let text = |number: i64| profile.string_table[number as usize].as_str();
    let types = profile.sample_type.iter().map(|it| text(it.r#type));
    let expected = [
        "alloc_objects",
        "alloc_space",
        "inuse_objects",
        "inuse_space",
    ];
    assert_eq!(types.collect::<Vec<_>>(), expected);
    assert_eq!(profile.sample[0].value, [15, 150, -20, -200]);
    assert_eq!(text(profile.default_sample_type), "alloc_space");
    assert_eq!(profile.duration_nanos, 5_000_000_000);

    let (added, removed) = Snapshot::read_difference(&file[..]).unwrap();
    let counters = |it: &Snapshot| it.traces()[0].counters;
    // One side minus the other is the change.
    let mut total = counters(&removed).total;
    total += Amount::new(150, 15);
    assert_eq!(counters(&added).total, total);
    assert_eq!(counters(&removed).current, Amount::new(200, 20));
    assert!(!added.knows(crate::Metric::Peak));
}

/// As many callsites as in a large program, each with a stack of thirty addresses.
#[test]
fn twenty_thousand_callsites_need_little_memory() {
    let mut file = RawFile::new().unwrap();
    let mut stack = [0_usize; 30];
    for callsite in 0..20_000_usize {
        let depth = callsite % 7;
        for (at, address) in stack.iter_mut().enumerate().take(30 - 3 * depth) {
            *address = 0x5555_0000 + (callsite * 31 + at * 7919) % 40_000 * 16;
        }
        let written = file.callsite(Callsite {
            stack: &stack,
            stack_end: StackEnd::Complete,
            counters: counters(callsite as u64 * 48, callsite as u64),
            before: Counters::default(),
            domain: 0,
            thread: None,
            label: None,
            size_class: None,
            lifetimes: None,
            freed_by: None,
            slack: None,
            pinned: None,
        });
        written.unwrap();
    }
    let summary = Summary::default();
    let held = file.bytes();
    let file = file.finish(&summary, b"", std::iter::empty(), std::iter::empty());
    let file = file.unwrap();
    assert_eq!(decoded(&file).sample.len(), 20_000);
    let beside = held - file.mapped();
    assert!(beside <= 2 << 20, "{beside} bytes beside {}", file.len());
}
