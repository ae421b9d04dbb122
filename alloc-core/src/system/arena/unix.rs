//! Pages from `mmap`.

use std::ptr::{self, NonNull};

pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
    // NOTE: no overcommit accounting where the system honours the flag: most of a table is never
    // touched.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
    // NOTE: without any access rights at first. Otherwise the system makes all of it resident at
    // once in a process that locks its future mappings (`mlockall` with `MCL_FUTURE`).
    //
    // SAFETY: a new anonymous mapping at an address of the system's choice touches no memory of
    // ours.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range is the mapping just made.
    unsafe { libc::munlock(base, len) };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the range is the mapping just made.
    if unsafe { libc::mprotect(base, len, protection) } != 0 {
        // SAFETY: the range is the mapping just made, and nothing refers to it.
        unsafe { libc::munmap(base, len) };
        return None;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: the range is the mapping just made. Huge pages would make a table that is touched a
    // word at a time resident 2 MiB at a time. A refusal changes nothing.
    unsafe {
        libc::madvise(base, len, libc::MADV_NOHUGEPAGE);
    }
    NonNull::new(base.cast())
}

pub(super) unsafe fn populate(base: NonNull<u8>, len: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is mapped memory of ours; its content stays. Linux before 5.14 does not
    // know this advice, and then nothing changes.
    unsafe {
        libc::madvise(base.as_ptr().cast(), len, libc::MADV_POPULATE_WRITE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (base, len);
}

pub(super) unsafe fn unmap(base: NonNull<u8>, len: usize) {
    // SAFETY: the caller passes a whole mapping that nothing refers to any more.
    unsafe { libc::munmap(base.as_ptr().cast(), len) };
}

pub(super) fn resident(base: NonNull<u8>, len: usize) -> usize {
    #[cfg(target_os = "linux")]
    if let Some(bytes) = own_pages(base, len) {
        return bytes;
    }
    mapped_pages(base, len)
}

/// The bytes of pages that belong to this process alone, from `/proc/self/pagemap`. `None` if there
/// is no such file.
///
/// A page that was only read is mapped, but it is the shared zero page.
#[cfg(target_os = "linux")]
fn own_pages(base: NonNull<u8>, len: usize) -> Option<usize> {
    const PAGES: usize = 512;
    // Bits of a word of the file: the page is in memory, and mapped by this process alone.
    const OWN: u64 = 1 << 63 | 1 << 56;
    // SAFETY: the path ends in a NUL byte.
    let file = unsafe {
        libc::open(
            c"/proc/self/pagemap".as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    };
    if file < 0 {
        return None;
    }
    let page = page_size();
    let (first, pages) = (base.as_ptr().addr() / page, len.div_ceil(page));
    let mut seen = [0_u64; PAGES];
    let mut own = Some(0);
    for start in (0..pages).step_by(PAGES) {
        let part = (pages - start).min(PAGES);
        let (bytes, at) = (part * size_of::<u64>(), (first + start) * size_of::<u64>());
        // SAFETY: `seen` has room for `bytes` bytes.
        let read = unsafe { libc::pread(file, seen.as_mut_ptr().cast(), bytes, at as libc::off_t) };
        if read != bytes as isize {
            own = None;
            break;
        }
        let is_own = |word: &&u64| **word & OWN == OWN;
        own = own.map(|own| own + seen[..part].iter().filter(is_own).count() * page);
    }
    // SAFETY: the file was opened above, and is closed once.
    unsafe { libc::close(file) };
    own
}

/// The bytes of pages that are mapped, even if other processes share them.
fn mapped_pages(base: NonNull<u8>, len: usize) -> usize {
    const PAGES: usize = 4096;
    let page = page_size();
    let mut seen = [0u8; PAGES];
    let mut bytes = 0;
    for start in (0..len).step_by(PAGES * page) {
        let part = (len - start).min(PAGES * page);
        let first = base.as_ptr().wrapping_add(start).cast();
        // SAFETY: the range is inside a mapping of ours, and `seen` has a byte for each page.
        let failed = unsafe { libc::mincore(first, part, seen.as_mut_ptr().cast()) } != 0;
        if failed {
            return len;
        }
        let pages = part.div_ceil(page);
        bytes += seen[..pages]
            .iter()
            .filter(|&&flags| flags & 1 == 1)
            .count()
            * page;
    }
    bytes
}

fn page_size() -> usize {
    // SAFETY: a query; it accesses no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
