//! The workloads: five ways in which programs use their heap.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::random::Random;

/// One way in which programs use their heap.
///
/// Each workload is deterministic: it makes the same allocations in every contender and returns a
/// checksum, which shows the harness that the work was done. It frees all its blocks within the
/// measured time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A JSON document parsed into a tree, the tree cloned, both dropped: a large live heap.
    Json,
    /// Rust sources parsed with `syn`, the trees kept to the end: many distinct stacks.
    RustSource,
    /// Small vectors created and dropped at once: the bare cost of a record.
    Churn,
    /// Boxes allocated by one thread and freed by another, sent in batches.
    CrossThread,
    /// Several threads, each with a working set of its own.
    ManyThreads,
}

/// The threads of [`Workload::ManyThreads`] in the tables.
pub const THREADS: usize = 8;

/// The size of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A quarter of the work: a check, not a figure to quote.
    Quick,
    /// The size behind the numbers in the documentation.
    Full,
}

impl Workload {
    /// All workloads, in the order of the tables.
    pub const ALL: [Workload; 5] = [
        Workload::Json,
        Workload::RustSource,
        Workload::Churn,
        Workload::CrossThread,
        Workload::ManyThreads,
    ];

    /// The name in the README.
    pub fn title(self) -> &'static str {
        match self {
            Workload::Json => "JSON",
            Workload::RustSource => "Rust sources",
            Workload::Churn => "churn",
            Workload::CrossThread => "cross-thread",
            Workload::ManyThreads => "many threads",
        }
    }

    /// The name on the command line and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Json => "json",
            Workload::RustSource => "rust-source",
            Workload::Churn => "churn",
            Workload::CrossThread => "cross-thread",
            Workload::ManyThreads => "many-threads",
        }
    }

    /// Prepares the input and returns the work on it, which returns a checksum.
    ///
    /// `threads` is for [`Workload::ManyThreads`]: each thread does the same work, so more threads
    /// do more. `sources` is for [`Workload::RustSource`].
    ///
    /// # Panics
    ///
    /// If the sources cannot be read or contain no Rust.
    pub fn prepare(self, size: Size, threads: usize, sources: &[PathBuf]) -> Box<dyn Fn() -> u64> {
        match self {
            Workload::Json => {
                let document = document(size.of(26_000));
                Box::new(move || json(&document))
            }
            Workload::RustSource => {
                let mut files = rust_sources(sources);
                assert!(!files.is_empty(), "expected Rust sources in {sources:?}");
                // Every fourth file, so that the quick run is as varied as the full one.
                files = files.into_iter().step_by(size.divisor()).collect();
                Box::new(move || rust_source(&files))
            }
            Workload::Churn => Box::new(move || churn(size.of(12_000_000))),
            Workload::CrossThread => Box::new(move || cross_thread(size.of(8_000))),
            Workload::ManyThreads => Box::new(move || many_threads(threads, size.of(1_600_000))),
        }
    }
}

impl Size {
    /// Its name on the command line of a contender.
    pub fn name(self) -> &'static str {
        match self {
            Size::Quick => "quick",
            Size::Full => "full",
        }
    }

    fn of(self, full: usize) -> usize {
        full / self.divisor()
    }

    fn divisor(self) -> usize {
        match self {
            Size::Quick => 4,
            Size::Full => 1,
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Workload, String> {
        let found = Workload::ALL
            .into_iter()
            .find(|workload| workload.name() == name);
        found.ok_or_else(|| {
            let names = Workload::ALL.map(Workload::name).join(", ");
            format!("expected a workload ({names}), found {name:?}")
        })
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(name: &str) -> Result<Size, String> {
        let found = [Size::Quick, Size::Full]
            .into_iter()
            .find(|size| size.name() == name);
        found.ok_or_else(|| format!("expected quick or full, found {name:?}"))
    }
}

fn json(document: &str) -> u64 {
    let tree: Value = serde_json::from_str(document).expect("the document is well-formed");
    let copy = tree.clone();
    let sum = weigh(&tree);
    drop(tree);
    sum.wrapping_mul(31).wrapping_add(weigh(&copy))
}

fn weigh(value: &Value) -> u64 {
    match value {
        Value::Null => 1,
        Value::Bool(yes) => 2 + u64::from(*yes),
        Value::Number(number) => number.as_f64().map_or(3, f64::to_bits),
        Value::String(text) => hash(text),
        Value::Array(values) => values.iter().map(weigh).fold(5, add),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| add(hash(name), weigh(value)))
            .fold(7, add),
    }
}

fn rust_source(files: &[String]) -> u64 {
    let parse = |text: &String| syn::parse_file(text).expect("a published crate parses");
    let trees: Vec<syn::File> = files.iter().map(parse).collect();
    let items = trees.iter().flat_map(|tree| &tree.items);
    let kind = |item: &syn::Item| match item {
        syn::Item::Fn(function) => 3 + function.block.stmts.len(),
        syn::Item::Impl(block) => 5 + block.items.len(),
        syn::Item::Enum(kinds) => 7 + kinds.variants.len(),
        syn::Item::Struct(record) => 11 + record.fields.len(),
        syn::Item::Mod(inner) => 13 + inner.content.as_ref().map_or(0, |content| content.1.len()),
        _ => 2,
    };
    items.map(|item| kind(item) as u64).fold(0, add)
}

fn churn(times: usize) -> u64 {
    let mut random = Random(1);
    let mut sum = 0;
    for _ in 0..times {
        let length = 1 + random.below(16);
        let mut numbers = Vec::with_capacity(length as usize);
        numbers.extend(0..length);
        sum += black_box(&numbers).iter().sum::<u64>();
    }
    sum
}

fn cross_thread(batches: usize) -> u64 {
    const BATCH: usize = 256;
    let (give, take) = mpsc::sync_channel::<Vec<Box<[u8]>>>(8);
    thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let mut random = Random(2);
            for _ in 0..batches {
                let size = |random: &mut Random| 16 + random.below(240) as usize;
                let batch = (0..BATCH).map(|_| vec![1; size(&mut random)].into_boxed_slice());
                give.send(batch.collect())
                    .expect("the consumer listens to the end");
            }
        });
        let mut sum = 0;
        for batch in take {
            sum += batch.iter().map(|block| block.len() as u64).sum::<u64>();
        }
        producer.join().expect("the producer does not panic");
        sum
    })
}

