//! A call stack as a few lines of text.

use std::sync::LazyLock;

use alloc_core_snapshot::{Frame, Origin, Traceback};
use anstyle::Style;

use super::table::{BOLD, DIM, PLAIN, Paint};
use super::text;

const INDENT: &str = "       ";
const GAP: &str = "  ";

/// The function that std puts around `main` and around a thread's closure. Backtraces omit the
/// frames outside it.
const OUTERMOST: &str = "__rust_begin_short_backtrace";

/// Stands for the outer frames of a stack, if they were not recorded and `main` is among them. Without
/// it, such a stack would begin next to `main`.
pub(crate) fn cut(traceback: &Traceback) -> Option<&'static Frame> {
    static CUT: LazyLock<Frame> =
        LazyLock::new(|| Frame::new(Some("<outer frames were not recorded>"), None, 0, 0));
    let is_outermost = |it: &Frame| it.function().is_some_and(|it| it.contains(OUTERMOST));
    let is_cut = traceback.is_truncated() || traceback.is_broken();
    (is_cut && !traceback.iter().any(is_outermost)).then_some(&*CUT)
}

/// The format of a stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    /// Whether each frame has its own line.
    pub(crate) is_full: bool,
    /// The maximum number of lines, without the one that says how many frames are omitted.
    pub(crate) depth: Option<usize>,
    /// The number of other stacks that look the same.
    pub(crate) others: usize,
    pub(crate) paint: Paint,
}

/// The lines of a stack without their frame counts. Stacks with equal outlines look the same.
pub(crate) fn outline(traceback: &Traceback, charged: &Frame, depth: Option<usize>) -> Vec<String> {
    let runs = runs(traceback, charged, false).into_iter();
    let line = |run| match run {
        Run::Shown(frame) => {
            let function = text::name(frame.function().unwrap_or_default());
            format!("{} {function}", text::place(frame))
        }
        Run::Libraries(frames) => format!("… {}", libraries(frames)),
        Run::Runtime(_) => "… runtime".to_owned(),
    };
    runs.take(depth.unwrap_or(usize::MAX)).map(line).collect()
}

/// The frames of a stack, innermost first, one per line: the place and the function.
///
/// Two or more consecutive frames of the standard library, such as the callees of `Vec::push` or
/// the adapters of an iterator, share a line with their count. So do frames of dependencies, with
/// the names of the crates, and the runtime at the outer end, which calls `main` or starts a
/// thread. The charged frame always has its own line.
pub(crate) fn lines(traceback: &Traceback, charged: &Frame, shape: Shape) -> Vec<String> {
    let paint = shape.paint;
    let mut runs = runs(traceback, charged, shape.is_full);
    let outer = runs.split_off(shape.depth.unwrap_or(runs.len()).min(runs.len()));
    let outer: usize = outer.iter().map(Run::len).sum();
    let room = shape.width.saturating_sub(INDENT.len() + GAP.len());
    let places = runs.iter().filter_map(|run| match run {
        Run::Shown(frame) if frame.function().is_some() => {
            Some(text::width(&text::cut_path(&text::place(frame), room / 2)))
        }
        _ => None,
    });
    let column = places.max().unwrap_or(0);
    let mut charged = Some(charged);

    let mut lines = Vec::new();
    let room_of_dim = shape.width.saturating_sub(INDENT.len());
    let dim = |line: &str| {
        let line = text::cut_end(line, room_of_dim);
        format!("{INDENT}{}", paint.text(DIM, &line))
    };
    for run in runs {
        lines.push(match run {
            Run::Shown(frame) => {
                // In a recursion, the innermost call is the charged one.
                let is_charged = charged.take_if(|charged| *charged == frame).is_some();
                let style = if is_charged { BOLD } else { PLAIN };
                format!("{INDENT}{}", line(frame, column, room, style, paint))
            }
            Run::Libraries(frames) => dim(&format!(
                "… {} frames of {}",
                frames.len(),
                libraries(frames)
            )),
            Run::Runtime(n) => dim(&format!("… {} of the runtime", frames(n))),
        });
    }
    if outer > 0 {
        lines.push(dim(&format!("… {} further out", frames(outer))));
    }
    if shape.others > 0 {
        let others = text::plural(shape.others as u64, "other stack");
        let look = if shape.others == 1 { "looks" } else { "look" };
        lines.push(dim(&format!("… and {others} that {look} the same")));
    }
    if traceback.is_truncated() {
        lines.push(dim("… outer frames were not recorded"));
    }
    if traceback.is_broken() {
        lines.push(dim("… the stack could not be unwound further"));
    }
    lines
}

