//! [`HeapRoot`]: what holds memory where no scan sees it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::record::thread;

/// What the program named, in the order of the calls.
static NAMED: Mutex<List> = Mutex::new(List {
    next: 0,
    roots: Vec::new(),
});

struct List {
    next: u64,
    roots: Vec<Named>,
}

#[derive(Clone)]
pub(super) struct Named {
    number: u64,
    pub(super) address: usize,
    pub(super) name: String,
}

/// The name of the root that [`ignore_leak`] makes.
const IGNORED: &str = "ignored by the program";

fn lock() -> MutexGuard<'static, List> {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps other threads from naming roots, for the duration of a fork.
pub(crate) fn hold() -> Held {
    Held { _lock: lock() }
}

/// The lock that a fork holds.
pub(crate) struct Held {
    _lock: MutexGuard<'static, List>,
}

/// Returns a copy of the list.
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(miri)
    )),
    expect(dead_code, reason = "there are no heap graphs")
)]
pub(super) fn list() -> Vec<Named> {
    lock().roots.clone()
}

/// A root that the program named: see [`HeapRoot::new`].
///
/// ```
/// use alloc_core::HeapRoot;
///
/// let buffer = vec![0_u8; 4096];
/// let root = HeapRoot::new(buffer.as_ptr(), "buffers of io_uring");
/// drop(root);
/// ```
#[derive(Debug)]
#[must_use = "the root is gone when it is dropped"]
pub struct HeapRoot {
    number: u64,
}

impl HeapRoot {
    /// Tells [heap graphs](crate::heap_graph) that something which no scan sees holds the block that
    /// `pointer` leads to, until the value is dropped.
    ///
    /// A scan finds pointers in memory and registers. It finds none that the kernel keeps, such as
    /// those in an epoll set or an io_uring, and none that the program stores compressed, encrypted
    /// or with flags in its upper bits. Without a root, such a block looks like a leak. The graph
    /// shows the root by its name; equal names are one root. A pointer to no block, or to freed
    /// memory, is no error.
    ///
    /// ```
    /// use alloc_core::HeapRoot;
    ///
    /// // Only the complement of the address is stored.
    /// let hidden = !Box::into_raw(Box::new([1_u8; 100])).addr();
    /// let root = HeapRoot::new(std::ptr::without_provenance::<u8>(!hidden), "hidden pointers");
    /// // A heap graph says: named root hidden pointers.
    /// # drop(root);
    /// ```
    pub fn new<T: ?Sized>(pointer: *const T, name: &str) -> HeapRoot {
        // The list is not the program's memory.
        let _muted = thread::mute();
        let mut list = lock();
        let number = list.next;
        list.next += 1;
        list.roots.push(Named {
            number,
            address: pointer.cast::<u8>().addr(),
            name: name.to_owned(),
        });
        HeapRoot { number }
    }
}

impl Drop for HeapRoot {
    fn drop(&mut self) {
        let _muted = thread::mute();
        let mut list = lock();
        let at = list
            .roots
            .binary_search_by_key(&self.number, |it| it.number);
        if let Ok(at) = at {
            list.roots.remove(at);
        }
    }
}

/// Tells [heap graphs](crate::heap_graph) that the block which `pointer` leads to is leaked on
/// purpose, with what it holds.
///
/// It is the same as a [`HeapRoot`] that is never dropped, so `alloc-report graph FILE leaks` and
/// `assert_no_leaks!` say nothing of it.
///
/// ```
/// let config: &'static str = Box::leak("a configuration".to_owned().into_boxed_str());
/// alloc_core::ignore_leak(config);
/// ```
pub fn ignore_leak<T: ?Sized>(pointer: *const T) {
    std::mem::forget(HeapRoot::new(pointer, IGNORED));
}
