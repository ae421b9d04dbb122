//! Scopes: the cost of entering and leaving one, of a pair of an allocation and a free inside and
//! outside, and of checking a budget.
//!
//!     cargo bench -p alloc-benches --bench scopes

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use alloc_core::{Budget, Label, Scope, ScopeHandle, TraceAlloc, measure, untraced};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const ROUNDS: usize = 15;

fn pair() {
    drop(black_box(Vec::<u8>::with_capacity(black_box(40))));
}

/// The time of a check of a label's budget: while the heap is below the limit, and while it is above
/// but the label is not.
fn label_checks(calls: u32) -> (f64, f64) {
    alloc_core::start().expect("the tracer is installed");
    let label = Label::new("bench");
    let in_part = |part: u32| {
        let part = label.within(&part.to_string());
        part.run(|| black_box(Vec::<u8>::with_capacity(40)))
    };
    let kept: Vec<Vec<u8>> = (0..100).map(in_part).collect();
    let other = black_box(Vec::<u8>::with_capacity(1 << 20));
    let [below, hundred] = [1 << 30, 1 << 16].map(|limit| {
        let budget = Budget::of_label(label, limit).expect("a budget");
        nanoseconds(calls, || _ = black_box(budget.check()))
    });
    drop((kept, other));
    alloc_core::stop();
    (below, hundred)
}

/// The nanoseconds of one call: the median of several rounds.
fn nanoseconds(calls: u32, mut call: impl FnMut()) -> f64 {
    let mut round = || -> Duration {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed()
    };
    round();
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2].as_nanos() as f64 / f64::from(calls)
}

/// The nanoseconds of one poll of a future that waits.
fn nanoseconds_of_poll(calls: u32, future: impl Future) -> f64 {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    nanoseconds(calls, || {
        _ = black_box(future.as_mut().poll(&mut context).is_pending());
    })
}

fn main() {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let calls = if is_quick { 10_000 } else { 1_000_000 };
    let never = nanoseconds(calls, pair);
    let empty = nanoseconds(calls, || _ = black_box(measure(|| ())));
    let after = nanoseconds(calls, pair);
    let scope = Scope::enter().expect("a scope");
    let inside = nanoseconds(calls, pair);
    let nested = nanoseconds(calls, || _ = black_box(measure(|| ())));
    let outside = untraced(|| nanoseconds(calls, pair));
    let (handle, twice) = (scope.handle(), measure(|| nanoseconds(calls, pair)).value);
    drop(handle);
    drop(scope);
    let scope = Scope::enter_with_stacks().expect("a scope");
    let with_stacks = nanoseconds(calls, pair);
    drop(scope);

    let budget = Budget::new(1 << 20).expect("a budget");
    let check = nanoseconds(calls, || _ = black_box(budget.check()));
    let is_over = nanoseconds(calls, || _ = black_box(budget.over_budget()));
    let handle = ScopeHandle::new().expect("a scope");
    let bare_poll = nanoseconds_of_poll(calls, std::future::pending::<()>());
    let scoped_poll = nanoseconds_of_poll(calls, handle.instrument(std::future::pending::<()>()));
    let poll = nanoseconds_of_poll(calls, budget.instrument(std::future::pending::<()>()));

    let (below, hundred) = label_checks(calls / 100);

    println!("a pair of an allocation and a free of 40 bytes, median of {ROUNDS} rounds");
    for (what, nanoseconds) in [
        ("before the first scope", never),
        ("outside, after a scope", after),
        ("outside, while a scope is open", outside),
        ("in a scope", inside),
        ("in a scope inside one with a handle", twice),
        ("in a scope with stacks", with_stacks),
    ] {
        println!("{nanoseconds:>8.1} ns  {what}");
    }
    println!("entering and leaving a scope");
    println!("{empty:>8.1} ns  alone");
    println!("{nested:>8.1} ns  inside another scope");
    println!("a budget");
    println!("{check:>8.1} ns  check()");
    println!("{is_over:>8.1} ns  over_budget()");
    println!("a budget of a label, check()");
    println!("{below:>8.1} ns  while the heap is below the limit");
    println!("{hundred:>8.1} ns  while it is above, with 100 callsites in the label");
    println!("a poll of a future that waits");
    println!("{bare_poll:>8.1} ns  alone");
    println!("{scoped_poll:>8.1} ns  instrumented by a scope");
    println!("{poll:>8.1} ns  instrumented by a budget");
}
