//! Tables that a traced program makes of its own snapshots, and their notes.
//!
//! This runs without the test harness, which allocates on threads of its own.

use alloc_core::{ChargeTo, Config, GroupBy, Snapshot, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() {
    tables_of_a_traced_program();
    a_note_says_where_a_truncated_stack_matters();
    a_note_says_that_the_table_of_callsites_was_full();
    a_note_says_that_the_table_of_callsites_was_filling();
}

fn tables_of_a_traced_program() {
    alloc_core::start().unwrap();
    let old = alloc_core::take_snapshot().unwrap();
    let line = line!() + 1;
    let blocks: Vec<Box<[u8; 1_000]>> = (0..1_000).map(|_| Box::new([0; 1_000])).collect();
    let new = alloc_core::take_snapshot().unwrap();
    alloc_core::stop();
    drop(blocks);

    // 1,000 blocks of 1,000 bytes, and the vector of 1,000 pointers that holds them.
    let place = format!("{}:{line}", file!());
    let source = "(0..1_000).map(|_| Box::new([0; 1_000])).collect();";
    let top = alloc_report::top(&new, 1).width(usize::MAX).to_string();
    let row = top.lines().nth(4).unwrap();
    assert!(row.starts_with("1  984.4 KiB "), "{top}");
    assert!(row.contains("  1,001  ") && row.contains(&place), "{top}");
    assert!(row.ends_with(source), "{top}");

    let diff = alloc_report::diff(&new, &old, 1)
        .width(usize::MAX)
        .to_string();
    let row = diff.lines().nth(5).unwrap();
    assert!(
        row.starts_with("1  984.4 KiB  +984.4 KiB  1,001  +1,001 "),
        "{diff}"
    );
    assert!(row.contains(&place), "{diff}");

    let stack = alloc_report::top(&new, 1)
        .by(GroupBy::Traceback)
        .to_string();
    // With line tables only, the name is `main` without a path.
    assert!(stack.lines().any(|line| line.ends_with("main")), "{stack}");
    assert!(stack.contains(" frames of the runtime"), "{stack}");
    assert!(!stack.contains("lang_start"), "{stack}");
}

/// With one frame outside the standard library, a stack is long enough to charge its caller, but
/// not the caller of another library.
fn a_note_says_where_a_truncated_stack_matters() {
    let snapshot = snapshot_of(Config::default().frames(1), || {
        serde_json::from_str::<serde_json::Value>("\"text\"").unwrap()
    });
    assert_eq!(notes(&snapshot, GroupBy::Line), [""; 0]);
    let cut = "1 of 1 stack is truncated at 1 frame";
    assert_eq!(
        notes(&snapshot, GroupBy::Traceback),
        [format!("{cut}: trace with more frames to see more")]
    );
    let both = |new: &Snapshot, old| {
        alloc_report::diff(new, old, 1)
            .by(GroupBy::Traceback)
            .notes()
    };
    let note = format!("{cut}: trace with more frames to see more");
    assert_eq!(both(&snapshot, &snapshot), std::slice::from_ref(&note));
    let empty = Snapshot::from_traces(Vec::new(), 32);
    assert_eq!(
        both(&empty, &snapshot),
        [format!("in the older snapshot: {note}")]
    );

    let snapshot = snapshot.charge_to(ChargeTo::Workspace);
    assert_eq!(
        notes(&snapshot, GroupBy::Line),
        [format!(
            "{cut}, before a frame to charge: trace with more frames to see more"
        )]
    );
    let stack = alloc_report::top(&snapshot, 1)
        .by(GroupBy::Traceback)
        .to_string();
    assert!(
        stack.contains("… outer frames were not recorded"),
        "{stack}"
    );
}

fn a_note_says_that_the_table_of_callsites_was_full() {
    let snapshot = snapshot_of(Config::default().max_callsites(1), || {
        (Box::new(1), ["two", "three"].concat(), vec![4])
    });
    let statistics = snapshot.statistics(GroupBy::Line);
    let overflow = statistics
        .iter()
        .find(|line| line.key.to_string() == "<overflow>");
    let overflowed = overflow.unwrap().count;
    assert_eq!(overflowed, 2);
    let full = "the table of callsites was full";
    assert_eq!(
        notes(&snapshot, GroupBy::Line),
        [format!(
            "{full}: {overflowed} allocations were not charged to a line; raise \
             Config::max_callsites"
        )]
    );
}

/// Stacks are cut to sixteen frames once a quarter of the table is used.
fn a_note_says_that_the_table_of_callsites_was_filling() {
    /// Each of the paths is a stack of its own, of thirty calls and more.
    fn block(path: u32, depth: u32) -> Vec<u32> {
        let mut blocks = match depth {
            0 => vec![],
            _ if path & 1 == 0 => block(path >> 1, depth - 1),
            _ => block(path >> 1, depth - 1),
        };
        if depth == 0 {
            blocks = Vec::with_capacity(std::hint::black_box(1));
        }
        std::hint::black_box(blocks)
    }
    let snapshot = snapshot_of(Config::default().max_callsites(120), || {
        (0..64).map(|path| block(path, 30)).collect::<Vec<_>>()
    });
    let notes = notes(&snapshot, GroupBy::Traceback);
    let [note] = notes.as_slice() else {
        panic!("{notes:?}");
    };
    let words = "cut short, since the table of callsites was filling: raise Config::max_callsites to see more";
    assert!(note.ends_with(words), "{note}");
}

fn snapshot_of<R>(config: Config, work: impl FnOnce() -> R) -> Snapshot {
    alloc_core::start_with(config).unwrap();
    let kept = std::hint::black_box(work());
    let snapshot = alloc_core::take_snapshot().unwrap();
    // Read before tracing ends, as in a real program.
    assert!(!snapshot.traces().is_empty());
    alloc_core::stop();
    drop(kept);
    snapshot
}

fn notes(snapshot: &Snapshot, by: GroupBy) -> Vec<String> {
    alloc_report::top(snapshot, 10).by(by).notes()
}
