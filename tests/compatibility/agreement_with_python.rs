//! Statistics, differences and filters compared with Python's `tracemalloc`, on random snapshots.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use alloc_core::{
    Amount, Counters, Filter, Frame, GroupBy, GroupKey, Grouping, Snapshot, Trace, Traceback,
};
use alloc_report::CompareTo as _;
use alloc_tests::{Random, Tool};

/// Reads cases as Rust prints them, and prints a line for each compared number.
const SCRIPT: &str = r#"
import ast, sys, tracemalloc

def known(number):
    return None if number < 0 else number

def place(traceback):
    return "|".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(traceback))

for number, (old, new, filters) in enumerate(ast.literal_eval(sys.stdin.read())):
    filters = [
        tracemalloc.Filter(bool(inclusive), pattern, known(line), bool(all_frames), known(domain))
        for inclusive, pattern, line, all_frames, domain in filters
    ]
    old, new = [
        tracemalloc.Snapshot(
            [(domain, size, tuple(frames), len(frames)) for domain, size, frames in traces], 3
        ).filter_traces(filters)
        for traces in (old, new)
    ]
    print(f"case {number}: {len(old.traces)} and {len(new.traces)} traces")
    for key in ("lineno", "filename", "traceback"):
        for cumulative in (False, True):
            if key == "traceback" and cumulative:
                continue
            order = sorted if key == "traceback" else list
            lines = [f"{place(s.traceback)} {s.size} {s.count}" for s in new.statistics(key, cumulative)]
            print(key, cumulative, *order(lines), sep="\n")
            lines = [
                f"{place(d.traceback)} {d.size} {d.size_diff} {d.count} {d.count_diff}"
                for d in new.compare_to(old, key, cumulative)
            ]
            print("changes", *order(lines), sep="\n")
"#;

