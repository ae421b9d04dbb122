//! The command line with files of other tools.

use std::io::Write as _;
use std::path::Path;

use expect_test::expect;

use crate::support::{check_error, check_failure, json, stdout};
use crate::{FILES, bytes, data};

#[test]
fn a_table_says_what_it_shows() {
    expect![[r#"
        dhat-rs, pid 7481, written when the program ended
        7814 KiB in 12 blocks at the peak, by line; at the end 4884 KiB

        #         size   share  count      average  line
        1  6,835.9 KiB   87.5%      1  7,000,000 B  dh/src/main.rs:18
        2    976.6 KiB   12.5%     10    100,000 B  dh/src/main.rs:12
        3      1.5 KiB   <0.1%      1      1,536 B  dh/src/main.rs:32
           7,814.0 KiB  100.0%     12    666,795 B  total

        This is the peak; --sort current shows what was live at the end.
    "#]]
    .assert_eq(&stdout(&data(), "top dhat-rs.json"));
    expect![[r#"
        7851 KiB in 52 blocks at the peak, by function

        #         size   share  count      average  function
        1  6,835.9 KiB   87.1%      1  7,000,001 B  peak
        2    976.6 KiB   12.4%     10    100,001 B  keep
              38.4 KiB    0.5%     41        960 B  other (16 functions)
           7,850.9 KiB  100.0%     52    154,603 B  total
    "#]]
    .assert_eq(&stdout(&data(), "top memray.csv -n 2 --by function"));
    expect![[r#"
        ? in ? blocks ever allocated, by function

        note: the file does not contain total allocations
    "#]]
    .assert_eq(&stdout(
        &data(),
        "top memray.csv -n 2 --by function --sort total",
    ));
}

#[test]
fn mean_lifetimes_are_said_to_be_means() {
    expect![[r#"
        dhat-rs, pid 7481, written when the program ended
        51 blocks were freed, and 31 live, by line

        #  freed  half below  90% below  all below  live  half below  oldest  line
        1     50      3.1 ms     3.1 ms     3.1 ms     0                      dh/src/main.rs:24
        2      1       12 µs      12 µs      12 µs     0                      dh/src/main.rs:18
        3      0                                      30      131 ms  131 ms  dh/src/main.rs:12
        4      0                                       1      131 ms  131 ms  dh/src/main.rs:32

        note: the file has one lifetime for each callsite, the mean of all its blocks
    "#]]
    .assert_eq(&stdout(&data(), "lifetimes dhat-rs.json"));
}

/// The tools that have no common numbers agree where they saw the same program.
#[test]
fn files_of_two_tools_are_compared() {
    let report = json(
        &data(),
        "diff valgrind.json heaptrack.zst --by function --sort at-peak --include function=demo::*",
    );
    let rows = report["rows"].as_array().expect("rows");
    assert!(
        rows.len() == 3 && rows.iter().all(|it| it["bytes_diff"] == 0),
        "{report}"
    );
    assert_eq!(report["total"]["bytes"], 8_001_536);
}

/// What other commands print of a snapshot is what they print of its source.
#[test]
fn an_imported_file_reads_like_its_source() {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        std::fs::write(folder.path().join(file), bytes(file)).unwrap();
        stdout(folder.path(), &format!("import {file} -o {file}.pb.gz"));
        for report in [
            "top -n 5 --no-source",
            "top --by traceback --sort total",
            "lifetimes",
        ] {
            let source = report.replacen(' ', &format!(" {file} "), 1);
            let source = if report == "lifetimes" {
                format!("lifetimes {file}")
            } else {
                source
            };
            let imported = source.replace(file, &format!("{file}.pb.gz"));
            let (source, imported) = (
                stdout(folder.path(), &source),
                stdout(folder.path(), &imported),
            );
            assert_eq!(source, imported, "{report} {file}");
        }
    }
}

#[test]
fn the_command_says_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let source = data().join("memray.csv");
    let import = format!("import {}", source.display());
    expect![[r#"
        Written 26 callsites to heap.pb.gz; the file does not contain current, peak, total, freed
    "#]]
    .assert_eq(&stdout(folder.path(), &import));
    check_error(
        folder.path(),
        &import,
        "expected a new path, found a file at heap.pb.gz; --force replaces it",
    );
    stdout(folder.path(), &format!("{import} --force"));
    check_failure(
        folder.path(),
        "import no-such-file -o other",
        1,
        "No such file",
    );
}

/// Without an output, `symbolize` rewrites its file.
#[test]
fn a_file_of_another_tool_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dhat.json");
    std::fs::write(&path, bytes("dhat-rs.json")).unwrap();
    check_failure(
        folder.path(),
        "symbolize dhat.json",
        1,
        "`alloc-report import FILE` makes a snapshot of it",
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes("dhat-rs.json"));
    stdout(folder.path(), "symbolize dhat.json -o named.pb.gz");
}

/// Packs a file in another way, under a name that says nothing.
#[track_caller]
fn check_packed(folder: &Path, packed: &[u8]) {
    std::fs::write(folder.join("file"), packed).unwrap();
    let report = json(folder, "top file --by function");
    assert_eq!(report["total"]["bytes"], 13_119_703);
}

#[test]
fn files_are_recognised_packed_and_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = bytes("go-debug1.txt");
    let gzip = |text: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    };
    let zstd = |text: &[u8]| {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let (head, tail) = text.split_at(700);
    check_packed(folder.path(), &text);
    check_packed(folder.path(), &gzip(&text));
    check_packed(folder.path(), &zstd(&text));
    check_packed(folder.path(), &[gzip(head), gzip(tail)].concat());
    check_packed(folder.path(), &[zstd(head), zstd(tail)].concat());
    let crlf = String::from_utf8(text).unwrap().replace('\n', "\r\n");
    check_packed(folder.path(), crlf.as_bytes());

    // A profile in pprof's format may be packed by zstd too.
    stdout(folder.path(), "import file -o heap.pb.gz");
    let profile = std::fs::read(folder.path().join("heap.pb.gz")).unwrap();
    check_packed(folder.path(), &zstd(&profile));
}

#[test]
fn help_lists_what_is_read() {
    for arguments in ["top --help", "import --help"] {
        let help = stdout(&data(), arguments);
        for word in [
            "DHAT",
            "dhat-rs",
            "heaptrack",
            "heap_v2",
            "debug=1",
            "memray",
        ] {
            assert!(help.contains(word), "{word} in {arguments}");
        }
    }
}
