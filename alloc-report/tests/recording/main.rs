//! `alloc-report run`, and the commands that read its recordings. This binary is also the program
//! that is recorded: see [`play`].
//!
//! It has no test harness, which would allocate on threads of its own.

#[path = "../support/mod.rs"]
mod support;

mod folders;
mod graphs;
mod running;
mod set_up;
mod timelines;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use alloc_core::TraceAlloc;

use set_up::{MIB, ROLE, SNAPSHOTS, snapshots};

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
    running::a_recording_is_complete,
    running::a_child_of_the_program_is_measured,
    running::the_exit_status_is_that_of_the_program,
    running::signals_are_forwarded,
    running::without_the_allocator_only_resident_memory_is_recorded,
    running::errors_name_what_was_expected,
    running::the_options_configure_the_tracer,
    folders::recordings_are_listed_and_removed,
    folders::clean_asks_for_confirmation,
    folders::nothing_is_overwritten_without_force,
    folders::damaged_recordings_are_errors,
    graphs::a_running_process_is_asked_for_a_graph,
    graphs::a_process_that_writes_no_graphs_is_an_error,
    timelines::a_timeline_of_snapshots_ignores_their_order,
];

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

/// Plays the recorded program.
fn play(role: &str) -> ExitCode {
    match role {
        "hold" => {
            println!("output of the program");
            let kept = vec![1_u8; 10 * MIB];
            std::thread::sleep(Duration::from_millis(700));
            if let Some(folder) = std::env::var_os(SNAPSHOTS) {
                while snapshots(folder.as_ref()).len() < 2 {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            drop(vec![2_u8; 30 * MIB]);
            std::thread::sleep(Duration::from_millis(300));
            // Leaked, so that it is live in the last measurement.
            std::mem::forget(kept);
        }
        "seven" => return ExitCode::from(7),
        "abort" => std::process::abort(),
        "signal" => {
            let kept = vec![3_u8; 2 * MIB];
            // Ready for the signal.
            print!("!");
            std::io::stdout().flush().expect("the pipe is open");
            std::thread::sleep(Duration::from_secs(60));
            std::hint::black_box(kept);
        }
        other => panic!("no role {other}"),
    }
    ExitCode::SUCCESS
}
