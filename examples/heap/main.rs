//! What `gc`, `sys.getsizeof`, `getrefcount` and `weakref` show in Python, by heap graphs of this
//! program.
//!
//! `cargo run --release --example heap -- cycle` plants a cycle, takes a graph, and prints what it
//! says. Without a name it runs every case. The graph of a case stays in a file if one is named
//! after it, for `alloc-report graph`.

mod content;
mod counted;
mod holders;

use std::path::PathBuf;

use alloc_core::{GraphOptions, SymbolSearch, TraceAlloc};
use alloc_report::Graph;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// A case: its name, and what plants it, takes a graph, and prints what that says.
type Case = (&'static str, fn(&Taker));

const CASES: [Case; 12] = [
    ("counts", counted::counts),
    ("cycle", counted::cycle),
    ("parent_and_child", counted::parent_and_child),
    ("weak_parent", counted::weak_parent),
    ("cache", holders::cache),
    ("handlers", holders::handlers),
    ("global", holders::global),
    ("closure", holders::closure),
    ("long_function", holders::long_function),
    ("equal_strings", content::equal_strings),
    ("deep_size", content::deep_size),
    ("young", content::young),
];

/// Takes graphs of this process.
struct Taker {
    path: PathBuf,
}

impl Taker {
    /// The heap as it is now.
    fn take(&self) -> Graph {
        self.write();
        self.load()
    }

    /// Writes the file, and reads it later: what a graph takes in memory is not in the graph.
    fn write(&self) {
        let options = GraphOptions::default().hashes(true);
        let taken = alloc_core::heap_graph_with(&self.path, &options).expect("a heap graph");
        assert_eq!(taken.threads_missed, 0);
    }

    fn load(&self) -> Graph {
        let mut graph = Graph::load(&self.path).expect("the graph just written");
        graph.name_all(&SymbolSearch::default());
        graph
    }

    /// Writes another file next to the first.
    fn beside(&self) -> Taker {
        Taker {
            path: self.path.with_extension("old.heapgraph"),
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (name, file) = (arguments.next(), arguments.next());
    let chosen: Vec<&Case> = CASES
        .iter()
        .filter(|(known, _)| name.as_deref().is_none_or(|name| name == *known))
        .collect();
    if chosen.is_empty() {
        let names = CASES.map(|(name, _)| name).join(", ");
        eprintln!("expected one of {names}");
        std::process::exit(2);
    }
    let folder = std::env::temp_dir();
    let own = folder.join(format!("heap-{}.heapgraph", std::process::id()));
    let path = file.as_ref().map_or(own, PathBuf::from);
    let taker = Taker { path };
    for (name, case) in chosen {
        println!("== {name}");
        // NOTE: each case sees its own blocks only. A new thread has a stack and an arena of C's
        // allocator in which no word of earlier work looks like a reference.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name((*name).to_owned());
            let run = || {
                alloc_core::start().expect("this program has the allocator");
                case(&taker);
                alloc_core::stop();
            };
            thread.spawn_scoped(scope, run).expect("a thread");
        });
    }
    if file.is_none() {
        // NOTE: a case without a graph leaves no file.
        let _ = std::fs::remove_file(&taker.path);
    }
}
