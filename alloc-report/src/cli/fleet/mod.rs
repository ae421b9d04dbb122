//! The command `fleet`: questions about the snapshots of many processes.
//!
//! A folder of Parquet files, as `export --to parquet` writes them, and the name of a question go
//! in; the answer of an engine, or the SQL for one, comes out. The engine runs as a process of its
//! own.
//!
//! Each module imports only from those before it: `questions`, `engine`, `answer`.

mod answer;
mod engine;
mod questions;

use std::fs;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::output::escaped;
use engine::Engine;
use questions::Question;

pub(crate) const EXAMPLES: &str = "\
Examples:
  alloc-report fleet
  alloc-report fleet top-lines fleet --print duckdb
  alloc-report fleet worse-release fleet --where \"service = 'shop'\" --print spark
  alloc-report fleet outlier-instances s3://bucket/heap --print clickhouse";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The question to answer [default: list the questions]
    #[arg(value_name = "QUESTION", requires = "folder")]
    question: Option<String>,
    /// The folder of Parquet files, as written by export --to parquet
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Only rows that meet this condition in SQL, such as "service = 'shop' AND day >=
    /// '2026-01-31'"
    #[arg(long = "where", value_name = "CONDITION")]
    condition: Option<String>,
    /// The number of rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 20)]
    rows: u32,
    /// A table for people, or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// Print the SQL for an engine instead of the answer
    #[arg(long = "print", value_enum, value_name = "ENGINE")]
    print_for: Option<Engine>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table
    Text,
    /// A header and a line for each row
    Csv,
}

pub(crate) fn report(options: &Options) -> Result<String> {
    let (Some(question), Some(folder)) = (&options.question, &options.folder) else {
        return Ok(questions::list());
    };
    let question = Question::named(question)?;
    let folder = place_of(folder)?;
    let engine = options.print_for.unwrap_or(Engine::Duckdb);
    let table = engine.table(&folder, options.condition.as_deref());
    let sql = format!("{table}\n{}LIMIT {};\n", question.sql, options.rows);
    if options.print_for.is_some() {
        return Ok(sql);
    }
    if is_address(&folder) {
        bail!("expected a local folder, found {folder}; --print shows the SQL for an engine");
    }
    let csv = engine::run(&sql)?;
    match options.format {
        Format::Text => answer::table(&csv),
        Format::Csv => Ok(csv),
    }
}

/// The folder as engines take it: its address, or its absolute path.
///
/// # Errors
///
/// There is no Parquet file in it, or engines would take its name for a pattern.
fn place_of(folder: &Path) -> Result<String> {
    let shown = escaped(folder);
    let address = folder.to_str().filter(|it| is_address(it));
    let path = match address {
        Some(_) => folder.to_owned(),
        None => absolute(folder).with_context(|| shown.clone())?,
    };
    let Some(place) = path.to_str() else {
        bail!("expected a path in UTF-8, found {shown}");
    };
    if place.contains(['*', '?', '[', ']', '{', '}']) {
        bail!(
            "expected a path without * ? [ ] {{ }}, which engines take for a pattern, found {shown}"
        );
    }
    if address.is_none() && !has_rows(folder).with_context(|| format!("cannot read {shown}"))? {
        bail!(
            "expected a folder with Parquet files, found none in {shown}; export --to parquet \
             writes them"
        );
    }
    Ok(place.trim_end_matches('/').to_owned())
}

fn is_address(place: &str) -> bool {
    place.contains("://")
}

/// Whether there is a Parquet file in a folder or below it.
fn has_rows(folder: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "parquet") || path.is_dir() && has_rows(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}
