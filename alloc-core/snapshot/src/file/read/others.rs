//! [`name_of`]: recognizes files that are not pprof profiles.

use super::wire::{Fields, Value};

/// How files begin that people mistake for profiles, what they are, and what to do.
const BEGINNINGS: [(&[u8], &str); 22] = [
    (
        b"heap profile:",
        "a heap profile as text, of gperftools' or of Go's with debug=1: `alloc-report import FILE` makes a \
         snapshot of it",
    ),
    (
        b"--- heapz",
        "a heap profile as text, of tcmalloc's: `pprof -proto -output=heap.pb.gz PROGRAM FILE` makes one that \
         is read here",
    ),
    (
        b"heap_v2/",
        "a heap profile of jemalloc's own: `alloc-report import FILE` makes a snapshot of it",
    ),
    (
        b"PERFILE2",
        "what perf recorded, of CPU time: perf script reads it",
    ),
    (
        b"desc: ",
        "what massif or another tool of valgrind's wrote: ms_print reads massif's",
    ),
    (
        b"# callgrind format",
        "what callgrind wrote: callgrind_annotate reads it",
    ),
    (
        b"memray\0",
        "what memray recorded: `memray transform csv FILE` makes a table, and `alloc-report import` a \
         snapshot of that",
    ),
    (
        b"JAVA PROFILE",
        "a heap dump of a JVM's: jhat or Eclipse MAT reads it",
    ),
    (
        b"FLR\0",
        "a recording of the JDK Flight Recorder's: jfr reads it",
    ),
    (
        b"go 1.",
        "an execution trace of Go's: `go tool trace` reads it",
    ),
    (
        b"goroutine profile:",
        "a list of goroutines: fetch /debug/pprof/heap instead",
    ),
    // The beginning of a CPU profile of gperftools, for both byte orders and both word sizes.
    (
        b"\0\0\0\0\0\0\0\0\x03\0\0\0",
        "a CPU profile of gperftools'",
    ),
    (
        b"\0\0\0\0\x03\0\0\0\0\0\0\0",
        "a CPU profile of gperftools'",
    ),
    (
        b"\x28\xB5\x2F\xFD",
        "a file packed by zstd, as heaptrack writes them: `alloc-report import FILE` makes a snapshot of \
         heaptrack's; unpack another with `zstd -d`",
    ),
    (b"\x7FELF", "a program or a library"),
    (
        b"BZh",
        "a file packed by bzip2, which pprof does not read: unpack it with `bunzip2`",
    ),
    (
        b"\xFD7zXZ\0",
        "a file packed by xz, which pprof does not read: unpack it with `unxz`",
    ),
    (
        b"\x04\x22\x4D\x18",
        "a file packed by lz4, which pprof does not read: unpack it with `unlz4`",
    ),
    (b"PK\x03\x04", "a zip archive"),
    (b"<?xml", "XML"),
    (b"<svg", "a picture"),
    (
        b"<!DOCTYPE",
        "a page of HTML, perhaps an error of a server's",
    ),
];

/// What a file is, compressed or not, if it is known not to be a profile.
pub(super) fn name_of(file: &[u8]) -> Option<&'static str> {
    let beginnings = BEGINNINGS.iter();
    let mut known = beginnings.filter(|(start, _)| file.starts_with(start));
    known
        .next()
        .map(|(_, what)| *what)
        .or_else(|| json(file))
        .or_else(|| is_zlib(file).then_some(ZLIB))
        .or_else(|| is_heaptrack(file).then_some(HEAPTRACK))
}

