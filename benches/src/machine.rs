//! The machine that the numbers are from.

use std::fs;
use std::process::Command;

/// One line with the processor, its cores, the kernel, the compiler and the load.
pub fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    format!(
        "{}, {cores} cores, {} {}, {}, load {}",
        processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        std::env::consts::OS,
        kernel().unwrap_or_else(|| "(kernel unknown)".to_owned()),
        compiler().unwrap_or_else(|| "(compiler unknown)".to_owned()),
        load().unwrap_or_else(|| "unknown".to_owned()),
    )
}

/// The peak of resident memory of this process in KiB, on Linux.
///
/// `VmHWM` counts from the moment the program was loaded. `getrusage` would include the process
/// that started it.
pub fn peak_resident_kib() -> Option<u64> {
    status_kib("VmHWM:")
}

/// A size in the status of this process in KiB, on Linux.
pub fn status_kib(field: &str) -> Option<u64> {
    status_number(&fs::read_to_string("/proc/self/status").ok()?, field)
}

/// The memory of this process on transparent huge pages in KiB, on Linux.
pub fn huge_pages_kib() -> Option<u64> {
    status_number(
        &fs::read_to_string("/proc/self/smaps_rollup").ok()?,
        "AnonHugePages:",
    )
}

/// A number in the text of a process's status: of KiB, if it is a size.
pub fn status_number(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().to_owned())
}

/// The load average of the last minute. It is near zero on a machine with reliable numbers.
fn load() -> Option<String> {
    let averages = fs::read_to_string("/proc/loadavg").ok()?;
    averages.split_whitespace().next().map(str::to_owned)
}

/// The compiler of the contenders: Cargo runs a bench with the toolchain that built it.
fn compiler() -> Option<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_that_was_touched_was_resident() {
        let bytes = vec![1u8; 64 << 20];
        let touched: u64 = bytes
            .iter()
            .step_by(4096)
            .map(|&byte| u64::from(byte))
            .sum();
        assert_eq!(touched, (64 << 20) / 4096);
        assert!(peak_resident_kib() >= Some(64 << 10));
    }
}
