//! Runs a piece of work in a scope and checks its terms.

use super::message::message;
use super::terms::{Term, Threads};
use super::value::Value;
use crate::Error;
use crate::record::thread;
use crate::scope::Usage;
use crate::snapshot::snapshot::Snapshot;

/// The result of checked work: its value, or the message of the failure.
#[derive(Debug)]
#[must_use]
pub struct Checked<T>(Result<T, String>);

impl<T> From<Result<T, String>> for Checked<T> {
    fn from(checked: Result<T, String>) -> Checked<T> {
        Checked(checked)
    }
}

impl<T> Checked<T> {
    /// Returns the value, or panics with the message.
    ///
    /// NOTE: `#[track_caller]` does not work in async functions, so the macro calls this after the
    /// await.
    #[track_caller]
    pub fn or_panic(self) -> T {
        match self.0 {
            Ok(value) => value,
            Err(message) => {
                let _muted = thread::mute();
                panic!("{message}");
            }
        }
    }
}

/// Returns the message for work that cannot be measured.
pub(crate) fn cannot_measure(error: Error) -> String {
    let _muted = thread::mute();
    format!("cannot measure: {error}")
}

/// The message for threads that no term mentions.
const STARTED_THREADS: &str = "this work started threads; use `threads = \"all\"` to count what they do, or \
                               `threads = \"own\"` to leave it out";

/// Fails if the work started threads that no term mentions: the scope's numbers are incomplete.
pub(crate) fn refuse_threads(has_started_threads: bool) -> Result<(), String> {
    if has_started_threads {
        return Err(STARTED_THREADS.to_owned());
    }
    Ok(())
}

/// Runs `work` and panics if it breaks one of the `terms`.
#[track_caller]
pub fn assert_memory<T>(work: impl FnOnce() -> T, terms: &[Term], _value: &Value<T>) -> T {
    checked(work, terms).or_panic()
}

fn checked<T>(work: impl FnOnce() -> T, terms: &[Term]) -> Checked<T> {
    let measured = || {
        let scope = Threads::of(terms).enter().map_err(cannot_measure)?;
        let value = work();
        refuse_threads(scope.has_started_threads())?;
        check(terms, scope.usage(), || scope.snapshot())?;
        Ok(value)
    };
    Checked(measured())
}

/// Runs a future, on whichever threads poll it, and checks `terms`.
pub async fn assert_memory_async<F: Future>(
    future: F,
    terms: &[Term],
    _value: &Value<F::Output>,
) -> Checked<F::Output> {
    let measured = async {
        let handle = Threads::of(terms).enter().map(|scope| scope.handle());
        let handle = handle.map_err(cannot_measure)?;
        let value = handle.instrument(future).await;
        refuse_threads(handle.has_started_threads())?;
        check(terms, handle.usage(), || handle.snapshot())?;
        Ok(value)
    };
    Checked(measured.await)
}

/// Runs a future that one thread polls, and checks `terms`.
///
/// Everything that this thread does from the future's start to its end counts, including the
/// other tasks that run on it.
pub async fn assert_memory_on_thread<F: Future>(future: F, terms: &[Term]) -> Checked<F::Output> {
    let measured = async {
        let scope = Threads::of(terms).enter().map_err(cannot_measure)?;
        let value = future.await;
        refuse_threads(scope.has_started_threads())?;
        check(terms, scope.usage(), || scope.snapshot())?;
        Ok(value)
    };
    Checked(measured.await)
}

/// Checks what a scope counted. Takes the snapshot only if a limit is broken.
fn check(
    terms: &[Term],
    usage: Result<Usage, Error>,
    snapshot: impl FnOnce() -> Result<Snapshot, Error>,
) -> Result<(), String> {
    let usage = usage.map_err(cannot_measure)?;
    let is_broken = |term: &Term| match term {
        Term::Limit(limit) => !limit.is_kept(&usage),
        Term::Threads(_) => false,
    };
    if !terms.iter().any(is_broken) {
        return Ok(());
    }
    let snapshot = snapshot().map_err(cannot_measure)?;
    let _muted = thread::mute();
    Err(message(terms, &usage, &snapshot))
}
