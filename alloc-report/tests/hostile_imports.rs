//! Damaged and hostile files of other tools: each is refused or read, in bounded memory.
//!
//! Time is bounded too, but not measured: a quadratic reader would not end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use alloc_core::{GroupBy, Snapshot};

/// The system's allocator, which counts the peak of live bytes.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

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
}

#[global_allocator]
static ALLOC: Counting = Counting;

/// One test at a time is measured.
static MEASURED: Mutex<()> = Mutex::new(());

const TIMES: usize = 32;
/// Beside the content: the buffers of the reader and of its decoders.
const BESIDE: usize = 12 << 20;

/// Reads a file within the bound for its unpacked size.
#[track_caller]
fn end_of(file: &[u8], unpacked: usize) -> Result<Snapshot, String> {
    let before = LIVE.load(Relaxed);
    MOST.store(before, Relaxed);
    let read = alloc_report::import(file);
    let most = MOST.load(Relaxed) - before;
    let bound = TIMES * unpacked + BESIDE;
    assert!(most <= bound, "{most} bytes for a file of {unpacked}");
    read.map_err(|error| {
        assert!(error.is_invalid_file(), "{error}");
        error.to_string()
    })
}

#[track_caller]
fn is_read(file: &[u8]) -> Snapshot {
    end_of(file, file.len()).expect("a heap profile")
}

#[track_caller]
fn is_refused(file: impl AsRef<[u8]>, expected: &str) {
    let file = file.as_ref();
    let error = end_of(file, file.len()).expect_err("it is refused");
    assert!(error.contains(expected), "{error}");
}

#[track_caller]
fn measured() -> std::sync::MutexGuard<'static, ()> {
    MEASURED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn data(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/foreign");
    std::fs::read(folder.join(file)).expect("a file of the tests")
}

/// The text of heaptrack's file.
fn heaptrack() -> Vec<u8> {
    let file = data("heaptrack.zst");
    let mut text = Vec::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(&file[..]).unwrap();
    decoder.read_to_end(&mut text).unwrap();
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    file.write_all(bytes).expect("memory");
    file.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A damaged file yields an error or another snapshot, wherever the damage is.
#[test]
fn damaged_files_never_panic() {
    let _alone = measured();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % n
    };
    let texts = [
        "valgrind.json",
        "dhat-rs.json",
        "jemalloc-exact.heap",
        "jemalloc-sampled.heap",
        "go-debug1.txt",
        "memray.csv",
    ];
    let mut files: Vec<Vec<u8>> = texts.iter().map(|it| data(it)).collect();
    files.push(heaptrack());
    files.push(data("heaptrack.zst"));
    files.push(gzip(&data("go-debug1.txt")));
    let huge: [&[u8]; 5] = [
        b"18446744073709551615",
        b"9223372036854775807",
        b"ffffffffffffffff",
        b"-1",
        b"1e300",
    ];
    for whole in &files {
        let mut read = 0;
        for _ in 0..300 {
            let mut damaged = whole.clone();
            for _ in 0..1 + below(3) {
                let at = below(damaged.len());
                let end = (at + 1 + below(60)).min(damaged.len());
                match below(6) {
                    0 => damaged.truncate(at.max(1)),
                    1 => drop(damaged.drain(at..end)),
                    2 => damaged[at] = below(256) as u8,
                    3 => damaged[at] ^= 1 << below(8),
                    4 => {
                        let copy = damaged[at..end].to_vec();
                        damaged.splice(at..at, copy);
                    }
                    _ => {
                        // Replaces a number.
                        let is_digit = |it: &u8| it.is_ascii_digit();
                        let start = damaged[at..].iter().position(is_digit).map(|it| at + it);
                        if let Some(start) = start {
                            let digits = damaged[start..].iter().take_while(|it| is_digit(it));
                            let end = start + digits.count();
                            damaged.splice(start..end, huge[below(huge.len())].iter().copied());
                        }
                    }
                }
            }
            // A packed file may unpack to so much.
            let unpacked = match whole.starts_with(b"{") || whole.is_ascii() {
                true => damaged.len(),
                false => 250 * damaged.len() + (1 << 20),
            };
            if let Ok(snapshot) = end_of(&damaged, unpacked) {
                read += 1;
                // The snapshot supports statistics, and can be written and read again.
                let statistics = snapshot.statistics(GroupBy::Line);
                statistics.iter().for_each(|it| drop(it.to_string()));
                let mut bytes = Vec::new();
                snapshot.write_to(&mut bytes).unwrap();
                let again = Snapshot::read_from(&bytes[..]).unwrap();
                assert_eq!(again.traces().len(), snapshot.traces().len());
            }
        }
        assert!(read > 0, "{:?}", String::from_utf8_lossy(&whole[..20]));
    }
}

