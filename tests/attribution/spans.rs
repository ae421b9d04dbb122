//! Spans of `tracing` as labels: their names and values, the order in which they are left, their numbers at the close.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::thread;

use alloc_core::{
    AllocLayer, Config, GroupBy, Label, ScopeHandle, TraceAlloc, start, start_with, take_snapshot,
    untraced,
};
use tracing::field::{Empty, Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;
use tracing::{Event, Instrument as _, Level, Subscriber, debug_span, info_span, trace_span};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    a_label_is_the_target_the_name_and_chosen_values,
    hostile_values_are_cut_and_bounded,
    a_value_recorded_later_changes_the_label,
    spans_may_be_left_in_any_order,
    spans_and_labels_nest_in_each_other,
    a_span_is_closed_on_another_thread,
    spans_that_are_filtered_out_are_charged_to_those_around,
    beyond_thirty_two_spans_the_innermost_counts,
    a_close_has_exact_numbers,
    scopes_in_spans_are_left_in_any_order,
    what_the_layer_keeps_is_not_the_programs,
    the_tracers_own_life_is_events,
];

fn layer() -> AllocLayer {
    AllocLayer::new().with_target(false)
}

fn in_layer<T>(layer: AllocLayer, work: impl FnOnce() -> T) -> T {
    with_default(tracing_subscriber::registry().with(layer), work)
}

#[track_caller]
fn check(expected: &str) {
    assert_eq!(Label::current().path().unwrap_or("none"), expected);
}

#[inline(never)]
fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

fn a_label_is_the_target_the_name_and_chosen_values() {
    in_layer(AllocLayer::new(), || {
        let _decode = info_span!("decode", user = 7).entered();
        check("spans::decode");
    });
    let chosen = layer()
        .with_field("user")
        .with_field("bytes")
        .with_field("fast");
    in_layer(chosen, || {
        let name = "anna".to_owned();
        let _request = info_span!("request", bytes = 7_u64, user = %name, id = 3).entered();
        check("request{user=anna bytes=7}");
        let _decode = info_span!("decode", fast = true, user = ?Some("anna")).entered();
        check("request{user=anna bytes=7} > decode{user=Some(\"anna\") fast=true}");
        let _none = info_span!("utf-8").entered();
        check("request{user=anna bytes=7} > decode{user=Some(\"anna\") fast=true} > utf-8");
    });
    check("none");
}

fn hostile_values_are_cut_and_bounded() {
    in_layer(layer().with_field("user"), || {
        let long = info_span!("request", user = "ö".repeat(1 << 20)).entered();
        check(&format!("request{{user={}…}}", "ö".repeat(24)));
        drop(long);
        let _control = info_span!("request", user = "\u{1b}[31m\n").entered();
        check("request{user=\u{1b}[31m\n}");
    });
    in_layer(layer().with_field("user").with_value_limit(100), || {
        let mut labels = BTreeMap::<_, u32>::new();
        for user in 0..100_000 {
            let _request = info_span!("request", user).entered();
            *labels.entry(Label::current().path().unwrap()).or_default() += 1;
        }
        assert_eq!(labels.len(), 101);
        assert_eq!(labels["request{user=<other>}"], 100_000 - 100);
        assert_eq!(labels["request{user=99}"], 1);
        // Those that are known stay so.
        let _request = info_span!("request", user = 7).entered();
        check("request{user=7}");
    });
}

fn a_value_recorded_later_changes_the_label() {
    in_layer(layer().with_field("user"), || {
        let span = info_span!("request", user = Empty);
        let request = span.enter();
        check("request");
        span.record("user", "anna");
        check("request{user=anna}");
        let decode = info_span!("decode");
        let within = decode.enter();
        // The innermost span is another one, and stays.
        span.record("user", "berta");
        check("request{user=anna} > decode");
        drop(within);
        drop(request);
        check("none");
        let _again = span.enter();
        check("request{user=berta}");
    });
}

