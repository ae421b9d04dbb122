//! Baselines: what a piece of work allocates, compared with a file next to the test.

mod numbers;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use numbers::Numbers;

use crate::Error;
use crate::record::thread;
use crate::scope::{Scope, Usage};
use crate::snapshot::snapshot::Snapshot;
use crate::testing::assertions::{Checked, Term, Threads, Value, cannot_measure, refuse_threads};

/// Asserts that a piece of work allocates the same as before, and returns its value.
///
/// The baseline is a small text file in the folder `memory` next to the test. It holds the bytes
/// and blocks allocated, the peak, and the functions that allocated the most.
/// `ALLOC_BLESS=1` in the environment rewrites it. Debug and release builds have separate files.
/// The file names functions rather than lines, so edits elsewhere in the source do not change it.
///
/// ```no_run
/// # fn parse() -> Vec<u8> { vec![] }
/// use alloc_core::assert_memory_snapshot;
///
/// let document = assert_memory_snapshot!("parse", { parse() });
/// // Bytes and blocks may differ by up to 5 %.
/// let document = assert_memory_snapshot!("parse", tolerance = 5 %, { parse() });
/// ```
///
/// Async: `assert_memory_snapshot!("load", async load())`. Threads:
/// `assert_memory_snapshot!("load", threads = "all", load())`. Both work as in
/// [`assert_memory!`](crate::assert_memory!).
///
/// # Panics
///
/// - If the numbers differ. The message shows the changes, function by function.
/// - If there is no file.
/// - If the work started threads or nothing can be measured, as
///   [`assert_memory!`](crate::assert_memory!) does.
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! assert_memory_snapshot {
    ($name:expr, tolerance = $percent:literal %, threads = $threads:tt, $($work:tt)+) => {
        $crate::__assert_baseline!([$name, $percent, $threads] $($work)+)
    };
    ($name:expr, tolerance = $percent:literal %, $($work:tt)+) => {
        $crate::__assert_baseline!([$name, $percent, none] $($work)+)
    };
    ($name:expr, threads = $threads:tt, $($work:tt)+) => {
        $crate::__assert_baseline!([$name, 0, $threads] $($work)+)
    };
    ($name:expr, $($work:tt)+) => {
        $crate::__assert_baseline!([$name, 0, none] $($work)+)
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __assert_baseline {
    ([$($baseline:tt)*] async move $work:block $(,)?) => {
        $crate::__assert_baseline!(@ [$($baseline)*] async move $work)
    };
    ([$($baseline:tt)*] async $work:block $(,)?) => {
        $crate::__assert_baseline!(@ [$($baseline)*] async $work)
    };
    ([$($baseline:tt)*] async $work:expr $(,)?) => {
        $crate::__assert_baseline!(@ [$($baseline)*] async { $work.await })
    };
    ([$($baseline:tt)*] $work:expr $(,)?) => {
        $crate::__run!(|value| {
            $crate::__private::assert_baseline(
                $crate::__baseline!($($baseline)*),
                || $work,
                &value,
            )
        })
    };
    (@ [$($baseline:tt)*] $($work:tt)+) => {
        $crate::__run!(|value| {
            $crate::__private::assert_baseline_async(
                $crate::__baseline!($($baseline)*),
                $($work)+,
                &value,
            )
            .await
            .or_panic()
        })
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __baseline {
    ($name:expr, $percent:literal, $threads:tt) => {
        $crate::__private::Baseline {
            name: $name,
            file: file!(),
            package: env!("CARGO_MANIFEST_DIR"),
            is_debug: cfg!(debug_assertions),
            tolerance: f64::from($percent),
            threads: $crate::__term!(threads = $threads),
        }
    };
}

/// Identifies a baseline, and says how far the numbers may differ from it.
#[derive(Clone, Copy, Debug)]
pub struct Baseline<'a> {
    /// The name that the test gives.
    pub name: &'a str,
    /// The source file of the test, as `file!` returns it.
    pub file: &'a str,
    /// The folder of the test's package.
    pub package: &'a str,
    /// Whether debug assertions are on in the test's build.
    pub is_debug: bool,
    /// By how many per cent the numbers may differ.
    pub tolerance: f64,
    /// How threads that the work starts are treated.
    pub threads: Term,
}

/// Runs `work` and panics if it does not allocate what the baseline says.
#[track_caller]
pub fn assert_baseline<T>(
    baseline: Baseline<'_>,
    work: impl FnOnce() -> T,
    _value: &Value<T>,
) -> T {
    let measured = || {
        let scope = baseline.enter().map_err(cannot_measure)?;
        let value = work();
        refuse_threads(scope.has_started_threads())?;
        baseline.check(scope.usage(), || scope.snapshot())?;
        Ok(value)
    };
    Checked::from(measured()).or_panic()
}

/// Runs a future, on whichever threads poll it, and compares it with the baseline.
pub async fn assert_baseline_async<F: Future>(
    baseline: Baseline<'_>,
    future: F,
    _value: &Value<F::Output>,
) -> Checked<F::Output> {
    let measured = async {
        let handle = baseline.enter().map(|scope| scope.handle());
        let handle = handle.map_err(cannot_measure)?;
        let value = handle.instrument(future).await;
        refuse_threads(handle.has_started_threads())?;
        baseline.check(handle.usage(), || handle.snapshot())?;
        Ok(value)
    };
    Checked::from(measured.await)
}

impl Baseline<'_> {
    fn enter(&self) -> Result<Scope, Error> {
        Threads::of(&[self.threads]).enter()
    }

    fn check(
        &self,
        usage: Result<Usage, Error>,
        snapshot: impl FnOnce() -> Result<Snapshot, Error>,
    ) -> Result<(), String> {
        let usage = usage.map_err(cannot_measure)?;
        let snapshot = snapshot().map_err(cannot_measure)?;
        let _muted = thread::mute();
        self.compare(&Numbers::of(usage, &snapshot))
    }

    fn compare(&self, found: &Numbers) -> Result<(), String> {
        let path = self.path();
        let shown = path.display();
        let bless = "ALLOC_BLESS=1 in the environment";
        if std::env::var_os("ALLOC_BLESS").is_some_and(|it| it == "1") {
            return write(&path, &found.text())
                .map_err(|error| format!("cannot write {shown}: {error}"));
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!("there is no {shown}; {bless} writes it"));
            }
            Err(error) => return Err(format!("cannot read {shown}: {error}")),
        };
        let expected = Numbers::parse(&text).map_err(|line| {
            format!(
                "{shown}:{line}: expected a number as alloc_core writes it; {bless} rewrites it"
            )
        })?;
        let changes = self.changes(&expected, found);
        if changes.is_empty() {
            return Ok(());
        }
        Err(format!("{shown} differs\n{changes}{bless} rewrites it"))
    }

    /// Lists the numbers that differ by more than the tolerance, one a line.
    fn changes(&self, expected: &Numbers, found: &Numbers) -> String {
        let mut changes = String::new();
        let mut change = |what: &str, unit: &str, old: u64, new: u64| {
            if self.is_off(old, new) {
                let sign = if new < old { '-' } else { '+' };
                let by = new.abs_diff(old);
                let _ = writeln!(
                    changes,
                    "  {what}: expected {old}{unit}, found {new}{unit} ({sign}{by})"
                );
            }
        };
        change("allocated", " B", expected.allocated, found.allocated);
        change("allocations", "", expected.allocations, found.allocations);
        change("peak", " B", expected.peak, found.peak);
        let names: Vec<&String> = expected
            .functions
            .keys()
            .chain(found.functions.keys())
            .collect();
        let mut seen = std::collections::HashSet::new();
        for name in names.into_iter().filter(|name| seen.insert(name.as_str())) {
            let amount =
                |numbers: &Numbers| numbers.functions.get(name).copied().unwrap_or_default();
            let ((old, old_blocks), (new, new_blocks)) = (amount(expected), amount(found));
            change(&format!("allocated by {name}"), " B", old, new);
            change(
                &format!("allocations by {name}"),
                "",
                old_blocks,
                new_blocks,
            );
        }
        changes
    }

    fn is_off(&self, old: u64, new: u64) -> bool {
        new.abs_diff(old) as f64 > old as f64 * self.tolerance / 100.0
    }

    /// The baseline's path: `memory/FILE-NAME.debug.txt` in the folder of the test's source file.
    fn path(&self) -> PathBuf {
        let build = if self.is_debug { "debug" } else { "release" };
        let stem = Path::new(self.file)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        let is_plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let name: String = self
            .name
            .chars()
            .map(|c| if is_plain(c) { c } else { '-' })
            .collect();
        let name = format!("{stem}-{name}.{build}.txt");
        // NOTE: `file!` is relative to the workspace's folder, which is above the package's.
        let package = Path::new(self.package);
        let file = package
            .ancestors()
            .map(|it| it.join(self.file))
            .find(|it| it.is_file());
        let folder = file.as_deref().and_then(Path::parent).unwrap_or(package);
        folder.join("memory").join(name)
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::numbers::tests::numbers;
    use super::*;

    fn baseline(tolerance: f64) -> Baseline<'static> {
        Baseline {
            name: "a name/1",
            file: "alloc-core/src/testing/baseline.rs",
            package: env!("CARGO_MANIFEST_DIR"),
            is_debug: true,
            tolerance,
            threads: Term::Threads(Threads::None),
        }
    }

    #[test]
    fn changes_are_listed_by_function() {
        let mut found = numbers();
        found.allocated += 50;
        found.allocations += 1;
        found.functions.insert("demo::new".to_owned(), (50, 1));
        let changes = baseline(0.0).changes(&numbers(), &found);
        assert_eq!(
            changes,
            "  allocated: expected 1000 B, found 1050 B (+50)\n  \
               allocations: expected 4, found 5 (+1)\n  \
               allocated by demo::new: expected 0 B, found 50 B (+50)\n  \
               allocations by demo::new: expected 0, found 1 (+1)\n"
        );
        assert_eq!(baseline(0.0).changes(&numbers(), &numbers()), "");
        found.functions.remove("demo::new");
        // 50 of 1000 B are 5 %, and 1 of 4 blocks is 25 %.
        assert_eq!(baseline(25.0).changes(&numbers(), &found), "");
        assert!(!baseline(24.0).changes(&numbers(), &found).is_empty());
    }

    #[test]
    fn files_are_next_to_the_test() {
        let path = baseline(0.0).path();
        assert!(
            path.ends_with("alloc-core/src/testing/memory/baseline-a-name-1.debug.txt"),
            "{path:?}"
        );
    }
}
