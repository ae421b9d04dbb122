//! Damaged and hostile files: each is refused with a message, or read.

use alloc_core::GroupBy;
use alloc_report::Graph;
use alloc_report::graph::builder::{Builder, frame, put, sample};
use alloc_report::graph::{Show, write_dot, write_heap_snapshot};

/// Asks everything, which must not panic.
fn ask(graph: &Graph) {
    let mut whole = String::new();
    for show in [
        Show::Summary,
        Show::Roots,
        Show::Retained(GroupBy::Crate),
        Show::Leaks,
        Show::Cycles,
        Show::Duplicates,
        Show::Counts,
    ] {
        whole += &graph.show(show, 5).to_string();
    }
    for block in graph.blocks() {
        let address = format!("{:#x}", graph.block(block).address);
        if let Ok(selected) = graph.select(&address) {
            whole += &graph.show(Show::Why(selected), 5).to_string();
        }
        whole += &graph.show(Show::Referrers(block), 5).to_string();
        whole += &graph.show(Show::Referents(block), 5).to_string();
    }
    whole += &graph.show_diff(graph, 5).to_string();
    write_dot(graph, 10, Vec::new()).unwrap();
    write_heap_snapshot(graph, Vec::new()).unwrap();
    assert!(!whole.is_empty());
    // Every block is below one root, or below several.
    let retained: u64 = graph.roots().iter().map(|it| it.retained.get()).sum();
    assert_eq!(graph.bytes(), retained + graph.shared().bytes.get());
}

/// Numbers from a seed: xorshift64*, by Vigna.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let file = sample().file();
    ask(&Graph::read(&file).unwrap());
    for end in 0..file.len() {
        let error = Graph::read(&file[..end]).expect_err("an error");
        assert!(error.is_invalid_file(), "{end}: {error}");
        assert!(
            error
                .to_string()
                .starts_with("expected a heap graph, found "),
            "{error}"
        );
    }
}

