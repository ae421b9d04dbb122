//! Memory that the allocator does not see, told by the program: [`track`] and [`untrack`].

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::tables::callsites::CallsiteId;
use crate::{control, record::manual, record::thread};

/// Blocks that the program told of.
///
/// They need not be fast, but they may be many and their addresses anything, so they stand in a
/// hash map behind a lock, whose memory is muted. The lock is taken before those of
/// [`control`](crate::control), and by a fork as well. What was noted in an earlier session of the
/// tracer is of no use, and recognized by its number.
struct Tracked {
    session: u64,
    blocks: HashMap<(u32, usize), Block>,
    /// The bytes of all of them.
    bytes: u64,
}

/// The size that a block may have: more than a process can map.
const MOST_BYTES: usize = 1 << 47;
/// The bytes that all blocks may have together. What the allocator can give is far less than the
/// rest of an `i64`.
const MOST_BYTES_IN_ALL: u64 = 1 << 62;

#[derive(Clone, Copy)]
struct Block {
    callsite: CallsiteId,
    size: usize,
}

static TRACKED: LazyLock<Mutex<Tracked>> = LazyLock::new(|| {
    Mutex::new(Tracked {
        session: 0,
        blocks: HashMap::new(),
        bytes: 0,
    })
});

fn lock() -> MutexGuard<'static, Tracked> {
    TRACKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps other threads from telling of blocks, for as long as a fork takes.
pub(crate) fn hold() -> Held {
    Held { _lock: lock() }
}

/// What a fork holds on to.
pub(crate) struct Held {
    _lock: MutexGuard<'static, Tracked>,
}

impl Tracked {
    /// The blocks of this session.
    fn of(&mut self, session: u64) -> &mut Tracked {
        if self.session != session {
            self.session = session;
            self.blocks.clear();
            self.bytes = 0;
        }
        self
    }

    /// Forgets a block.
    fn remove(&mut self, block: &(u32, usize)) -> Option<Block> {
        let gone = self.blocks.remove(block)?;
        self.bytes -= gone.size as u64;
        Some(gone)
    }

    /// Notes a block. NOTE: one that is not there, and with room for one more.
    fn insert(&mut self, block: (u32, usize), noted: Block) {
        self.bytes += noted.size as u64;
        self.blocks.insert(block, noted);
    }
}

/// Tells the tracer of `size` bytes at `address` that did not come from the allocator: a memory
/// map, a buffer of a graphics card, what a C library allocated, a piece of an arena.
///
/// They are counted like any block: in the heap's current and peak, and at the callsite of this
/// call, as a trace of the `domain`. Domains keep address spaces apart, so that two may have blocks
/// at one address; choose any number but 0, which is the Rust heap's. Blocks that are tracked
/// already are replaced, with their callsite. In a [sample](crate::Config::sample_every) all of
/// them are counted.
///
/// Not for signal handlers: it locks.
///
/// NOTE: an arena that gets its memory from the global allocator is seen already: tracking its
/// pieces as well counts them twice.
///
/// # Errors
///
/// [`Error::is_not_tracing`] if tracing is off; [`Error::is_invalid_config`] if the domain is 0, a
/// block has more than 2^47 bytes, or all that are tracked have more than 2^62;
/// [`Error::is_broken`] if the numbers are no longer true.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// const GPU: u32 = 1;
///
/// alloc_core::start()?;
/// let before = alloc_core::traced_memory().current;
/// alloc_core::track(GPU, 0x7000_0000, 4096)?;
/// assert_eq!(alloc_core::traced_memory().current, before + 4096.into());
///
/// assert!(alloc_core::traceback_of_tracked(GPU, 0x7000_0000).is_some());
/// alloc_core::untrack(GPU, 0x7000_0000)?;
/// assert_eq!(alloc_core::traced_memory().current, before);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn track(domain: u32, address: usize, size: usize) -> Result<(), Error> {
    let _muted = thread::mute();
    if domain == 0 {
        return Err(Error::invalid_config(
            "the domain must be a number from 1 on, found 0, which is the Rust heap's".to_owned(),
        ));
    }
    if size > MOST_BYTES {
        return Err(Error::invalid_config(format!(
            "the size must be from 0 to {MOST_BYTES} bytes, found {size}"
        )));
    }
    let mut tracked = lock();
    // What is inserted below, where nothing can be allocated, has room.
    tracked.blocks.reserve(1);
    let is_tracked = manual::record(|recorder| {
        let tracked = tracked.of(control::session());
        let before = tracked.blocks.get(&(domain, address));
        let others = tracked.bytes - before.map_or(0, |it| it.size as u64);
        if others + size as u64 > MOST_BYTES_IN_ALL {
            return false;
        }
        if let Some(before) = tracked.remove(&(domain, address)) {
            recorder.untracked(before.callsite, before.size);
        }
        let callsite = recorder.tracked(domain, size);
        tracked.insert((domain, address), Block { callsite, size });
        true
    })?;
    match is_tracked {
        true => Ok(()),
        false => Err(Error::invalid_config(format!(
            "all blocks that are tracked must have at most {MOST_BYTES_IN_ALL} bytes, found more with {size} more"
        ))),
    }
}

/// Takes back what [`track`] told: the block is gone.
///
/// What is not tracked is left alone, so untracking twice does no harm.
///
/// # Errors
///
/// [`Error::is_not_tracing`] if tracing is off; [`Error::is_broken`] if the numbers are no longer
/// true.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// alloc_core::track(1, 0x7000_0000, 4096)?;
/// alloc_core::untrack(1, 0x7000_0000)?;
/// assert!(alloc_core::traceback_of_tracked(1, 0x7000_0000).is_none());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn untrack(domain: u32, address: usize) -> Result<(), Error> {
    let _muted = thread::mute();
    let mut tracked = lock();
    manual::record(|recorder| {
        let tracked = tracked.of(control::session());
        if let Some(before) = tracked.remove(&(domain, address)) {
            recorder.untracked(before.callsite, before.size);
        }
    })
}

/// The callsite of a block that is tracked, and the session that it is of.
pub(crate) fn callsite_of(domain: u32, address: usize) -> Option<(CallsiteId, u64)> {
    let mut tracked = lock();
    let session = control::session();
    let block = tracked.of(session).blocks.get(&(domain, address))?;
    Some((block.callsite, session))
}