fn spans_may_be_left_in_any_order() {
    in_layer(layer(), || {
        let spans = ["a", "b", "c"].map(|name| {
            let span = match name {
                "a" => info_span!("a"),
                "b" => info_span!("b"),
                _ => info_span!("c"),
            };
            span.entered()
        });
        let [a, b, c] = spans;
        check("a > b > c");
        drop(b);
        check("a > b > c");
        drop(c);
        check("a");
        drop(a);
        check("none");
        // The outermost first.
        let a = info_span!("a").entered();
        let b = info_span!("b").entered();
        drop(a);
        check("a > b");
        drop(b);
        check("none");
        // One span entered twice.
        let span = info_span!("twice");
        let (first, second) = (span.enter(), span.enter());
        drop(first);
        check("twice");
        drop(second);
        check("none");
    });
}

fn spans_and_labels_nest_in_each_other() {
    in_layer(layer(), || {
        let _tenant = Label::enter("tenant");
        {
            let _request = info_span!("request").entered();
            let stage = Label::enter("stage");
            let decode = info_span!("decode").entered();
            check("tenant > request > stage > decode");
            let apart = info_span!(parent: None, "apart").entered();
            check("apart");
            drop((apart, decode));
            check("tenant > request > stage");
            drop(stage);
            check("tenant > request");
            let explicit = info_span!(parent: &_request, "explicit").entered();
            check("tenant > request > explicit");
            drop(explicit);
        }
        check("tenant");
    });
    check("none");
}

fn a_span_is_closed_on_another_thread() {
    start().unwrap();
    let subscriber = tracing_subscriber::registry().with(layer().with_usage(Level::INFO));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let span = info_span!("request");
    let kept = span.in_scope(|| block(1000));
    let future = async { block(2000) }.instrument(span);
    let polled = thread::spawn(move || {
        let mut future = Box::pin(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(block) => block,
            std::task::Poll::Pending => panic!("it waits for nothing"),
        }
    });
    let polled = polled.join().unwrap();
    check("none");
    let by_label = take_snapshot().unwrap().statistics(GroupBy::Label);
    let request = by_label
        .iter()
        .find(|it| it.key == "request".into())
        .unwrap();
    assert!((3000..3500).contains(&request.size.get()), "{request}");
    drop((kept, polled));
}

fn spans_that_are_filtered_out_are_charged_to_those_around() {
    let everywhere = tracing_subscriber::registry()
        .with(layer())
        .with(LevelFilter::DEBUG);
    with_default(everywhere, || {
        let _request = info_span!("request").entered();
        let _debug = debug_span!("debug").entered();
        let _trace = trace_span!("trace").entered();
        check("request > debug");
    });
    // A filter of this layer, beside a layer that sees all.
    let seen = Arc::default();
    let ours = layer().with_filter(filter_fn(|metadata| metadata.name() != "debug"));
    let both = tracing_subscriber::registry().with(ours).with(Seen {
        closes: Arc::clone(&seen),
    });
    with_default(both, || {
        let _request = info_span!("request").entered();
        let debug = debug_span!("debug").entered();
        check("request");
        let decode = info_span!("decode").entered();
        check("request > decode");
        drop(debug);
        check("request > decode");
        drop(decode);
        check("request");
        tracing::info!(held = 5, "seen");
    });
    assert_eq!(seen.lock().unwrap().len(), 1);
}

fn beyond_thirty_two_spans_the_innermost_counts() {
    in_layer(layer(), || {
        let spans: Vec<_> = (0..40).map(|_| info_span!("in").entered()).collect();
        let path = Label::current().path().unwrap();
        assert_eq!(path.matches("in").count(), 32);
        // NOTE: a list drops its first element first.
        drop(spans);
        check("none");
        let _again = info_span!("again").entered();
        check("again");
    });
}

