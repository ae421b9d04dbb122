//! Tables of labels: the tree, and the groups of `top` and `diff`.

use alloc_core::{Amount, Counters, Filter, GroupBy, Metric, Snapshot, Trace, Traceback};
use expect_test::expect;

fn trace(label: &str, bytes: u64, blocks: u64) -> Trace {
    let current = Amount::new(bytes, blocks);
    let counters = Counters {
        current,
        total: Amount::new(3 * bytes, 2 * blocks),
        ..Counters::default()
    };
    let trace = Trace::new(Traceback::new(vec![]), counters);
    match label {
        "" => trace,
        path => trace.with_label(path),
    }
}

fn service() -> Snapshot {
    let mut traces = vec![
        trace("GET /users > query", 40_000_000, 100_000),
        trace("GET /users > query > decode", 10_000_000, 50_000),
        trace("GET /users", 2_000_000, 1_000),
        trace("GET /users > render", 500_000, 200),
        trace("upload \u{1b}[31m", 30_000_000, 3),
        trace("", 1_000_000, 20_000),
    ];
    traces.extend((0..5).map(|task| trace(&format!("task {task}"), 1000 + task, 1)));
    Snapshot::from_traces(traces, 32)
}

#[test]
fn labels_stand_below_those_around_them() {
    expect![[r#"
        79.6 MiB in 171,208 live blocks, by label; at the peak 79.6 MiB

        #      size   share       own    count  label
        1  50.1 MiB   62.9%   1.9 MiB  151,200  GET /users
           47.7 MiB   59.9%  38.1 MiB  150,000    query
            9.5 MiB   12.0%   9.5 MiB   50,000      decode
            0.5 MiB    0.6%   0.5 MiB      200    render
        2  28.6 MiB   35.9%  28.6 MiB        3  upload \u{1b}[31m
        3   1.0 MiB    1.2%   1.0 MiB   20,000  <no label>
        4  <0.1 MiB   <0.1%  <0.1 MiB        1  task 4
           <0.1 MiB   <0.1%                  4  other (4 labels)
           79.6 MiB  100.0%            171,208  total"#]]
    .assert_eq(&alloc_report::tree(&service(), 4).to_string());
}

#[test]
fn a_tree_of_another_metric_and_of_a_part() {
    let users = service().filter_traces(&[Filter::include("*").label("GET /users*")]);
    expect![[r#"
        150 MiB in 302,400 blocks ever allocated, by label; now 50.1 MiB

        #       size   share        own    count  label
        1  150.2 MiB  100.0%    5.7 MiB  302,400  GET /users
           143.1 MiB   95.2%  114.4 MiB  300,000    query
            28.6 MiB   19.0%   28.6 MiB  100,000      decode
             1.4 MiB    1.0%                 400    other (1 label)
           150.2 MiB  100.0%             302,400  total

        note: filters removed 7 of 11 callsites"#]]
    .assert_eq(
        &alloc_report::tree(&users, 2)
            .metric(Metric::Total)
            .to_string(),
    );
}

#[test]
fn what_has_no_labels_says_how_to_enter_one() {
    let snapshot = Snapshot::from_traces(vec![trace("", 100, 1)], 32);
    expect![[r#"
        100 B in 1 live block, by label; at the peak 100 B

        #   size   share    own  count  label
        1  100 B  100.0%  100 B      1  <no label>
           100 B  100.0%             1  total

        note: nothing was allocated in a label: enter one with Label::enter, or add AllocLayer to the subscriber of tracing"#]].assert_eq(&alloc_report::tree(&snapshot, 10).to_string());
    expect![[r#"
        100 B in 1 live block, by label; at the peak 100 B

        #   size   share  count  average  label
        1  100 B  100.0%      1    100 B  <no label>
           100 B  100.0%      1    100 B  total

        note: nothing was allocated in a label: enter one with Label::enter, or add AllocLayer to the subscriber of tracing"#]].assert_eq(&alloc_report::top(&snapshot, 10).by(GroupBy::Label).to_string());
}

#[test]
fn a_difference_by_label() {
    let old = Snapshot::from_traces(vec![trace("GET /users > query", 30_000_000, 90_000)], 32);
    let new = service();
    let diff = alloc_report::diff(&new, &old, 2);
    expect![[r#"
        79.6 MiB (+51.0 MiB) in 171,208 live blocks (+81,208), by label; at the peak 79.6 MiB

        #      size     change    count   change       average  label
        1  28.6 MiB  +28.6 MiB        3       +3  10,000,000 B  upload \u{1b}[31m
        2  38.1 MiB   +9.5 MiB  100,000  +10,000         400 B  GET /users > query
           12.9 MiB  +12.9 MiB   71,205  +71,205         190 B  other (9 labels)
           79.6 MiB  +51.0 MiB  171,208  +81,208         488 B  total"#]]
    .assert_eq(&diff.by(GroupBy::Label).to_string());
}
