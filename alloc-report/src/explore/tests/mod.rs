//! The state, driven by keys without a terminal.

mod pictures;

use alloc_core_snapshot::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use expect_test::{Expect, expect};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::Action;
use super::state::Live;
use super::{Explorer, Refreshed, explore};

const LIBRARY: &str = "/c/registry/src/i-1/hashbrown-0.15.2/src/lib.rs";
const STD: &str = "/rustc/59807616e/library/alloc/src/vec/mod.rs";

/// A stack from `main` through `outer` and a library to `inner`.
fn trace(outer: (&str, u32), inner: (&str, u32), now: u64, total: u64) -> Trace {
    let mine = |(function, line)| Frame::new(Some(function), Some("src/main.rs"), line, 5);
    let frames = vec![
        Frame::new(Some("alloc::vec::Vec<T,A>::push"), Some(STD), 9, 5),
        mine(inner),
        Frame::new(Some("hashbrown::map::entry"), Some(LIBRARY), 7, 5),
        Frame::new(Some("hashbrown::map::insert"), Some(LIBRARY), 8, 5),
        mine(outer),
        mine(("shop::main", 2)),
    ];
    let amount = Amount::new(now, now / 10);
    let counters = Counters {
        current: amount,
        peak: amount,
        at_peak: amount,
        total: Amount::new(total, total / 10),
        reallocations: 0,
        ..Counters::default()
    };
    Trace::new(Traceback::new(frames), counters).with_thread("worker-1")
}

fn snapshot(cache: u64) -> Snapshot {
    let traces = vec![
        trace(("shop::run", 5), ("shop::Cache<K>::fill", 9), cache, 1000),
        trace(("shop::run", 6), ("shop::log", 20), 250, 9000),
    ];
    Snapshot::from_traces(traces, 32)
}

fn explorer() -> Explorer {
    explore(snapshot(750))
}

impl Explorer {
    /// Presses keys: a character is itself, `>` is Right, `<` is Left, `^` is Up, `v` is Down, `#` is
    /// Tab, `!` is Enter, `~` is Escape.
    fn press(&mut self, keys: &str) -> Action {
        let mut action = Action::None;
        for key in keys.chars() {
            let code = match key {
                '>' => KeyCode::Right,
                '<' => KeyCode::Left,
                '^' => KeyCode::Up,
                'v' => KeyCode::Down,
                '#' => KeyCode::Tab,
                '!' => KeyCode::Enter,
                '~' => KeyCode::Esc,
                key => KeyCode::Char(key),
            };
            action = self.state.press(KeyEvent::new(code, KeyModifiers::NONE));
        }
        action
    }

    /// The names of the rows, indented, with their bytes; the selected one is marked.
    fn rows(&self) -> String {
        let rows = self.state.rows.iter().enumerate();
        let rows = rows.map(|(at, row)| {
            let mark = if at == self.state.selected { ">" } else { " " };
            let indent = "  ".repeat(row.depth);
            format!("{mark}{:>6} {indent}{}\n", row.value.bytes, row.name)
        });
        rows.collect()
    }
}

#[track_caller]
fn check(keys: &str, expected: Expect) {
    let mut explorer = explorer();
    explorer.press(keys);
    expected.assert_eq(&explorer.rows());
}

#[test]
fn the_large_branches_are_open_and_the_largest_is_selected() {
    check(
        "",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
                750       … hashbrown
            >   750         Cache::fill
                250     shop::run
                250       … hashbrown
                250         shop::log
        "#]],
    );
}

