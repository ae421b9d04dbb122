//! `--include` and `--exclude`.

use expect_test::expect;
use serde_json::json;

use crate::set_up::{check, check_json, folder};
use crate::support::{check_error, run, stdout};

#[test]
fn filters_keep_and_drop() {
    check(
        "top new --include cache.rs",
        expect![[r#"
            11.9 MiB in 99,747 live blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
               11.9 MiB  100.0%  99,747    125 B  total

            note: filters removed 2 of 4 callsites
        "#]],
    );
    check(
        "top new --include cache.rs:41 --include src/i*.rs",
        expect![[r#"
            11.9 MiB in 99,748 live blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs:5
               11.9 MiB  100.0%  99,748    125 B  total

            note: filters removed 2 of 4 callsites
        "#]],
    );
    check(
        "top new --exclude function=demo::fill,line=41 --sort total",
        expect![[r#"
            301 KiB in 8 blocks ever allocated, by line; now 6144 B

            #       size   share  count    average  line
            1  293.0 KiB   97.3%      3  100,000 B  src/load.rs:7
            2    4.0 KiB    1.3%      4    1,024 B  src/index.rs:5
            3    4.0 KiB    1.3%      1    4,096 B  src/cache.rs:52
               301.0 KiB  100.0%      8   38,524 B  total

            note: filters removed 1 of 4 callsites
        "#]],
    );
    check(
        "top new --include main.rs:3 --exclude load.rs --all-frames",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
            3  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs:5
               11.9 MiB  100.0%  99,749    125 B  total

            note: filters removed 1 of 4 callsites
        "#]],
    );
    check_json("top new --exclude cache.rs --all-frames", |report| {
        assert_eq!(
            (&report["exclude"], &report["all_frames"]),
            (&json!(["cache.rs"]), &json!(true))
        );
        assert_eq!(report["notes"], json!(["filters removed 2 of 4 callsites"]));
    });
}

#[test]
fn filters_that_leave_nothing_suggest_names() {
    let folder = folder();
    let check = |arguments, message| check_error(folder.path(), arguments, message);
    check(
        "top new --include function=demo::lod",
        "no callsite matches --include function=demo::lod; did you mean: demo::load",
    );
    check(
        "top new --include cash.rs:41 --format json",
        "no callsite matches --include cash.rs:41; did you mean: src/cache.rs",
    );
    check(
        "top new --include crate=serde_json,line=7",
        "no callsite matches --include crate=serde_json,line=7; the largest allocators are: demo",
    );
    check(
        "top new --include thread=worker-*",
        "no callsite matches --include thread=worker-*; threads were not recorded: trace \
         with ALLOC_TRACE_THREADS=1 or Config::threads(true)",
    );
    check(
        "top new --include function=main",
        "no callsite matches --include function=main; outer frames of stacks do: add --all-frames",
    );
    check(
        "top new --include a.rs --include b.rs",
        "no callsite matches any of the 2 --include options; the largest allocators are: src/cache.rs, \
         src/load.rs, src/index.rs",
    );
    // Each condition matches alone, but not both.
    check(
        "top new --include cache.rs,function=load",
        "no callsite matches --include cache.rs,function=load",
    );
    check(
        "top new --include cache.rs --exclude function=fill",
        "no callsite matches --include cache.rs and remains after --exclude",
    );
    check(
        "diff old new --exclude crate=demo",
        "--exclude crate=demo leaves no callsite",
    );
    // One of the two snapshots may be empty.
    stdout(folder.path(), "diff old new --include index.rs");
}

#[test]
fn include_and_annotate_match_functions_alike() {
    let folder = folder();
    for (name, matches) in [
        ("fill", true),
        ("demo::fill", true),
        ("demo::f*", true),
        ("fil", false),
        ("f*", false),
    ] {
        for command in ["top new --include function=", "annotate new --function "] {
            let output = run(folder.path(), &format!("{command}{name}"));
            assert_eq!(
                output.status.success(),
                matches,
                "{command}{name}: {output:?}"
            );
        }
    }
}