fn many_threads(threads: usize, times: usize) -> u64 {
    const KEPT: u64 = 2_000;
    let work = |seed: u64| {
        let mut random = Random(seed);
        let mut kept: Vec<Vec<u8>> = Vec::new();
        kept.resize_with(KEPT as usize, Vec::new);
        let mut sum = 0;
        for _ in 0..times {
            let slot = &mut kept[random.below(KEPT) as usize];
            sum += slot.len() as u64;
            *slot = vec![1; 16 + random.below(496) as usize];
        }
        sum
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads as u64)
            .map(|seed| scope.spawn(move || work(seed + 3)))
            .collect();
        let sums = threads
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"));
        sums.fold(0, add)
    })
}

/// A JSON document of `records` records of about 1.1 KB, as a web service would return it.
fn document(records: usize) -> String {
    const WORDS: [&str; 8] = [
        "amber", "birch", "cobalt", "delta", "ember", "fjord", "granite", "harbour",
    ];
    let mut random = Random(4);
    let mut text = String::from("[");
    for id in 0..records {
        let mut word = || WORDS[random.below(8) as usize];
        let (first, last, city) = (word(), word(), word());
        let separator = if id == 0 { "" } else { "," };
        write!(
            text,
            r#"{separator}{{"id":{id},"name":"{first} {last}","email":"{first}.{last}@{city}.example","active":{},"score":{}.{},"address":{{"street":"{} {last} street","city":"{city}","zip":"{}"}},"tags":["#,
            id % 3 == 0,
            id % 100,
            id % 7,
            id % 250,
            10_000 + id % 90_000,
        )
        .expect("writing to a string succeeds");
        for tag in 0..10 {
            let comma = if tag == 0 { "" } else { "," };
            let word = WORDS[random.below(8) as usize];
            write!(text, r#"{comma}"{word}-{}""#, random.below(10_000))
                .expect("writing to a string succeeds");
        }
        text.push_str("]}");
    }
    text.push(']');
    text
}

/// The text of every Rust file in the folders, in the order of their paths.
fn rust_sources(folders: &[PathBuf]) -> Vec<String> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        let entries = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("expected a folder of sources at {folder:?}: {error}"));
        for entry in entries {
            let path = entry.expect("an open folder can be read").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for folder in folders {
        let start = files.len();
        collect(folder, &mut files);
        files[start..].sort();
    }
    let read = |file: &PathBuf| fs::read_to_string(file).expect("a source is text");
    files.iter().map(read).collect()
}

fn hash(text: &str) -> u64 {
    text.bytes().map(u64::from).fold(11, add)
}

fn add(sum: u64, value: u64) -> u64 {
    sum.wrapping_mul(0x100_0000_01b3).wrapping_add(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_its_workload() {
        for workload in Workload::ALL {
            assert_eq!(workload.name().parse(), Ok(workload));
        }
        assert_eq!(
            "xml".parse::<Workload>(),
            Err("expected a workload (json, rust-source, churn, cross-thread, many-threads), found \"xml\"".to_owned())
        );
    }

    /// A changed workload changes these checksums. Those of churn and cross-thread were also
    /// computed by another program, from the sizes alone.
    #[test]
    fn the_work_is_the_same_everywhere() {
        let sources = [Path::new(env!("CARGO_MANIFEST_DIR")).join("contenders")];
        for workload in Workload::ALL {
            let sum = || workload.prepare(Size::Quick, THREADS, &sources)();
            assert_eq!(sum(), sum(), "{}", workload.name());
        }
        assert_eq!(json(&document(3)), 3_126_329_273_100_803_872);
        assert_eq!(churn(1_000), 42_227);
        assert_eq!(cross_thread(2), 68_445);
    }
}
