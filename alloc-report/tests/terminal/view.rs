//! `view` on a terminal: keys, sizes, and the terminal before and after.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::ROLE;
use crate::screen::Screen;
use crate::support::command;

/// A folder with a snapshot `heap` of two stacks.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let frame = |function, line| Frame::new(Some(function), Some("src/main.rs"), line, 5);
    let trace = |frames: Vec<Frame>, bytes| {
        let amount = Amount::new(bytes, 1);
        let counters = Counters {
            current: amount,
            peak: amount,
            at_peak: amount,
            total: Amount::new(bytes * 3, 3),
            reallocations: 0,
            ..Counters::default()
        };
        Trace::new(Traceback::new(frames), counters)
    };
    let traces = vec![
        trace(
            vec![frame("shop::Cache::fill", 9), frame("shop::main", 2)],
            750,
        ),
        trace(vec![frame("shop::log", 20), frame("shop::main", 3)], 250),
    ];
    Snapshot::from_traces(traces, 32)
        .dump(folder.path().join("heap"))
        .unwrap();
    folder
}

fn view(folder: &Path, columns: u16, rows: u16) -> Screen {
    let mut screen = Screen::start(command(folder, "view heap"), columns, rows);
    screen.wait_for("Cache::fill");
    screen
}

pub(crate) fn a_screen_starts_answers_to_keys_and_quits() {
    let folder = folder();
    let mut screen = view(folder.path(), 80, 24);
    screen.wait_until_taken(true);
    screen.wait_for("Tab tree");
    screen.press("\t");
    screen.wait_for("Tab table");
    screen.press("m");
    screen.wait_for("  750 B   75.0%");
    screen.press("4");
    screen.wait_for(" 2250 B   75.0%");
    screen.press("?");
    screen.wait_for("any key goes back");
    screen.press("x");
    screen.wait("no help", |it| !it.contains("any key goes back"));
    screen.press("/log");
    screen.wait_for("/log");
    screen.press("\r");
    screen.wait_for("n N next match");
    screen.press("q");
    assert_eq!(screen.end(), 0);
    screen.wait_until_taken(false);
    assert_eq!(screen.text().trim(), "");
}

pub(crate) fn a_screen_is_drawn_again_when_it_is_resized() {
    let folder = folder();
    let mut screen = view(folder.path(), 100, 30);
    let last = |it: &str| it.lines().count();
    screen.resize(60, 15);
    // A screen this low has no source.
    screen.wait("15 rows", |it| last(it) == 15 && !it.contains("No source"));
    screen.resize(120, 40);
    let text = screen.wait("40 rows", |it| last(it) == 40 && it.contains("q quit"));
    assert!(text.contains("own stack"), "{text}");
    screen.resize(1, 1);
    screen.resize(80, 24);
    screen.wait("24 rows", |it| last(it) == 24 && it.contains("q quit"));
    screen.press("q");
    assert_eq!(screen.end(), 0);
}

pub(crate) fn a_small_screen_works() {
    let folder = folder();
    let mut screen = view(folder.path(), 40, 10);
    let text = screen.text();
    assert_eq!(text.lines().count(), 10, "{text}");
    screen.press("?");
    screen.wait_for("↓ shows more");
    screen.press("jjjjjjjjjjjjjjjjjjjjjjjj");
    screen.wait_for("quit");
    screen.press("x\x03");
    assert_eq!(screen.end(), 0);
}

pub(crate) fn a_signal_restores_the_terminal() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let folder = folder();
        let mut screen = view(folder.path(), 80, 24);
        screen.wait_until_taken(true);
        screen.signal(signal);
        assert_eq!(screen.end(), status);
        screen.wait_until_taken(false);
    }
}

pub(crate) fn a_panic_restores_the_terminal() {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.env(ROLE, "panic");
    let mut screen = Screen::start(program, 80, 24);
    screen.wait_for("the source fails");
    assert_eq!(screen.end(), 101);
    screen.wait_until_taken(false);
    let text = screen.text();
    assert!(text.contains("panicked at"), "{text}");
    assert!(!text.contains("q quit"), "{text}");
}

pub(crate) fn a_stop_restores_the_terminal_until_it_goes_on() {
    let folder = folder();
    let mut screen = view(folder.path(), 80, 24);
    screen.wait_until_taken(true);
    screen.press("\x1a");
    screen.wait_until_taken(false);
    screen.signal(Signal::CONT);
    screen.wait_until_taken(true);
    screen.wait_for("Cache::fill");
    screen.press("q");
    assert_eq!(screen.end(), 0);
    screen.wait_until_taken(false);
}

pub(crate) fn no_color_is_obeyed() {
    let folder = folder();
    let has_colour = |screen: &Screen| {
        let screen = screen.shown();
        let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
        let mut cells = cells.filter_map(|(row, column)| screen.cell(row, column));
        cells.any(|it| it.fgcolor() != vt100::Color::Default)
    };
    assert!(has_colour(&view(folder.path(), 80, 24)));
    let mut plain = command(folder.path(), "view heap");
    plain.env("NO_COLOR", "1");
    let mut screen = Screen::start(plain, 80, 24);
    screen.wait_for("Cache::fill");
    assert!(!has_colour(&screen));
}

pub(crate) fn a_snapshot_from_standard_input_leaves_the_keys() {
    let folder = folder();
    let heap = File::open(folder.path().join("heap")).unwrap();
    let mut program = command(folder.path(), "view -");
    let mut screen = Screen::with(&mut program, 80, 24, Some(Stdio::from(heap)));
    screen.wait_for("Cache::fill");
    screen.press("\t");
    screen.wait_for("Tab table");
    screen.press("q");
    assert_eq!(screen.end(), 0);
}
