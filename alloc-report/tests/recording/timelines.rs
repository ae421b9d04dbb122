//! Timelines of snapshot files.

use std::fs;
use std::time::Duration;

use crate::set_up::{MIB, folder};
use crate::support::{check_error, stdout};

pub(crate) fn a_timeline_of_snapshots_ignores_their_order() {
    let folder = folder();
    alloc_core::start().expect("tracing starts");
    let mut kept = Vec::new();
    let names = ["a.pb.gz", "b.pb.gz"];
    for name in names {
        kept.push(vec![1_u8; 3 * MIB]);
        let snapshot = alloc_core::take_snapshot().expect("it is on");
        snapshot
            .dump(folder.path().join(name))
            .expect("it is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    alloc_core::stop();
    drop(kept);
    stdout(folder.path(), "timeline b.pb.gz a.pb.gz -o x.svg");
    let svg = fs::read_to_string(folder.path().join("x.svg")).expect("a picture");
    assert!(
        svg.contains(">recording alloc-report/tests/recording/timelines.rs:")
            && svg.contains("at most 6144 KiB"),
        "{svg}"
    );
    stdout(folder.path(), "timeline a.pb.gz b.pb.gz -o y.svg");
    let sorted = fs::read_to_string(folder.path().join("y.svg")).expect("a picture");
    assert_eq!(svg, sorted);
    check_error(
        folder.path(),
        "timeline a.pb.gz -o x.png",
        "expected a name that ends with .svg or .html, found x.png",
    );
}
