//! Memory that the allocator does not see, reported by the program: [`track`] and [`untrack`].

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::tables::callsites::CallsiteId;
use crate::{control, record::manual, record::thread};

/// The blocks that the program tracks.
///
/// Tracking need not be fast, but there may be many blocks at any address, so they are in a hash
/// map behind a lock, whose memory is muted. The lock is taken before those of
/// [`control`], and by a fork as well. Entries of an earlier session are stale, and
/// recognized by the session's number.
struct Tracked {
    session: u64,
    blocks: HashMap<(u32, usize), Block>,
    /// The sum of their sizes, in bytes.
    bytes: u64,
}

/// The largest size of a block: more than a process can map.
const MOST_BYTES: usize = 1 << 47;
/// The largest sum of all sizes. The allocator's own blocks are far smaller than the rest of an
/// `i64`.
const MOST_BYTES_IN_ALL: u64 = 1 << 62;

#[derive(Clone, Copy)]
struct Block {
    callsite: CallsiteId,
    size: usize,
}

/// The blocks that the program tracks.
///
/// NOTE: a `LazyLock` blocks while another thread initializes it, which allocates nothing here. The
/// mutex inside blocks as well, and neither is used inside an allocation.
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

/// Keeps other threads from tracking blocks, for the duration of a fork.
pub(crate) fn hold() -> Held {
    Held { _lock: lock() }
}

/// The lock that a fork holds.
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

    /// Removes a block.
    fn remove(&mut self, block: &(u32, usize)) -> Option<Block> {
        let gone = self.blocks.remove(block)?;
        self.bytes -= gone.size as u64;
        Some(gone)
    }

    /// Adds a block. NOTE: it must be absent, and the map must have room for one more.
    fn insert(&mut self, block: (u32, usize), noted: Block) {
        self.bytes += noted.size as u64;
        self.blocks.insert(block, noted);
    }
}

/// Counts `size` bytes at `address` that did not come from the allocator: a memory map, a buffer of
/// a graphics card, an allocation of a C library, a piece of an arena.
///
/// They are counted like any block: in the heap's current and peak, and at the callsite of this
/// call, as a trace of the `domain`. Domains are separate address spaces, so two may have blocks at
/// one address. Choose any number but 0, which is the Rust heap's. A block that is tracked already
/// is replaced, with its callsite. In a [sample](crate::Config::sample_every) all of them are
/// counted.
///
/// Not for signal handlers: it takes a lock.
///
/// NOTE: an arena that gets its memory from the global allocator is traced already: tracking its
/// pieces as well counts them twice.
///
/// # Errors
///
/// [`Error::is_not_tracing`] if tracing is off; [`Error::is_invalid_config`] if the domain is 0, a
/// block has more than 2^47 bytes, or all tracked blocks have more than 2^62; [`Error::is_broken`]
/// if the numbers are no longer reliable.
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
    // The insertion below must not allocate, so it needs room now.
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

/// Removes a block that [`track`] added.
///
/// A block that is not tracked is ignored, so untracking twice does no harm.
///
/// # Errors
///
/// [`Error::is_not_tracing`] if tracing is off; [`Error::is_broken`] if the numbers are no longer
/// reliable.
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

/// The callsite of a tracked block, and the session that it belongs to.
pub(crate) fn callsite_of(domain: u32, address: usize) -> Option<(CallsiteId, u64)> {
    let mut tracked = lock();
    let session = control::session();
    let block = tracked.of(session).blocks.get(&(domain, address))?;
    Some((block.callsite, session))
}
