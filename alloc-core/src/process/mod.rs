//! Connects the reading side to this process: takes snapshots and registers hooks.
//!
//! In: the tables, the loader's list. Out: a [`Snapshot`], and the hooks of a [`Process`]. Never: a
//! write to the tables.

pub(crate) mod allocator;
pub(crate) mod label_bytes;
mod lifetimes;
pub(crate) mod modules;
pub(crate) mod read_tables;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod residence;
#[cfg(not(all(target_os = "linux", not(miri))))]
#[path = "no_residence.rs"]
pub(crate) mod residence;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::record::thread;
use crate::snapshot::recorded::Recorded;
use crate::snapshot::snapshot::{About, Run};
use crate::snapshot::symbolizer::{Code, Named, Search, Symbolizer};
use crate::snapshot::{Process, register, register_symbolizer};
use crate::write::{output, stock};
use crate::{Error, Snapshot, announce};

static PROCESS: Process = Process {
    mute: thread::begin_mute,
    unmute: thread::end_mute,
    map: stock::map,
    unmap: stock::unmap,
    write: |path, bytes| {
        output::write(path, bytes)?;
        announce::wrote(path);
        Ok(())
    },
};

/// Registers the hooks. Does not allocate.
pub fn register_hooks() {
    register(&PROCESS);
    register_symbolizer(&(&Names as &dyn Symbolizer));
}

/// Registers the hooks when the program is loaded, so that a program that only reads snapshots can
/// name addresses too.
#[used]
#[cfg_attr(
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_os = "illumos",
        target_os = "solaris"
    ),
    unsafe(link_section = ".init_array")
)]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func,mod_init_funcs")
)]
#[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        register_hooks();
    }
    at_load
};

/// When this process began, by the clock of the day and by one that nobody sets.
///
/// NOTE: a `OnceLock` blocks only in `set` and `get_or_init`. [`begin`] sets it once, in the first
/// allocation, under the control lock; everything else calls `get`, which never waits.
static BEGAN: OnceLock<(SystemTime, Instant)> = OnceLock::new();

/// Stores when this process began, and registers the hooks. Does not allocate.
pub(crate) fn begin() {
    let _ = BEGAN.set((SystemTime::now(), Instant::now()));
    register_hooks();
}

/// When this process began, by the clock of the day. `None` in a program without the allocator.
pub(crate) fn began_at() -> Option<SystemTime> {
    BEGAN.get().map(|(at, _)| *at)
}

/// Which run of the program this is, and how far it got.
pub(crate) fn run() -> Run {
    let Some((at, clock)) = BEGAN.get() else {
        return Run::default();
    };
    Run {
        began: at.duration_since(UNIX_EPOCH).unwrap_or_default(),
        uptime: clock.elapsed(),
    }
}

/// Takes a snapshot of the tables.
pub(crate) fn take_snapshot() -> Result<Snapshot, Error> {
    let _muted = thread::mute();
    Ok(snapshot_of(read_tables::read(None)?))
}

/// Takes a snapshot of the tables, and of the resident pages.
pub(crate) fn take_snapshot_with_residence() -> Result<Snapshot, Error> {
    let _muted = thread::mute();
    let numbers = allocator::numbers();
    let pages = residence::PinnedPages::read()?;
    let mut snapshot = snapshot_of(read_tables::read(Some(&pages))?);
    for (key, value) in numbers {
        snapshot.set_metadata(key, value);
    }
    Ok(snapshot)
}

/// Makes a snapshot from what was recorded in this process.
pub(crate) fn snapshot_of(recorded: Recorded) -> Snapshot {
    let _muted = thread::mute();
    register_hooks();
    let about = About {
        taken_at: SystemTime::now(),
        duration: Duration::ZERO,
        run: run(),
        process_id: std::process::id(),
        is_at_exit: false,
        program: std::env::current_exe()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        command_line: std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        modules: modules::known(),
        metadata: BTreeMap::new(),
        unknown: Default::default(),
    };
    Snapshot::of_this_process(recorded, about)
}

/// Returns the bytes used by names: those that are cached, and those of naming in progress.
pub(crate) fn resident_names() -> usize {
    crate::snapshot::symbols::resident() + alloc_core_symbols::held()
}

/// Whether the ELF files of this process's modules are read. Miri cannot map files.
const READS_FILES: bool = cfg!(all(target_os = "linux", not(miri)));

/// Names code from ELF files, or with the crate `backtrace` where this process's own are not read.
struct Names;

impl Symbolizer for Names {
    fn name(&self, code: &Code<'_>, search: &Search) -> Named {
        if READS_FILES || !code.is_here {
            return alloc_core_symbols::Files.name(code, search);
        }
        Named {
            frames: code.addresses.iter().map(|&it| by_backtrace(it)).collect(),
            ..Named::default()
        }
    }

