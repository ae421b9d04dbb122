//! What the kernel counts of this process's memory, and how much it permits.
//!
//! Specifications: <https://docs.kernel.org/admin-guide/cgroup-v2.html>,
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>,
//! <https://docs.kernel.org/accounting/psi.html>.

use std::ffi::CStr;

#[cfg(target_os = "linux")]
use crate::system::hooks;

/// Memory that counts against a limit, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) current: u64,
    /// The least limit that there is. `None` if there is none.
    pub(crate) limit: Option<u64>,
}

/// The longest path and the longest line that are read.
const LONGEST: usize = 512;

/// What counts against the limit of the process's control group; or else its address space, if
/// that is limited; or else its resident memory. `None` if the system does not say.
pub(crate) fn memory() -> Option<Memory> {
    let of_group = group();
    let of_process = address_space();
    match (of_group, of_process) {
        // The one that is nearer to its limit ends the process.
        (Some(group), Some(process)) if group.limit.is_some() => {
            let part = |it: &Memory| it.current as f64 / it.limit.unwrap_or(u64::MAX) as f64;
            Some(if part(&process) > part(&group) {
                process
            } else {
                group
            })
        }
        (_, Some(process)) => Some(process),
        (Some(group), None) if group.limit.is_some() => Some(group),
        _ => resident(),
    }
}

/// The memory of the control group that the process is in, by version 2 or 1.
fn group() -> Option<Memory> {
    let text = Text::read(c"/proc/self/cgroup")?;
    let lines = || text.lines();
    // `0::/path` is version 2, `5:memory:/path` the controller of version 1.
    if let Some(path) = lines().find_map(|it| it.strip_prefix("0::")) {
        let found = of_group("/sys/fs/cgroup", path, "memory.current", "memory.max");
        if found.is_some() {
            return found;
        }
    }
    let path = lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        parts
            .next()
            .filter(|_| controllers.split(',').any(|it| it == "memory"))
    })?;
    let (current, limit) = ("memory.usage_in_bytes", "memory.limit_in_bytes");
    of_group("/sys/fs/cgroup/memory", path, current, limit)
}

/// Reads the files of a group; or those of the root, which is the group itself in a container.
fn of_group(root: &str, path: &str, current: &str, limit: &str) -> Option<Memory> {
    let read = |path: &str| {
        let number = |name| {
            let text = Text::read_path(&[root, path, "/", name])?;
            text.lines().next()?.trim().parse::<u64>().ok()
        };
        let current = number(current)?;
        // NOTE: version 2 says `max`, and version 1 a number that no machine has.
        let limit = number(limit).filter(|it| *it < 1 << 60);
        Some(Memory { current, limit })
    };
    let path = path.trim_end_matches('/');
    read(path).or_else(|| read(""))
}

/// The address space of the process, if it is limited.
#[cfg(target_os = "linux")]
fn address_space() -> Option<Memory> {
    let mut limit = std::mem::MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the pointer has room for a limit.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_AS, limit.as_mut_ptr()) } != 0;
    if failed {
        return None;
    }
    // SAFETY: `getrlimit` succeeded, so it wrote the limit.
    let limit = unsafe { limit.assume_init() }.rlim_cur;
    if limit == libc::RLIM_INFINITY {
        return None;
    }
    Some(Memory {
        current: status("VmSize:")?,
        limit: Some(limit),
    })
}

#[cfg(not(target_os = "linux"))]
fn address_space() -> Option<Memory> {
    None
}

fn resident() -> Option<Memory> {
    Some(Memory {
        current: status("VmRSS:")?,
        limit: None,
    })
}

/// A field of this process's status, in bytes.
fn status(field: &str) -> Option<u64> {
    let text = Text::read(c"/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib: u64 = line?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// In how many percent of the last ten seconds some task waited for memory: in the process's
/// control group, or else in the whole system.
pub(super) fn pressure() -> Option<f64> {
    let of_group = Text::read(c"/proc/self/cgroup").and_then(|text| {
        let path = text.lines().find_map(|it| it.strip_prefix("0::"))?;
        let path = path.trim_end_matches('/');
        Text::read_path(&["/sys/fs/cgroup", path, "/memory.pressure"])
    });
    let text = of_group.or_else(|| Text::read(c"/proc/pressure/memory"))?;
    // some avg10=0.00 avg60=0.00 avg300=0.00 total=0
    let line = text.lines().find_map(|it| it.strip_prefix("some "))?;
    let mean = line.split(' ').find_map(|it| it.strip_prefix("avg10="))?;
    mean.parse().ok()
}

/// The start of a small file, on the stack.
struct Text {
    bytes: [u8; 8 * LONGEST],
    len: usize,
}

impl Text {
    #[cfg(not(target_os = "linux"))]
    fn read(_: &CStr) -> Option<Text> {
        None
    }

    #[cfg(target_os = "linux")]
    fn read(path: &CStr) -> Option<Text> {
        let mut text = Text {
            bytes: [0; 8 * LONGEST],
            len: 0,
        };
        let is_read = hooks::read_file(path, |byte| {
            if let Some(place) = text.bytes.get_mut(text.len) {
                *place = byte;
                text.len += 1;
            }
        });
        (is_read && text.len > 0).then_some(text)
    }

    /// Reads the file at the path that the parts make. `None` if it is too long.
    fn read_path(parts: &[&str]) -> Option<Text> {
        let mut path = [0_u8; LONGEST];
        let mut len = 0;
        for part in parts {
            let place = path.get_mut(len..len + part.len())?;
            place.copy_from_slice(part.as_bytes());
            len += part.len();
        }
        Text::read(CStr::from_bytes_until_nul(&path).ok()?)
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        let text = str::from_utf8(&self.bytes[..self.len]).unwrap_or_default();
        text.lines()
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_how_much_memory_there_is() {
        let memory = memory().unwrap();
        assert!(memory.current > 1 << 20, "{memory:?}");
        assert!(
            memory.limit.is_none_or(|limit| limit > memory.current),
            "{memory:?}"
        );
        let resident = resident().unwrap();
        assert!((1 << 20..1 << 40).contains(&resident.current));
        assert!(pressure().is_none_or(|it| (0.0..=100.0).contains(&it)));
    }
}
