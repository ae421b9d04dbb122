//! [`annotate`]: lines of source, with what each allocated.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;

use alloc_core::{ChargeTo, Counters, FunctionPattern, Origin, Snapshot, SourcePath};

mod functions;
mod page;

use functions::{Sources, bare_name, full_name, name_of};

/// The source of the functions that matter, with what each line allocated, still holds, and held at most:
/// itself, and together with what it called.
///
/// It needs nothing in the code: the stacks of a snapshot tell which lines an allocation went through. So
/// what a callee allocates and frees again shows at the line that called it, a line in a loop counts
/// what all its turns allocated, and a generic function is one, whatever its arguments. What is
/// shown can be chosen: see [`Annotate`].
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = |name, line| Frame::new(Some(name), Some("src/cache.rs"), line, 9);
/// let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 7)]);
/// let total = Amount::new(9_000, 3);
/// let counters = Counters { total, ..Counters::default() };
/// let snapshot = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);
///
/// let functions = alloc_report::annotate(&snapshot).functions();
/// let main = functions.iter().find(|it| it.name == "demo::main").unwrap();
/// assert_eq!(main.lines[0].line, 7);
/// assert_eq!(main.lines[0].own.total, Amount::default());
/// assert_eq!(main.lines[0].inclusive.total, total);
/// ```
pub fn annotate(snapshot: &Snapshot) -> Annotate<'_> {
    Annotate {
        snapshot,
        function: None,
        file: None,
        root: None,
        most: 8,
        colour: false,
        width: 120,
    }
}

/// Annotated source, made by [`annotate`].
///
/// # What is shown
///
/// Functions of the program's own workspace, those first of which the most was allocated, and none that
/// allocated less than a hundredth of all and held less than a hundredth of the peak; or what was asked
/// for. A function is told by its name and by the line of its file that begins it.
///
/// # The columns
///
/// | column | meaning |
/// | --- | --- |
/// | allocated | all that was ever allocated |
/// | freed | what of it is no longer live |
/// | held | what of it is live at the moment of the snapshot |
/// | peak | the most that was ever live: for each stack at its own moment, and summed, so that it is exact for a line with one stack and a bound for others |
/// | count | how many blocks were ever allocated |
///
/// The first five are of the line itself: of stacks that are charged to it, those whose innermost frame
/// outside the standard library it is. The others are of these and of all that the line called. A stack
/// counts for a line once, however often a recursion passes it. The mark before a line is darker the
/// more of the function's peak it has.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Annotate<'a> {
    snapshot: &'a Snapshot,
    function: Option<FunctionPattern>,
    file: Option<String>,
    root: Option<PathBuf>,
    most: usize,
    colour: bool,
    width: usize,
}

/// A function with its lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Annotated {
    /// The longest name that it goes by: inlined functions may have lost their module.
    pub name: String,
    /// Its file.
    pub file: SourcePath,
    /// The line where it begins, where the source is at hand.
    pub start: Option<u32>,
    /// The line where it ends, where the source is at hand.
    pub end: Option<u32>,
    /// What was allocated in it, whichever line, and by what it called; each stack once.
    pub inclusive: Counters,
    /// The lines that a stack of an allocation passes, in their order.
    pub lines: Vec<AnnotatedLine>,
}

/// One line of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnotatedLine {
    /// Counted from 1.
    pub line: u32,
    /// What the line itself allocated.
    pub own: Counters,
    /// What it allocated, and what it called.
    pub inclusive: Counters,
}

/// A function, while stacks are counted: its file, its bare name, and where it begins.
type Key<'a> = (&'a SourcePath, &'a str, Option<u32>);

#[derive(Default)]
struct Counts<'a> {
    name: &'a str,
    inclusive: Counters,
    lines: BTreeMap<u32, (Counters, Counters)>,
}

