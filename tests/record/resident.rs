//! Where the resident memory goes, in programs that were made to have it for a known reason.

use std::process::Command;

use alloc_core::{Bytes, Pinned, Residence, Snapshot};

const MIB: u64 = 1 << 20;

/// What a case of the program `fragmented` keeps resident.
struct Case {
    residence: Residence,
    snapshot: Snapshot,
    /// By how much resident memory fell when it dropped what keeps the pages.
    fell: u64,
}

fn run(case: &str) -> Case {
    run_with(case, &[])
}

fn run_with(case: &str, variables: &[(&str, &str)]) -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heap.pb.gz");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fragmented"));
    for (name, _) in std::env::vars().filter(|it| it.0.starts_with("ALLOC_TRACE")) {
        command.env_remove(name);
    }
    let command = command.envs(variables.iter().copied());
    let output = command.arg(case).arg(&path).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let fell = String::from_utf8_lossy(&output.stdout).trim().parse();
    let snapshot = Snapshot::load(&path).expect("it loads");
    let residence = snapshot.residence().expect("it was asked for");
    check_sum(case, &residence);
    Case {
        residence,
        snapshot,
        fell: fell.expect("a number"),
    }
}

/// The parts are what the kernel counts, within 2 %.
#[track_caller]
fn check_sum(case: &str, residence: &Residence) {
    let (sum, counted) = (residence.sum().get(), residence.resident.get());
    let off = sum.abs_diff(counted);
    // NOTE: of a program of 4 MiB, 2 % are 20 pages, and some are touched between two looks.
    assert!(
        off <= (counted / 50).max(128 << 10),
        "{case}: {sum} of {counted}: {residence:?}"
    );
}

#[track_caller]
fn check(part: Bytes, expected: u64) {
    let part = part.get();
    let most_off = expected / 20 + MIB;
    assert!(
        part.abs_diff(expected) <= most_off,
        "{part} bytes, expected {expected}"
    );
}

impl Case {
    /// What the allocator counts.
    #[track_caller]
    fn says(&self, allocator: &str, what: &str) -> u64 {
        let mut numbers = self.snapshot.allocator_numbers();
        let number = numbers.find(|it| (it.0, it.1) == (allocator, what));
        let all = self.snapshot.metadata();
        number
            .unwrap_or_else(|| panic!("no {what}: {all:?}"))
            .2
            .get()
    }

    /// What the blocks that the function allocates keep resident.
    fn pinned_by(&self, function: &str) -> Pinned {
        let mut sum = Pinned::default();
        for trace in self.snapshot.traces() {
            let mut functions = trace.traceback.iter().filter_map(|it| it.function());
            if functions.any(|it| it.ends_with(function)) {
                sum += trace.pinned.expect("it was asked for");
            }
        }
        sum
    }
}

#[test]
fn a_small_program_is_code_and_the_tracer() {
    let case = run("small");
    assert!(case.residence.live < Bytes::kib(64));
    assert!(case.residence.files > Bytes::mib(1));
    assert!(case.residence.tracer > Bytes::kib(16));
}

#[test]
fn few_blocks_hold_many_pages() {
    let case = run("sparse");
    // A block of 24 bytes in each page, but for those next to a page's end.
    let pages = 25_000 * 4096;
    assert!(
        case.residence.between.get() > pages / 2,
        "{:?}",
        case.residence
    );
    let pinned = case.pinned_by("fragmented::pin");
    assert!(pinned.alone.get() > pages / 2, "{pinned:?}");
    assert!(pinned.unused > pinned.alone.saturating_sub(pinned.own));
    // Dropping them gives back what was said.
    let said = pinned.alone.get();
    assert!(
        case.fell.abs_diff(said) <= said / 20 + 2 * MIB,
        "{} of {said}",
        case.fell
    );
    assert!(case.pinned_by("fragmented::blocks").alone < Bytes::mib(1));
}

#[test]
fn the_allocator_keeps_pages_without_blocks() {
    let case = run("free");
    check(case.residence.free, 100_000 * 1008);
    assert!(case.residence.live < Bytes::mib(1));
    assert!(case.pinned_by("fragmented::pin").alone <= Bytes::kib(4));
    assert!(case.fell > 90 * MIB, "{}", case.fell);
}

