//! An axum service under load: bytes by route and by span, compared with exact arithmetic.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use alloc_core::{
    AllocLayer, Amount, Config, Filter, Freer, GroupBy, Grouping, Label, LabelLayer, Metric,
    Snapshot, TraceAlloc, start, start_with, take_snapshot, untraced,
};
use axum::Router;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

// The subscriber of the last one stays, and its spans are labels.
alloc_tests::tests![bytes_by_route, freed_by_route, bytes_by_span];

const REQUESTS: u64 = 200;

/// The blocks that requests leave behind.
type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

#[inline(never)]
fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

fn keep(kept: &Kept, block: Vec<u8>) {
    untraced(|| kept.lock().unwrap().push(block));
}

/// Keeps 1000 bytes, in two parts, and frees 5000 in between.
async fn users(State(kept): State<Kept>) -> &'static str {
    keep(&kept, block(400));
    let scratch = block(5000);
    yield_now().await;
    drop(scratch);
    yield_now().await;
    keep(&kept, block(600));
    "users"
}

/// Keeps 3000 bytes, most of it in a span of its own.
async fn upload(State(kept): State<Kept>, body: String) -> String {
    keep(&kept, block(1000));
    let decode = async {
        yield_now().await;
        keep(&kept, block(2000));
    };
    decode
        .instrument(info_span!("decode", size = body.len()))
        .await;
    body
}

/// Keeps 50 bytes, in a task of its own.
async fn report(State(kept): State<Kept>, Path(_): Path<u32>) -> &'static str {
    let label = Label::current();
    let task = async move {
        yield_now().await;
        keep(&kept, block(50));
    };
    tokio::spawn(label.instrument(task)).await.unwrap();
    "report"
}

fn router(kept: &Kept) -> Router {
    Router::new()
        .route("/users", get(users))
        .route("/upload", post(upload))
        .route("/report/{id}", get(report))
        .with_state(kept.clone())
}

fn route(request: &Request) -> &str {
    let path = request.extensions().get::<MatchedPath>();
    path.map_or("<no route>", MatchedPath::as_str)
}