impl Annotate<'_> {
    /// Shows the functions of this name, or with it in their path: see [`FunctionPattern`].
    pub fn function(mut self, name: impl AsRef<str>) -> Self {
        self.function = Some(FunctionPattern::new(name.as_ref()));
        self
    }

    /// Shows the functions of the files whose path is this, or ends with it.
    pub fn file(mut self, path: impl Into<String>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Looks for source below this folder first, for snapshots from elsewhere.
    pub fn source_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.root = Some(folder.into());
        self
    }

    /// Shows so many functions at most; 8 is the default.
    pub fn most(mut self, functions: usize) -> Self {
        self.most = functions;
        self
    }

    /// Writes ANSI colours, or not, which is the default. Nothing is told by colour alone.
    pub fn colour(mut self, colour: bool) -> Self {
        self.colour = colour;
        self
    }

    /// Fits the tables into `width` columns; 120 is the default. Source is cut, numbers never; below 112
    /// columns some of these are left out.
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// The functions with their numbers.
    pub fn functions(&self) -> Vec<Annotated> {
        alloc_core::untraced(|| self.count(&mut Sources::new(self.root.clone())))
    }

    /// The names of all functions of the workspace that a stack passes, those first of which the most was
    /// allocated.
    pub fn known_functions(&self) -> Vec<String> {
        let all = Annotate {
            function: None,
            file: None,
            most: usize::MAX,
            ..self.clone()
        };
        let functions = all.count_all(&mut Sources::default(), 0);
        functions.into_iter().map(|it| it.name).collect()
    }

    fn count(&self, sources: &mut Sources) -> Vec<Annotated> {
        let asked = self.function.is_some() || self.file.is_some();
        let mut functions = self.count_all(sources, if asked { 0 } else { 100 });
        functions.truncate(self.most);
        functions
    }

    /// All functions but those that have less than one `part` of the whole.
    fn count_all(&self, sources: &mut Sources, part: u64) -> Vec<Annotated> {
        let mut whole = Counters::default();
        let mut functions: HashMap<Key<'_>, Counts<'_>> = HashMap::new();
        let mut starts: HashMap<(&SourcePath, &str, u32), Option<u32>> = HashMap::new();
        for trace in self.snapshot.traces() {
            whole += trace.counters;
            let charged = trace.traceback.charged(ChargeTo::Caller);
            let (mut seen, mut lines) = (HashSet::new(), HashSet::new());
            for frame in trace.traceback.iter() {
                let (Some(file), Some(name)) = (frame.file(), name_of(frame)) else {
                    continue;
                };
                if frame.line() == 0 || !self.is_shown(frame.origin(), file, frame.function()) {
                    continue;
                }
                let start = *starts.entry((file, name, frame.line())).or_insert_with(|| {
                    let source = sources.file(file)?;
                    source.start_of(name, frame.line())
                });
                let key = (file, name, start);
                let function = functions.entry(key).or_default();
                let whole_name = full_name(frame.function().unwrap_or_default());
                if whole_name.len() > function.name.len() {
                    function.name = whole_name;
                }
                if seen.insert(key) {
                    function.inclusive += trace.counters;
                }
                if lines.insert((key, frame.line())) {
                    let (own, inclusive) = function.lines.entry(frame.line()).or_default();
                    *inclusive += trace.counters;
                    // NOTE: a frame is itself, and the innermost of those on its line is met first.
                    if frame == charged {
                        *own += trace.counters;
                    }
                }
            }
        }
        let matters = |counters: &Counters| {
            let is_part = |mine: u64, all: u64| mine > 0 && mine.saturating_mul(part) >= all;
            is_part(counters.total.bytes.get(), whole.total.bytes.get())
                || is_part(counters.peak.bytes.get(), whole.peak.bytes.get())
        };
        let mut annotated: Vec<Annotated> = functions
            .into_iter()
            .filter(|(_, counts)| part == 0 || matters(&counts.inclusive))
            .map(|((file, _, start), counts)| Annotated {
                name: counts.name.to_owned(),
                file: file.clone(),
                start,
                end: start.and_then(|start| sources.file(file)?.end_of(start)),
                inclusive: counts.inclusive,
                lines: counts
                    .lines
                    .into_iter()
                    .map(|(line, (own, inclusive))| AnnotatedLine {
                        line,
                        own,
                        inclusive,
                    })
                    .collect(),
            })
            .collect();
        annotated.sort_by(|a, b| {
            let order = |it: &Annotated| std::cmp::Reverse(it.inclusive.total.bytes);
            let place = |it: &Annotated| (it.file.clone(), it.lines.first().map(|it| it.line));
            order(a)
                .cmp(&order(b))
                .then_with(|| place(a).cmp(&place(b)))
        });
        annotated
    }

    fn is_shown(&self, origin: Origin, file: &SourcePath, function: Option<&str>) -> bool {
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

impl fmt::Display for Annotate<'_> {
    /// The tables, one below the other, without an end of line after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = alloc_core::untraced(|| {
            let mut sources = Sources::new(self.root.clone());
            let functions = self.count(&mut sources);
            page::page(self, &functions, &mut sources)
        });
        f.write_str(&page)
    }
}

impl Annotated {
    /// Its name without a path.
    pub fn bare_name(&self) -> &str {
        bare_name(&self.name)
    }
}
