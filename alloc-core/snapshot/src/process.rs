//! [`Process`]: the reading side's hooks into the process that it runs in.
//!
//! In: hooks that alloc-core registers once. Out: a guard that disables recording, memory outside
//! the heap, and a way to write a path. Without hooks nothing is traced, so each hook has a plain
//! default.

use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::NonNull;

use once_cell::race::OnceRef;

use crate::symbolizer::Symbolizer;

/// The hooks of a process with a tracer.
pub struct Process {
    /// Mutes the calling thread, and returns what [`unmute`](Self::unmute) needs.
    pub mute: fn() -> u32,
    /// Undoes one call of [`mute`](Self::mute).
    pub unmute: fn(u32),
    /// Maps this many zeroed bytes, aligned to a page.
    pub map: fn(usize) -> Option<NonNull<u8>>,
    /// Unmaps what [`map`](Self::map) returned, given its length.
    pub unmap: unsafe fn(NonNull<u8>, usize),
    /// Writes bytes to a path of any kind.
    pub write: fn(&Path, &[u8]) -> io::Result<()>,
}

static PROCESS: OnceRef<'static, Process> = OnceRef::new();
static SYMBOLIZER: OnceRef<'static, &'static dyn Symbolizer> = OnceRef::new();

/// Registers the hooks of this process. Only the first call has an effect. Does not allocate.
pub fn register(process: &'static Process) {
    let _ = PROCESS.set(process);
}

/// Registers the symbolizer of this process. Only the first call has an effect. Does not allocate.
pub fn register_symbolizer(symbolizer: &'static &'static dyn Symbolizer) {
    let _ = SYMBOLIZER.set(symbolizer);
}

pub(crate) fn process() -> Option<&'static Process> {
    PROCESS.get()
}

pub(crate) fn symbolizer() -> Option<&'static dyn Symbolizer> {
    SYMBOLIZER.get().copied()
}

/// Guard: while it lives, allocations of the calling thread are not recorded.
#[must_use]
pub struct Muted {
    /// The hook that ends the muting, and its argument.
    end: Option<(fn(u32), u32)>,
    /// The guard belongs to the thread that created it.
    _not_send: PhantomData<*const ()>,
}

/// Mutes the calling thread.
pub fn mute() -> Muted {
    Muted {
        end: process().map(|it| (it.unmute, (it.mute)())),
        _not_send: PhantomData,
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        if let Some((unmute, token)) = self.end {
            unmute(token);
        }
    }
}

/// Runs `work` without recording its allocations.
pub fn untraced<R>(work: impl FnOnce() -> R) -> R {
    let _muted = mute();
    work()
}
