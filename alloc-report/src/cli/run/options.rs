//! [`Options`] of the command `run`.

use std::ffi::OsString;
use std::path::PathBuf;

use alloc_core_snapshot::Bytes;
use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The number of frames of a stack to record
    #[arg(long, value_name = "N", default_value_t = 128,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) frames: u16,
    /// Record a sample: one block every BYTES, such as 524288 or 512KiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(super) sample: Option<u64>,
    /// Record thread names, for top --by thread
    #[arg(long)]
    pub(super) threads: bool,
    /// Class blocks by their own size, for top --by size-class
    #[arg(long)]
    pub(super) sizes: bool,
    /// Record how long blocks live, for lifetimes
    #[arg(long, conflicts_with = "sample")]
    pub(super) lifetimes: bool,
    /// Count who frees whose memory, for frees
    #[arg(long, conflicts_with = "sample")]
    pub(super) frees: bool,
    /// Measure how many more bytes blocks have than were asked for, for slack
    #[arg(long, conflicts_with = "sample")]
    pub(super) slack: bool,
    /// Keep the heap's peak exact if several threads allocate at once, at a cost for each
    /// allocation
    #[arg(long)]
    pub(super) exact_peak: bool,
    /// The maximum number of callsites [default: 262144]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(super) max_callsites: Option<u32>,
    /// The interval between snapshots in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(super) every: f64,
    /// The number of newest snapshots to keep [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) keep: Option<u32>,
    /// The folder to write to, empty or new [default: alloc-trace-DATE-TIME]
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// The file for the table at the end [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Replace an existing recording and an existing table
    #[arg(long)]
    pub(super) force: bool,
    /// The number of rows in the table at the end
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    pub(super) rows: usize,
    /// The program and its arguments
    #[arg(
        value_name = "PROGRAM",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(super) command: Vec<OsString>,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text.parse().ok().filter(|it| (0.01..=1e6).contains(it));
    seconds.ok_or_else(|| "expected a number of seconds from 0.01 to 1000000".to_owned())
}

/// Parses a number of bytes with an optional unit, like `ALLOC_TRACE_SAMPLE`.
fn bytes(text: &str) -> std::result::Result<u64, String> {
    let bytes = Bytes::parse(text).map(Bytes::get);
    let bytes = bytes.filter(|it| (1..=64 << 20).contains(it));
    bytes.ok_or_else(|| "expected a number of bytes from 1 to 64MiB, such as 512KiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_interval_may_have_a_unit() {
        assert_eq!(bytes("1"), Ok(1));
        assert_eq!(bytes("512KiB"), Ok(512 << 10));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        for wrong in ["0", "65MiB", "1GiB", "1kb", "KiB", "-1", "1.5MiB", ""] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
