//! A snapshot file of any bytes is an error or a snapshot that can be looked at, written and read again.
//!
//! The bytes are those inside of the gzip, which the fuzzer would not get past.

#![no_main]

use std::io::Write as _;

use alloc_core::{GroupBy, Snapshot};
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = GzEncoder::new(Vec::new(), Compression::none());
    file.write_all(bytes).expect("memory");
    let file = file.finish().expect("memory");
    let Ok(snapshot) = Snapshot::read_from(&file[..]) else {
        return;
    };
    for by in GroupBy::ALL {
        for statistic in snapshot.statistics(*by) {
            drop(statistic.to_string());
        }
    }
    let mut again = Vec::new();
    snapshot.write_to(&mut again).expect("memory");
    let again = Snapshot::read_from(&again[..]).expect("what was written");
    assert_eq!(again.traces(), snapshot.traces());
});
