//! What a shell and a manual want to know of the command: completions and pages, made by clap.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::output;

/// The completions for a shell, to be put where the shell looks for them.
pub(crate) fn completions(shell: Shell) -> Result<String> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(String::from_utf8(script)?)
}

/// The manual page of the command as a whole.
pub(crate) fn page() -> Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

/// Writes a page for the command and one for each of its commands; answers with their names.
pub(crate) fn pages(folder: &Path, force: bool) -> Result<String> {
    let cannot = || format!("cannot write to {}", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut written = String::new();
    let all = [&command].into_iter().chain(command.get_subcommands());
    for command in all {
        let page = clap_mangen::Man::new(command.clone());
        let path = folder.join(page.get_filename());
        let mut text = Vec::new();
        page.render(&mut text)?;
        output::write(&path, &text, force)?;
        written.push_str(&format!("{}\n", path.display()));
    }
    Ok(written)
}
