//! [`Entries`]: what the stacks of callsites consist of, each thing once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use alloc_core_snapshot::seam::package::Crates;
use alloc_core_snapshot::{Frame, GroupBy, Origin, Snapshot, Trace};

use crate::names;
use crate::show::stack::{self, Run};
use crate::show::text;

/// Which frames of a stack are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Frames {
    /// Those of the workspace.
    Mine,
    /// Those from `main`, or from the start of a thread, to the charged one. Consecutive frames of
    /// libraries are one.
    #[default]
    Folded,
    /// All.
    All,
}

/// A step of a stack: a line, a function, a module, a crate, a label, or several frames of libraries.
///
/// Its texts are safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name as a person would write it.
    pub(crate) name: String,
    /// The whole name.
    pub(crate) whole: String,
    /// The file and line; empty if it has none.
    pub(crate) place: String,
    /// A frame, for its line of source.
    pub(crate) frame: Option<Frame>,
    /// Whether it is the user's own code, or not code.
    pub(crate) is_mine: bool,
    /// The same in each run and each snapshot.
    pub(crate) id: u64,
}

impl Entry {
    /// The name and the place to show; without a name, only the place.
    pub(crate) fn title(&self) -> (String, String) {
        match self.name.is_empty() {
            true => (self.whole.clone(), String::new()),
            false => (self.name.clone(), self.place.clone()),
        }
    }
}

/// The number of an [`Entry`].
pub(super) type Number = u32;

/// Entries, each once.
pub(super) struct Entries<'a> {
    /// `None` for groupings that need no crates: to find them, all frames are read.
    crates: Option<Crates<'a>>,
    by: GroupBy,
    frames: Frames,
    list: Vec<Entry>,
    known: HashMap<u64, Number>,
    of_frames: HashMap<Frame, Number>,
}

const CUT: &str = "<outer frames were not recorded>";
const OUTSIDE: &str = "<no frame of your code>";