/// No beginning of a file is taken for the whole.
#[test]
fn files_that_are_cut_off_are_refused() {
    let _alone = measured();
    for file in ["valgrind.json", "dhat-rs.json"] {
        let file = data(file);
        for length in [200, file.len() / 2, file.len() - 3] {
            is_refused(
                &file[..length],
                "version 2, found one that is cut off: it ends in the middle",
            );
        }
    }
    let file = String::from_utf8(data("jemalloc-exact.heap")).unwrap();
    let (stacks, _) = file.split_once("MAPPED").unwrap();
    is_refused(
        stacks,
        "heap_v2, found one that is cut off: it ends before \"MAPPED_LIBRARIES:\"",
    );
    let file = data("go-debug1.txt");
    is_refused(
        &file[..600],
        "of Go's or gperftools', found one that is cut off or damaged: its stacks have ",
    );
    let file = data("heaptrack.zst");
    let error = end_of(&file[..2000], 1 << 20).expect_err("it is refused");
    assert!(error.contains("found one that is cut off"), "{error}");
    let file = gzip(&data("memray.csv"));
    let error = end_of(&file[..500], 1 << 20).expect_err("it is refused");
    assert!(error.contains("found one that is cut off"), "{error}");
}

#[test]
fn other_versions_and_kinds_are_named() {
    let _alone = measured();
    is_refused("{\"dhatFileVersion\":3}", "version 2, found version 3");
    is_refused(
        "{\"dhatFileVersion\":2,\"mode\":\"copy\",\"pps\":[],\"ftbl\":[]}",
        "found the mode \"copy\", which is not of a heap",
    );
    is_refused(
        "{\"dhatFileVersion\":2,\"mode\":\"heap\"}",
        "found one without program points or frames",
    );
    is_refused(
        "v 20000 4\n",
        "found file version 4 in line 1: \"v 20000 4\"",
    );
    is_refused(
        "v 10400 3\nx 5 /bin/ls\nm 1 - 0\n",
        "found a raw recording (heaptrack_interpret makes one that is read here) in line 3",
    );
    is_refused(
        "heap_v2/often\n",
        "found no interval of samples in line 1: \"heap_v2/often\"",
    );
    is_refused(
        "heap profile: 1: 2 [3: 4] @ growthz/1\n",
        "found another heading in line 1",
    );
    is_refused("memray\0\x0b\0", "run `memray transform csv FILE`");
    is_refused(
        "{\n  \"total_num_allocations\": 207,\n  \"total_bytes_allocated\": 14759545,",
        "found JSON of `memray stats`",
    );
    is_refused(
        "{\"version\": 0, \"costs\": [], \"events\": [{\"callchain\": [0]",
        "found JSON for a viewer",
    );
    is_refused("", "pprof's format, found an empty file");
    is_refused("hello", "found a file that begins with \"hello\"");
    is_refused("PERFILE2", "what perf recorded");
}

