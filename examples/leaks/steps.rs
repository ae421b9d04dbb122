//! What the leak examples share: their command line, and a snapshot after each step.

use std::path::PathBuf;

use alloc_core::Error;

/// The number of requests in a step.
const REQUESTS: usize = 1_000;

/// The command line: `leaking` or `mended`, and the files to write, one for each step.
pub(crate) struct Steps {
    pub(crate) is_mended: bool,
    files: Vec<PathBuf>,
}

impl Steps {
    /// Reads the command line and starts tracing.
    pub(crate) fn begin() -> Result<Steps, Error> {
        let mut arguments = std::env::args_os().skip(1);
        let is_mended = match arguments.next() {
            Some(form) if form == "leaking" => false,
            Some(form) if form == "mended" => true,
            form => {
                eprintln!("expected leaking or mended, then files to write, found {form:?}");
                std::process::exit(2);
            }
        };
        let files = arguments.map(PathBuf::from).collect();
        // Tracing that the environment started goes on.
        alloc_core::start()?;
        Ok(Steps { is_mended, files })
    }

    /// Handles a thousand requests for each file, and then writes a snapshot to it.
    pub(crate) fn run(&self, mut handle: impl FnMut(usize)) -> Result<(), Error> {
        for (step, file) in self.files.iter().enumerate() {
            (step * REQUESTS..(step + 1) * REQUESTS).for_each(&mut handle);
            alloc_core::take_snapshot()?.dump(file)?;
        }
        Ok(())
    }
}
