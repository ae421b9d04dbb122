//! [`numbers`]: what the allocators of this process say of their own memory.
//!
//! In: functions of allocators that are linked, or one that the program gives. Out: names and bytes,
//! as metadata of a snapshot. Never: a call in a signal handler, or while threads are stopped: an
//! allocator takes its locks to count.

use std::sync::OnceLock;

use crate::snapshot::snapshot::ALLOCATOR_PREFIX;

/// A function that passes each number of an allocator on: what it counts, and the bytes.
type Count = fn(&mut dyn FnMut(&'static str, u64));

/// The allocator that the program describes.
static GIVEN: OnceLock<(&'static str, Count)> = OnceLock::new();

/// Has snapshots with residence say what the program's allocator counts of its own memory.
///
/// `count` passes on each number: what it is, in a few words, and the bytes. It is called by
/// [`take_snapshot_with_residence`](crate::take_snapshot_with_residence), and for snapshots with
/// `ALLOC_TRACE_RESIDENT=1`, on the thread that takes them. What it allocates is not traced. Only the
/// first call has an effect.
///
/// glibc is always asked, and so are jemalloc and mimalloc if their functions `mallctl` and
/// `mi_process_info` are exported, as by a preloaded library. A crate that links its allocator
/// statically hides them: with `tikv-jemalloc-ctl`, pass `stats::allocated`, `active`, `metadata`,
/// `resident` and `retained`, after `epoch::advance`.
///
/// ```
/// alloc_core::describe_allocator("pool", |count| {
///     count("in use", 4 << 20);
///     count("free", 1 << 20);
/// });
/// ```
pub fn describe_allocator(name: &'static str, count: fn(&mut dyn FnMut(&'static str, u64))) {
    let _ = GIVEN.set((name, count));
}

/// What the allocators say, as keys and values of metadata.
pub(crate) fn numbers() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut of = |allocator: &str, count: Count| {
        count(&mut |what, bytes| {
            let key = format!("{ALLOCATOR_PREFIX}{allocator}.{what}");
            all.push((key, bytes.to_string()));
        });
    };
    for (allocator, count) in linked::ALLOCATORS {
        of(allocator, count);
    }
    if let Some((allocator, count)) = GIVEN.get() {
        of(allocator, *count);
    }
    all
}

/// Allocators whose functions the loader finds.
#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
mod linked {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::ptr;

    use super::Count;
    use crate::system::hooks;

    pub(super) const ALLOCATORS: [(&str, Count); 3] = [
        ("glibc", glibc),
        ("jemalloc", jemalloc),
        ("mimalloc", mimalloc),
    ];

    fn find(function: &CStr) -> Option<*mut c_void> {
        // SAFETY: the name is a C string.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, function.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// All arenas. Nothing if `malloc` is not glibc's, or if that is older than 2.33.
    fn glibc(count: &mut dyn FnMut(&'static str, u64)) {
        let Some(function) = find(c"mallinfo2").filter(|_| hooks::malloc_is_glibcs()) else {
            return;
        };
        // SAFETY: glibc's function of this name has this type.
        let mallinfo2: extern "C" fn() -> libc::mallinfo2 =
            unsafe { std::mem::transmute(function) };
        let info = mallinfo2();
        count("in use", info.uordblks as u64);
        count("free", info.fordblks as u64);
        count("free at the top", info.keepcost as u64);
        count("mmapped", info.hblkhd as u64);
    }

    type Mallctl =
        extern "C" fn(*const c_char, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;

    fn jemalloc(count: &mut dyn FnMut(&'static str, u64)) {
        let Some(function) = find(c"mallctl") else {
            return;
        };
        // SAFETY: jemalloc's function of this name has this type.
        let mallctl: Mallctl = unsafe { std::mem::transmute(function) };
        // Numbers are those of the last epoch.
        let mut epoch = 1_u64;
        let place = (&raw mut epoch).cast();
        mallctl(
            c"epoch".as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            place,
            size_of::<u64>(),
        );
        for (name, what) in [
            (c"stats.allocated", "in use"),
            (c"stats.active", "pages in use"),
            (c"stats.metadata", "metadata"),
            (c"stats.resident", "resident"),
            (c"stats.retained", "retained"),
        ] {
            let (mut bytes, mut len) = (0_usize, size_of::<usize>());
            let place = (&raw mut bytes).cast();
            let failed = mallctl(name.as_ptr(), place, &mut len, ptr::null_mut(), 0) != 0;
            // NOTE: a build without statistics has none of them.
            if !failed {
                count(what, bytes as u64);
            }
        }
    }

    type ProcessInfo = extern "C" fn(
        *mut usize,
        *mut usize,
        *mut usize,
        *mut usize,
        *mut usize,
        *mut usize,
        *mut usize,
        *mut usize,
    );

    fn mimalloc(count: &mut dyn FnMut(&'static str, u64)) {
        let Some(function) = find(c"mi_process_info") else {
            return;
        };
        // SAFETY: mimalloc's function of this name has this type.
        let info: ProcessInfo = unsafe { std::mem::transmute(function) };
        let (mut now, mut most) = (0, 0);
        let null = ptr::null_mut;
        info(
            null(),
            null(),
            null(),
            null(),
            null(),
            &mut now,
            &mut most,
            null(),
        );
        count("committed", now as u64);
        count("committed at most", most as u64);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
mod linked {
    pub(super) const ALLOCATORS: [(&str, super::Count); 0] = [];
}
