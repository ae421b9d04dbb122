//! A snapshot without what a file should not tell when it leaves the house.

use std::collections::HashMap;

use crate::recorded::Recorded;
use crate::stack::frame::Function;
use crate::stack::origin;
use crate::{Frame, Snapshot, SourcePath, Trace, Traceback, process};

impl Snapshot {
    /// The same numbers, stacks, labels and threads without the program's arguments and metadata,
    /// and without folders: of the program and its libraries only the names of their files are left,
    /// and of source files what [`SourcePath::short`] shows.
    ///
    /// Frames get their names first, since code is found by the full paths. The names of functions,
    /// labels and threads stay.
    ///
    /// ```
    /// use alloc_core::{Counters, Frame, Snapshot, Trace, Traceback};
    ///
    /// let frame = Frame::new(Some("demo::fill"), Some("/home/ann/secret/cache.rs"), 41, 9);
    /// let trace = Trace::new(Traceback::new(vec![frame]), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32).confidential();
    /// assert_eq!(snapshot.traces()[0].traceback[0].file().unwrap().full(), "cache.rs");
    /// ```
    pub fn confidential(&self) -> Snapshot {
        let _muted = process::mute();
        let mut frames: HashMap<usize, Frame> = HashMap::new();
        let mut without_folder = |frame: &Frame| {
            let known = frames.entry(frame.id());
            known.or_insert_with(|| frame.without_folder()).clone()
        };
        let traces = self.traces().iter().map(|trace| {
            let frames = trace.traceback.iter().map(&mut without_folder).collect();
            Trace {
                traceback: Traceback::with_end(frames, trace.traceback.end()),
                ..trace.clone()
            }
        });
        let traces = traces.collect();
        let mut about = self.about.clone();
        about.program = name_of(&about.program).to_owned();
        about.command_line.clear();
        about.metadata.clear();
        for module in &mut about.modules {
            module.path = name_of(&module.path).to_owned();
        }
        let recorded = Recorded {
            addresses: Vec::new(),
            callsites: Vec::new(),
            ..self.recorded.clone()
        };
        let mut confidential = Snapshot::of_parts(traces, recorded, about);
        confidential.charge_to = self.charge_to;
        confidential.skipped = self.skipped.clone();
        confidential.filtered_out = self.filtered_out;
        confidential
    }
}

impl Frame {
    /// The frame with what its file's path tells of the code, and not of the machine.
    fn without_folder(&self) -> Frame {
        let Some(file) = self.file() else {
            return self.clone();
        };
        let file = SourcePath::new(without_folder(file), &[""; 0]);
        let function = Function::new(self.name().cloned(), Some(file));
        Frame::within(function, self.line(), self.column()).at(self.address(), self.is_inlined())
    }
}

/// The part of a path that shows the package or the standard library, or that is relative to the
/// workspace; else the file's name.
fn without_folder(file: &SourcePath) -> &str {
    let full = file.full();
    if let Some(at) = origin::public_at(full) {
        return &full[at..];
    }
    match file.short() {
        short if short.len() < full.len() => short,
        _ if !is_absolute(full) => full,
        _ => name_of(full),
    }
}

fn is_absolute(path: &str) -> bool {
    path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':')
}

fn name_of(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    #[test]
    fn paths_tell_of_the_code_and_not_of_the_machine() {
        let home = "/home/ann/.cargo";
        for (full, expected, of) in [
            (
                format!("{home}/registry/src/index.crates.io-6f17d22b/itoa-1.0.9/src/lib.rs"),
                "/registry/src/index.crates.io-6f17d22b/itoa-1.0.9/src/lib.rs",
                Origin::Dependency,
            ),
            (
                format!("{home}/git/checkouts/tool-0a1b/7c8d/src/lib.rs"),
                "/git/checkouts/tool-0a1b/7c8d/src/lib.rs",
                Origin::Dependency,
            ),
            (
                "/work/ann/vendor/itoa/src/lib.rs".to_owned(),
                "/vendor/itoa/src/lib.rs",
                Origin::Dependency,
            ),
            (
                "/rustc/5980/library/alloc/src/vec/mod.rs".to_owned(),
                "/rustc/5980/library/alloc/src/vec/mod.rs",
                Origin::Std,
            ),
            (
                "/home/ann/.rustup/toolchains/stable/lib/rustlib/src/rust/library/std/src/rt.rs"
                    .to_owned(),
                "/lib/rustlib/src/rust/library/std/src/rt.rs",
                Origin::Std,
            ),
            (
                "/home/ann/alloc/alloc-core/src/record/enter.rs".to_owned(),
                "/alloc-core/src/record/enter.rs",
                Origin::Tracer,
            ),
            ("./elf/dl-open.c".to_owned(), "./elf/dl-open.c", Origin::Std),
            ("src/cache.rs".to_owned(), "src/cache.rs", Origin::Workspace),
            (
                "/home/ann/secret/cache.rs".to_owned(),
                "cache.rs",
                Origin::Workspace,
            ),
            (
                "C:\\Users\\ann\\cache.rs".to_owned(),
                "cache.rs",
                Origin::Workspace,
            ),
            ("\u{e9}".to_owned(), "\u{e9}", Origin::Workspace),
            (String::new(), "", Origin::Workspace),
        ] {
            let path = SourcePath::new(&full, &[""; 0]);
            assert_eq!(without_folder(&path), expected);
            assert_eq!(
                [&full[..], expected].map(origin::of_file),
                [of, of],
                "{full}"
            );
        }
        let path = SourcePath::new("/home/ann/shop/src/cache.rs", &["/home/ann/shop"]);
        assert_eq!(without_folder(&path), "src/cache.rs");
    }
}
