//! Budgets of labels: what counts, and when they end.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::thread;

use alloc_core::{Budget, Config, Label, Metric, start, start_with, stop, take_snapshot};
use alloc_tests::Random;

use crate::block;

#[track_caller]
fn check(budget: &Budget, used: u64, is_over: bool) {
    assert_eq!(budget.used().unwrap(), used);
    assert_eq!(budget.over_budget(), is_over);
    assert_eq!(budget.check().is_err(), is_over);
}

pub(crate) fn a_label_is_over_past_its_limit_and_not_at_it() {
    start().unwrap();
    // The heap is larger than some limits and smaller than others.
    let other = block(5000);
    for (name, limit) in [("zero", 0), ("one", 1), ("some", 100), ("many", 1 << 20)] {
        let label = Label::new(name);
        let budget = Budget::of_label(label, limit).unwrap();
        check(&budget, 0, false);
        let half = limit as usize / 2;
        let own = label.run(|| block(half));
        let part = label.within("part").run(|| block(limit as usize - half));
        check(&budget, limit, false);
        // Other labels do not count, nor does one whose name only begins alike.
        let others = [name, "s"].map(|it| Label::new("other").within(it).run(|| block(1)));
        let alike = Label::new(&format!("{name}s")).run(|| block(1));
        check(&budget, limit, false);
        let more = label.within("part").within("more").run(|| block(1));
        check(&budget, limit + 1, true);
        // Whatever thread frees it.
        thread::spawn(move || drop(more)).join().unwrap();
        check(&budget, limit, false);
        drop((own, part, others, alike));
        check(&budget, 0, false);
    }
    drop(other);
}

pub(crate) fn a_label_holds_what_all_threads_allocated_in_it() {
    start().unwrap();
    let labels = ["a", "b", "c"].map(Label::new);
    let budgets = labels.map(|it| Budget::of_label(it, 1000).unwrap());
    let mut kept: Vec<Vec<(usize, Vec<u8>)>> = Vec::new();
    for round in 0..5 {
        let work = |seed| {
            thread::spawn(move || {
                let mut random = Random::new(seed);
                let mut kept = Vec::new();
                for _ in 0..500 {
                    let at = random.below(3);
                    let size = 1 + random.below(100);
                    let label = match random.one_in(3) {
                        true => labels[at].within("inner"),
                        false => labels[at],
                    };
                    kept.push((at, label.run(|| block(size))));
                    if random.one_in(3) {
                        kept.swap_remove(random.below(kept.len()));
                    }
                }
                kept
            })
        };
        let threads: Vec<_> = (1..=4).map(|it| work(10 * round + it)).collect();
        kept.extend(threads.into_iter().map(|it| it.join().unwrap()));
        let live = take_snapshot().unwrap().labels(Metric::Current);
        for (at, budget) in budgets.iter().enumerate() {
            let held = kept.iter().flatten().filter(|(it, _)| *it == at);
            let held: usize = held.map(|(_, block)| block.capacity()).sum();
            check(budget, held as u64, true);
            let path = labels[at].path().unwrap();
            let statistic = live.iter().find(|it| it.path == path).unwrap();
            assert_eq!(statistic.inclusive.current.bytes, held as u64);
        }
    }
}

pub(crate) fn a_future_ends_in_its_label() {
    start().unwrap();
    let label = Label::new("request");
    let budget = Budget::of_label(label, 1000).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut polled = |budget: &Budget, size| {
        let future = budget.instrument(async move {
            assert_eq!(Label::current(), label);
            let _kept = block(size);
            std::future::pending::<()>().await;
        });
        pin!(future)
            .poll(&mut context)
            .map(|it| it.map_err(|it| it.used.get()))
    };
    assert_eq!(polled(&budget, 1000), Poll::Pending);
    assert_eq!(polled(&budget, 1001), Poll::Ready(Err(1001)));
    check(&budget, 0, false);
    // What others hold in the label ends it, too.
    let kept = label.run(|| block(900));
    assert_eq!(polled(&budget, 101), Poll::Ready(Err(1001)));
    check(&budget, 900, false);
    drop(kept);
}

pub(crate) fn a_label_s_levels_are_reported_once() {
    static WARNED: AtomicU64 = AtomicU64::new(0);
    static OVER: AtomicU64 = AtomicU64::new(0);
    start().unwrap();
    let label = Label::new("cache");
    let budget = Budget::of_label(label, 1000).unwrap();
    let budget = budget
        .warn_at(500)
        .on_warning(|it| _ = WARNED.fetch_add(it.used.get(), Relaxed))
        .on_over_budget(|it| _ = OVER.fetch_add(it.used.get(), Relaxed));
    let reported = || (WARNED.load(Relaxed), OVER.load(Relaxed));
    let half = budget.run(|| block(500));
    assert_eq!(reported(), (0, 0));
    let more = budget.run(|| block(100));
    let most = budget.run(|| block(500));
    let over = budget.check().unwrap_err();
    assert_eq!(reported(), (600, 1100));
    assert_eq!((over.used.get(), over.limit.get()), (1100, 1000));
    let top: Vec<(u64, u64)> = over
        .top
        .iter()
        .map(|it| (it.size.get(), it.count))
        .collect();
    assert_eq!(top.iter().map(|it| it.0).sum::<u64>(), 1100, "{top:?}");
    assert_eq!(top.iter().map(|it| it.1).sum::<u64>(), 3, "{top:?}");
    drop((half, more, most));
    check(&budget, 0, false);
}

pub(crate) fn what_a_label_s_budget_takes_is_not_counted() {
    start().unwrap();
    let label = Label::new("request");
    let kept = label.run(|| block(2000));
    let before = alloc_core::traced_memory().current;
    let blocks = take_snapshot().unwrap().traces().len();
    let budget = Budget::of_label(label, 1000).unwrap();
    let clone = budget.clone();
    for _ in 0..100 {
        assert!(clone.over_budget());
    }
    assert_eq!(alloc_core::traced_memory().current, before);
    drop((budget, clone));
    assert_eq!(take_snapshot().unwrap().traces().len(), blocks);
    drop(kept);
}

pub(crate) fn a_label_s_budget_needs_a_session_with_stacks_and_a_name() {
    #[track_caller]
    fn refused(label: Label, message: &str) -> alloc_core::Error {
        let error = Budget::of_label(label, 1000).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        error
    }
    let label = Label::new("request");
    assert!(refused(label, "tracing is on, found it off").is_not_tracing());
    start_with(Config::default().frames(0)).unwrap();
    assert!(refused(label, "expected at least one frame").is_invalid_config());
    stop();
    start().unwrap();
    let none = Label::default();
    assert!(refused(none, "expected one with a name, found no label").is_invalid_config());
    // Nothing was ever allocated in it.
    check(&Budget::of_label(Label::new("never"), 0).unwrap(), 0, false);
    let budget = Budget::of_label(label, 100).unwrap();
    assert!(budget.usage().unwrap_err().is_invalid_config());
    assert!(budget.scope().is_none());
    let kept = label.run(|| block(101));
    check(&budget, 101, true);
    // Without a session it is never over, and in the next one it counts again.
    stop();
    assert!(budget.used().unwrap_err().is_not_tracing());
    assert!(budget.check().is_ok() && !budget.over_budget());
    start().unwrap();
    check(&budget, 0, false);
    let more = label.run(|| block(102));
    check(&budget, 102, true);
    drop((kept, more));
    check(&budget, 0, false);
}