/// A guess at what a file is that turned out not to be a profile; `None` if it begins like one.
pub(super) fn guess(file: &[u8]) -> Option<String> {
    let is_sample_type =
        |message| Fields::of(message).all(|field| matches!(field, Ok((1 | 2, Value::Number(_)))));
    match Fields::of(file).next() {
        Some(Ok((1, Value::Bytes(first)))) if is_sample_type(first) => None,
        // A Perfetto trace, which consists of packets only, begins like this too.
        Some(Ok((1, Value::Bytes(_)))) => Some(
            "a message of another kind, such as a trace of Perfetto's: `traceconv profile FILE` makes profiles \
             that are read here of the heap profiles in it"
                .to_owned(),
        ),
        _ => {
            let start = String::from_utf8_lossy(&file[..file.len().min(16)]);
            Some(format!("a file that begins with {start:?}"))
        }
    }
}

fn json(file: &[u8]) -> Option<&'static str> {
    let text = file.trim_ascii_start();
    if !text.starts_with(b"{") && !text.starts_with(b"[") {
        return None;
    }
    let head = &text[..text.len().min(4096)];
    let has = |word: &[u8]| head.windows(word.len()).any(|it| it == word);
    Some(if has(b"\"dhatFileVersion\"") {
        "JSON of dhat's: `alloc-report import FILE` makes a snapshot of it"
    } else if has(b"\"snapshot\"") && has(b"\"meta\"") {
        "a heap snapshot of V8's: open it in the developer tools of Chrome"
    } else if has(b"\"head\"") && has(b"\"callFrame\"") {
        "a sampling heap profile of V8's: open it in the developer tools of Chrome"
    } else {
        "JSON, as trace viewers have it"
    })
}

const ZLIB: &str =
    "a file packed by zlib, which pprof does not read either: unpack it, or pack it with gzip";

/// Recognizes zlib by its header, which no profile begins with.
fn is_zlib(file: &[u8]) -> bool {
    let [method, flags, ..] = file else {
        return false;
    };
    *method == 0x78 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
}

const HEAPTRACK: &str =
    "what heaptrack recorded: `alloc-report import FILE` makes a snapshot of it";

/// Recognizes heaptrack by its first line, with the versions of the program and of the file in
/// hexadecimal.
fn is_heaptrack(file: &[u8]) -> bool {
    let line = file[..file.len().min(64)]
        .split(|&byte| byte == b'\n')
        .next();
    let Some(versions) = line.and_then(|line| line.strip_prefix(b"v ")) else {
        return false;
    };
    versions
        .iter()
        .all(|byte| byte.is_ascii_hexdigit() || *byte == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &[u8], expected: &str) {
        let name = name_of(file).unwrap_or("");
        assert!(
            name.contains(expected) && name.is_empty() == expected.is_empty(),
            "{name}"
        );
    }

    #[test]
    fn files_of_other_tools_are_named() {
        check(
            b"heap profile:      3:   204800 [",
            "gperftools' or of Go's with debug=1",
        );
        check(b"heap_v2/524288\n", "jemalloc's own");
        check(b"PERFILE2____", "perf recorded");
        check(b"desc: --massif-out-file=x\ncmd: ./a\n", "massif");
        check(b"memray\0\x0b", "memray");
        check(b"v 10500 3\nX /usr/bin/demo\n", "heaptrack");
        check(b"\x28\xB5\x2F\xFD____", "zstd");
        check(b"\x78\x9C\x03\x00", "zlib");
        check(b"\x7FELF\x02\x01", "a program or a library");
        check(b"{\"dhatFileVersion\":2}", "dhat");
        check(b" [{\"ph\":\"C\"}]", "trace viewers");
        check(b"{\"snapshot\":{\"meta\":{", "V8");
        // Profiles begin with a sample type.
        check(&[0x0A, 4, 8, 1, 16, 2], "");
        check(b"", "");
        check(b"hello", "");
    }

    #[test]
    fn a_guess_quotes_the_beginning() {
        let guess = |file: &[u8]| guess(file).unwrap_or_default();
        assert!(guess(&[0x0A, 4, 8, 1, 0x42, 0]).contains("Perfetto"));
        assert_eq!(guess(b"hello"), "a file that begins with \"hello\"");
        assert_eq!(guess(&[0x0A, 4, 8, 1, 16, 2, 0x12, 9]), "");
    }
}
