//! `alloc-report view` and `live` on a terminal: a pseudo-terminal, whose screen is read.
//!
//! This binary is also the program that is watched: see [`play`]. It has no test harness, which would
//! allocate on threads of its own.

#[path = "../support/mod.rs"]
mod support;

mod live;
mod screen;
mod view;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

type Test = (&'static str, fn());

/// Names each test after its function.
macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), $module::$name)),*]
    };
}

const TESTS: &[Test] = tests![
    view::a_screen_starts_answers_to_keys_and_quits,
    view::a_screen_is_drawn_again_when_it_is_resized,
    view::a_small_screen_works,
    view::a_signal_restores_the_terminal,
    view::a_panic_restores_the_terminal,
    view::a_stop_restores_the_terminal_until_it_goes_on,
    view::no_color_is_obeyed,
    view::a_snapshot_from_standard_input_leaves_the_keys,
    live::a_process_is_watched_by_signals,
    live::a_process_is_watched_by_its_clock,
    live::what_is_requested_is_removed_unless_it_is_kept,
    live::the_end_of_a_process_leaves_its_last_state,
    live::an_address_is_watched,
    live::the_newest_of_several_files_is_watched,
    live::without_a_terminal_one_table_is_printed,
    live::a_process_that_is_not_traced_is_an_error,
];

/// What this binary does instead of testing.
pub(crate) const ROLE: &str = "TERMINAL_ROLE";

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        return play(&role);
    }
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    if std::env::args().any(|it| it == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    for (name, test) in TESTS {
        if names.is_empty() || names.iter().any(|it| name.contains(it.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// Plays the program that is watched, or one that panics on its screen.
fn play(role: &str) -> ExitCode {
    match role {
        "grow" => {
            say_ready();
            grow();
        }
        "end" => {
            say_ready();
            let kept = vec![1_u8; 3 << 20];
            let _ = std::io::read_to_string(std::io::stdin());
            std::hint::black_box(kept);
        }
        "panic" => {
            let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
            let every = Duration::from_millis(200);
            let explorer = alloc_report::explore(snapshot);
            let explorer = explorer.refreshed(every, || panic!("the source fails"));
            explorer.run().expect("a terminal");
        }
        other => panic!("no role {other}"),
    }
    ExitCode::SUCCESS
}

/// Says that the tracer's handler is there: it is when the program's own code runs.
fn say_ready() {
    print!("!");
    std::io::stdout().flush().expect("the pipe is open");
}

/// Holds a megabyte more every tenth of a second, for a minute at most.
#[inline(never)]
fn grow() {
    let start = Instant::now();
    let mut kept = Vec::new();
    while start.elapsed() < Duration::from_secs(60) {
        kept.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&kept);
        std::thread::sleep(Duration::from_millis(100));
    }
}
