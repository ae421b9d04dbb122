//! Labels: the cost of entering one, of an allocation in one, and of a span with the layer.
//!
//!     cargo bench -p alloc-benches --features tracing --bench labels

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloc_benches::workloads::{Size, Workload};
use alloc_core::{AllocLayer, Config, Label, TraceAlloc, start, start_with, stop};
use tracing::info_span;
use tracing::subscriber::with_default;
use tracing_subscriber::layer::SubscriberExt as _;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const ROUNDS: usize = 15;

fn pair() {
    drop(black_box(Vec::<u8>::with_capacity(black_box(40))));
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_unstable_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// The nanoseconds of one call: the median of several rounds.
fn nanoseconds(calls: u32, mut call: impl FnMut()) -> f64 {
    let mut round = || {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    round();
    median((0..ROUNDS).map(|_| round()).collect())
}

/// The time of the JSON workload in a label relative to that in none, side by side.
fn json_in_a_label(size: Size) -> f64 {
    let work = Workload::Json.prepare(size, 1, &[]);
    let time = || -> Duration {
        let start = Instant::now();
        black_box(work());
        start.elapsed()
    };
    time();
    let ratio = |_| {
        let without = time();
        let within = Label::new("request").run(time);
        within.as_secs_f64() / without.as_secs_f64()
    };
    median((0..ROUNDS).map(ratio).collect())
}

fn print(title: &str, rows: &[(&str, f64)]) {
    println!("{title}");
    for (what, nanoseconds) in rows {
        println!("{nanoseconds:>8.1} ns  {what}");
    }
}

fn main() {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let calls = if is_quick { 10_000 } else { 1_000_000 };
    let label = Label::new("request");
    print(
        "entering and leaving a label",
        &[
            (
                "by name",
                nanoseconds(calls, || drop(Label::enter("request"))),
            ),
            ("that is known", nanoseconds(calls, || label.run(|| ()))),
        ],
    );

    start().expect("tracing starts");
    let in_none = nanoseconds(calls, pair);
    let in_one = label.run(|| nanoseconds(calls, pair));
    let alternating = nanoseconds(calls, || label.run(pair));
    print(
        "a pair of an allocation and a free of 40 bytes, traced",
        &[
            ("in no label", in_none),
            ("in a label", in_one),
            ("with a label of its own, entered and left", alternating),
        ],
    );
    stop();
    start_with(Config::default().sizes(true)).expect("tracing starts");
    let sizes = nanoseconds(calls, pair);
    print("the same", &[("in no label, with sizes", sizes)]);
    stop();

    let spans = |layer: Option<AllocLayer>| {
        let subscriber = tracing_subscriber::registry().with(layer);
        with_default(subscriber, || {
            let made = nanoseconds(calls, || drop(info_span!("request", route = "/users")));
            let span = info_span!("request", route = "/users");
            (made, nanoseconds(calls, || drop(span.enter())))
        })
    };
    let bare = spans(None);
    let labelled = spans(Some(AllocLayer::new()));
    let with_field = spans(Some(AllocLayer::new().with_field("route")));
    let with_usage = spans(Some(AllocLayer::new().with_usage(tracing::Level::TRACE)));
    print(
        "making a span and closing it",
        &[
            ("a registry alone", bare.0),
            ("with the layer", labelled.0),
            ("with the layer and a field", with_field.0),
            ("with the layer and numbers at the close", with_usage.0),
        ],
    );
    print(
        "entering and leaving a span",
        &[
            ("a registry alone", bare.1),
            ("with the layer", labelled.1),
            ("with the layer and numbers at the close", with_usage.1),
        ],
    );

    start().expect("tracing starts");
    let size = if is_quick { Size::Quick } else { Size::Full };
    println!("JSON, traced, in a label relative to in none");
    println!("{:>8.3} x", json_in_a_label(size));
}
