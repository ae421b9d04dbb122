//! Addresses in jemalloc's text are named by its memory map.

use std::hint::black_box;

use crate::support;

#[inline(never)]
fn allocates_for_jemalloc() -> usize {
    black_box(7)
}

/// A profile with an address in this program, and its true memory map.
#[test]
fn addresses_are_named_by_the_memory_map() {
    let function = black_box(allocates_for_jemalloc as fn() -> usize);
    assert_eq!(function(), 7);
    let return_address = function as usize + 1;
    let map = std::fs::read_to_string("/proc/self/maps").unwrap();
    let text = format!(
        "heap_v2/1\n  t*: 2: 64 [0: 0]\n@ {return_address:#x}\n  t*: 2: 64 [0: 0]\n\nMAPPED_LIBRARIES:\n{map}"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jeprof.heap"), text).unwrap();
    let report = support::json(folder.path(), "top jeprof.heap --by function");
    let row = &report["rows"][0];
    assert_eq!((&row["bytes"], &row["blocks"]), (&64.into(), &2.into()));
    let name = row["key"].as_str().unwrap_or_default();
    assert!(name.ends_with("::allocates_for_jemalloc"), "{report}");
    // The file has no build id to compare.
    assert!(
        report["notes"]
            .to_string()
            .contains("could not be verified"),
        "{report}"
    );

    // A snapshot of it keeps addresses, and is named as well.
    support::stdout(folder.path(), "import jeprof.heap");
    let again = support::json(folder.path(), "top heap.pb.gz --by function");
    assert_eq!(again["rows"], report["rows"]);
}