fn frames(n: usize) -> String {
    text::plural(n as u64, "frame")
}

/// The dependencies of some frames, the most frequent first.
///
/// Frames of the standard library are omitted if there are others, since those call them.
pub(crate) fn libraries(frames: &[Frame]) -> String {
    const MAX_NAMES: usize = 4;
    let mut packages: Vec<(&str, usize)> = Vec::new();
    let of_dependencies = frames
        .iter()
        .filter(|it| it.origin() == Origin::Dependency)
        .filter_map(|it| it.file()?.package());
    for name in of_dependencies {
        match packages.iter_mut().find(|(known, _)| *known == name) {
            Some((_, n)) => *n += 1,
            None => packages.push((name, 1)),
        }
    }
    packages.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let names = packages
        .iter()
        .take(MAX_NAMES)
        .map(|(name, _)| text::name(name));
    let names: Vec<String> = names.collect();
    match packages.len() {
        0 => "the standard library".to_owned(),
        n if n > MAX_NAMES => format!("{} and {} more", names.join(", "), n - MAX_NAMES),
        _ => names.join(", "),
    }
}

fn line(frame: &Frame, column: usize, room: usize, style: Style, paint: Paint) -> String {
    let place = text::place(frame);
    let (Some(_), Some(function)) = (frame.file(), frame.function()) else {
        return paint.text(style, &text::cut_middle(&place, room));
    };
    let place = text::cut_path(&place, column);
    let space = " ".repeat(column - text::width(&place) + GAP.len());
    let function = text::name(function);
    let function = text::cut_middle(&function, room.saturating_sub(column));
    format!(
        "{}{space}{}",
        paint.text(style, &place),
        paint.text(DIM, &function)
    )
}

/// Some consecutive frames of a stack.
pub(crate) enum Run<'a> {
    Shown(&'a Frame),
    Libraries(&'a [Frame]),
    Runtime(usize),
}

impl Run<'_> {
    fn len(&self) -> usize {
        match self {
            Run::Shown(_) => 1,
            Run::Libraries(frames) => frames.len(),
            Run::Runtime(n) => *n,
        }
    }
}

/// The frames of a stack, the innermost first, with those of libraries folded unless `is_full`.
pub(crate) fn runs<'a>(traceback: &'a Traceback, charged: &Frame, is_full: bool) -> Vec<Run<'a>> {
    if is_full {
        return traceback.iter().map(Run::Shown).collect();
    }
    let is_std = |frame: &Frame| matches!(frame.origin(), Origin::Std | Origin::Tracer);
    let is_outermost = |frame: &Frame| {
        frame
            .function()
            .is_some_and(|name| name.contains(OUTERMOST))
    };
    let (program, runtime) = match traceback.iter().rposition(is_outermost) {
        Some(at) => traceback.split_at(at),
        None => traceback.split_at(traceback.len()),
    };
    // The `FnOnce::call_once` in between belongs to neither the program nor the runtime.
    let end = program
        .iter()
        .rposition(|frame| !is_std(frame))
        .map_or(program.len(), |at| at + 1);
    let runtime = runtime.len() + program.len() - end;
    let program = &program[..end];

    let charged = program.iter().position(|frame| frame == charged);
    let is_library = |at: usize| {
        let frame = &program[at];
        (is_std(frame) || frame.origin() == Origin::Dependency) && charged != Some(at)
    };
    let mut runs = Vec::new();
    let mut at = 0;
    while at < end {
        let libraries = (at..end).take_while(|&at| is_library(at)).count();
        if libraries > 1 {
            runs.push(Run::Libraries(&program[at..at + libraries]));
            at += libraries;
        } else {
            runs.push(Run::Shown(&program[at]));
            at += 1;
        }
    }
    if runtime > 0 {
        runs.push(Run::Runtime(runtime));
    }
    runs
}