impl<'a> Entries<'a> {
    pub(super) fn new(snapshots: &[&'a Snapshot], by: GroupBy, frames: Frames) -> Entries<'a> {
        let traces = snapshots.iter().flat_map(|it| it.traces());
        let frames_of_all = traces.flat_map(|it| it.traceback.iter());
        let is_of_crates = matches!(by, GroupBy::Module | GroupBy::Crate);
        Entries {
            crates: is_of_crates.then(|| Crates::of(frames_of_all)),
            by,
            frames,
            list: Vec::new(),
            known: HashMap::new(),
            of_frames: HashMap::new(),
        }
    }

    pub(super) fn into_list(self) -> Vec<Entry> {
        self.list
    }

    /// The steps of a callsite's stack, the outermost first, after its type, label or thread if the
    /// grouping is by that.
    pub(super) fn of(&mut self, snapshot: &Snapshot, trace: &Trace) -> Vec<Number> {
        let mut steps = self.tags(trace);
        let above = steps.len();
        let traceback = &trace.traceback;
        if (traceback.is_truncated() || traceback.is_broken()) && self.frames != Frames::Mine {
            steps.push(self.named(CUT, true));
        }
        let charged = snapshot.charged_frame(traceback);
        match self.frames {
            Frames::All => steps.extend(traceback.iter().rev().map(|it| self.frame(it))),
            Frames::Mine => {
                let mine = traceback.iter().rev();
                let mine = mine.filter(|it| it.origin() == Origin::Workspace);
                steps.extend(mine.map(|it| self.frame(it)));
                if steps.len() == above {
                    steps.push(self.named(OUTSIDE, true));
                }
            }
            Frames::Folded => {
                let runs = stack::runs(traceback, charged, false);
                let is_charged = |run: &Run<'_>| matches!(run, Run::Shown(it) if *it == charged);
                let inner = runs.iter().position(is_charged).unwrap_or(0);
                for run in runs[inner..].iter().rev() {
                    match run {
                        Run::Shown(frame) => steps.push(self.frame(frame)),
                        Run::Libraries(frames) if self.is_of_crates() => {
                            steps.extend(frames.iter().rev().map(|it| self.frame(it)));
                        }
                        Run::Libraries(frames) => steps.push(self.folded(frames)),
                        Run::Runtime(_) => {}
                    }
                }
            }
        }
        if self.is_of_crates() || self.by == GroupBy::Function {
            steps.dedup();
        }
        if steps.len() == above {
            let charged = self.frame(charged);
            steps.push(charged);
        }
        steps
    }

    /// Whether steps are larger than functions, so that frames of libraries need not be folded.
    fn is_of_crates(&self) -> bool {
        self.crates.is_some()
    }

    fn tags(&mut self, trace: &Trace) -> Vec<Number> {
        let none = |what: &str| format!("<no {what}>");
        match self.by {
            GroupBy::Type => {
                let name = trace.type_name.as_deref();
                let name = name.map_or_else(|| "<unknown type>".to_owned(), text::name);
                vec![self.named(&name, true)]
            }
            GroupBy::Thread => {
                let name = trace.thread.as_deref();
                let name = name.map_or_else(|| none("thread name"), text::name);
                vec![self.named(&name, true)]
            }
            GroupBy::Label => match trace.label.as_deref() {
                None => vec![self.named(&none("label"), true)],
                Some(path) => {
                    let parts = path.split(alloc_core_snapshot::seam::snapshot::LABEL_SEPARATOR);
                    parts.map(|it| self.named(&text::name(it), true)).collect()
                }
            },
            _ => Vec::new(),
        }
    }

    /// Frames of libraries as one step.
    fn folded(&mut self, frames: &[Frame]) -> Number {
        let name = format!("… {}", stack::libraries(frames));
        self.named(&name, false)
    }

    fn named(&mut self, name: &str, is_mine: bool) -> Number {
        self.add(name, "", || Entry {
            name: name.to_owned(),
            whole: name.to_owned(),
            place: String::new(),
            frame: None,
            is_mine,
            id: 0,
        })
    }

    fn frame(&mut self, frame: &Frame) -> Number {
        if let Some(known) = self.of_frames.get(frame) {
            return *known;
        }
        let is_mine = matches!(frame.origin(), Origin::Workspace);
        let number = match (self.by, &self.crates) {
            (GroupBy::Module, Some(crates)) => {
                self.named(&text::name(&crates.module_of(frame)), is_mine)
            }
            (GroupBy::Crate, Some(crates)) => {
                self.named(&text::name(&crates.crate_of(frame)), is_mine)
            }
            (by, _) => {
                let function = frame.function();
                let whole = function.map_or_else(|| text::place(frame), text::name);
                let place = match (frame.file(), by) {
                    (None, _) => String::new(),
                    (Some(file), GroupBy::Function) => file.to_string(),
                    (Some(_), _) => text::place(frame),
                };
                let name = function.map_or_else(String::new, names::short);
                let name = text::name(&name);
                let path = frame.file().map_or("", |it| it.full());
                let key = match by {
                    GroupBy::Function if function.is_some() => String::new(),
                    _ => format!("{path}:{}", frame.line()),
                };
                self.add(&whole.clone(), &key, || Entry {
                    // NOTE: a function of unknown name has a place only.
                    name,
                    whole,
                    place,
                    frame: Some(frame.clone()),
                    is_mine,
                    id: 0,
                })
            }
        };
        self.of_frames.insert(frame.clone(), number);
        number
    }

    fn add(&mut self, name: &str, place: &str, entry: impl FnOnce() -> Entry) -> Number {
        let mut hasher = DefaultHasher::new();
        (name, place).hash(&mut hasher);
        let id = hasher.finish();
        let next = self.list.len() as Number;
        let number = *self.known.entry(id).or_insert(next);
        if number == next {
            self.list.push(Entry { id, ..entry() });
        }
        number
    }
}
