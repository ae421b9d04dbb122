//! What an answer takes of the program's memory, and that it is given back.

use std::time::Duration;

use crate::client::Served;
use crate::profiles::alloc_report;
use crate::push::{health, start_as, wait_for};
use crate::receiver::{Mood, Receiver};

/// How much resident memory rises while `work` runs, at most, and how much of it stays.
fn rise(served: &mut Served, work: impl FnOnce(&mut Served)) -> (u64, u64) {
    let before = served.status("VmRSS:");
    let peak = peak(served, before, work);
    (peak, served.status("VmRSS:").saturating_sub(before))
}

/// How much resident memory rises while `work` runs, at most.
fn peak(served: &mut Served, before: u64, work: impl FnOnce(&mut Served)) -> u64 {
    let clear = format!("/proc/{}/clear_refs", served.process());
    // Sets the high-water mark to what is resident now.
    std::fs::write(clear, "5").expect("it is ours");
    work(served);
    served.status("VmHWM:").saturating_sub(before)
}

#[test]
fn a_scrape_takes_little_and_gives_it_back() {
    let mut served = Served::start(&[]);
    served.tell("callsites 20000");
    let get = |served: &mut Served, target: &str| assert_eq!(served.get(target).status, 200);
    // The first answer of each kind touches code for the first time.
    for target in [
        "/debug/pprof/heap",
        "/metrics",
        "/debug/pprof/delta_heap",
        "/debug/pprof/heap?seconds=1",
        "/debug/pprof/heap?debug=1",
    ] {
        get(&mut served, target);
    }
    for (target, most) in [
        ("/debug/pprof/heap", 2 << 20),
        ("/debug/pprof/allocs", 2 << 20),
        ("/debug/pprof/delta_heap", 2 << 20),
        ("/debug/pprof/heap?seconds=1", 2 << 20),
        ("/debug/pprof/heap?debug=1", 512 << 10),
        ("/metrics", 512 << 10),
    ] {
        let (peak, kept) = rise(&mut served, |served| get(served, target));
        assert!(peak <= most, "{target}: {peak} bytes");
        assert!(kept <= 128 << 10, "{target}: {kept} bytes stay");
    }
    let times = if cfg!(debug_assertions) { 20 } else { 200 };
    let (_, kept) = rise(&mut served, |served| {
        (0..times).for_each(|_| get(served, "/debug/pprof/heap"))
    });
    assert!(kept <= 128 << 10, "{kept} bytes stay after {times} answers");
}

#[test]
fn a_push_takes_little_and_gives_it_back() {
    check_pushes("push", &[], 2 << 20);
}

/// The command makes the request.
#[test]
fn a_push_to_opentelemetry_takes_little_and_gives_it_back() {
    let Some(command) = alloc_report() else {
        return;
    };
    check_pushes("otlp", &["push-names=1", &command], 2 << 20);
}

/// The program makes the request.
#[test]
fn a_push_to_opentelemetry_without_the_command_gives_back_what_it_takes() {
    check_pushes("otlp", &[], 4 << 20);
}

/// The resident memory between two pushes: the least in the time of four.
fn at_rest(served: &Served) -> u64 {
    let looks = (0..400).map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        served.status("VmRSS:")
    });
    looks.min().expect("a number")
}

fn check_pushes(format: &str, options: &[&str], most: u64) {
    let receiver = Receiver::start();
    // A push of OTLP takes some hundred milliseconds without optimization.
    let options = [&["every=1000"], options].concat();
    let mut served = start_as(format, &receiver, &options);
    served.tell("callsites 20000");
    // The first pushes touch code for the first time, and a failure touches other code.
    receiver.set(Mood::Answers(500));
    wait_for(&mut served, |it| it.failed > 1);
    receiver.set(Mood::Accepts);
    let before = wait_for(&mut served, |it| it.pushed > 2 && it.queued == 0).pushed;
    let mut check = |work: &dyn Fn(&mut Served)| {
        let before = at_rest(&served);
        let peak = peak(&mut served, before, work);
        let kept = at_rest(&served).saturating_sub(before);
        println!("a push takes {peak} bytes, of which {kept} stay");
        assert!(peak <= most, "{peak} bytes");
        assert!(kept <= 256 << 10, "{kept} bytes stay");
    };
    check(&|served| {
        wait_for(served, |it| it.pushed > before + 5);
    });
    // While nothing is accepted, profiles wait in files.
    check(&|served| {
        receiver.set(Mood::Answers(500));
        wait_for(served, |it| it.queued >= 5);
    });
    let health = health(&mut served);
    assert_eq!((health.refused, health.unnamed), (0, 0));
}