#[test]
fn a_damaged_file_is_refused_or_read() {
    let (file, mut random) = (sample().file(), Random(3));
    // The snapshot has a checksum of its own.
    let sections = sample().sections();
    let graph = sections.iter().take_while(|(tag, _)| *tag != b'S');
    let before_snapshot: usize = 8 + graph.map(|(_, it)| 5 + it.len()).sum::<usize>();
    let (mut refused, mut read) = (0, 0);
    for _ in 0..4000 {
        let mut damaged = file.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(before_snapshot as u64) as usize;
            damaged[at] = match random.below(3) {
                0 => damaged[at] ^ 1 << random.below(8),
                1 => random.below(256) as u8,
                _ => [0, 0x7F, 0x80, 0xFF][random.below(4) as usize],
            };
        }
        match Graph::read(&damaged) {
            Ok(graph) => {
                ask(&graph);
                read += 1;
            }
            Err(error) => {
                assert!(error.is_invalid_file(), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 500 && read > 500, "{refused} {read}");
}

/// The sample's file with the sections of one tag replaced; without it, if there is no payload.
fn with(tag: u8, payload: Option<&[u8]>) -> Vec<u8> {
    let mut file = b"HGRAPH\0\x01".to_vec();
    for (known, content) in sample().sections() {
        match (known == tag, payload) {
            (false, _) => frame(&mut file, known, &content),
            (true, Some(payload)) => frame(&mut file, tag, payload),
            (true, None) => {}
        }
    }
    file
}

fn numbers(all: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    all.iter().for_each(|it| put(&mut out, *it));
    out
}

#[track_caller]
fn check_refused(file: &[u8], message: &str) {
    let error = Graph::read(file).expect_err("an error").to_string();
    // The place depends on the sections before.
    let without_place = error.split(" at byte ").next().unwrap();
    assert_eq!(without_place, format!("expected a heap graph, {message}"));
}

#[test]
fn errors_say_what_was_expected_and_found() {
    check_refused(b"", "found an empty file");
    check_refused(b"HGRAPH\0", "found a file that starts with \"HGRAPH\\x00\"");
    check_refused(
        b"HGRAPH\0\x02rest",
        "found version 2 of the format, where this program knows version 1",
    );
    check_refused(
        b"\x1f\x8b\x08",
        "found a gzip'd file, as a snapshot is: alloc-report top FILE shows one",
    );
    check_refused(
        b"HGRAPH\0\x01",
        "found a truncated one: 8 bytes without the counts that end it",
    );
    check_refused(
        b"HGRAPH\0\x01I\x05\0\0\0\x01",
        "found the end of the file after 1 of 5 bytes of a frame",
    );
    check_refused(
        b"HGRAPH\0\x01I\x05",
        "found the end of the file within a frame's head",
    );
    check_refused(
        &with(b'N', Some(&numbers(&[1 << 33]))),
        "found 8589934592 for the number of blocks, where 0 bytes have room for 0",
    );
    let two = [2, 1, 1, 1, 0, 0];
    check_refused(
        &with(b'N', Some(&[&two[..], &[0, 1, 1, 0, 0]].concat())),
        "found the start of a block that is not behind the last one",
    );
    check_refused(
        &with(b'N', Some(&numbers(&[1, 1, 1 << 62, 1, 0, 0]))),
        "found blocks of more than 2^62 bytes",
    );
    check_refused(
        &with(b'N', Some(&numbers(&[1, 1, 1, 1, 0, 513]))),
        "found a group of 513 references, more than 512",
    );
    check_refused(
        &with(b'N', Some(&numbers(&[1, 1, 1, 1, 0, 1, 0, 2]))),
        "found a reference to none of the 1 blocks",
    );
    check_refused(
        &with(b'N', Some(&numbers(&[1, 1, 1, 1, 0, 0, 7]))),
        "found 1 bytes after the last block",
    );
    check_refused(
        &with(b'R', Some(&[7, 0, 0, 0, 0])),
        "found 7 for the kind of a root",
    );
    check_refused(
        &with(b'R', Some(&[1, 1, 0, 0, 0])),
        "found a root of none of the 1 modules",
    );
    check_refused(
        &with(b'R', Some(&[3, 1, 0, 0, 0])),
        "found a root of none of the 1 threads",
    );
    check_refused(
        &with(b'R', Some(&[5, 0, 0, 11, 0])),
        "found a root to none of the 11 blocks",
    );
    check_refused(
        &with(b'E', Some(&[11, 8, 3])),
        "found 2 roots where its end counts 3: it is truncated or damaged,",
    );
    check_refused(
        &with(b'E', None),
        &format!(
            "found a truncated one: {} bytes without the counts that end it",
            with(b'E', None).len()
        ),
    );
    let error = Graph::read(&with(b'S', Some(b"no profile"))).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("a damaged snapshot: expected a heap profile"),
        "{error}"
    );
}

#[test]
fn sections_that_are_missing_or_unknown_leave_the_rest_readable() {
    for tag in *b"ICSK" {
        ask(&Graph::read(&with(tag, None)).unwrap());
    }
    let mut file = sample().file();
    frame(&mut file, b'Z', b"of a later version");
    let graph = Graph::read(&file).unwrap();
    assert_eq!(graph.bytes(), 1402);
    // Without the snapshot, nothing has a name.
    let graph = Graph::read(&with(b'S', None)).unwrap();
    let first = graph.block(graph.blocks().next().unwrap());
    assert_eq!(first.to_string(), "<unknown> (84 B, <unknown>)");
    for show in [Show::Cycles, Show::Counts] {
        let text = graph.show(show, 10).to_string();
        assert!(text.starts_with("Not known: no type is\n"), "{text}");
    }
}

#[test]
fn a_graph_without_blocks_has_answers() {
    let graph = Graph::read(&Builder::default().file()).unwrap();
    ask(&graph);
    assert!(graph.roots().is_empty() && graph.leaks().is_empty());
}

#[test]
fn names_from_a_file_are_escaped() {
    let mut builder = Builder::default();
    let node = builder.callsite("Box<\u{1b}[31mred>", "app::f", "src/\u{7}.rs", 1);
    let main = builder.thread("ma\u{1b}in", &[]);
    let block = builder.block(node, 8);
    builder.root(3, main, builder.stack(main), block);
    let leaked = builder.block(node, 8);
    builder.modules[0].1 = "/lib/\u{1b}x".to_owned();
    builder.in_static(0x10, leaked);
    builder.block(node, 8);
    let graph = Graph::read(&builder.file()).unwrap();
    for show in [
        Show::Summary,
        Show::Leaks,
        Show::Retained(GroupBy::Type),
        Show::Why(graph.select("0x10000000").unwrap()),
    ] {
        let text = graph.show(show, 10).to_string();
        assert!(
            !text.contains(|it: char| it.is_control() && it != '\n'),
            "{text:?}"
        );
    }
}
