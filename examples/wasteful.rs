//! Programs that waste calls of the allocator or memory, each with its better form, for `alloc-report advise`.
//!
//!     cargo run --release --example wasteful -- reserve wasteful heap.pb.gz
//!     alloc-report advise heap.pb.gz
//!     cargo run --release --example wasteful -- reserve better heap.pb.gz
//!
//! `shrink` also writes a heap graph, for `alloc-report advise heap.pb.gz --graph heap.heapgraph`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Mutex;

use alloc_core::{Config, Error, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [program, form @ ("wasteful" | "better"), file] = arguments[..] else {
        eprintln!(
            "expected a program, wasteful or better, and the file to write, found {arguments:?}"
        );
        std::process::exit(2);
    };
    let is_better = form == "better";
    let work = match program {
        "reserve" => reserve,
        "reuse" => reuse,
        "drop-earlier" => drop_earlier,
        "gather" => gather,
        "shrink" => shrink,
        _ => {
            eprintln!("expected reserve, reuse, drop-earlier, gather or shrink, found {program:?}");
            std::process::exit(2);
        }
    };
    alloc_core::start_with(Config::default().lifetimes(true))?;
    work(is_better);
    if program == "shrink" {
        // What a collection uses stands in a heap graph.
        alloc_core::heap_graph(Path::new(file).with_extension("heapgraph"))?;
    }
    alloc_core::take_snapshot()?.dump(file)
}

/// A thousand lists of 1,000 numbers each, which grow from 4 elements to 1,024.
fn reserve(is_better: bool) {
    for _ in 0..1_000 {
        let mut numbers: Vec<u64> = match is_better {
            true => Vec::with_capacity(black_box(1_024)),
            false => Vec::new(),
        };
        for number in 0..1_000 {
            numbers.push(black_box(number)); // mark: reserve
        }
        black_box(&numbers);
    }
}

/// A name for each of 10,000 orders, which is needed for its length only.
fn reuse(is_better: bool) {
    let mut length = 0;
    let mut name = String::new();
    for order in 0..10_000 {
        if is_better {
            use std::fmt::Write as _;
            name.clear();
            _ = write!(name, "order number {order}");
            length += black_box(&name).len();
        } else {
            length += black_box(order_name(order)).len();
        }
    }
    black_box(length);
}

fn order_name(order: u32) -> String {
    let mut name = String::with_capacity(24); // mark: reuse
    name.push_str("order number ");
    name.push_str(if order.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    });
    name
}

/// A text of 4 MiB, of which only the number of lines is used while 3 MiB of results are made.
fn drop_earlier(is_better: bool) {
    let text = black_box(vec![b'\n'; 4 << 20]); // mark: drop-earlier
    let lines = text.iter().filter(|it| **it == b'\n').count();
    let mut text = Some(text);
    if is_better {
        text = None;
    }
    let results: Vec<f64> = black_box(
        (0..(3 << 20) / 8)
            .map(|it| it as f64 / lines as f64)
            .collect(),
    );
    black_box((&text, &results));
}

/// 200,000 points, each in a box of its own.
fn gather(is_better: bool) {
    type Point = [f64; 3];
    let point = |at: u32| -> Point { [f64::from(at), 0.0, 1.0] };
    if is_better {
        let mut points: Vec<Point> = Vec::with_capacity(200_000);
        points.extend((0..200_000).map(point));
        black_box(&points);
    } else {
        let mut points: Vec<Box<Point>> = Vec::with_capacity(200_000);
        points.extend((0..200_000).map(|at| Box::new(point(at)))); // mark: gather
        black_box(&points);
    }
}

/// The orders of each of 1,000 customers.
static ORDERS: Mutex<Vec<Vec<u64>>> = Mutex::new(Vec::new());

/// Lists with room for 1,000 orders each, which have 20.
fn shrink(is_better: bool) {
    let mut orders = ORDERS.lock().expect("no panic");
    orders.reserve_exact(1_000);
    for customer in 0..1_000 {
        let room = if is_better { 20 } else { 1_000 };
        let mut list = Vec::with_capacity(black_box(room)); // mark: shrink
        list.extend(20 * customer..20 * (customer + 1));
        orders.push(list);
    }
}
