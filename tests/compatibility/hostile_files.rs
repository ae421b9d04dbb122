//! Small files that would expand to much, in every field of a profile: reading allocates at most
//! sixteen times the size of the file, and 4 MiB.
//!
//! Time is bounded too, but not measured. Each file has half a million bytes or more, so that a
//! quadratic reader would not end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_core::Snapshot;
use alloc_tests::Message;

/// The system's allocator, which counts the peak of live bytes.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// The peak of live bytes of the last file.
static TOOK: AtomicUsize = AtomicUsize::new(0);

fn grew(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(live, Relaxed);
}

// SAFETY: all blocks come from the system's allocator, with the same layouts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks count at once, because they coexist when the block moves.
        grew(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOC: Counting = Counting;

alloc_tests::tests![
    true_files_are_far_from_the_bound,
    frames_of_locations_in_samples,
    names_and_paths_of_functions,
    roots_and_paths,
    strings,
    sample_types,
    samples,
    labels,
    mappings,
    what_our_own_files_add,
    what_is_not_read,
    what_is_packed,
];

const TIMES: usize = 16;
const BESIDE: usize = 4 << 20;

/// Reads a file within the bound, and returns the result.
#[track_caller]
fn end_of(file: &[u8], unpacked: usize) -> Result<Snapshot, String> {
    let before = LIVE.load(Relaxed);
    MOST.store(before, Relaxed);
    let read = Snapshot::read_from(file);
    let most = MOST.load(Relaxed) - before;
    TOOK.store(most, Relaxed);
    let bound = TIMES * unpacked + BESIDE;
    assert!(most <= bound, "{most} bytes for a file of {unpacked}");
    read.map_err(|error| error.to_string())
}

/// Reads a profile in a gzip file that stores it without compression.
#[track_caller]
fn end_of_profile(profile: &Message) -> Result<Snapshot, String> {
    let bytes = profile.bytes();
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    file.write_all(bytes).expect("memory");
    let file = file.finish().expect("memory");
    end_of(&file, file.len())
}

#[track_caller]
fn is_read(profile: &Message) -> Snapshot {
    end_of_profile(profile).expect("a profile")
}

#[track_caller]
fn is_refused(profile: &Message, found: &str) {
    let error = end_of_profile(profile).expect_err("it is refused");
    assert!(error.contains(found), "{error}");
}

/// A profile with one sample type, and the strings "", "inuse_space", "f" and those in `strings`.
fn profile(strings: &[&[u8]]) -> Message {
    let mut profile = Message::new();
    profile.message(1, Message::new().number(1, 1));
    for string in [&b""[..], b"inuse_space", b"f"].iter().chain(strings) {
        profile.bytes_of(6, string);
    }
    profile
}

fn sample(locations: &[u8]) -> Message {
    let mut sample = Message::new();
    sample.bytes_of(1, locations).number(2, 9);
    sample
}

fn line(function: u64) -> Message {
    let mut line = Message::new();
    line.number(1, function).number(2, 7);
    line
}

fn function(id: u64, name: u64, path: u64) -> Message {
    let mut function = Message::new();
    function.number(1, id).number(2, name).number(4, path);
    function
}

/// A profile like that of a large program: 30,000 stacks of thirty calls, with inlined functions,
/// or without names.
fn true_files_are_far_from_the_bound() {
    for lines in [0, 1, 3] {
        let mut profile = Message::new();
        for _ in 0..9 {
            profile.message(1, Message::new().number(1, 1));
        }
        profile.bytes_of(6, b"").bytes_of(6, b"inuse_space");
        for id in 1..=20_000 {
            let mut location = Message::new();
            location
                .number(1, id)
                .number(2, 1)
                .number(3, 0x7F00_0000_0000 + 16 * id);
            for at in 0..lines {
                let mut line = Message::new();
                line.number(1, (id + at) % 8_000 + 1)
                    .number(2, id % 900)
                    .number(3, 9);
                location.message(4, &line);
            }
            profile.message(4, &location);
        }
        for id in 1..=8_000 {
            let name =
                format!("<demo::cache::Shard{id}<K, V> as demo::Store>::insert::{{closure#0}}");
            let path = format!("/home/me/demo/crates/cache/src/shard/part{}.rs", id % 500);
            profile
                .bytes_of(6, name.as_bytes())
                .bytes_of(6, path.as_bytes());
            profile.message(5, &function(id, 2 * id, 2 * id + 1));
        }
        for at in 0..30_000_u64 {
            let (mut ids, mut values) = (Message::new(), Message::new());
            for depth in 0..30 {
                ids.varint((at.wrapping_mul(depth * 7_919) >> 3) % 20_000 + 1);
            }
            for value in 0..9 {
                values.varint(at * value % 70_000);
            }
            let mut sample = Message::new();
            sample.bytes_of(1, ids.bytes()).bytes_of(2, values.bytes());
            profile.message(2, &sample);
        }
        let (snapshot, most) = measured(&profile);
        assert_eq!(snapshot.traces().len(), 30_000);
        let times = most as f64 / profile.bytes().len() as f64;
        assert!(times < 10.0, "{lines} lines: {times:.1}");
    }
}

/// A profile that is read, and its peak of live bytes.
fn measured(profile: &Message) -> (Snapshot, usize) {
    let snapshot = is_read(profile);
    (snapshot, TOOK.load(Relaxed))
}

fn frames_of_locations_in_samples() {
    // Each byte of a sample would make 100,000 frames.
    let with = |lines: usize, ids: usize, samples: usize| {
        let mut profile = profile(&[]);
        let mut location = Message::new();
        location.number(1, 1);
        for _ in 0..lines {
            location.message(4, &line(1));
        }
        profile.message(4, &location).message(5, &function(1, 2, 0));
        for _ in 0..samples {
            profile.message(2, &sample(&vec![1; ids]));
        }
        profile
    };
    assert_eq!(is_read(&with(3, 20, 10)).traces()[0].traceback.len(), 60);
    is_refused(&with(10_000, 10_000, 1), "in memory, with its stacks");
    is_refused(&with(10_000, 1, 10_000), "in memory, with its stacks");
    is_refused(&with(1, 10 << 20, 1), "in memory, with its stacks");
    is_read(&with(1, 100_000, 1));
    let many = is_read(&with(100_000, 1, 1));
    assert_eq!(many.traces()[0].traceback.len(), 100_000);

    // Locations without lines, and lines without contents.
    let mut bare = profile(&[]);
    for id in 0..200_000 {
        bare.message(4, Message::new().number(1, id));
    }
    is_refused(&bare, "in memory, with its locations");
    let mut location = Message::new();
    for _ in 0..1_000_000 {
        location.message(4, &Message::new());
    }
    is_refused(
        profile(&[]).message(4, &location),
        "in memory, with its frames",
    );
}

fn names_and_paths_of_functions() {
    // One name and one path of 100,000 bytes, in 50,000 functions of a line each.
    let long = [b'n'; 100_000];
    let mut shared = profile(&[&long, &long]);
    for id in 1..=50_000 {
        shared.message(5, &function(id, 3, 4));
        let mut location = Message::new();
        location.number(1, id).number(3, 4096 * id);
        for _ in 0..4 {
            location.message(4, &line(id));
        }
        shared.message(4, &location);
    }
    shared.message(2, &sample(&[1, 2, 3]));
    let snapshot = is_read(&shared);
    let frame = &snapshot.traces()[0].traceback[0];
    assert_eq!(frame.function().map(str::len), Some(100_000));
    assert_eq!(frame.file().map(|it| it.full().len()), Some(100_000));

    let mut empty = profile(&[]);
    for _ in 0..1_000_000 {
        empty.message(5, &Message::new());
    }
    is_refused(&empty, "two functions with the id 0");
}

fn roots_and_paths() {
    let with = |root: &dyn Fn(u64) -> String, path: &dyn Fn(u64) -> String| {
        let mut profile = profile(&[]);
        let mut extension = Message::new();
        for at in 1..=20_000 {
            extension.bytes_of(8, root(at).as_bytes());
            profile.bytes_of(6, path(at).as_bytes());
            profile.message(5, &function(at, 2, at + 2));
            let mut location = Message::new();
            profile.message(4, location.number(1, at).message(4, &line(at)));
        }
        profile.message(7100, &extension).message(2, &sample(&[7]));
        profile
    };
    let apart = is_read(&with(&|at| format!("/r/{at:x}"), &|at| {
        format!("/r/{at:x}/a.rs")
    }));
    assert_eq!(apart.traces()[0].traceback[0].to_string(), "a.rs:7");
    // No folder contains another.
    is_read(&with(&|at| format!("/r/{at:x}"), &|at| {
        format!("/r/x{at:x}")
    }));
    // Each folder is within the one before.
    let nested = |at: u64| "/d".repeat(at as usize % 300);
    is_read(&with(&nested, &|at| nested(at) + "/e"));
    let mut many = profile(&[]);
    let mut extension = Message::new();
    for _ in 0..1_000_000 {
        extension.bytes_of(8, b"");
    }
    is_refused(many.message(7100, &extension), "in memory, with its roots");
}

fn strings() {
    let mut empty = profile(&[]);
    for _ in 0..2_000_000 {
        empty.bytes_of(6, b"");
    }
    is_read(&empty);
    // Each byte becomes three.
    let wrong = [0xFF; 2_000_000];
    let mut profile = profile(&[&wrong]);
    profile.message(5, &function(1, 3, 3));
    profile.message(4, Message::new().number(1, 1).message(4, &line(1)));
    let snapshot = is_read(profile.message(2, &sample(&[1])));
    let name = snapshot.traces()[0].traceback[0].function();
    assert_eq!(name.map(str::len), Some(6_000_000));
}

fn sample_types() {
    // Many samples with a long name and a long unit.
    let long = [b'n'; 100_000];
    let mut named = profile(&[&long]);
    for _ in 0..50_000 {
        named.message(1, Message::new().number(1, 3).number(2, 3));
    }
    is_refused(&named, "in memory, with its sample types");
    let mut few = profile(&[&long]);
    for _ in 0..1_000 {
        few.message(1, Message::new().number(1, 3).number(2, 3));
    }
    let mut sample = Message::new();
    few.message(2, sample.bytes_of(2, &[1; 1_001]));
    assert_eq!(is_read(&few).traces().len(), 1);
    let mut values = Message::new();
    values.bytes_of(2, &[1; 2_000_000]);
    is_refused(
        profile(&[]).message(2, &values),
        "a sample with 2000000 values where the profile has 1 sample types",
    );
}

fn samples() {
    let mut empty = profile(&[]);
    for _ in 0..1_000_000 {
        empty.message(2, &Message::new());
    }
    is_refused(&empty, "in memory, with its samples");
    // The smallest sample: one value and nothing else.
    let mut small = profile(&[]);
    for _ in 0..200_000 {
        small.message(2, Message::new().number(2, 1));
    }
    is_refused(&small, "in memory, with its samples");
    // Each has two sides, since one value is negative.
    let mut changes = profile(&[]);
    for at in 0..200_000_u64 {
        let value = if at % 2 == 0 { u64::MAX } else { 1 };
        changes.message(
            2,
            Message::new()
                .number(2, value)
                .number(9, 1 << 60)
                .number(10, 1 << 60)
                .number(11, 1 << 60),
        );
    }
    is_refused(&changes, "the difference of two");
}

fn labels() {
    let long = [b'n'; 100_000];
    let mut label = Message::new();
    label.number(1, 4).number(2, 3);
    let mut profile = profile(&[&long, b"thread"]);
    let mut first = sample(&[]);
    for _ in 0..100_000 {
        first.message(3, &label);
    }
    profile.message(2, &first);
    for _ in 0..10_000 {
        let mut sample = sample(&[]);
        profile.message(2, sample.message(3, &label).number(9, u64::MAX));
    }
    let snapshot = is_read(&profile);
    let thread = snapshot.traces()[9_999].thread.as_deref();
    assert_eq!(thread.map(str::len), Some(100_000));
}

fn mappings() {
    let long = [b'n'; 100_000];
    let mut shared = profile(&[&long]);
    for _ in 0..50_000 {
        shared.message(3, Message::new().number(5, 3).number(6, 3));
    }
    is_refused(&shared, "in memory, with its mappings");
    let mut empty = profile(&[]);
    for _ in 0..1_000_000 {
        empty.message(3, &Message::new());
    }
    is_refused(&empty, "in memory, with its mappings");
}

fn what_our_own_files_add() {
    let with = |fill: &dyn Fn(&mut Message, u64)| {
        let mut extension = Message::new();
        (0..1_000_000).for_each(|at| fill(&mut extension, at));
        let mut profile = profile(&[]);
        profile.message(7100, &extension);
        profile
    };
    let arguments = is_read(&with(&|extension, _| {
        extension.bytes_of(7, b"");
    }));
    assert_eq!(arguments.command_line().len(), 1_000_000);
    is_refused(
        &with(&|extension, at| {
            extension.message(10, Message::new().bytes_of(1, format!("{at:x}").as_bytes()));
        }),
        "in memory, with its metadata",
    );
    // Many extensions, each to be joined with those before.
    let mut joined = profile(&[]);
    let mut part = Message::new();
    part.bytes_of(6, b"demo").bytes_of(10, b"");
    for _ in 0..10_000 {
        joined.message(7100, &part);
    }
    assert_eq!(is_read(&joined).program(), "demo");
}

fn what_is_not_read() {
    let mut profile = profile(&[]);
    for at in 0..500_000 {
        profile.number(13, at).bytes_of(99, &[0; 2]);
    }
    is_read(&profile);
    let mut deep = Message::new();
    for _ in 0..1_000 {
        let mut around = Message::new();
        around.message(9, &deep);
        deep = around;
    }
    is_read(profile.message(2, deep.number(2, 1)));
}

fn what_is_packed() {
    let pack = |bytes: &[u8]| {
        let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        file.write_all(bytes).expect("memory");
        file.finish().expect("memory")
    };
    // A gzip bomb of 200 MiB.
    let bomb = pack(&vec![0; 200 << 20]);
    let error = end_of(&bomb, 250 * bomb.len() + (1 << 20)).expect_err("it is refused");
    assert!(error.contains("unpacks to more than 250 times"), "{error}");
    // Empty members.
    let members = pack(b"").repeat(100_000);
    let error = end_of(&members, members.len()).expect_err("it is refused");
    assert!(error.contains("without sample types"), "{error}");
}