#[test]
fn wrong_references_and_numbers_are_refused() {
    let _alone = measured();
    let dhat = |frames: &str, points: &str| {
        format!(
            "{{\"dhatFileVersion\":2,\"mode\":\"heap\",\"bklt\":true,\"ftbl\":{frames},\"pps\":{points}}}"
        )
    };
    let point = |bytes: &str, stack: &str| format!("{{\"tb\":{bytes},\"tbk\":1,\"fs\":{stack}}}");
    let frames = "[\"[root]\",\"0x1: f (a.c:1)\"]";
    assert_eq!(
        is_read(dhat(frames, &format!("[{}]", point("7", "[1]"))).as_bytes())
            .traces()
            .len(),
        1
    );
    for (bytes, stack, found) in [
        ("7", "[2]", "found frame 2 in a table of 2"),
        (
            "7",
            "[4294967296]",
            "found invalid value: integer `4294967296`",
        ),
        ("-7", "[1]", "found invalid value: integer `-7`"),
        ("1e300", "[1]", "found invalid type: floating point"),
        (
            "9223372036854775808",
            "[1]",
            "found numbers that sum up to more than 2^63",
        ),
        ("[]", "[1]", "found invalid type: sequence"),
    ] {
        is_refused(dhat(frames, &format!("[{}]", point(bytes, stack))), found);
    }
    let nested = format!("{{\"dhatFileVersion\":2,\"x\":{}", "[".repeat(1 << 20));
    is_refused(nested, "found one that is cut off");

    // A stack refers to earlier ones, so none is its own caller.
    for (lines, found) in [
        ("i 1 0\nt 1 1\n", "a stack that is not there in line 3"),
        (
            "i 1 0\nt 1 2\nt 1 1\n",
            "a stack that is not there in line 3",
        ),
        ("t 1 0\n", "a code location that is not there in line 2"),
        (
            "i 1 0\nt 0 0\n",
            "a code location that is not there in line 3",
        ),
        ("i 1 1\n", "a string that is not there in line 2"),
        ("i 1 0 1\n", "a string that is not there in line 2"),
        ("s 5 four\n", "a string of 4 bytes instead of 5 in line 2"),
        ("a 10 1\n", "a stack that is not there in line 2"),
        (
            "a 10 0\n+ 1\n",
            "a block of a kind that is not there in line 3",
        ),
        (
            "a 10 0\n- 0\n",
            "a free of a block that is not live in line 3",
        ),
        (
            "a ffffffffffffffff 0\n+ 0\n+ 0\n",
            "more than 2^64 bytes at once in line 4",
        ),
        (
            "a ffffffffffffffff 0\n+ 0\n",
            "numbers that sum up to more than 2^63",
        ),
        (
            "a 10000000000000000 0\n",
            "no number in hexadecimal in line 2",
        ),
        ("t 100000001 0\n", "a number of more than 32 bits in line 2"),
        ("+ x\n", "no number in hexadecimal in line 2"),
        ("q 1\n", "an unknown kind of line in line 2"),
    ] {
        is_refused(format!("v 10400 3\n{lines}"), found);
    }

    let jemalloc =
        |lines: &str| format!("heap_v2/8192\n  t*: 1: 2 [0: 0]\n{lines}\nMAPPED_LIBRARIES:\n");
    is_refused(
        jemalloc("@ 0xfoo\n"),
        "found no address in line 3: \"@ 0xfoo\"",
    );
    is_refused(
        jemalloc("@ 0x1\n t*: many\n"),
        "found no numbers of blocks and bytes in line 4",
    );
    is_refused(
        jemalloc("what\n"),
        "found an unknown kind of line in line 3",
    );
    is_refused(
        jemalloc("@ 0x1\n t*: 1: 18446744073709551615 [0: 0]\n"),
        "found numbers that sum up to more than 2^63",
    );

    let memray =
        |row: &str| format!("allocator,num_allocations,size,tid,thread_name,stack_trace\n{row}\n");
    is_refused(memray("MALLOC,1,2,3"), "found CSV error: record 1");
    is_refused(
        memray("MALLOC,1,-2,1,0x1,f;a.py;1"),
        "found CSV deserialize error: record 1",
    );
}

