//! [`ResidentMemory`]: what the process takes up, as the system sees it.

use crate::Bytes;
use crate::error::Error;
use crate::process;

/// The memory of a process as the operating system counts it: the heap, and all else.
///
/// Beside the traced heap it shows what the tracer cannot see: pages that the allocator keeps
/// though they are free, fragmentation, stacks, code, memory maps. The fields are those of
/// `psutil`.
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
    /// Resident set size: pages in physical memory, those that are shared among them.
    pub rss: Bytes,
    /// Proportional set size: the same, with each shared page divided by the number of processes
    /// that share it.
    pub pss: Bytes,
    /// Unique set size: pages that are this process's alone, and would be free without it.
    pub uss: Bytes,
    /// Pages of this process that were swapped out.
    pub swap: Bytes,
}

/// The memory that this process takes up.
///
/// The system adds up all of the process's mappings for it, which takes some tenths of a
/// millisecond, and milliseconds for a large process; [`resident_set_size`] is faster.
///
/// # Errors
///
/// [`Error::is_io`] if the system does not tell: on others than Linux, and where `/proc` is not
/// there.
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

/// The memory that another process takes up, if this one may see it.
///
/// # Errors
///
/// As [`resident_memory`]; also if there is no such process, or it is another user's.
///
/// ```
/// let error = alloc_core::resident_memory_of(u32::MAX).unwrap_err();
/// assert!(error.is_io());
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

/// The resident set size of a process, which the system knows without adding anything up.
///
/// # Errors
///
/// As [`resident_memory_of`].
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
        // A process that has ended and that nobody has waited for has no memory.
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
    fn what_is_touched_is_resident_and_ones_own() {
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
            // Other tests run meanwhile.
            assert!((grown - SIZE as i64).abs() < 24 << 20, "{before} {after}");
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = resident_memory_of(u32::MAX).unwrap_err();
        assert!(error.is_io());
        assert!(
            error.to_string().contains("/proc/4294967295/smaps_rollup"),
            "{error}"
        );
    }
}
