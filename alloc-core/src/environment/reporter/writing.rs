//! Writes one snapshot at a time, and the last one when the process ends.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ORDER, Order};
use crate::environment::ring::{self, about};
use crate::environment::template::{self, Template};
use crate::environment::watch::{self, Reason};
use crate::record::{stack_here, thread};
use crate::system::hooks;
use crate::system::sync::{AtomicBool, Ordering};
use crate::write::{self, Moment, Packed, Reserve, With, stock};
use crate::{Error, control};

/// Held while a snapshot is written, so that the process does not end in the middle of it.
static WRITING: Mutex<()> = Mutex::new(());
/// Whether the process is ending. Guarded by [`WRITING`].
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Whether the process is ending.
pub(super) fn has_ended() -> bool {
    HAS_ENDED.load(Ordering::Relaxed)
}

/// Waits for a snapshot in progress and blocks others while the guard lives.
///
/// A fork holds it, since a thread that writes a snapshot holds locks of many libraries.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the last snapshot, and prevents others.
pub(super) extern "C" fn at_exit() {
    if stack_here::may_be_within_allocation() {
        // NOTE: does not wait for a snapshot in progress: this thread may be writing it.
        HAS_ENDED.store(true, Ordering::Relaxed);
        if ORDER.get().is_some_and(|it| it.at_exit.is_some()) {
            hooks::write_to_stderr(&[
                "alloc-core: ALLOC_TRACE_OUT: no snapshot written: a signal handler called exit, \
                 and what it interrupted may be in the middle of an allocation\n",
            ]);
        }
        return;
    }
    let out = ORDER.get().and_then(|it| it.at_exit);
    if let Some(out) = out.filter(|_| control::was_ever_on()) {
        // The path and the writer's memory are not the program's.
        let _muted = thread::mute();
        let written = if out.is_numbered() {
            write_numbered(out, Moment::Exit, None).map(|_| ())
        } else {
            write(|process, number| out.last(process, number))
        };
        if let Err(error) = written {
            hooks::write_to_stderr(&[
                "alloc-core: ALLOC_TRACE_OUT: no snapshot written: ",
                &error,
                "\n",
            ]);
        }
    }
    // Waits for a snapshot in progress, and prevents others, which the exit would cut off.
    let _writing = hold();
    HAS_ENDED.store(true, Ordering::Relaxed);
}

/// Writes the last snapshot. `path` takes the process id and the number of numbered snapshots.
fn write(path: impl FnOnce(u32, u32) -> PathBuf) -> Result<(), String> {
    writing(|| {
        let path = path(std::process::id(), ring::last_number());
        template::check_length(&path)?;
        let packed = pack(Moment::Exit, None).map_err(|error| about(error, &path))?;
        let others = packed.put(&path).map_err(|error| about(error, &path))?;
        if others {
            let path = path.to_string_lossy();
            hooks::write_to_stderr(&[
                "alloc-core: ",
                &path,
                ": replaced a file that was written while this process ran: \
                 with %p in the path each process has its own\n",
            ]);
        }
        Ok(())
    })
}

fn pack(moment: Moment, reason: Option<Reason>) -> Result<Packed, Error> {
    let order = ORDER.get();
    let with = order.map_or_else(With::default, |order| order.with);
    // What `alloc-report oom` reads.
    let mut metadata = Vec::new();
    if order.is_some_and(|order| order.when.is_some()) {
        metadata.extend(reason.map(|it| ("reason", it.to_string())));
        if let Some(memory) = watch::memory() {
            metadata.push(("memory.current", memory.current.to_string()));
            metadata.extend(memory.limit.map(|it| ("memory.limit", it.to_string())));
        }
    }
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|it| (it.0, &*it.1)).collect();
    write::pack(with, moment, &metadata).or_else(|error| match with.residence {
        // A program may have left `/proc` behind, or trace a sample. The rest is known.
        true => {
            let residence = false;
            write::pack(With { residence, ..with }, moment, &metadata)
        }
        false => Err(error),
    })
}

/// Runs `write` while no other snapshot is written. Does nothing if the process is ending or if
/// there is no memory.
pub(in super::super) fn writing<T: Default>(
    write: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    // A panic must not unwind into the C library.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _writing = hold();
        if HAS_ENDED.load(Ordering::Relaxed) {
            return Ok(T::default());
        }
        let _stock = stock::Open::begin();
        if Reserve::take().is_none() {
            hooks::write_to_stderr(&[
                "alloc-core: no snapshot written: the system gave no memory for it\n",
            ]);
            return Ok(T::default());
        }
        write()
    }));
    result.unwrap_or_else(|_| Err("a panic while writing it".to_owned()))
}

/// Writes a numbered snapshot, and returns its path if it was written.
pub(super) fn write_numbered(
    out: Template,
    moment: Moment,
    reason: Option<Reason>,
) -> Result<Option<PathBuf>, String> {
    writing(|| {
        let keep = ORDER.get().and_then(|order| order.keep);
        let written = ring::write(out, keep, || pack(moment, reason)).map(Some);
        if moment == Moment::Running && ORDER.get().is_some_and(Order::sets_memory_aside) {
            stock::enlarge();
        }
        written
    })
}