#[test]
fn long_stacks_are_read_once_and_refused_many_times() {
    let _alone = measured();
    // A stack of a million frames.
    let mut file = "v 10400 3\ns 1 f\ni 10 0 1\n".to_owned();
    for parent in 0..1_000_000 {
        file += &format!("t 1 {parent:x}\n");
    }
    file += "a 8 f4240\n+ 0\n";
    let snapshot = is_read(file.as_bytes());
    assert_eq!(snapshot.traces()[0].traceback.len(), 1_000_000);
    for kind in 1..1000 {
        file += &format!("a 8 {:x}\n+ {kind:x}\n", 1_000_000 - kind);
    }
    is_refused(&file, "MiB in memory, with its stacks");

    // A million functions at one address.
    let mut file = "v 10400 3\ns 1 f\n".to_owned();
    file += &format!("i 10 0{}\n", " 1 0 1".repeat(10_000));
    file += "t 1 0\n";
    for parent in 1..10_000 {
        file += &format!("t 1 {parent:x}\n");
    }
    file += "a 8 2710\n+ 0\n";
    is_refused(&file, "MiB in memory, with its stacks");

    let stack = vec!["1"; 1_000_000].join(",");
    let dhat = format!(
        "{{\"dhatFileVersion\":2,\"mode\":\"heap\",\"ftbl\":[\"\",\"f\"],\"pps\":[{{\"tb\":7,\"tbk\":1,\"fs\":[{stack}]}}]}}"
    );
    assert_eq!(
        is_read(dhat.as_bytes()).traces()[0].traceback.len(),
        1_000_000
    );

    let jemalloc = format!(
        "heap_v2/1\n@{}\n t*: 1: 7 [0: 0]\nMAPPED_LIBRARIES:\n",
        " 0x1".repeat(200_000)
    );
    assert_eq!(is_read(jemalloc.as_bytes()).traced_memory().current, 7);

    let endless = format!("v 10400 3\ns {}", "x".repeat(2 << 20));
    is_refused(endless, "found line 2 of more than 1 MiB");
}

/// Each row of a table is small in the file.
#[test]
fn tables_of_many_small_rows_are_bounded() {
    let _alone = measured();
    let head = "{\"dhatFileVersion\":2,\"mode\":\"heap\",\"bklt\":true,\"tu\":\"µs\",";
    let frames = vec!["\"\""; 500_000].join(",");
    let dhat = format!("{head}\"pps\":[],\"ftbl\":[{frames}]}}");
    is_refused(dhat, "MiB in memory, with its frames");
    let points = vec!["{\"tb\":1,\"tbk\":1,\"fs\":[]}"; 200_000].join(",");
    let dhat = format!("{head}\"ftbl\":[],\"pps\":[{points}]}}");
    let _ = end_of(dhat.as_bytes(), dhat.len());
    for (name, line) in [
        ("strings", "s 0 \n"),
        ("locations", "i 1 0\n"),
        ("stacks", "t 1 0\n"),
        ("kinds", "a 1 1\n"),
        ("callsites", "@\n"),
        ("frames", "#\t1\n"),
        ("rows", "M,1,1,1,0x1,\n"),
        ("maps", "0-1 x 0 0 0 /\n"),
    ] {
        let start = match name {
            "callsites" => "heap_v2/1\n",
            "maps" => "heap_v2/1\nMAPPED_LIBRARIES:\n",
            "frames" => "heap profile: 0: 0 [0: 0] @ heap/1\n0: 0 [0: 0] @ 0x1\n",
            "rows" => "allocator,num_allocations,size,tid,thread_name,stack_trace\n",
            _ => "v 10400 3\ns 1 f\ni 1 0\nt 1 0\n",
        };
        let file = start.to_owned() + &line.repeat(300_000);
        let _ = end_of(file.as_bytes(), file.len());
    }
}

#[test]
fn bombs_are_refused() {
    let _alone = measured();
    let zeros = vec![b' '; 20 << 20];
    for (start, most) in [
        ("heap_v2/1\n", 250),
        ("heap profile: 1: 2 [3: 4] @ heap/1\n", 250),
    ] {
        let bytes = [start.as_bytes(), &zeros].concat();
        let bomb = gzip(&bytes);
        let error = end_of(&bomb, most * bomb.len() + (1 << 20)).expect_err("it is refused");
        assert!(
            error.contains("it unpacks to more than any recording of its size"),
            "{error}"
        );
    }
    // A loop of one allocation packs well. It takes up no memory, however long it is.
    let line = "+ 0\n- 0\n";
    let text = "v 10400 3\ns 1 f\ni 1 0 1\nt 1 0\na 10 1\n".to_owned() + &line.repeat(1 << 20);
    let file = zstd(text.as_bytes());
    let snapshot = end_of(&file, 1 << 20).expect("a recording");
    assert_eq!(snapshot.traces()[0].counters.total.blocks, 1 << 20);
    assert!(text.len() > 250 * file.len(), "{}", file.len());
}