/// Sends all requests at once, and waits for their answers.
async fn load(service: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });
    let mut clients = JoinSet::new();
    for number in 0..3 * REQUESTS {
        let (line, body) = match number % 3 {
            0 => ("GET /users".to_owned(), ""),
            1 => ("POST /upload".to_owned(), "hello"),
            _ => (format!("GET /report/{number}"), ""),
        };
        let request = format!(
            "{line} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    server.abort();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_io()
        .build()
        .unwrap()
}

/// What `block` allocated, by label.
fn labels(snapshot: &Snapshot, metric: Metric) -> BTreeMap<String, Amount> {
    let filter = Filter::include("*/requests.rs").function("*::block");
    let by = Grouping::by(GroupBy::Label).with_metric(metric);
    let statistics = snapshot.filter_traces(&[filter]).statistics(by).into_iter();
    statistics
        .map(|it| (it.key.to_string(), Amount::new(it.size.get(), it.count)))
        .collect()
}

#[track_caller]
fn check(snapshot: &Snapshot, metric: Metric, expected: &[(&str, u64, u64)]) {
    let expected = expected.iter().map(|&(label, bytes, blocks)| {
        (
            label.to_owned(),
            Amount::new(bytes * REQUESTS, blocks * REQUESTS),
        )
    });
    assert_eq!(labels(snapshot, metric), expected.collect());
}

#[track_caller]
fn check_sum(snapshot: &Snapshot) {
    let all = snapshot.statistics(GroupBy::Label);
    let sum: u64 = all.iter().map(|it| it.size.get()).sum();
    assert_eq!(sum, snapshot.traced_memory().current.get());
    let outermost = snapshot.labels(Metric::Current);
    let sum: u64 = outermost
        .iter()
        .map(|it| it.inclusive.current.bytes.get())
        .sum();
    assert_eq!(sum, snapshot.traced_memory().current.get());
}

/// Frees all that was kept, half of it on another thread.
fn free(kept: &Kept) {
    let half = untraced(|| {
        let mut kept = kept.lock().unwrap();
        let len = kept.len();
        kept.split_off(len / 2)
    });
    std::thread::spawn(move || Label::new("cleaner").run(|| drop(half)))
        .join()
        .unwrap();
    drop(std::mem::take(&mut *kept.lock().unwrap()));
}

fn bytes_by_route() {
    start().unwrap();
    let kept = Kept::default();
    let by_route = LabelLayer::new(|request: &Request| Label::new(route(request)));
    let service = router(&kept).route_layer(by_route);
    let runtime = runtime();
    runtime.block_on(load(service));
    drop(runtime);
    let snapshot = take_snapshot().unwrap();
    let live = [
        ("/users", 1000, 2),
        ("/upload", 3000, 2),
        ("/report/{id}", 50, 1),
    ];
    check(&snapshot, Metric::Current, &live);
    let total = [("/users", 6000, 3), live[1], live[2]];
    check(&snapshot, Metric::Total, &total);
    check_sum(&snapshot);
    free(&kept);
    let snapshot = take_snapshot().unwrap();
    check(&snapshot, Metric::Current, &[]);
    check(&snapshot, Metric::Total, &total);
    check_sum(&snapshot);
}

/// Which route's memory is freed by which: scratch by its own, what is kept by others.
fn freed_by_route() {
    start_with(Config::default().frees(true).threads(true)).unwrap();
    let kept = Kept::default();
    let by_route = LabelLayer::new(|request: &Request| Label::new(route(request)));
    let service = router(&kept).route_layer(by_route);
    let runtime = runtime();
    runtime.block_on(load(service));
    drop(runtime);
    free(&kept);
    let snapshot = take_snapshot().unwrap();
    let filter = Filter::include("*/requests.rs").function("*::block");
    let blocks = snapshot.filter_traces(&[filter]);
    let frees = blocks.frees(GroupBy::Label, Freer::Label);
    let rows = frees.rows.iter().map(|it| (it.key.to_string(), &it.by));
    let rows: BTreeMap<String, &Vec<Amount>> = rows.collect();
    let of = |route: &str, freer: &str| {
        let at = frees.freers.iter().position(|it| **it == *freer);
        at.map_or(Amount::default(), |at| rows[route][at])
    };
    let scratch = Amount::new(5000 * REQUESTS, REQUESTS);
    assert_eq!(of("/users", "/users"), scratch);
    let mut by_cleaner = Amount::default();
    for (route, bytes, blocks) in [
        ("/users", 1000, 2),
        ("/upload", 3000, 2),
        ("/report/{id}", 50, 1),
    ] {
        let mut both = of(route, "cleaner");
        by_cleaner += both;
        both += of(route, "<no label>");
        assert_eq!(
            both,
            Amount::new(bytes * REQUESTS, blocks * REQUESTS),
            "{route}"
        );
    }
    // Half of all that was kept.
    assert_eq!(by_cleaner.blocks, 5 * REQUESTS / 2);
    let mut freers: Vec<&str> = frees.freers.iter().map(|it| &**it).collect();
    freers.sort_unstable();
    assert_eq!(freers, ["/users", "<no label>", "cleaner"]);
    for trace in snapshot.traces() {
        let by = trace.freed_by.iter().flat_map(|all| all.iter());
        let blocks: u64 = by.map(|it| it.amount.blocks).sum();
        assert_eq!(blocks, trace.counters.freed().blocks, "{trace}");
    }
}

/// No label is named by the program: spans alone.
fn bytes_by_span() {
    let layer = AllocLayer::new().with_target(false).with_field("route");
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    start().unwrap();
    let kept = Kept::default();
    let in_span = axum::middleware::from_fn(|request: Request, next: axum::middleware::Next| {
        let span = info_span!("request", route = route(&request));
        next.run(request).instrument(span)
    });
    let service = router(&kept).route_layer(in_span);
    let runtime = runtime();
    runtime.block_on(load(service));
    drop(runtime);
    let snapshot = take_snapshot().unwrap();
    let live = [
        ("request{route=/users}", 1000, 2),
        ("request{route=/upload}", 1000, 1),
        ("request{route=/upload} > decode", 2000, 1),
        ("request{route=/report/{id}}", 50, 1),
    ];
    check(&snapshot, Metric::Current, &live);
    let total = [
        ("request{route=/users}", 6000, 3),
        live[1],
        live[2],
        live[3],
    ];
    check(&snapshot, Metric::Total, &total);
    check_sum(&snapshot);
    free(&kept);
    check(&take_snapshot().unwrap(), Metric::Current, &[]);
}
