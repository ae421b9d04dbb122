//! The command `alloc-report`: tables, JSON and CSV from snapshot files.
//!
//! A command line goes in; text for standard output and an exit status come out. Only commands with
//! an output option write files, and only with `--force` do they replace one.
//!
//! Each module imports only from those before it: `terminal`, `output`, `suggest`, `conditions`,
//! `symbols`, `recording`, `view`, `load`, `formats`, `shape`; the commands `tables`, `ages`, `frees`, `slack`, `resident`, `oom`,
//! `suspects`, `check`, `annotate`, `symbolize`, `import`, `export`, `fleet`, `advise`, `html`, `flamegraph`,
//! `explore`, `graph`, `run`, `timeline` and `recordings`, which do not import each other;
//! `arguments`, `shell`.

mod advise;
mod ages;
mod annotate;
mod arguments;
mod check;
mod conditions;
mod explore;
mod export;
mod flamegraph;
mod fleet;
mod formats;
mod frees;
mod graph;
mod html;
mod import;
mod load;
mod oom;
mod output;
#[cfg(target_os = "linux")]
mod process;
mod recording;
mod recordings;
mod resident;
#[cfg(unix)]
mod run;
mod shape;
mod shell;
mod slack;
mod suggest;
mod suspects;
mod symbolize;
mod symbols;
mod tables;
mod terminal;
mod timeline;
mod view;

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::Parser as _;

use arguments::{Arguments, Command, check_usage};

/// The exit status if a file cannot be read or the result cannot be written. Clap exits with 2.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    // Names come from ELF files, and a path may be a device or a pipe.
    alloc_core::__private::register_hooks();
    let arguments = Arguments::parse();
    symbols::search_in(arguments.symbols);
    let report = report(arguments.command);
    match report.and_then(|(text, status)| terminal::print(&text).map(|()| status)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            const RED: Style = AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{RED}error:{RED:#} {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Runs a command. Returns the text to print and the exit status.
fn report(command: Command) -> Result<(String, u8)> {
    let text = match command {
        #[cfg(unix)]
        Command::Run(options) => return run::run(&options).map(|status| (String::new(), status)),
        Command::Check(options) => return check::report(&options),
        Command::Timeline(options) => timeline::report(&options),
        Command::Peak(options) => recordings::peak(&options),
        Command::List(options) => recordings::list(&options),
        Command::Clean(options) => recordings::clean(&options),
        Command::Top { file, view } => tables::top(&file, &view, check_usage(view.grouping())),
        Command::Lifetimes(options) => ages::lifetimes(&options),
        Command::Temporary(options) => ages::temporary(&options),
        Command::Generations(options) => ages::generations(&options),
        Command::Frees(options) => frees::frees(&options),
        Command::Summary(options) => tables::summary(&options),
        Command::Slack(options) => slack::slack(&options),
        Command::Oom(options) => oom::report(&options),
        Command::Resident(options) => resident::resident(&options),
        Command::Tree(options) => tables::tree(&options),
        Command::Diff { old, new, view } => {
            tables::diff(&old, new, &view, check_usage(view.grouping()))
        }
        Command::Graph(options) => graph::report(&options),
        Command::Flamegraph(options) => flamegraph::report(&options),
        Command::Advise(options) => advise::report(&options),
        Command::Html(options) => html::report(&options),
        Command::Export(options) => export::report(options),
        Command::Fleet(options) => fleet::report(&options),
        Command::View(options) => explore::view(&options),
        Command::Live(options) => explore::live(&options),
        Command::Suspects(options) => suspects::report(&options),
        Command::Import(options) => import::import(&options),
        Command::Symbolize(options) => symbolize::symbolize(&options),
        Command::Annotate(options) => annotate::report(&options),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { folder: None, .. } => shell::page(),
        Command::Man {
            folder: Some(folder),
            force,
        } => shell::pages(&folder, force),
    };
    text.map(|text| (text, 0))
}
