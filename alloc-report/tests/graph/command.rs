//! The command `graph`, as people run it.

use std::fs;

use alloc_report::graph::builder::sample;
use expect_test::{Expect, expect};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{self, check_failure, stdout};

/// A folder with the sample, and with a later graph in which the cache has grown.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), sample().file()).unwrap();
    let mut later = sample();
    let node = later.block(2, 64);
    later.counts(node, 1, 1);
    later.edge(0, 5, node);
    fs::write(folder.path().join("new"), later.file()).unwrap();
    folder
}

#[track_caller]
fn check(arguments: &str, expected: Expect) {
    let folder = folder();
    support::check(folder.path(), arguments, expected);
}

#[test]
fn the_summary_answers_most_questions() {
    check(
        "graph old",
        expect![[r#"
            a program (process 4711): 1402 B in 11 live blocks, 8 references between them, 1 thread

            What would be free without each root

            #  retained   share  blocks  root
            1     800 B   57.1%       1  the stack of main -> Vec<u64> (src/main.rs:7)
            2     412 B   29.4%       5  static program+0x1000 -> HashMap<u64, Rc<Node>> (src/cache.rs:41)
            3     190 B   13.6%       5  nothing: leaked
                1,402 B  100.0%      11  total

             size  share  blocks  reached by
            412 B  29.4%       5  statics
            800 B  57.1%       1  stacks
            190 B  13.6%       5  nothing: leaked

            leaks:      190 B in 2 trees, the most of Rc<Parent> (src/family.rs:20): 120 B
            cycles:     1 cycle of 120 B, 1 for certain: Rc<Parent> -> Vec<Rc<Child>> -> Rc<Child> -> Rc<Parent>
            counts:     the references found explain those of every Rc and Arc
            duplicates: 100 B in equal contents, 100 B of them in 2 blocks of 100 B
        "#]],
    );
}

#[test]
fn roots_and_types_show_what_they_retain() {
    check(
        "graph old roots -n 1",
        expect![[r#"
            What would be free without each root

            #  retained   share  blocks  root
            1     800 B   57.1%       1  the stack of main -> Vec<u64> (src/main.rs:7)
                  602 B   42.9%      10  other (2 roots)
                1,402 B  100.0%      11  total
        "#]],
    );
    check(
        "graph old retained --by type -n 4",
        expect![[r#"
        What would be free without the blocks of each type, of 1402 B

        #  retained  share  own size  blocks  type
        1     800 B  57.1%     800 B       1  Vec<u64>
        2     412 B  29.4%      84 B       1  HashMap<u64, Rc<Node>>
        3     328 B  23.4%     128 B       2  Rc<Node>
        4     230 B  16.4%     230 B       3  String
                               160 B       4  other (4)
    "#]],
    );
    check(
        "graph old retained --by crate",
        expect![[r#"
        What would be free without the blocks of each crate, of 1402 B

        #  retained   share  own size  blocks  crate
        1   1,402 B  100.0%   1,402 B      11  app
    "#]],
    );
}

#[test]
fn leaks_cycles_and_counts_are_listed() {
    check(
        "graph old leaks",
        expect![[r#"
        190 B in 2 trees are reached by nothing

        #   size  trees  how sure         the largest  the head of each tree
        1  120 B      1   certain  cycle   0x100005b0  Rc<Parent> (src/family.rs:20)
        2   70 B      1    likely          0x10000540  Box<Config> (src/config.rs:12)
    "#]],
    );
    check(
        "graph old cycles",
        expect![[r#"
            1 cycle keeps 120 B alive

            Rc<Parent> -> Vec<Rc<Child>> -> Rc<Child> -> Rc<Parent>
              120 B, certain: it explains its own counts, so nobody else owns it
              0x100005b0  Rc<Parent> (src/family.rs:20)
              0x100005f0  Vec<Rc<Child>> (src/family.rs:21)
              0x10000620  Rc<Child> (src/family.rs:22)
        "#]],
    );
    check(
        "graph old counts",
        expect![[r#"
        The references found explain the counts of every Rc and Arc
    "#]],
    );
    check(
        "graph old duplicates",
        expect![[r#"
        100 B would be saved if equal contents were held once

        100 B wasted: 2 times 100 B, such as 0x100000c0
             2  String (src/cache.rs:53)
    "#]],
    );
    check(
        "graph old spare",
        expect![[r#"
        24 B of 32 B in vectors and strings are not used

        #  spare  held  share  blocks  for example  type
        1   24 B  32 B  75.0%       1   0x100005f0  Vec<Rc<Child>> (src/family.rs:21)
    "#]],
    );
}

#[test]
fn why_shows_holders_and_paths() {
    check(
        "graph old why Rc<Node>",
        expect![[r#"
        128 B in 2 blocks

         size   share  blocks  held by
        128 B  100.0%       2  static program+0x1000

        The one that retains the most:

        Rc<Node> (64 B, src/cache.rs:52) at 0x10000070 is reached by roots
        It counts 1 strong and 0 weak; 1 reference was found
        It retains 164 B; all that it leads to has 164 B

        It would be free without any one of
          static program+0x1000  retains 412 B
          HashMap<u64, Rc<Node>> (84 B, src/cache.rs:41)  retains 412 B

        A shortest path
          static program+0x1000
          -> HashMap<u64, Rc<Node>> (84 B, src/cache.rs:41)  at 0x401000 to +64
          -> Rc<Node> (64 B, src/cache.rs:52)  at +8
    "#]],
    );
    check(
        "graph old why src/config.rs:12",
        expect![[r#"
        Box<Config> (40 B, src/config.rs:12) at 0x10000540 is reached by nothing
        It retains 70 B; all that it leads to has 70 B

        It is the head of a leak, or a part of a cycle
    "#]],
    );
    check(
        "graph old why 0x10000300",
        expect![[r#"
        Vec<u64> (800 B, src/main.rs:7) at 0x10000210 is reached by roots
        It retains 800 B; all that it leads to has 800 B

        It would be free without any one of
          the stack of main  retains 800 B

        A shortest path
          the stack of main
          -> Vec<u64> (800 B, src/main.rs:7)  at 0x70000180
    "#]],
    );
}

#[test]
fn neighbours_are_listed() {
    check(
        "graph old referrers Rc<Parent>",
        expect![[r#"
        1 reference to Rc<Parent> (48 B, src/family.rs:20) at 0x100005b0

                in   at  to    block or root
        0x10000620  +16  +0    Rc<Child> (40 B, src/family.rs:22)
    "#]],
    );
    check(
        "graph old referents HashMap<u64,Rc<Node>>",
        expect![[r#"
        HashMap<u64, Rc<Node>> (84 B, src/cache.rs:41) at 0x10000000 has 2 references

                in   at  to    block or root
        0x10000000   +8  +0    Rc<Node> (64 B, src/cache.rs:52)
        0x10000000  +24  +0    Rc<Node> (64 B, src/cache.rs:52)
    "#]],
    );
    check(
        "graph old referrers Box<Config>",
        expect![[r#"
        Nothing that was found points to Box<Config> (40 B, src/config.rs:12) at 0x10000540
    "#]],
    );
}

#[test]
fn a_difference_shows_what_grew() {
    check(
        "graph diff old new",
        expect![[r#"
        1402 B became 1466 B in 12 blocks

        Roots that changed

        #  change   size  blocks  change         root
        1   +64 B  476 B       6      +1  grown  static program+0x1000

        Blocks that changed

        #  change   size  blocks  change         type and line
        1   +64 B  192 B       3      +1  grown  Rc<Node> (src/cache.rs:52), held by static program+0x1000
    "#]],
    );
    check(
        "graph diff old old",
        expect![[r#"
        nothing changed: 1402 B in 11 blocks
    "#]],
    );
}

#[test]
fn programs_get_json() {
    let folder = folder();
    let json = |arguments: &str| support::json(folder.path(), arguments);
    let summary = json("graph old");
    assert_eq!(summary["report"], "graph");
    assert_eq!(summary["graph"]["bytes"], 1402);
    assert_eq!(summary["roots"]["rows"][0]["retained_bytes"], 800);
    assert_eq!(summary["leaks"]["total"], 2);
    let cycles = json("graph old cycles");
    assert_eq!(cycles["rows"][0]["certainty"], "certain");
    assert_eq!(cycles["rows"][0]["blocks"][0]["type"], "Rc<Parent>");
    let why = json("graph old why Rc<Node>");
    assert_eq!(why["total"], 2);
    assert_eq!(why["why"]["chain"][0]["root"], "static program+0x1000");
    assert_eq!(
        why["why"]["counts"],
        json!({"strong": 1, "weak": 0, "found": 1})
    );
    let referrers = json("graph old referrers Rc<Parent>");
    assert_eq!(referrers["rows"][0]["from"]["block"]["type"], "Rc<Child>");
    let diff = json("graph diff old new");
    assert_eq!(diff["blocks"]["rows"][0]["bytes_diff"], 64);
    assert_eq!(
        diff["blocks"]["rows"][0]["held_by"],
        "static program+0x1000"
    );
    for report in [
        "roots",
        "retained",
        "leaks",
        "counts",
        "duplicates",
        "spare",
    ] {
        let list = json(&format!("graph old {report} -n 1"));
        assert_eq!(list["report"], format!("graph-{report}"));
        assert!(list["rows"].as_array().unwrap().len() <= 1);
    }
}

#[test]
fn other_programs_get_files() {
    let folder = folder();
    let written = stdout(
        folder.path(),
        "graph old --to heapsnapshot -o app.heapsnapshot",
    );
    assert_eq!(written, "Written to app.heapsnapshot\n");
    let text = fs::read_to_string(folder.path().join("app.heapsnapshot")).unwrap();
    assert!(text.starts_with("{\"snapshot\""));
    let message = "--force replaces it";
    check_failure(
        folder.path(),
        "graph old --to dot -o app.heapsnapshot",
        1,
        message,
    );
    let picture = stdout(folder.path(), "graph old --to dot -o -");
    assert!(picture.starts_with("digraph heap {"));
}

/// What the page shows is tested in a browser.
#[test]
fn a_graph_becomes_a_page_by_either_command() {
    let folder = folder();
    let folder = folder.path();
    let page = stdout(folder, "graph old --to html -o -");
    assert!(page.starts_with("<!doctype html>"), "{page}");
    assert_eq!(stdout(folder, "html old -o -"), page);
    assert_eq!(stdout(folder, "html old"), "Written to report.html\n");
    let titled = stdout(folder, "html old -o - --title <a&b>");
    assert!(titled.contains("<h1 id=\"title\">&lt;a&amp;b&gt;</h1>"));
    for (arguments, found) in [
        ("html old new", "an older file"),
        ("html old --sort peak", "--sort"),
        ("html old --include a.rs", "--include"),
        ("html old --exclude a.rs", "--exclude"),
    ] {
        let message = format!("expected a heap graph alone, found {found}");
        check_failure(folder, &format!("{arguments} -o -"), 1, &message);
    }
}

#[test]
fn errors_say_what_to_do() {
    let folder = folder();
    fs::write(folder.path().join("other"), "something else").unwrap();
    for (arguments, status, message) in [
        ("graph", 2, "<FILE>"),
        (
            "graph missing",
            1,
            "cannot read the heap graph missing: No such file",
        ),
        (
            "graph other",
            1,
            "cannot read the heap graph other: expected a heap graph, found a file that starts with",
        ),
        (
            "graph old why Nothing",
            1,
            "no live block is of Nothing: expected an address such as",
        ),
        ("graph old why 0x1", 1, "no live block contains 0x1"),
        (
            "graph old why 0xyz",
            1,
            "expected an address such as 0x7f12a0, found 0xyz",
        ),
        ("graph why Node", 1, "expected a file before the question"),
        ("graph old diff old new", 1, "expected graph diff OLD NEW"),
        ("graph old --to dot", 2, "--output <OUT>"),
        ("graph old leaks --to dot", 2, "unexpected argument"),
        ("graph old retained --by colour", 2, "found \"colour\""),
    ] {
        check_failure(folder.path(), arguments, status, message);
    }
}
