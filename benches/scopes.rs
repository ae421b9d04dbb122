//! Scopes: the cost of entering and leaving one, and of a pair of an allocation and a free inside
//! and outside.
//!
//!     cargo bench -p alloc-benches --bench scopes

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloc_core::{Scope, TraceAlloc, measure, untraced};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const ROUNDS: usize = 15;

fn pair() {
    drop(black_box(Vec::<u8>::with_capacity(black_box(40))));
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
}
