//! A web service whose memory is attributed to requests: by route, by span, by task.
//!
//!     cargo run --release -p alloc-examples --features service --example service
//!     alloc-report tree service.pb.gz
//!
//! It serves 200 clients at once on four threads, and each of them makes 30 requests. A cache of
//! search results is never trimmed, and the tree shows which route and which step of it hold it.
//!
//! With an address and a number of seconds, clients come for so long, and profiles are served:
//!
//!     cargo run --release -p alloc-examples --features service --example service 127.0.0.1:6060 60
//!     go tool pprof http://127.0.0.1:6060/debug/pprof/heap
//!
//! With `-` for the seconds, clients come until the input ends. Enter sends them away, and lets them come
//! again, so that you can compare a busy service with a quiet one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloc_core::serve::{Endpoint, router};
use alloc_core::{AllocLayer, Label, LabelLayer, ServeOptions, TraceAlloc};
use axum::Router;
use axum::extract::{MatchedPath, Path, Query, Request, State};
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{Instrument as _, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt as _;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[derive(Default)]
struct Shop {
    /// The results of each search, which nobody removes.
    searches: Mutex<HashMap<String, Vec<String>>>,
    orders: Mutex<Vec<String>>,
}

#[instrument(skip(shop))]
async fn search(
    State(shop): State<Arc<Shop>>,
    Query(query): Query<HashMap<String, String>>,
) -> String {
    let words = query.get("q").cloned().unwrap_or_default();
    let found = rank(&words).instrument(info_span!("rank")).await;
    let answer = found.join(", ");
    info_span!("remember").in_scope(|| shop.searches.lock().unwrap().insert(words, found));
    answer
}

/// Ranks many and keeps few.
async fn rank(words: &str) -> Vec<String> {
    let mut all: Vec<String> = (0..500).map(|number| format!("{words} {number}")).collect();
    tokio::task::yield_now().await;
    all.truncate(20);
    all.shrink_to_fit();
    all
}

#[instrument(skip_all)]
async fn order(State(shop): State<Arc<Shop>>, body: String) -> &'static str {
    // A task of its own is in no label, until it is told.
    let receipt = Label::new("receipt").instrument(async move { body.repeat(2) });
    let receipt = tokio::spawn(receipt).await.unwrap_or_default();
    let mut orders = shop.orders.lock().unwrap();
    orders.push(receipt);
    // The last thousand are enough.
    let surplus = orders.len().saturating_sub(1000);
    orders.drain(..surplus);
    "thank you"
}

async fn health() -> &'static str {
    "well"
}

fn service(shop: Arc<Shop>) -> Router {
    let by_route = LabelLayer::new(|request: &Request| {
        let route = request.extensions().get::<MatchedPath>();
        Label::new(route.map_or("<no route>", MatchedPath::as_str))
    });
    Router::new()
        .route("/search", get(search))
        .route(
            "/orders/{customer}",
            post(|shop, _: Path<u32>, body| order(shop, body)),
        )
        .route("/health", get(health))
        .route_layer(by_route)
        .with_state(shop)
        // The service's own server has the profiles too.
        .nest("/internal", router(Endpoint::new(&ServeOptions::default())))
}

async fn client(address: SocketAddr, number: u32, requests: u32) -> std::io::Result<()> {
    for turn in 0..requests {
        let (line, body) = match (number + turn) % 3 {
            0 => (format!("GET /search?q=tea+{number}+{turn}"), String::new()),
            1 => (
                format!("POST /orders/{number}"),
                format!("{turn} pounds of tea"),
            ),
            _ => ("GET /health".to_owned(), String::new()),
        };
        let request = format!(
            "{line} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "an answer");
    }
    Ok(())
}

/// Lets 200 clients come at once, again and again, until it is enough.
async fn load(
    address: SocketAddr,
    requests: u32,
    is_enough: impl Fn() -> bool,
) -> anyhow::Result<()> {
    loop {
        let mut clients = JoinSet::new();
        (0..200).for_each(|number| _ = clients.spawn(client(address, number, requests)));
        while let Some(done) = clients.join_next().await {
            done??;
        }
        if is_enough() {
            return Ok(());
        }
    }
}

/// Lets clients come until the input ends. Each line of it sends them away, or lets them come again.
async fn load_by_input(address: SocketAddr) -> anyhow::Result<()> {
    let (enters, mut entered) = mpsc::unbounded_channel();
    // A thread, since nothing else waits for a terminal.
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines().map_while(Result::ok);
        lines.for_each(|_| _ = enters.send(()));
    });
    loop {
        println!("clients come");
        load(address, 3, || !entered.is_empty() || entered.is_closed()).await?;
        println!("no client comes");
        // The line that sent them away, and the one that lets them come again.
        if entered.recv().await.is_none() || entered.recv().await.is_none() {
            return Ok(());
        }
    }
}

#[tokio::main(worker_threads = 4)]
async fn main() -> anyhow::Result<()> {
    alloc_core::start()?;
    let layer = AllocLayer::new().with_target(false);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shop = Arc::new(Shop::default());
    tokio::spawn(axum::serve(listener, service(Arc::clone(&shop))).into_future());

    let mut arguments = std::env::args().skip(1);
    let server = arguments
        .next()
        .map(|it| alloc_core::serve(&it))
        .transpose()?;
    if let Some(server) = &server {
        println!("profiles: {server}");
    }
    match arguments.next().as_deref() {
        Some("-") => load_by_input(address).await?,
        seconds => {
            let seconds = seconds.map_or(Ok(0), str::parse)?;
            let until = Instant::now() + Duration::from_secs(seconds);
            load(address, 30, || Instant::now() >= until).await?;
        }
    }

    let snapshot = alloc_core::take_snapshot()?;
    snapshot.dump("service.pb.gz")?;
    println!("{}", alloc_report::tree(&snapshot, 10));
    let searches = shop.searches.lock().unwrap().len();
    println!("\n{searches} searches are remembered");
    Ok(())
}
