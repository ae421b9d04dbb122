//! Which function and which line an allocation passed: the numbers behind the page.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use alloc_core_snapshot::{
    ChargeTo, Counters, FunctionPattern, Origin, Snapshot, SourcePath, Trace,
};

use super::names::{bare_name, full_name, name_of};
use super::source::Sources;

/// A function with its lines: an element of [`Annotate::functions`](super::Annotate::functions).
///
/// ```
/// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
/// # let frame = |name, line| Frame::new(Some(name), Some("src/cache.rs"), line, 9);
/// # let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 7)]);
/// # let total = Amount::new(9_000, 3);
/// # let counters = Counters { total, ..Counters::default() };
/// # let snapshot = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);
/// let functions = alloc_report::annotate(&snapshot).functions();
/// assert_eq!(functions[0].name, "demo::main");
/// assert_eq!(functions[0].file.full(), "src/cache.rs");
/// // The source file does not exist.
/// assert_eq!((functions[0].start, functions[0].end), (None, None));
/// assert_eq!(functions[0].inclusive.total, Amount::new(9_000, 3));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Annotated {
    /// The longest recorded name of the function: an inlined copy may have lost its module.
    pub name: String,
    /// The source file.
    pub file: SourcePath,
    /// The first line of the function, if the source was found.
    pub start: Option<u32>,
    /// The last line of the function, if the source was found.
    pub end: Option<u32>,
    /// What the function and its callees allocated. Each stack counts once.
    pub inclusive: Counters,
    /// The lines that allocating stacks pass, in ascending order.
    pub lines: Vec<AnnotatedLine>,
}

/// One line of source with its numbers.
///
/// ```
/// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
/// # let frame = |name, line| Frame::new(Some(name), Some("src/cache.rs"), line, 9);
/// # let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 7)]);
/// # let total = Amount::new(9_000, 3);
/// # let counters = Counters { total, ..Counters::default() };
/// # let snapshot = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);
/// let functions = alloc_report::annotate(&snapshot).function("fill").functions();
/// let line = &functions[0].lines[0];
/// assert_eq!(line.line, 41);
/// assert_eq!(line.own, line.inclusive);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnotatedLine {
    /// The line number, counted from 1.
    pub line: u32,
    /// What the line itself allocated.
    pub own: Counters,
    /// What the line and its callees allocated.
    pub inclusive: Counters,
}

impl Annotated {
    /// The name of the function without its path.
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    /// # let frame = Frame::new(Some("demo::Cache<T>::fill"), Some("src/cache.rs"), 41, 9);
    /// # let counters = Counters { total: Amount::new(9_000, 3), ..Counters::default() };
    /// # let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
    /// # let snapshot = Snapshot::from_traces(traces, 32);
    /// let functions = alloc_report::annotate(&snapshot).functions();
    /// assert_eq!(functions[0].name, "demo::Cache<T>::fill");
    /// assert_eq!(functions[0].bare_name(), "fill");
    /// ```
    pub fn bare_name(&self) -> &str {
        bare_name(&self.name)
    }
}

/// Which functions to count; without a condition, those of the workspace.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) function: Option<FunctionPattern>,
    pub(super) file: Option<String>,
}

impl Selection {
    /// Whether any condition was given.
    pub(super) fn is_explicit(&self) -> bool {
        self.function.is_some() || self.file.is_some()
    }

    /// Counts the selected functions; the largest allocator comes first.
    ///
    /// Functions with less than 1/`part` of the whole are omitted; 0 omits none.
    pub(super) fn count(
        &self,
        snapshot: &Snapshot,
        sources: &mut Sources,
        part: u64,
    ) -> Vec<Annotated> {
        let mut counts = Counts::default();
        for trace in snapshot.traces() {
            counts.add(trace, self, sources);
        }
        counts.annotated(sources, part)
    }

