//! A service that unpacks uploads, each within a budget: the one that is too large ends with an
//! error, and the others go on. Then it measures by how much a budget is exceeded.
//!
//!     cargo run --release --example budget

use alloc_core::{Budget, Bytes, Error, OverBudget, TraceAlloc};
use tokio::task::JoinHandle;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// Unpacks parts of a size until the list is full, and yields after each.
async fn unpack(mut list: Vec<Vec<u8>>, part: Bytes) -> usize {
    while list.len() < list.capacity() {
        list.push(vec![1_u8; part.get() as usize]);
        tokio::task::yield_now().await;
    }
    list.iter().map(Vec::len).sum()
}

/// Each upload has a budget of its own.
async fn serve() -> Result<(), Error> {
    let uploads = [
        ("holiday.zip", 40),
        ("bomb.zip", 10_000),
        ("report.zip", 200),
    ];
    for (name, parts) in uploads {
        let budget = Budget::with_stacks(Bytes::mib(16))?
            .warn_at(Bytes::mib(12))
            .on_warning(move |warning| println!("{name:<12} warning: {warning}"));
        // What exists before the future runs does not count: here, the list.
        let work = unpack(Vec::with_capacity(parts), Bytes::kib(64));
        match budget.instrument(work).await {
            Ok(bytes) => println!("{name:<12} unpacked {}", Bytes::new(bytes as u64)),
            Err(over) => println!("{name:<12} {over}"),
        }
        // Either way nothing is left.
        assert_eq!(budget.usage()?.current.bytes, 0);
    }
    Ok(())
}

const WORKERS: usize = 4;

/// How far tasks that share a budget exceed it, and the bound: one poll of each thread.
async fn overshoot(tasks: usize, part: Bytes, limit: Bytes) -> Result<[Bytes; 2], Error> {
    let budget = Budget::new(limit)?;
    // Each of them alone exceeds the budget.
    let parts = (limit.get() / part.get()) as usize + 1;
    let work = || unpack(Vec::with_capacity(parts), part);
    let start = |_| tokio::spawn(budget.instrument(work()));
    let tasks: Vec<JoinHandle<Result<usize, OverBudget>>> = (0..tasks).map(start).collect();
    let polls = tasks.len().min(WORKERS) as u64;
    for task in tasks {
        assert!(task.await.expect("no task panics").is_err());
    }
    // Tokio's queue of tasks that yield may grow in a poll.
    let poll = part + Bytes::kib(1);
    let over = budget.usage()?.peak.bytes - limit;
    Ok([over, Bytes::new(polls * poll.get())])
}

/// The most of several runs, whose limits are met at another place of a poll each.
async fn most_of(tasks: usize, part: Bytes) -> Result<Bytes, Error> {
    const RUNS: u64 = 20;
    let mut most = Bytes::ZERO;
    for run in 0..RUNS {
        let limit = Bytes::mib(32) + Bytes::new(run * part.get() / RUNS);
        let [over, bound] = overshoot(tasks, part, limit).await?;
        assert!(over > Bytes::ZERO && over <= bound, "{over} of {bound}");
        most = most.max(over);
    }
    Ok(most)
}

#[tokio::main(worker_threads = 4)]
async fn main() -> Result<(), Error> {
    serve().await?;

    println!();
    println!("The most by which tasks on {WORKERS} threads exceed a budget that they share:");
    println!("a poll takes      1 task     4 tasks    16 tasks");
    for part in [4, 64, 1024].map(Bytes::kib) {
        print!("{:>12}", part.to_string());
        for tasks in [1, 4, 16] {
            print!("{:>12}", most_of(tasks, part).await?.to_string());
        }
        println!();
    }
    Ok(())
}
