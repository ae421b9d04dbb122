//! [`Engine`]: how an engine is told of the files, and the embedded one, which is a process of its
//! own.

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Output, Stdio};
use std::thread;

use alloc_core_snapshot::Escaped;
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

/// An engine that answers the questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// DuckDB
    Duckdb,
    /// Spark SQL
    Spark,
    /// ClickHouse, also clickhouse local and chdb
    Clickhouse,
}

impl Engine {
    /// The statements that define the table `heap` over the files in a folder, as far as they meet
    /// a condition in SQL.
    pub(super) fn table(self, folder: &str, condition: Option<&str>) -> String {
        let condition = condition.map(|it| format!("\nWHERE ({it}\n)"));
        let condition = condition.unwrap_or_default();
        match self {
            Engine::Duckdb => format!(
                "CREATE OR REPLACE TEMPORARY VIEW heap AS SELECT * FROM read_parquet({}, \
                 hive_partitioning = true, hive_types = {{'service': VARCHAR, 'day': DATE}})\
                 {condition};\n",
                quoted(&format!("{folder}/**/*.parquet"), false)
            ),
            // NOTE: else a service with the name 7 would be a number.
            Engine::Spark => format!(
                "SET spark.sql.sources.partitionColumnTypeInference.enabled = false;\n\
                 CREATE OR REPLACE TEMPORARY VIEW heap_files USING parquet OPTIONS (path {});\n\
                 CREATE OR REPLACE TEMPORARY VIEW heap AS SELECT * FROM heap_files{condition};\n",
                quoted(folder, true)
            ),
            // NOTE: it keeps the values of partitions as they are in paths.
            Engine::Clickhouse => format!(
                "SET use_hive_partitioning = 1;\n\
                 CREATE OR REPLACE VIEW heap AS SELECT * REPLACE \
                 (decodeURLComponent(service) AS service) FROM file({}, Parquet){condition};\n",
                quoted(&format!("{folder}/**/*.parquet"), true)
            ),
        }
    }
}

/// A text in SQL. Some engines have escapes with backslashes in it, and others do not.
fn quoted(text: &str, has_escapes: bool) -> String {
    match has_escapes {
        true => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

/// What Python runs: statements from standard input; the answer of the last one as CSV.
const SCRIPT: &str = "\
import sys
sys.path = [it for it in sys.path if it]
try:
    import duckdb
except ImportError:
    sys.exit(3)
import csv
sys.stdin.reconfigure(encoding='utf-8')
sys.stdout.reconfigure(encoding='utf-8', newline='')
try:
    answer = duckdb.connect().execute(sys.stdin.read())
    rows = csv.writer(sys.stdout, lineterminator='\\n')
    rows.writerow([it[0] for it in answer.description])
    rows.writerows(answer.fetchall())
except duckdb.Error as error:
    sys.exit(str(error))
";

/// The exit status of the script if Python has no module of that name.
const NO_MODULE: i32 = 3;

/// Runs statements in DuckDB: the command, else the module of Python. Returns the answer of the
/// last one as CSV with a header.
///
/// # Errors
///
/// There is no DuckDB, or it fails.
pub(super) fn run(statements: &str) -> Result<String> {
    // NOTE: else it draws its progress into the answer of a question that takes seconds.
    let statements = &format!("SET enable_progress_bar = false;\n{statements}");
    let mut command = Command::new("duckdb");
    // NOTE: without the user's own settings, which may change how rows are written.
    command.args(["-init", null_device(), "-batch", "-bail", "-csv"]);
    let output = match output_of(command, statements)? {
        Some(output) => Some(output),
        None => {
            let mut python = Command::new("python3");
            python.args(["-c", SCRIPT]);
            let output = output_of(python, statements)?;
            output.filter(|it| it.status.code() != Some(NO_MODULE))
        }
    };
    let Some(output) = output else {
        bail!(
            "expected DuckDB, found neither the command duckdb nor python3 with the module duckdb; \
             pip install duckdb installs it, and --print duckdb shows the SQL"
        );
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines = said.trim().lines().map(|it| Escaped(it).to_string());
        bail!("DuckDB fails: {}", lines.collect::<Vec<_>>().join("\n"));
    }
    String::from_utf8(output.stdout).context("expected the answer as text")
}

fn null_device() -> &'static str {
    match cfg!(windows) {
        true => "NUL",
        false => "/dev/null",
    }
}

/// Runs a command with a text as its input. `None` if there is no such command.
fn output_of(mut command: Command, input: &str) -> Result<Option<Output>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        child => child.with_context(|| format!("cannot run {name}"))?,
    };
    let mut pipe = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // NOTE: a command that ends early says why on its own.
            let _ = pipe.as_mut().map(|it| it.write_all(input.as_bytes()));
        });
        child.wait_with_output()
    });
    output
        .map(Some)
        .with_context(|| format!("cannot read from {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_paths_stay_in_the_text() {
        let folder = r"/tmp/it's\'); DROP TABLE x; --";
        let duckdb = Engine::Duckdb.table(folder, None);
        assert!(duckdb.contains(r"read_parquet('/tmp/it''s\''); DROP TABLE x; --/**/*.parquet',"));
        let spark = Engine::Spark.table(folder, None);
        assert!(spark.contains(r"(path '/tmp/it\'s\\\'); DROP TABLE x; --');"));
        let clickhouse = Engine::Clickhouse.table(folder, None);
        assert!(clickhouse.contains(r"file('/tmp/it\'s\\\'); DROP TABLE x; --/**/*.parquet',"));
    }

    #[test]
    fn a_condition_may_end_in_a_comment() {
        for engine in Engine::value_variants() {
            let table = engine.table("/tmp", Some("version = '1' -- mine"));
            assert!(table.ends_with("\nWHERE (version = '1' -- mine\n);\n"));
        }
    }
}
