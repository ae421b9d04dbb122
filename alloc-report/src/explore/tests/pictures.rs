//! Pictures of the state, as text.

use alloc_core_snapshot::Snapshot;
use expect_test::expect;

use super::super::{Refreshed, explore};
use super::{explorer, snapshot, trace};
use crate::show::text;

#[test]
fn a_screen_of_the_usual_size() {
    expect![[r#"
        alloc-report
         now 1000 B  at the peak 1000 B  peaks 1000 B  total 10000 B
        Tab tree   g by line   f libraries folded   o sorted by size
              size   share               own stack
            1000 B  100.0% ██████            ▾ all
            1000 B  100.0% ██████            └─▾ shop::main  src/main.rs:2
             750 B   75.0% ████▌               ├─▾ shop::run  src/main.rs:5
             750 B   75.0% ████▌               │ └─▾ … hashbrown
             750 B   75.0% ████▌       750 B   │   └── Cache::fill  src/main.rs:9
             250 B   25.0% █▌                  └─▾ shop::run  src/main.rs:6
             250 B   25.0% █▌                    └─▾ … hashbrown
             250 B   25.0% █▌          250 B       └── shop::log  src/main.rs:20




        ── shop::Cache<K>::fill  src/main.rs:9 ─────────────────────────────────────────
          src/main.rs cannot be read here.



        q quit  ? help  / search  m metric  g group  Tab tree/table  f my code
    "#]]
    .assert_eq(&explorer().screen(80, 22));
}

#[test]
fn a_screen_of_forty_columns_and_ten_rows() {
    expect![[r#"
        alloc-report
         now 1000 B  m: others
              size   share stack
             750 B   75.0%   ├─▾ shop::run
             750 B   75.0%   │ └─▾ … hashbrown
             750 B   75.0%   │   └── Cache::fill
             250 B   25.0%   └─▾ shop::run
             250 B   25.0%     └─▾ … hashbrown
             250 B   25.0%       └── shop::log
        q quit  ? help  / search  m metric
    "#]]
    .assert_eq(&explorer().screen(40, 10));
}

#[test]
fn any_size_and_any_state_can_be_drawn() {
    let mut explorer = explore(snapshot(750)).compared_to(snapshot(100));
    explorer.state.set_live();
    let newer = Refreshed::Snapshot(Box::new(snapshot(800)));
    explorer.state.refresh(newer);
    for keys in ["", "#", "?", "x/fi", "~c", "ggg", "4", "f", "s"] {
        explorer.press(keys);
        for width in [1, 2, 7, 19, 23, 36, 60, 76, 100, 200] {
            for height in [1, 2, 3, 5, 9, 16, 20, 31] {
                let screen = explorer.screen(width, height);
                assert_eq!(screen.lines().count(), usize::from(height), "{screen}");
            }
        }
    }
    let mut nothing = explore(Snapshot::from_traces(vec![], 32));
    nothing.press("#ve><n/x!no");
    assert!(nothing.screen(80, 24).contains("this metric is zero"));
}

#[test]
fn hostile_names_break_no_screen() {
    let names = [
        "shop::\u{1b}[2J\u{7}evil",
        "shop::\u{202e}right\u{2066}to left",
        "shop::漢字漢字漢字漢字漢字漢字漢字漢字漢字",
        "shop::e\u{301}\u{301}\u{301}\u{200b}\u{feff}combined",
        "shop::🦀👩\u{200d}👩\u{200d}👧🏳\u{fe0f}flags",
        "",
    ];
    let long = format!("shop::{}", "Generic<".repeat(2000));
    let all = names.into_iter().chain([long.as_str()]);
    let traces = (1..)
        .zip(all)
        .map(|(line, name)| trace(("shop::run", line), (name, line), 100, 100));
    let mut explorer = explore(Snapshot::from_traces(traces.collect(), 32));
    for keys in ["", "#", "g", "#", "?", "x/漢", "~G"] {
        explorer.press(keys);
        for (width, height) in [(40, 10), (80, 24), (133, 50)] {
            let screen = explorer.screen(width, height);
            assert_eq!(screen.lines().count(), usize::from(height));
            for line in screen.lines() {
                assert!(text::width(line) <= width.into(), "{line:?}");
                let is_hostile = |c: char| {
                    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                assert!(!line.contains(is_hostile), "{line:?}");
            }
        }
    }
}