type Closes = Arc<Mutex<Vec<(String, BTreeMap<&'static str, u64>)>>>;

/// Keeps the numbers of events, and the span that is their parent.
struct Seen {
    closes: Closes,
}

#[derive(Default)]
struct Numbers(BTreeMap<&'static str, u64>);

impl Visit for Numbers {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        untraced(|| {
            let span = context.event_span(event).expect("a span");
            let mut numbers = Numbers::default();
            event.record(&mut numbers);
            self.closes
                .lock()
                .unwrap()
                .push((span.name().to_owned(), numbers.0));
        });
    }
}

#[track_caller]
fn check_close(closes: &Closes, at: usize, name: &str, expected: [u64; 5]) {
    let fields = ["allocated", "blocks", "freed", "peak", "held"];
    let expected: BTreeMap<_, _> = fields.into_iter().zip(expected).collect();
    assert_eq!(closes.lock().unwrap()[at], (name.to_owned(), expected));
}

fn closes<T>(work: impl FnOnce() -> T) -> (Closes, T) {
    let closes = Closes::default();
    let seen = Seen {
        closes: Arc::clone(&closes),
    };
    let subscriber = tracing_subscriber::registry()
        .with(layer().with_usage(Level::DEBUG))
        .with(seen);
    let done = with_default(subscriber, || {
        // The first span of a thread and of a callsite makes what the registry keeps.
        untraced(|| info_span!("warm-up").in_scope(|| info_span!("within").in_scope(|| ())));
        closes.lock().unwrap().clear();
        work()
    });
    (closes, done)
}

fn a_close_has_exact_numbers() {
    let (closes, kept) = closes(|| {
        let outer = untraced(|| info_span!("outer"));
        let kept = outer.in_scope(|| {
            drop(block(500));
            let inner = untraced(|| info_span!("inner"));
            let kept = inner.in_scope(|| {
                let kept = block(1000);
                drop(block(300));
                kept
            });
            untraced(|| drop(inner));
            kept
        });
        untraced(|| drop(outer));
        kept
    });
    // A scope in muted code is outside of all others.
    check_close(&closes, 0, "inner", [1300, 2, 300, 1300, 1000]);
    check_close(&closes, 1, "outer", [500, 1, 500, 500, 0]);
    drop(kept);
}

fn scopes_in_spans_are_left_in_any_order() {
    let (closes, kept) = closes(|| {
        let spans = untraced(|| [info_span!("a"), info_span!("b")]);
        let [a, b] = &spans;
        let first = a.enter();
        let second = b.enter();
        let kept = block(100);
        drop(first);
        let more = block(10);
        drop(second);
        let none = block(1);
        untraced(|| drop(spans));
        (kept, more, none)
    });
    check_close(&closes, 0, "a", [0, 0, 0, 0, 0]);
    check_close(&closes, 1, "b", [110, 2, 0, 110, 110]);
    drop(kept);
    // The thread is in no scope.
    let handle = ScopeHandle::new().unwrap();
    drop(block(5));
    assert_eq!(handle.usage().unwrap().allocated.bytes.get(), 0);
}

/// The values of fields that the layer remembers.
fn what_the_layer_keeps_is_not_the_programs() {
    start().unwrap();
    let live = || take_snapshot().unwrap().traced_memory().current.get();
    in_layer(layer().with_field("user"), || {
        info_span!("request", user = "warm-up").in_scope(|| ());
        let before = live();
        for user in 0..200 {
            info_span!("request", user).in_scope(|| ());
        }
        assert_eq!(live(), before);
    });
}

/// Keeps the messages of the tracer.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<String>>>);

impl Visit for Messages {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let shown = match field.name() {
            "message" => format!("{value:?}"),
            name => format!("{name}={value:?}"),
        };
        self.0.lock().unwrap().push(shown);
    }
}

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        assert_eq!(event.metadata().target(), "alloc_core");
        event.record(&mut self.clone());
    }
}

fn the_tracers_own_life_is_events() {
    let messages = Messages::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    with_default(
        tracing_subscriber::registry().with(messages.clone()),
        || {
            let config = || Config::default().frames(3).max_callsites(1);
            start_with(config()).unwrap();
            start_with(config()).unwrap();
            let snapshot = take_snapshot().unwrap();
            snapshot.dump(&path).unwrap();
            alloc_core::stop();
            alloc_core::stop();
        },
    );
    let allocations = "allocations=";
    let messages = messages.0.lock().unwrap();
    let shown: Vec<&str> = messages
        .iter()
        .map(|it| {
            if it.starts_with(allocations) {
                allocations
            } else {
                it
            }
        })
        .collect();
    let path = format!("path={}", path.display());
    let expected = [
        "tracing started",
        "frames=3",
        "the limit of callsites is reached: new ones are counted together",
        allocations,
        "snapshot written",
        &path,
        "tracing stopped",
    ];
    assert_eq!(shown, expected);
}