    fn finish(&self) {
        if !READS_FILES {
            backtrace::clear_symbol_cache();
        }
        alloc_core_symbols::Files.finish();
    }
}

/// Names the code before a return address of this process with the crate `backtrace`.
fn by_backtrace(address: usize) -> Vec<alloc_core_symbols::Frame> {
    let mut frames = Vec::new();
    // NOTE: `resolve` subtracts one from the address itself.
    backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
        frames.push(alloc_core_symbols::Frame {
            function: symbol.name().map(|name| format!("{name:#}").into()),
            mangled: None,
            generic: None,
            file: symbol.filename().map(|it| it.to_string_lossy().into()),
            line: symbol.lineno().unwrap_or(0),
            column: symbol.colno().unwrap_or(0),
        });
    });
    frames
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::snapshot::recorded::{RecordedCallsite, StackEnd};
    use crate::snapshot::symbols::traceback_here;
    use crate::{ChargeTo, Frame, Origin, Traceback};

    fn traceback(addresses: &[usize], end: StackEnd, limit: u16) -> Traceback {
        register_hooks();
        traceback_here(&modules::known(), addresses, end, limit)
    }

    /// Return addresses of the caller, innermost first.
    #[inline(never)]
    fn here() -> Vec<usize> {
        let mut addresses = Vec::new();
        backtrace::trace(|frame| {
            addresses.push(frame.ip() as usize);
            true
        });
        addresses
    }

    #[inline(always)]
    fn inlined() -> Vec<usize> {
        here()
    }

    #[test]
    fn inlined_functions_are_frames_and_paths_are_relative_to_the_workspace() {
        #[inline(never)]
        fn caller() -> (Vec<usize>, u32) {
            (std::hint::black_box(inlined()), line!())
        }
        let (addresses, line) = caller();
        let traceback = traceback(&addresses, StackEnd::Complete, 100);
        let at = |name: &str| {
            let found = traceback
                .iter()
                .position(|it| it.function().is_some_and(|it| it.ends_with(name)));
            found.unwrap_or_else(|| panic!("no {name} in {traceback}"))
        };
        let (callee, caller) = (at("inlined"), at("caller"));
        assert_eq!(callee + 1, caller);
        assert!(traceback[callee].is_inlined() && !traceback[caller].is_inlined());
        assert_eq!(traceback[caller].to_string(), format!("{}:{line}", file!()));
        assert_eq!(traceback[caller].origin(), Origin::Workspace);
    }

    #[test]
    fn the_limit_counts_addresses_from_the_charged_one() {
        let addresses = here();
        let whole = traceback(&addresses, StackEnd::Complete, 1000);
        let one = traceback(&addresses, StackEnd::Complete, 1);
        assert!(!whole.is_truncated() && one.is_truncated());
        let charged = whole.charged(ChargeTo::Caller);
        assert_eq!(one.charged(ChargeTo::Caller), charged);
        assert_eq!(one.last().map(Frame::address), Some(charged.address()));
        assert_eq!(one[..], whole[..one.len()]);
    }

    #[test]
    fn code_without_a_symbol_is_named_by_its_module_or_address() {
        let nowhere = traceback(&[0x11], StackEnd::Broken, 8);
        assert_eq!(nowhere.charged(ChargeTo::Caller).to_string(), "0x10");
        assert!(nowhere.is_broken());
    }

    #[test]
    fn charged_frames_equal_those_of_whole_stacks() {
        let mut recorded = Recorded {
            traceback_limit: 32,
            ..Recorded::default()
        };
        let std = recorded_stack(&mut recorded, here);
        for depth in 0..std {
            recorded_stack(&mut recorded, || here().split_off(depth));
        }
        let snapshot = snapshot_of(recorded.clone());
        let charged = snapshot.charged(&recorded);
        assert_eq!(charged.len(), snapshot.traces().len());
        for (trace, charged) in snapshot.traces().iter().zip(charged) {
            assert_eq!(*trace.traceback.charged(ChargeTo::Caller), charged);
        }
    }

    fn recorded_stack(recorded: &mut Recorded, stack: impl FnOnce() -> Vec<usize>) -> usize {
        let (start, stack) = (recorded.addresses.len(), stack());
        recorded.addresses.extend(&stack);
        recorded.callsites.push(RecordedCallsite {
            stack: start..recorded.addresses.len(),
            ..Default::default()
        });
        stack.len()
    }

    #[test]
    fn an_empty_stack_has_a_placeholder_frame() {
        let empty = traceback(&[], StackEnd::Broken, 8);
        assert_eq!(empty.charged(ChargeTo::Caller).to_string(), "<unknown>");
        let overflow = traceback(&[], StackEnd::Overflow, 8);
        assert_eq!(overflow.charged(ChargeTo::Caller).to_string(), "<overflow>");
        let heap = traceback(&[], StackEnd::Uncaptured, 0);
        assert_eq!(heap.charged(ChargeTo::Caller).to_string(), "<heap>");
    }
}