    fn contains(&self, origin: Origin, file: &SourcePath, function: Option<&str>) -> bool {
        let by_function = self
            .function
            .as_ref()
            .map(|pattern| function.is_some_and(|it| pattern.matches(it)));
        let by_file = self.file.as_ref().map(|path| {
            let ends = |it: &str| it == path || it.ends_with(&format!("/{path}"));
            ends(file.full()) || ends(file.short())
        });
        match (by_function, by_file) {
            (None, None) => origin == Origin::Workspace,
            (by_function, by_file) => by_function.unwrap_or(true) && by_file.unwrap_or(true),
        }
    }
}

/// Identifies a function: its file, its bare name, and its first line.
type Key<'a> = (&'a SourcePath, &'a str, Option<u32>);

/// The functions that were counted so far.
#[derive(Default)]
struct Counts<'a> {
    whole: Counters,
    functions: HashMap<Key<'a>, Function<'a>>,
    /// The first line of the function with this file and name that contains this line.
    starts: HashMap<(&'a SourcePath, &'a str, u32), Option<u32>>,
}

#[derive(Default)]
struct Function<'a> {
    name: &'a str,
    inclusive: Counters,
    /// The own and the inclusive numbers of each line.
    lines: BTreeMap<u32, (Counters, Counters)>,
}

impl<'a> Counts<'a> {
    fn add(&mut self, trace: &'a Trace, selection: &Selection, sources: &mut Sources) {
        self.whole += trace.counters;
        let charged = trace.traceback.charged(ChargeTo::Caller);
        let (mut functions, mut lines) = (HashSet::new(), HashSet::new());
        for frame in trace.traceback.iter() {
            let (Some(file), Some(name)) = (frame.file(), name_of(frame)) else {
                continue;
            };
            if frame.line() == 0 || !selection.contains(frame.origin(), file, frame.function()) {
                continue;
            }
            let start = self.starts.entry((file, name, frame.line()));
            let start = *start.or_insert_with(|| {
                let source = sources.file(file)?;
                source.start_of(name, frame.line())
            });
            let key = (file, name, start);
            let function = self.functions.entry(key).or_default();
            let whole_name = full_name(frame.function().unwrap_or_default());
            if whole_name.len() > function.name.len() {
                function.name = whole_name;
            }
            if functions.insert(key) {
                function.inclusive += trace.counters;
            }
            if lines.insert((key, frame.line())) {
                let (own, inclusive) = function.lines.entry(frame.line()).or_default();
                *inclusive += trace.counters;
                // NOTE: the innermost frame of a line comes first: recursion is charged once.
                if frame == charged {
                    *own += trace.counters;
                }
            }
        }
    }

    fn annotated(self, sources: &mut Sources, part: u64) -> Vec<Annotated> {
        let whole = self.whole;
        let is_large = |counters: &Counters| {
            let is_part = |mine: u64, all: u64| mine > 0 && mine.saturating_mul(part) >= all;
            is_part(counters.total.bytes.get(), whole.total.bytes.get())
                || is_part(counters.peak.bytes.get(), whole.peak.bytes.get())
        };
        let functions = self.functions.into_iter();
        let functions = functions.filter(|(_, it)| part == 0 || is_large(&it.inclusive));
        let mut annotated: Vec<Annotated> = functions
            .map(|(key, function)| function.annotated(key, sources))
            .collect();
        annotated.sort_by_cached_key(|it| {
            let first = it.lines.first().map(|it| it.line);
            (Reverse(it.inclusive.total.bytes), it.file.clone(), first)
        });
        annotated
    }
}

impl Function<'_> {
    fn annotated(self, (file, _, start): Key<'_>, sources: &mut Sources) -> Annotated {
        let line = |(line, (own, inclusive))| AnnotatedLine {
            line,
            own,
            inclusive,
        };
        Annotated {
            name: self.name.to_owned(),
            file: file.clone(),
            start,
            end: start.and_then(|start| sources.file(file)?.end_of(start)),
            inclusive: self.inclusive,
            lines: self.lines.into_iter().map(line).collect(),
        }
    }
}
