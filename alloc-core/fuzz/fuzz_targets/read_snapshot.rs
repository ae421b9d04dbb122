//! Reads arbitrary bytes as a snapshot file. The result is an error, or a snapshot that can be
//! grouped, written and read again. Reading takes at most 4 MiB and sixteen times the file's size.
//!
//! The bytes are not compressed, since the fuzzer could not get past gzip's checksum. The fuzzer's
//! `-timeout` bounds the time.

#![no_main]

mod counting;

use alloc_core::{GroupBy, Snapshot};
use counting::counted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (read, most) = counted(|| Snapshot::read_from(bytes));
    let bound = 16 * bytes.len() + (4 << 20);
    // Compressed bytes may expand beyond the bound.
    let is_packed = bytes.starts_with(&[0x1F, 0x8B]);
    assert!(
        is_packed || most <= bound,
        "{most} bytes for {}",
        bytes.len()
    );
    let Ok(snapshot) = read else {
        if let Ok((added, removed)) = Snapshot::read_difference(bytes) {
            format_all(&added);
            format_all(&removed);
        }
        return;
    };
    format_all(&snapshot);
    let mut again = Vec::new();
    snapshot.write_to(&mut again).expect("memory");
    let again = Snapshot::read_from(&again[..]).expect("what was written");
    assert_eq!(again.traces(), snapshot.traces());
});

/// Formats the statistics of every grouping.
fn format_all(snapshot: &Snapshot) {
    for by in GroupBy::ALL {
        for statistic in snapshot.statistics(*by) {
            drop(statistic.to_string());
        }
    }
}
