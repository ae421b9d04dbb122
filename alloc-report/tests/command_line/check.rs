//! The command `check`.

use std::fs;
use std::path::Path;

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use expect_test::{Expect, expect};
use serde_json::json;

use crate::set_up::{folder, trace};
use crate::support::{check_failure, json as json_in, run, text};

/// Runs a check, which must end with this status and whole output.
#[track_caller]
fn check(folder: &Path, arguments: &str, status: i32, expected: Expect) {
    let output = run(folder, &format!("check {arguments}"));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(status));
    expected.assert_eq(text(&output.stdout));
}

#[test]
fn growth_beyond_the_limit_fails() {
    let folder = folder();
    check(
        folder.path(),
        "old new",
        3,
        expect![[r#"
        metric           old       new      growth         allowed  verdict
        peak         294 KiB  12.1 MiB    +4119.9%  2% or 64.0 KiB  grew beyond the limit
        allocations       26    198754  +764338.5%       2% or 100  grew beyond the limit

        What changed: held at the peak
           change       new  function
        +11.8 MiB  11.8 MiB  demo::fill
          +2048 B    2048 B  demo::index

        What changed: allocations
         change     new  function
        +198727  198747  demo::fill
             +4       4  demo::index
             -3       3  demo::load
    "#]],
    );
}

#[test]
fn failed_metrics_come_first_and_charge_the_chosen_line() {
    let folder = folder();
    let library = "/c/registry/src/i-1/serde_json-1.0.154/src/de.rs";
    for (name, blocks) in [("first", 10), ("second", 5000)] {
        let frames = vec![
            Frame::new(Some("serde_json::de::parse"), Some(library), 9, 0),
            Frame::new(Some("demo::load"), Some("src/load.rs"), 7, 0),
        ];
        let amount = Amount::new(blocks * 100, blocks);
        let counters = Counters {
            current: amount,
            total: amount,
            ..Counters::default()
        };
        let traces = vec![Trace::new(Traceback::new(frames), counters)];
        Snapshot::from_traces(traces, 32)
            .dump(folder.path().join(name))
            .unwrap();
    }
    let arguments =
        "first second --charge workspace --metric current,allocations --max-growth current=1MiB";
    check(
        folder.path(),
        arguments,
        3,
        expect![[r#"
        metric          old      new     growth    allowed  verdict
        current      1000 B  488 KiB  +49900.0%   1024 KiB  ok
        allocations      10     5000  +49900.0%  2% or 100  grew beyond the limit

        What changed: allocations
        change   new  function
         +4990  5000  demo::load

        What changed: held at the end
          change      new  function
        +487 KiB  488 KiB  demo::load
    "#]],
    );
}

#[test]
fn an_unchanged_and_a_smaller_metric_pass() {
    let folder = folder();
    check(
        folder.path(),
        "new new",
        0,
        expect![[r#"
        metric            old       new     growth         allowed  verdict
        peak         12.1 MiB  12.1 MiB  unchanged  2% or 64.0 KiB  ok
        allocations    198754    198754  unchanged       2% or 100  ok
    "#]],
    );
    let arguments = "new old --metric current,allocated";
    check(
        folder.path(),
        arguments,
        0,
        expect![[r#"
        metric          old      new  growth         allowed  verdict
        current    11.9 MiB  294 KiB  -97.6%  2% or 64.0 KiB  better
        allocated  24.0 MiB  588 KiB  -97.6%  2% or 64.0 KiB  better

        What changed: held at the end
           change      new  function
         +293 KiB  293 KiB  demo::load
          -2048 B      0 B  demo::index
        -11.9 MiB   1000 B  demo::fill

        What changed: allocated
           change      new  function
         +293 KiB  586 KiB  demo::load
          -4096 B      0 B  demo::index
        -23.7 MiB   2000 B  demo::fill
    "#]],
    );
}

#[test]
fn a_limit_just_above_the_growth_passes_and_one_just_below_fails() {
    let folder = folder();
    let check = |growth: &str, status, expected| {
        let arguments = format!("old new --metric peak -n 0 --max-growth {growth}");
        check(folder.path(), &arguments, status, expected);
    };
    check(
        "4121%",
        0,
        expect![[r#"
        metric      old       new    growth  allowed  verdict
        peak    294 KiB  12.1 MiB  +4119.9%    4121%  ok
    "#]],
    );
    check(
        "4119%",
        3,
        expect![[r#"
        metric      old       new    growth  allowed  verdict
        peak    294 KiB  12.1 MiB  +4119.9%    4119%  grew beyond the limit
    "#]],
    );
}

#[test]
fn a_wrong_limit_is_refused() {
    let folder = folder();
    for limit in ["much", "5", "peak=5", "heap=5%"] {
        check_failure(
            folder.path(),
            &format!("check old new --max-growth {limit}"),
            2,
            "expected a percentage such as 5%, or a metric with a percentage or an amount",
        );
    }
}

#[test]
fn each_metric_has_its_own_limit() {
    let folder = folder();
    let limits = "peak=12MiB,allocations=198728,allocated=50%,current=0";
    let arguments = format!("old new --max-growth {limits} -n 0");
    check(
        folder.path(),
        &arguments,
        3,
        expect![[r#"
        metric           old       new      growth   allowed  verdict
        peak         294 KiB  12.1 MiB    +4119.9%  12.0 MiB  ok
        allocations       26    198754  +764338.5%    198728  ok
        allocated    588 KiB  24.0 MiB    +4087.4%       50%  grew beyond the limit
        current      294 KiB  11.9 MiB    +4054.9%        0%  grew beyond the limit
    "#]],
    );
}

#[test]
fn a_report_for_a_pull_request_is_markdown() {
    let folder = folder();
    let arguments = "old new --metric allocations --format markdown -n 1";
    check(
        folder.path(),
        arguments,
        3,
        expect![[r#"
        ### Memory

        | metric | old | new | growth | allowed | verdict |
        | --- | ---: | ---: | ---: | ---: | --- |
        | allocations | 26 | 198754 | +764338.5% | 2% or 100 | grew beyond the limit |

        <details><summary>What changed: allocations</summary>

        | change | new | function |
        | ---: | ---: | --- |
        | +198727 | 198747 | demo::fill |
        | -3 | 3 | demo::load |

        </details>
    "#]],
    );
}

#[test]
fn a_report_for_programs_is_an_object() {
    let folder = folder();
    let arguments = "check old new --max-growth peak=20MiB --metric peak -n 1";
    let report = json_in(folder.path(), arguments);
    let (old, new) = (301_000_u64, 12_702_048_u64);
    assert_eq!(
        report,
        json!({
            "report": "check",
            "passed": true,
            "by": "function",
            "old": "old",
            "new": "new",
            "metrics": [{
                "metric": "peak",
                "unit": "bytes",
                "old": old,
                "new": new,
                "growth_percent": (new as f64 / old as f64 - 1.0) * 100.0,
                "most": old + (20 << 20),
                "passed": true,
                "changes": [{ "change": 12_399_000, "new": 12_400_000, "name": "demo::fill" }],
            }],
            "notes": [],
        })
    );
}

/// Without a limit, the variation that threads cause from run to run is tolerated.
#[test]
fn noise_passes_unless_the_limit_is_0() {
    let folder = folder();
    write(folder.path(), "before", (10_000_000, 50_000));
    write(folder.path(), "after", (10_150_000, 50_400));
    check(
        folder.path(),
        "before after",
        0,
        expect![[r#"
        metric            old       new  growth         allowed  verdict
        peak         9766 KiB  9912 KiB   +1.5%  2% or 64.0 KiB  ok
        allocations    100000    100800   +0.8%       2% or 100  ok

        What changed: held at the peak
          change       new  function
        +146 KiB  9912 KiB  demo::serve

        What changed: allocations
        change     new  function
          +800  100800  demo::serve
    "#]],
    );
    let strict = "before after --max-growth 0 -n 0";
    check(
        folder.path(),
        strict,
        3,
        expect![[r#"
        metric            old       new  growth  allowed  verdict
        peak         9766 KiB  9912 KiB   +1.5%       0%  grew beyond the limit
        allocations    100000    100800   +0.8%       0%  grew beyond the limit
    "#]],
    );
}

#[test]
fn notes_say_what_cannot_be_compared() {
    let folder = folder();
    write(folder.path(), "before", (10_000_000, 50_000));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    fs::copy(data.join("go-new.pb.gz"), folder.path().join("go")).unwrap();
    check(
        folder.path(),
        "go before --metric peak -n 1",
        3,
        expect![[r#"
            metric       old       new  growth         allowed  verdict
            peak    5073 KiB  9766 KiB  +92.5%  2% or 64.0 KiB  grew beyond the limit

            What changed: held at the peak
               change       new  function
            +9766 KiB  9766 KiB  demo::serve

            note: in the older snapshot: the file does not contain live memory at the peak
        "#]],
    );
}

/// Writes a snapshot of one callsite with this amount.
fn write(folder: &Path, name: &str, amount: (u64, u64)) {
    let traces = vec![trace("demo::serve", "src/serve.rs", 7, amount, amount)];
    let snapshot = Snapshot::from_traces(traces, 32);
    snapshot.dump(folder.join(name)).unwrap();
}
