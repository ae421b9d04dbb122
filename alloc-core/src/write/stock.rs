//! [`Open`]: memory that was set aside for the next snapshot, so that writing it needs none from the
//! system.
//!
//! In: requests for pages of the thread that writes. Out: pages that are resident already. Never: a
//! page for another thread.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::system::arena::{self, PAGE};
use crate::system::sync::{AtomicUsize, Ordering};

/// The memory that is set aside.
///
/// # Implementation
///
/// A run of pages of which the first free ones that suffice are handed out. What the pages lack
/// comes from the system, and is counted: the stock is made as large as the last snapshot needed,
/// and a quarter larger, when that is written. So a snapshot finds all that it needs, unless the
/// tables grew by more than a quarter since the last one.
///
/// NOTE: only a thread that holds the lock of the writer changes it, and a fork waits for that.
struct Stock {
    base: Option<NonNull<u8>>,
    pages: usize,
    /// Which of the pages are in use.
    used: [bool; MOST],
    /// Bytes that are in use, in the stock or not, and the most that were at once.
    now: usize,
    most: usize,
    /// Whether a request had to be passed on to the system.
    has_missed: bool,
}

// SAFETY: the pointer is to memory that belongs to the stock.
unsafe impl Send for Stock {}

/// The most pages that are set aside: 16 MiB.
const MOST: usize = 4096;
/// A larger request is never served. NOTE: only where resident memory goes is one, of 24 MiB that
/// stay untouched for the most part.
const LARGEST: usize = 4 << 20;

static STOCK: Mutex<Stock> = Mutex::new(Stock {
    base: None,
    pages: 0,
    used: [false; MOST],
    now: 0,
    most: 0,
    has_missed: false,
});
/// The stock's range, for those that must not wait.
static START: AtomicUsize = AtomicUsize::new(0);
static LEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is served from the stock.
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
}

fn stock() -> MutexGuard<'static, Stock> {
    STOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Guard: while it lives, the thread's pages come from the stock, and are counted.
///
/// NOTE: the holder keeps other writers and forks out.
pub(crate) struct Open {
    /// The guard belongs to the thread that created it.
    _not_send: PhantomData<*const ()>,
}

impl Open {
    pub(crate) fn begin() -> Open {
        let mut stock = stock();
        (stock.now, stock.most, stock.has_missed) = (0, 0, false);
        drop(stock);
        IS_OPEN.set(true);
        Open {
            _not_send: PhantomData,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        IS_OPEN.set(false);
    }
}

/// Makes the stock large enough for what this thread did while the stock was [open](Open), and a
/// quarter more, if it was too small.
pub(crate) fn enlarge() {
    stock().enlarge();
}

/// Maps zeroed memory, or takes it out of the stock.
pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    if !IS_OPEN.get() || len > LARGEST {
        return arena::reserve(len);
    }
    let mut stock = stock();
    let place = stock.take(len);
    stock.has_missed |= place.is_none();
    let place = place.or_else(|| arena::reserve(len))?;
    stock.now += len.next_multiple_of(PAGE);
    stock.most = stock.most.max(stock.now);
    Some(place)
}

/// Gives memory of [`map`] back.
///
/// # Safety
///
/// `base` and `len` must be those of one earlier `map`, and nothing may refer to the memory any
/// more.
pub(crate) unsafe fn unmap(base: NonNull<u8>, len: usize) {
    let offset = base
        .addr()
        .get()
        .wrapping_sub(START.load(Ordering::Relaxed));
    let is_of_stock = offset < LEN.load(Ordering::Relaxed);
    if is_of_stock || IS_OPEN.get() && len <= LARGEST {
        let mut stock = stock();
        stock.now = stock.now.saturating_sub(len.next_multiple_of(PAGE));
        if is_of_stock {
            return stock.give_back(offset / PAGE, len.div_ceil(PAGE));
        }
    }
    // SAFETY: the caller guarantees it, and `map` got the memory from `reserve`.
    unsafe { arena::release(base, len) }
}

/// Physical memory of the stock, in bytes.
pub(crate) fn resident() -> usize {
    // NOTE: all of it is resident once it is set aside.
    LEN.load(Ordering::Relaxed)
}

impl Stock {
    /// The first free pages that suffice, zeroed.
    fn take(&mut self, len: usize) -> Option<NonNull<u8>> {
        let base = self.base?;
        let needed = len.div_ceil(PAGE);
        let mut free = 0;
        let end = (0..self.pages).find(|&at| {
            free = if self.used[at] { 0 } else { free + 1 };
            free == needed
        })?;
        let start = end + 1 - needed;
        self.used[start..=end].fill(true);
        // SAFETY: the pages are within the stock.
        let place = unsafe { base.add(start * PAGE) };
        // SAFETY: the pages were free, so nothing refers to them.
        unsafe { place.write_bytes(0, needed * PAGE) };
        Some(place)
    }

    fn give_back(&mut self, start: usize, pages: usize) {
        if let Some(used) = self.used.get_mut(start..start + pages) {
            used.fill(false);
        }
    }

    fn enlarge(&mut self) {
        if !self.has_missed || self.used[..self.pages].contains(&true) {
            return;
        }
        // NOTE: free pages may be apart, so that as many as were used do not suffice.
        let needed = self.most.div_ceil(PAGE).max(self.pages);
        let pages = (needed + needed / 4).min(MOST);
        if pages <= self.pages {
            return;
        }
        let Some(base) = arena::reserve(pages * PAGE) else {
            return;
        };
        // SAFETY: the range is the whole reservation.
        unsafe { arena::populate(base, pages * PAGE) };
        // NOTE: an old system does not populate.
        // SAFETY: the memory was just reserved.
        unsafe { base.write_bytes(0, pages * PAGE) };
        let (old, len) = (self.base.replace(base), self.pages * PAGE);
        self.pages = pages;
        START.store(base.addr().get(), Ordering::Relaxed);
        LEN.store(pages * PAGE, Ordering::Relaxed);
        if let Some(old) = old {
            // SAFETY: it was reserved with this length, and none of it is in use.
            unsafe { arena::release(old, len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NOTE: the one test that changes the stock of this process.
    #[test]
    fn the_second_time_nothing_is_missed() {
        let work = || {
            let open = Open::begin();
            let places = [100, 3 * PAGE, PAGE + 1].map(|len| (map(len).unwrap(), len));
            for (place, len) in places {
                for at in 0..len {
                    // SAFETY: the memory has this length.
                    let byte = unsafe { place.add(at) };
                    // SAFETY: the memory is zeroed, and written by this thread alone.
                    assert_eq!(unsafe { byte.replace(7) }, 0);
                }
            }
            for (place, len) in places {
                // SAFETY: from `map`, and not used any more.
                unsafe { unmap(place, len) };
            }
            let has_missed = stock().has_missed;
            drop(open);
            enlarge();
            has_missed
        };
        assert!(work());
        assert!(!work());
        assert_eq!(resident(), 7 * PAGE, "a quarter more than 6 pages");
        // Other threads are not served.
        let other = std::thread::spawn(|| map(PAGE).map(|it| it.addr().get()));
        let other = other.join().unwrap().unwrap();
        assert!(other.wrapping_sub(START.load(Ordering::Relaxed)) >= resident());
    }
}
