//! A call stack in a few lines.

use alloc_core::{Frame, Origin, Traceback};
use anstyle::Style;

use crate::table::{BOLD, DIM, PLAIN, Paint};
use crate::text;

const INDENT: &str = "       ";
const GAP: &str = "  ";

/// What std itself puts around the call of `main` and of a thread's closure, so that what lies beyond
/// can be left out of a backtrace.
const OUTERMOST: &str = "__rust_begin_short_backtrace";

/// The frames of a stack, innermost first, a line each: the place and the function.
///
/// Two and more frames in a row that belong to the standard library (what `Vec::push` calls, the
/// adapters of an iterator) are one line that says how many they are. So is the runtime at the outer
/// end: what calls `main`, what starts a thread.
pub(crate) fn lines(
    traceback: &Traceback,
    charged: &Frame,
    width: usize,
    paint: Paint,
) -> Vec<String> {
    let runs = runs(traceback);
    let room = width.saturating_sub(INDENT.len() + GAP.len());
    let places = runs.iter().filter_map(|run| match run {
        Run::Shown(frame) if frame.function().is_some() => {
            Some(text::width(&text::cut_path(&text::place(frame), room / 2)))
        }
        _ => None,
    });
    let column = places.max().unwrap_or(0);
    let mut charged = Some(charged);

    let mut lines = Vec::new();
    let dim = |line: &str| format!("{INDENT}{}", paint.text(DIM, line));
    for run in runs {
        lines.push(match run {
            Run::Shown(frame) => {
                // Of a recursive function, the innermost call is the one that is charged.
                let is_charged = charged.take_if(|charged| *charged == frame).is_some();
                let style = if is_charged { BOLD } else { PLAIN };
                format!("{INDENT}{}", line(frame, column, room, style, paint))
            }
            Run::Std(n) => dim(&format!("… {n} frames of the standard library")),
            Run::Runtime(n) => dim(&format!("… {} of the runtime", text::plural(n, "frame"))),
        });
    }
    if traceback.is_truncated() {
        lines.push(dim("… outer frames were not kept"));
    }
    if traceback.is_broken() {
        lines.push(dim("… the stack could not be followed further"));
    }
    lines
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

enum Run<'a> {
    Shown(&'a Frame),
    Std(usize),
    Runtime(u64),
}

fn runs(traceback: &Traceback) -> Vec<Run<'_>> {
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
    // `FnOnce::call_once` between the two belongs to neither.
    let end = program
        .iter()
        .rposition(|frame| !is_std(frame))
        .map_or(program.len(), |at| at + 1);
    let runtime = (runtime.len() + program.len() - end) as u64;

    let mut runs = Vec::new();
    for run in program[..end].chunk_by(|a, b| is_std(a) && is_std(b)) {
        match run {
            [frame] => runs.push(Run::Shown(frame)),
            frames => runs.push(Run::Std(frames.len())),
        }
    }
    if runtime > 0 {
        runs.push(Run::Runtime(runtime));
    }
    runs
}
