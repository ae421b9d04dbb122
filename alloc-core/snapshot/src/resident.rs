//! [`ResidentMemory`]: a process's physical memory, as the system counts it.

use crate::Bytes;
use crate::error::Error;
use crate::process;

/// A process's memory as the operating system counts it: the heap and everything else.
///
/// It includes memory that the tracer cannot see: free pages that the allocator keeps,
/// fragmentation, stacks, code, memory maps. The fields are those of `psutil`.
///
/// ```
/// # if cfg!(target_os = "linux") {
/// let resident = alloc_core::resident_memory()?;
/// println!("{} of {} are shared", resident.rss.saturating_sub(resident.uss), resident.rss);
/// assert!(resident.uss <= resident.rss);
/// # }
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResidentMemory {
    /// Resident set size: pages in physical memory, including shared ones.
    pub rss: Bytes,
    /// Proportional set size: resident pages, each divided by the number of processes sharing it.
    pub pss: Bytes,
    /// Unique set size: pages that only this process uses, and that its exit would free.
    pub uss: Bytes,
    /// Pages of this process that were swapped out.
    pub swap: Bytes,
}

/// Returns the physical memory of this process.
///
/// The system adds up all of the process's mappings. That takes some tenths of a millisecond, or
/// several milliseconds for a large process. [`resident_set_size`] is faster.
///
/// # Errors
///
/// [`Error::is_io`] if the system does not report it: on systems other than Linux, and where
/// `/proc` is not mounted.
///
/// ```
/// let resident = alloc_core::resident_memory()?;
/// assert!(resident.uss <= resident.pss && resident.pss <= resident.rss);
/// assert!(resident.uss > 100_000);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn resident_memory() -> Result<ResidentMemory, Error> {
    resident_memory_of(std::process::id())
}

/// Returns the physical memory of another process that this one may inspect.
///
/// # Errors
///
/// Those of [`resident_memory`]. Also if there is no such process, or if it belongs to another
/// user.
///
/// ```
/// let resident = alloc_core::resident_memory_of(std::process::id())?;
/// assert!(resident.rss > 0);
/// assert!(alloc_core::resident_memory_of(u32::MAX).unwrap_err().is_io());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn resident_memory_of(process: u32) -> Result<ResidentMemory, Error> {
    let _muted = process::mute();
    let path = format!("/proc/{process}/smaps_rollup");
    let text = read(&path)?;
    let field = |name: &str| -> Result<u64, Error> {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = value.and_then(|it| it.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib << 10)
            .ok_or_else(|| unexpected(&path, &format!("a line that begins with {name}")))
    };
    Ok(ResidentMemory {
        rss: field("Rss:")?.into(),
        pss: field("Pss:")?.into(),
        uss: (field("Private_Clean:")? + field("Private_Dirty:")?).into(),
        swap: field("Swap:")?.into(),
    })
}

/// Returns the resident set size of a process. It is zero for a zombie.
///
/// The system keeps this number, so it is read in a few microseconds.
///
/// # Errors
///
/// Those of [`resident_memory_of`].
///
/// ```
/// let mapped = vec![1_u8; 8 << 20];
/// assert!(alloc_core::resident_set_size(std::process::id())? >= mapped.len() as u64);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn resident_set_size(process: u32) -> Result<Bytes, Error> {
    let _muted = process::mute();
    let path = format!("/proc/{process}/status");
    let text = read(&path)?;
    let value = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let Some(value) = value else {
        // A zombie has no memory, and no such line.
        return Ok(Bytes::ZERO);
    };
    let kib = value.trim().strip_suffix("kB").map(str::trim);
    let kib: Option<u64> = kib.and_then(|it| it.parse().ok());
    kib.map(Bytes::kib)
        .ok_or_else(|| unexpected(&path, "a number of kB after VmRSS:"))
}

fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::from(error).about("cannot read", path.as_ref()))
}

fn unexpected(path: &str, expected: &str) -> Error {
    let error = std::io::Error::other(format!("expected {expected}, found none"));
    Error::from(error).about("cannot read", path.as_ref())
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn touched_pages_are_resident_and_unique() {
        const SIZE: usize = 64 << 20;
        let before = resident_memory().unwrap();
        let touched = std::hint::black_box(vec![1_u8; SIZE]);
        let after = resident_memory().unwrap();
        let quick = resident_set_size(std::process::id()).unwrap();
        drop(touched);
        for (before, after) in [
            (before.rss, after.rss),
            (before.pss, after.pss),
            (before.uss, after.uss),
            (before.rss, quick),
        ] {
            let grown = after.get() as i64 - before.get() as i64;
            // Other tests run at the same time.
            assert!((grown - SIZE as i64).abs() < 24 << 20, "{before} {after}");
        }
    }

    #[test]
    fn a_missing_process_is_an_error() {
        let error = resident_memory_of(u32::MAX).unwrap_err();
        assert!(error.is_io());
        assert!(
            error.to_string().contains("/proc/4294967295/smaps_rollup"),
            "{error}"
        );
    }
}