/// The pages of a child are those of its parent, until one of them is written to.
#[test]
fn a_child_after_a_fork_counts_what_it_shares() {
    check(run("forked").residence.free, 100_000 * 1008);
}

#[test]
fn memory_that_was_never_touched_is_not_resident() {
    let case = run("mapped");
    // The size of a block is known within a part of 32, and is 64 MiB here.
    check(case.residence.live, 32 * MIB);
    check(case.residence.between, 0);
}

#[test]
fn arenas_of_threads_that_ended_are_free() {
    let case = run("threads");
    check(case.residence.free, 6 * 20_000 * 512);
}

#[test]
fn what_is_no_heap_is_told_apart() {
    let small = run("small").residence;
    let case = run("other").residence;
    check(case.files, small.files.get() + 48 * MIB);
    check(case.other, small.other.get() + 32 * MIB);
}

/// glibc's own numbers of the programs above, of all arenas.
#[test]
#[cfg(target_env = "gnu")]
fn glibc_says_the_same() {
    let free = run("free");
    check(free.residence.free, free.says("glibc", "free"));
    let threads = run("threads");
    check(threads.residence.free, threads.says("glibc", "free"));
    // Free bytes of pages that are held count for glibc as well.
    let sparse = run("sparse");
    let unused = sparse.residence.between + sparse.residence.free;
    check(unused, sparse.says("glibc", "free"));
    let mapped = run("mapped");
    let of_mapping = mapped.says("glibc", "mmapped");
    check(Bytes::new(of_mapping), 64 * MIB);
    let small = run("small");
    assert!(small.says("glibc", "in use") < MIB);
}

/// An allocator that is preloaded in glibc's place is asked, and glibc is not.
#[test]
#[cfg(target_env = "gnu")]
fn an_allocator_that_is_preloaded_says_what_it_counts() {
    for (allocator, library, what) in [
        ("jemalloc", "libjemalloc.so.2", "in use"),
        ("mimalloc", "libmimalloc.so.2", "committed"),
    ] {
        // NOTE: the loader ignores a library that it does not find, and says so.
        let is_there = Command::new("true").env("LD_PRELOAD", library).output();
        if !is_there.expect("it runs").stderr.is_empty() {
            alloc_tests::skip(&format!("{library} is not installed"));
            continue;
        }
        let case = run_with("mapped", &[("LD_PRELOAD", library)]);
        let found = case.says(allocator, what);
        assert!((64 * MIB..1 << 30).contains(&found), "{allocator}: {found}");
        let of_glibc = case
            .snapshot
            .allocator_numbers()
            .filter(|it| it.0 == "glibc");
        assert_eq!(of_glibc.count(), 0, "{allocator}");
    }
}

#[test]
fn the_environment_asks_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heap.pb.gz");
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_traced"));
        command.args(["collections", "/dev/null"]);
        for (name, _) in std::env::vars().filter(|it| it.0.starts_with("ALLOC_TRACE")) {
            command.env_remove(name);
        }
        command
            .envs(variables.iter().copied())
            .env("ALLOC_TRACE_OUT", &path);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            Snapshot::load(&path).expect("it loads").residence(),
            message,
        )
    };
    let (residence, _) = run(&[("ALLOC_TRACE", "32"), ("ALLOC_TRACE_RESIDENT", "1")]);
    check_sum("traced", &residence.expect("it was asked for"));
    let file = Snapshot::load(&path).expect("it loads");
    if cfg!(target_env = "gnu") {
        assert!(file.allocator_numbers().any(|it| it.0 == "glibc"));
    }
    let (residence, _) = run(&[("ALLOC_TRACE", "32")]);
    let file = Snapshot::load(&path).expect("it loads");
    assert_eq!(file.allocator_numbers().count(), 0);
    assert_eq!(residence, None);
    let sample = [
        ("ALLOC_TRACE_SAMPLE", "64KiB"),
        ("ALLOC_TRACE_RESIDENT", "1"),
    ];
    let (residence, message) = run(&sample);
    assert_eq!(residence, None);
    assert!(
        message.contains("ALLOC_TRACE_RESIDENT: has no effect"),
        "{message}"
    );
}