/// A block: domain, bytes, and frames, innermost first.
type Block = (u32, u64, Vec<(&'static str, u32)>);

/// A filter: inclusive, pattern, line, all frames, domain. -1 stands for none.
type Condition = (u8, &'static str, i64, u8, i64);

type Case = (Vec<Block>, Vec<Block>, Vec<Condition>);

/// Draws cases at random.
struct Cases(Random);

impl Cases {
    fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    /// The files within a stack differ: otherwise Python counts a block more than once.
    fn block(&mut self) -> Block {
        let mut files = vec!["a.py", "b.py", "src/c.py", "src/d.py", "<unknown>"];
        let depth = 1 + self.below(3);
        let frame = |_| {
            let file = files.remove(self.below(files.len()));
            let line = if file == "<unknown>" {
                0
            } else {
                1 + self.below(3) as u32
            };
            (file, line)
        };
        let frames = (0..depth).map(frame).collect();
        // There are few sizes, so many groups are equal, and the other keys decide their order.
        (self.below(3) as u32, 10 * self.below(3) as u64, frames)
    }

    fn condition(&mut self) -> Condition {
        let patterns = [
            "*",
            "a.py",
            "[ab].py",
            "src/*",
            "*.py",
            "<unknown>",
            "?.p*",
            "[!a]*",
            "[",
            "",
        ];
        let pattern = patterns[self.below(patterns.len())];
        let line = [-1, -1, 0, 1, 2][self.below(5)];
        let domain = [-1, -1, 0, 1][self.below(4)];
        (
            self.below(2) as u8,
            pattern,
            line,
            self.below(2) as u8,
            domain,
        )
    }

    fn case(&mut self) -> Case {
        let old = (0..self.below(12)).map(|_| self.block()).collect();
        let new = (0..self.below(12)).map(|_| self.block()).collect();
        (
            old,
            new,
            (0..self.below(4)).map(|_| self.condition()).collect(),
        )
    }
}

fn snapshot(blocks: &[Block]) -> Snapshot {
    let traces = blocks.iter().map(|(domain, bytes, frames)| {
        let frames = frames.iter().map(|&(file, line)| {
            let file = Some(file).filter(|file| *file != "<unknown>");
            Frame::new(None, file, line, 0)
        });
        let current = Amount::new(*bytes, 1);
        let counters = Counters {
            current,
            ..Counters::default()
        };
        Trace::new(Traceback::new(frames.collect()), counters).with_domain(*domain)
    });
    Snapshot::from_traces(traces.collect(), 3)
}

fn filter(&(inclusive, pattern, line, all_frames, domain): &Condition) -> Filter {
    let mut filter = match inclusive {
        0 => Filter::exclude(pattern),
        _ => Filter::include(pattern),
    };
    if let Ok(line) = line.try_into() {
        filter = filter.line(line);
    }
    if let Ok(domain) = domain.try_into() {
        filter = filter.domain(domain);
    }
    filter.all_frames(all_frames != 0)
}

fn place(key: &GroupKey) -> String {
    let one = |frame: &Frame| {
        let file = frame.file().map_or("<unknown>", |file| file.full());
        format!("{file}:{}", frame.line())
    };
    match key {
        GroupKey::Frame(frame) => one(frame),
        GroupKey::Traceback(frames) => frames.iter().map(one).collect::<Vec<_>>().join("|"),
        key => panic!("no key of Python's: {key}"),
    }
}

/// The output that the script should print.
fn ours(number: usize, (old, new, conditions): &Case) -> String {
    let filters: Vec<Filter> = conditions.iter().map(filter).collect();
    let [old, new] = [old, new].map(|blocks| snapshot(blocks).filter_traces(&filters));
    let (before, now) = (old.traces().len(), new.traces().len());
    let mut text = format!("case {number}: {before} and {now} traces\n");
    let keys = [
        ("lineno", GroupBy::Line),
        ("filename", GroupBy::File),
        ("traceback", GroupBy::Traceback),
    ];
    for (name, by) in keys {
        for cumulative in [false, true] {
            let grouping = match cumulative {
                false => Grouping::by(by),
                true => match Grouping::by(by).cumulative() {
                    Ok(grouping) => grouping,
                    Err(_) => continue,
                },
            };
            let statistics = new.statistics(grouping.clone()).into_iter();
            let statistics =
                statistics.map(|it| format!("{} {} {}\n", place(&it.key), it.size.get(), it.count));
            let changes = new.compare_to(&old, grouping).into_iter().map(|it| {
                let (size, change) = (it.size.get(), it.size_diff.get());
                let (count, key) = (it.count, place(&it.key));
                format!("{key} {size} {change} {count} {}\n", it.count_diff)
            });
            let mut lists = [statistics.collect::<Vec<_>>(), changes.collect()];
            if by == GroupBy::Traceback {
                // Equal groups are ordered by their frames, and Python compares these from the
                // other end.
                lists.iter_mut().for_each(|list| list.sort());
            }
            let flag = if cumulative { "True" } else { "False" };
            let [statistics, changes] = lists.map(|list| list.concat());
            write!(text, "{name}\n{flag}\n{statistics}changes\n{changes}").unwrap();
        }
    }
    text
}

#[test]
fn random_snapshots_are_grouped_compared_and_filtered_as_by_python() {
    let Some(mut python) = Tool("python3").command("--version") else {
        return;
    };
    let mut drawn = Cases(Random::new(1));
    let cases: Vec<Case> = (0..500).map(|_| drawn.case()).collect();
    let mut python = python
        .args(["-I", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut stdin = python.stdin.take().expect("a pipe");
    write!(stdin, "{cases:?}").expect("Python reads");
    drop(stdin);
    let output = python.wait_with_output().expect("Python ends");
    assert!(output.status.success());
    let theirs = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let ours: String = cases
        .iter()
        .enumerate()
        .map(|(at, case)| ours(at, case))
        .collect();
    for (line, (theirs, ours)) in theirs.lines().zip(ours.lines()).enumerate() {
        assert_eq!(ours, theirs, "in line {line}");
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
    assert!(theirs.lines().count() > 10_000);
}
