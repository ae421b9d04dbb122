//! What an answer takes of the program's memory, and that it is given back.

use crate::client::Served;

/// How much resident memory rises while `work` runs, at most, and how much of it stays.
fn rise(served: &Served, work: impl FnOnce()) -> (u64, u64) {
    let before = served.status("VmRSS:");
    let clear = format!("/proc/{}/clear_refs", served.process());
    // Sets the high-water mark to what is resident now.
    std::fs::write(clear, "5").expect("it is ours");
    work();
    let peak = served.status("VmHWM:").saturating_sub(before);
    (peak, served.status("VmRSS:").saturating_sub(before))
}

#[test]
fn a_scrape_takes_little_and_gives_it_back() {
    let mut served = Served::start(&[]);
    served.tell("callsites 20000");
    let get = |target: &str| assert_eq!(served.get(target).status, 200);
    // The first answer of each kind touches code for the first time.
    for target in [
        "/debug/pprof/heap",
        "/metrics",
        "/debug/pprof/delta_heap",
        "/debug/pprof/heap?seconds=1",
        "/debug/pprof/heap?debug=1",
    ] {
        get(target);
    }
    for (target, most) in [
        ("/debug/pprof/heap", 2 << 20),
        ("/debug/pprof/allocs", 2 << 20),
        ("/debug/pprof/delta_heap", 2 << 20),
        ("/debug/pprof/heap?seconds=1", 2 << 20),
        ("/debug/pprof/heap?debug=1", 512 << 10),
        ("/metrics", 512 << 10),
    ] {
        let (peak, kept) = rise(&served, || get(target));
        assert!(peak <= most, "{target}: {peak} bytes");
        assert!(kept <= 128 << 10, "{target}: {kept} bytes stay");
    }
    let times = if cfg!(debug_assertions) { 20 } else { 200 };
    let (_, kept) = rise(&served, || {
        (0..times).for_each(|_| get("/debug/pprof/heap"))
    });
    assert!(kept <= 128 << 10, "{kept} bytes stay after {times} answers");
}