#[test]
fn branches_open_and_close() {
    check(
        "<<",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
            >   750       … hashbrown
                250     shop::run
                250       … hashbrown
                250         shop::log
        "#]],
    );
    check(
        "c",
        expect![[r#"
            >  1000 all
               1000   shop::main
        "#]],
    );
    check(
        "cv!",
        expect![[r#"
               1000 all
            >  1000   shop::main
                750     shop::run
                250     shop::run
        "#]],
    );
    check(
        "cve",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
                750       … hashbrown
            >   750         Cache::fill
                250     shop::run
        "#]],
    );
    // Nothing is in front of the first row, or below a leaf.
    check(
        "c<<^^>>>>>>>>",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
                750       … hashbrown
            >   750         Cache::fill
                250     shop::run
        "#]],
    );
}

#[test]
fn the_metric_and_the_order_change_what_is_first() {
    check(
        "4",
        expect![[r#"
              10000 all
              10000   shop::main
               9000     shop::run
               9000       … hashbrown
               9000         shop::log
               1000     shop::run
               1000       … hashbrown
            >  1000         Cache::fill
        "#]],
    );
    check(
        "#",
        expect![[r#"
            >   750 src/main.rs:9
                250 src/main.rs:20
        "#]],
    );
    check(
        "#ooo",
        expect![[r#"
                250 src/main.rs:20
            >   750 src/main.rs:9
        "#]],
    );
}

#[test]
fn rows_are_grouped_and_filtered() {
    check(
        "#g",
        expect![[r#"
            >   750 Cache::fill
                250 shop::log
        "#]],
    );
    check(
        "ggg",
        expect![[r#"
               1000 all
               1000   shop
               1000     hashbrown 0.15.2
            >  1000       shop
        "#]],
    );
    check(
        "gggg",
        expect![[r#"
               1000 all
               1000   worker-1
               1000     shop::main
                750       shop::run
                750         … hashbrown
            >   750           Cache::fill
                250       shop::run
                250         … hashbrown
                250           shop::log
        "#]],
    );
    check(
        "f",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
            >   750       Cache::fill
                250     shop::run
                250       shop::log
        "#]],
    );
    check(
        "gff",
        expect![[r#"
               1000 all
               1000   shop::main
               1000     shop::run
               1000       map::insert
               1000         map::entry
                750           Cache::fill
            >   750             Vec::push
                250           shop::log
                250             Vec::push
        "#]],
    );
}

#[test]
fn a_search_opens_what_it_finds() {
    check(
        "c/LOG",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
                250     shop::run
                250       … hashbrown
            >   250         shop::log
        "#]],
    );
    // The next match, and the first again.
    check(
        "c/shop::run!n",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
            >   250     shop::run
        "#]],
    );
    check(
        "c/shop::run!nn",
        expect![[r#"
               1000 all
               1000   shop::main
            >   750     shop::run
                250     shop::run
        "#]],
    );
    check(
        "c/shop::run!N",
        expect![[r#"
               1000 all
               1000   shop::main
                750     shop::run
            >   250     shop::run
        "#]],
    );
    let mut explorer = explorer();
    explorer.press("/nothing");
    let message = explorer.state.message.as_deref();
    assert_eq!(message, Some("no match for nothing"));
    explorer.press("~");
    assert_eq!(explorer.state.message, None);
    // In a table of lines, the name of the function counts as well.
    explorer.press("#/log");
    assert_eq!(explorer.state.selected, 1);
}

#[test]
fn growth_is_what_changed_since_the_older_snapshot() {
    let mut explorer = explore(snapshot(750)).compared_to(snapshot(100));
    explorer.press("");
    expect![[r#"
            650 all
            650   shop::main
            650     shop::run
            650       … hashbrown
        >   650         Cache::fill
    "#]]
    .assert_eq(&explorer.rows());
    let mut shrunk = explore(snapshot(100)).compared_to(snapshot(750));
    shrunk.press("#");
    assert_eq!(shrunk.rows(), ">  -650 src/main.rs:9\n");
    assert!(shrunk.screen(80, 20).contains("-650 B"));
}

#[test]
fn a_refresh_keeps_what_is_open_and_selected() {
    let every = std::time::Duration::from_secs(1);
    let mut explorer = explore(snapshot(100)).refreshed(every, || Refreshed::Unchanged);
    explorer.press("c/fill!");
    let refresh = |explorer: &mut Explorer, cache| {
        let newer = Refreshed::Snapshot(Box::new(snapshot(cache)));
        explorer.state.refresh(newer);
    };
    refresh(&mut explorer, 900);
    expect![[r#"
           1150 all
           1150   shop::main
            900     shop::run
            900       … hashbrown
        >   900         Cache::fill
            250     shop::run
    "#]]
    .assert_eq(&explorer.rows());
    let recent = |explorer: &Explorer| -> Vec<i64> {
        explorer
            .state
            .rows
            .iter()
            .map(|it| it.recent.bytes)
            .collect()
    };
    assert_eq!(recent(&explorer), [800, 800, 800, 800, 800, 0]);
    refresh(&mut explorer, 850);
    assert_eq!(recent(&explorer), [-50, -50, -50, -50, -50, 0]);
    explorer.press("5");
    assert_eq!(explorer.state.rows[0].value.bytes, 750);
    // A snapshot that comes while it is paused is left out.
    explorer.press(" ");
    refresh(&mut explorer, 7);
    assert_eq!(explorer.state.rows[0].value.bytes, 750);
    explorer.press(" ");
    let failed = "cannot get it".to_owned();
    explorer.state.refresh(Refreshed::Failed(failed));
    assert!(explorer.screen(80, 20).contains("cannot get it"));
    let ended = "shop has ended: this is its last state".to_owned();
    explorer.state.refresh(Refreshed::Ended(ended));
    assert_eq!(explorer.state.live, Live::Ended);
    let screen = explorer.screen(80, 20);
    assert!(
        screen.contains("■ ended") && screen.contains("its last state"),
        "{screen}"
    );
    assert_eq!(explorer.state.data.history.len(), 3);
}

#[test]
fn keys_end_stop_and_refresh() {
    let mut explorer = explorer();
    assert_eq!(explorer.press("r"), Action::None);
    explorer.state.set_live();
    assert_eq!(explorer.press("r"), Action::Refresh);
    assert_eq!(explorer.press("/q"), Action::None);
    assert_eq!(explorer.press("~q"), Action::Quit);
    let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
    explorer.press("/");
    assert_eq!(explorer.state.press(control('c')), Action::Quit);
    assert_eq!(explorer.state.press(control('z')), Action::Suspend);
}

#[test]
fn the_selected_row_stays_visible() {
    let traces = (0..200).map(|at| {
        trace(
            ("shop::run", 5),
            ("shop::f", at + 1),
            1000 - u64::from(at),
            1,
        )
    });
    let mut explorer = explore(Snapshot::from_traces(traces.collect(), 32));
    explorer.press("#");
    explorer.state.set_room(10);
    for (keys, selected, top) in [
        ("", 0, 0),
        ("vvvvvvvvv", 9, 0),
        ("v", 10, 1),
        ("^^^", 7, 1),
        ("^^^^^^^^^", 0, 0),
    ] {
        explorer.press(keys);
        assert_eq!(
            (explorer.state.selected, explorer.state.top),
            (selected, top)
        );
    }
    let press = |explorer: &mut Explorer, code| {
        explorer
            .state
            .press(KeyEvent::new(code, KeyModifiers::NONE));
        (explorer.state.selected, explorer.state.top)
    };
    assert_eq!(press(&mut explorer, KeyCode::PageDown), (10, 1));
    assert_eq!(press(&mut explorer, KeyCode::End), (199, 190));
    assert_eq!(press(&mut explorer, KeyCode::PageUp), (189, 189));
    assert_eq!(press(&mut explorer, KeyCode::Home), (0, 0));
    press(&mut explorer, KeyCode::End);
    // A larger screen is filled.
    explorer.state.set_room(50);
    assert_eq!(explorer.state.top, 150);
}

#[test]
fn the_rows_of_the_tree_and_of_the_table_add_up() {
    let traces = (0..500_u32).map(|at| {
        let outer = format!("shop::outer{}", at % 7);
        let inner = format!("shop::inner{}", at % 31);
        trace(
            (&outer, at % 7 + 1),
            (&inner, at % 31 + 1),
            u64::from(at) * 10,
            10_000,
        )
    });
    let snapshot = Snapshot::from_traces(traces.collect(), 32);
    let whole: i64 = (0..500).map(|at| at * 10).sum();
    let mut explorer = explore(snapshot);
    for _ in 0..5 {
        for _ in 0..3 {
            let rows = explorer.state.all_rows();
            assert_eq!(rows[0].value.bytes, whole);
            assert_eq!(rows.iter().map(|it| it.own.bytes).sum::<i64>(), whole);
            for (at, row) in rows.iter().enumerate() {
                let below = rows[at + 1..].iter().take_while(|it| it.depth > row.depth);
                let parts = below.filter(|it| it.depth == row.depth + 1);
                let parts: i64 = parts.map(|it| it.value.bytes).sum();
                assert_eq!(row.value.bytes, row.own.bytes + parts, "{}", row.name);
            }
            explorer.press("#");
            let table = explorer.state.rows.iter();
            assert_eq!(table.map(|it| it.value.bytes).sum::<i64>(), whole);
            explorer.press("#f");
        }
        explorer.press("g");
    }
}
