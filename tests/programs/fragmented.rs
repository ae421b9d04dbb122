//! A program whose heap is small and whose resident memory is large, for a known reason. Its
//! arguments are a case and a path.
//!
//! It writes a snapshot with its resident pages to the path. Then it drops what keeps the pages, and
//! prints by how many bytes resident memory fell.

use std::hint::black_box;

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const MIB: usize = 1 << 20;

/// Gives back what the allocator can. Only glibc has such a function.
fn trim() {
    // SAFETY: the function has no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

fn resident() -> usize {
    let memory = alloc_core::resident_memory().expect("/proc is there");
    memory.rss.get() as usize
}

#[inline(never)]
fn blocks(count: usize, size: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| black_box(vec![1; size])).collect()
}

/// One small block in each page.
#[inline(never)]
fn pin() -> Vec<u8> {
    black_box(vec![2; 24])
}

/// Holds a block in four, each in a page that others have left.
fn sparse() -> Box<dyn Kept> {
    let mut kept = Vec::with_capacity(30_000);
    let mut others = Vec::with_capacity(30_000);
    for _ in 0..25_000 {
        kept.push(pin());
        others.push(blocks(1, 4000));
    }
    drop(others);
    trim();
    Box::new(kept)
}

/// The allocator keeps 100 MiB of pages, since a block behind them is live.
fn free() -> Box<dyn Kept> {
    let many = blocks(100_000, 1000);
    let last = pin();
    drop(many);
    Box::new(last)
}

/// A vector of 64 MiB, of which a half was never touched.
fn mapped() -> Box<dyn Kept> {
    let mut half = Vec::<u8>::with_capacity(64 * MIB);
    half.resize(32 * MIB, 3);
    Box::new(black_box(half))
}

/// Threads that end leave their arenas behind.
fn threads() -> Box<dyn Kept> {
    let threads: Vec<_> = (0..6)
        .map(|_| {
            std::thread::spawn(|| {
                let many = blocks(20_000, 500);
                // NOTE: a small block would come from what the start of the thread has freed.
                let last = black_box(vec![2; 3000]);
                drop(many);
                last
            })
        })
        .collect();
    let kept: Vec<Vec<u8>> = threads
        .into_iter()
        .map(|it| it.join().expect("it ends"))
        .collect();
    Box::new(kept)
}

/// A file of 48 MiB that is mapped, and memory that is no heap.
fn other(path: &str) -> Box<dyn Kept> {
    use std::os::fd::AsRawFd as _;

    let path = format!("{path}.mapped");
    std::fs::write(&path, vec![1; 48 * MIB]).expect("a file");
    let file = std::fs::File::open(&path).expect("a file");
    let map = |len, flags, descriptor| {
        let rights = libc::PROT_READ | if descriptor < 0 { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping touches no memory that is there.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, descriptor, 0) };
        assert_ne!(map, libc::MAP_FAILED);
        map.cast::<u8>()
    };
    let of_file = map(48 * MIB, libc::MAP_PRIVATE, file.as_raw_fd());
    let anonymous = map(32 * MIB, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1);
    for at in (0..48 * MIB).step_by(4096) {
        // SAFETY: the mapping is that long.
        let place = unsafe { of_file.add(at) };
        // SAFETY: the mapping is readable.
        black_box(unsafe { place.read_volatile() });
    }
    for at in (0..32 * MIB).step_by(4096) {
        // SAFETY: the mapping is that long.
        let place = unsafe { anonymous.add(at) };
        // SAFETY: the mapping is writable.
        unsafe { place.write_volatile(1) };
    }
    Box::new(())
}

/// Anything that can be dropped.
trait Kept {}
impl<T> Kept for T {}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, path] = &arguments[..] else {
        panic!("expected a case and a path, found {arguments:?}");
    };
    alloc_core::start().expect("tracing starts");
    let kept = match case.as_str() {
        "small" => Box::new(()) as Box<dyn Kept>,
        "sparse" => sparse(),
        "free" | "forked" => free(),
        "mapped" => mapped(),
        "threads" => threads(),
        "other" => other(path),
        _ => panic!("no case is called {case}"),
    };
    if case == "forked" {
        // SAFETY: there is one thread.
        let child = unsafe { libc::fork() };
        if child > 0 {
            // SAFETY: the pointer may be null.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            return println!("0");
        }
    }
    let snapshot = alloc_core::take_snapshot_with_residence().expect("a snapshot");
    snapshot.dump(path).expect("a file");
    drop(snapshot);
    if case == "forked" {
        return;
    }
    let before = resident();
    drop(kept);
    trim();
    println!("{}", before.saturating_sub(resident()));
}
