//! Which lines hold the memory of a real program on real input?
//!
//! It reads every Rust source file of a project and of its dependencies, parses them, and builds a
//! word index and a symbol table. Only the allocator below and `start` make it traced.
//!
//!     cargo run --release --example top_lines [FOLDER]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

use alloc_core::{Metric, TraceAlloc};
use anyhow::{Context, Result, ensure};
use cargo_metadata::MetadataCommand;
use proc_macro2::Ident;
use syn::visit::Visit;
use walkdir::WalkDir;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() {
    let mut arguments = env::args_os().skip(1);
    let folder = arguments.next().map_or_else(|| ".".into(), PathBuf::from);
    if arguments.next().is_some() || folder.as_os_str().as_encoded_bytes().starts_with(b"-") {
        eprintln!(
            "usage: top_lines [FOLDER]   a folder with a Cargo.toml; the current one if left out"
        );
        process::exit(2);
    }
    if let Err(error) = run(&folder) {
        eprintln!("top_lines: {error:#}");
        process::exit(2);
    }
}

fn run(folder: &Path) -> Result<()> {
    let (own, dependencies) = source_files(folder)?;
    println!(
        "Reading {} source files of the project and {} of its dependencies.\n",
        own.len(),
        dependencies.len()
    );

    alloc_core::start()?;
    let mut index = Index::default();
    index.add(&own);
    let before = alloc_core::take_snapshot()?;
    index.add(&dependencies);
    let after = alloc_core::take_snapshot()?;

    println!(
        "{} files parsed, {} could not be; {} words in {} places, {} symbols.",
        index.files.len(),
        index.unparsed,
        index.words.len(),
        index.words.values().map(Vec::len).sum::<usize>(),
        index.symbols.len(),
    );
    if let Some((name, files)) = index.most_common_symbol() {
        println!("The most common name is `{name}`, in {files} files.");
    }
    let memory = after.traced_memory();
    println!(
        "Current {}, peak {}; the tracer's own tables: {}.\n",
        memory.current,
        memory.peak,
        alloc_core::tracer_memory()
    );
    println!(
        "The ten lines that hold the most now\n{}\n",
        alloc_report::top(&after, 10)
    );
    println!(
        "The ten lines that held the most at the peak\n{}\n",
        alloc_report::top(&after, 10).metric(Metric::AtPeak)
    );
    println!(
        "The ten lines that grew most from the project alone to the whole\n{}",
        alloc_report::diff(&after, &before, 10)
    );
    Ok(())
}

/// A word index, as a search over sources keeps it.
#[derive(Default)]
struct Index {
    files: Vec<PathBuf>,
    /// The files and lines of each word.
    words: HashMap<String, Vec<(u32, u32)>>,
    symbols: Vec<Symbol>,
    unparsed: usize,
}

struct Symbol {
    name: String,
    file: u32,
}

impl Index {
    fn add(&mut self, files: &[PathBuf]) {
        for path in files {
            let Ok(text) = fs::read_to_string(path) else {
                self.unparsed += 1;
                continue;
            };
            let Ok(tree) = syn::parse_file(&text) else {
                self.unparsed += 1;
                continue;
            };
            let file = self.files.len() as u32;
            self.files.push(path.clone());
            self.add_words(&text, file);
            Symbols { index: self, file }.visit_file(&tree);
        }
    }

    /// The name that is defined in the most files, and their number.
    fn most_common_symbol(&self) -> Option<(&str, usize)> {
        let mut files: HashMap<&str, HashSet<u32>> = HashMap::new();
        for symbol in &self.symbols {
            files.entry(&symbol.name).or_default().insert(symbol.file);
        }
        let counts = files.into_iter().map(|(name, files)| (files.len(), name));
        counts.max().map(|(count, name)| (name, count))
    }

    fn add_words(&mut self, text: &str, file: u32) {
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
        for (line, number) in text.lines().zip(1..) {
            for word in line.split(|c| !is_letter(c)).filter(|it| it.len() > 2) {
                match self.words.get_mut(word) {
                    Some(places) => places.push((file, number)),
                    None => drop(self.words.insert(word.to_owned(), vec![(file, number)])),
                }
            }
        }
    }
}

/// Collects the names of functions and types.
struct Symbols<'a> {
    index: &'a mut Index,
    file: u32,
}

impl Symbols<'_> {
    fn add(&mut self, name: &Ident) {
        let (name, file) = (name.to_string(), self.file);
        self.index.symbols.push(Symbol { name, file });
    }
}

impl<'ast> Visit<'ast> for Symbols<'_> {
    fn visit_signature(&mut self, it: &'ast syn::Signature) {
        self.add(&it.ident);
        syn::visit::visit_signature(self, it);
    }

    fn visit_item_struct(&mut self, it: &'ast syn::ItemStruct) {
        self.add(&it.ident);
        syn::visit::visit_item_struct(self, it);
    }

    fn visit_item_enum(&mut self, it: &'ast syn::ItemEnum) {
        self.add(&it.ident);
        syn::visit::visit_item_enum(self, it);
    }
}

/// The source files of a project's packages, and of their dependencies for this platform.
fn source_files(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let manifest = folder.join("Cargo.toml");
    ensure!(
        manifest.is_file(),
        "expected a folder with a Cargo.toml, found none in {}",
        folder.display()
    );
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .other_options(["--filter-platform".to_owned(), host()?])
        .exec()
        .context("cargo metadata failed")?;
    let (mut own, mut dependencies) = (Vec::new(), Vec::new());
    for package in &metadata.packages {
        let is_own = metadata.workspace_members.contains(&package.id);
        let files = if is_own { &mut own } else { &mut dependencies };
        let root = package
            .manifest_path
            .parent()
            .context("a package has no folder")?;
        let entries = WalkDir::new(root)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|it| it.file_name() != "target");
        files.extend(
            entries
                .filter_map(Result::ok)
                .map(|it| it.into_path())
                .filter(|path| path.extension().is_some_and(|it| it == "rs")),
        );
    }
    ensure!(
        !own.is_empty(),
        "found no Rust source file in {}",
        folder.display()
    );
    Ok((own, dependencies))
}

/// The host platform of the compiler.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
