//! Names and numbers as text that fits and is safe to print.

use std::borrow::Cow;

use alloc_core_snapshot::{Escaped, Frame};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ELLIPSIS: char = '…';

/// A name from a file, safe to print.
pub(crate) fn name(name: &str) -> String {
    Escaped(name).to_string()
}

/// A printable line of source: tabs become spaces, other control characters are escaped.
pub(crate) fn source(line: &str) -> String {
    Escaped(&line.trim().replace('\t', " ")).to_string()
}

/// The place of a frame: its file and line, or its function if the file is unknown.
pub(crate) fn place(frame: &Frame) -> String {
    let name = match (frame.file(), frame.function()) {
        (Some(file), _) => file.to_string(),
        (None, Some(function)) => name(function),
        (None, None) => "<unknown>".to_owned(),
    };
    with_line(name, frame.line())
}

/// The place of a line in the file at `path`.
pub(crate) fn place_in(path: &str, line: u32) -> String {
    with_line(name(path), line)
}

fn with_line(name: String, line: u32) -> String {
    match line {
        0 => name,
        line => format!("{name}:{line}"),
    }
}

/// The width of `text` in terminal columns.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Splits a name into lines: the first fits into `room`, the others into `room - indent`.
///
/// A line ends at a joint of the name if there is one nearby: after a slash, two colons or a comma,
/// or before a bracket.
pub(crate) fn wrap(name: &str, room: usize, indent: usize) -> impl Iterator<Item = &str> {
    let below = room.saturating_sub(indent).max(2);
    let (mut rest, mut room) = (name, room.max(2));
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = match width(rest) <= room {
            true => rest.len(),
            false => end_of_part(first_columns(rest, room)),
        };
        // NOTE: a character wider than the room gets its own line.
        let end = end.max(rest.chars().next().map_or(0, char::len_utf8));
        let part = &rest[..end];
        rest = &rest[end..];
        room = below;
        Some(part)
    })
}

/// The end of a line of at most `text`: the last joint in its second half, or the whole text.
fn end_of_part(text: &str) -> usize {
    let after = text.rfind(['/', '\\', ',', ' ', '-']).map(|at| at + 1);
    let after = after.max(text.rfind("::").map(|at| at + 2));
    let before = text.rfind(['<', '(', '[', '{']).filter(|at| *at > 0);
    let joint = after.into_iter().chain(before).max();
    joint
        .filter(|at| *at >= text.len() / 2)
        .unwrap_or(text.len())
}

/// Cuts a path at its start, between two folders if possible.
pub(crate) fn cut_path(path: &str, room: usize) -> Cow<'_, str> {
    if width(path) <= room {
        return Cow::Borrowed(path);
    }
    let tails = path.match_indices(['/', '\\']).map(|(at, _)| &path[at..]);
    match tails.into_iter().find(|tail| width(tail) < room) {
        Some(tail) => Cow::Owned(format!("{ELLIPSIS}{tail}")),
        None => Cow::Owned(format!(
            "{ELLIPSIS}{}",
            last_columns(path, room.saturating_sub(1))
        )),
    }
}

/// Cuts a name in its middle, since both ends of a function's path are informative.
pub(crate) fn cut_middle(name: &str, room: usize) -> Cow<'_, str> {
    if width(name) <= room {
        return Cow::Borrowed(name);
    }
    let kept = room.saturating_sub(1);
    let start = first_columns(name, kept / 2);
    let end = last_columns(name, kept - kept / 2);
    Cow::Owned(format!("{start}{ELLIPSIS}{end}"))
}

/// Cuts a line at its end.
pub(crate) fn cut_end(line: &str, room: usize) -> Cow<'_, str> {
    if width(line) <= room {
        return Cow::Borrowed(line);
    }
    let start = first_columns(line, room.saturating_sub(1));
    Cow::Owned(format!("{}{ELLIPSIS}", start.trim_end()))
}

/// The longest prefix that fits, with the combining marks of its last character.
fn first_columns(text: &str, room: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|&(_, c)| {
        used += columns(c);
        used > room
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// The longest suffix that fits and does not start with a combining mark.
fn last_columns(text: &str, room: usize) -> &str {
    let mut used = 0;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        used += columns(c);
        if used > room {
            break;
        }
        if columns(c) > 0 {
            start = at;
        }
    }
    &text[start..]
}

fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// A number with commas between the thousands.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A signed number with commas between the thousands.
pub(crate) fn grouped_change(n: i64) -> String {
    let sign = if n < 0 { '-' } else { '+' };
    format!("{sign}{}", grouped(n.unsigned_abs()))
}

/// `1 block`, `2 blocks`, `3 size classes`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    let ending = match n {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", grouped(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_tabs_become_spaces() {
        assert_eq!(source("\tlet a\t= \"\u{7}\"; "), "let a = \"\\u{7}\";");
        let frame = Frame::new(Some("\u{202e}f"), None, 0, 0);
        assert_eq!(place(&frame), "\\u{202e}f");
        let frame = Frame::new(Some("f"), Some("a\u{1b}[2J.rs"), 3, 1);
        assert_eq!(place(&frame), "a\\u{1b}[2J.rs:3");
        assert_eq!(place(&Frame::default()), "<unknown>");
    }

    #[test]
    fn paths_are_cut_between_folders() {
        let path = "src/deep/er/cache.rs:41";
        assert_eq!(cut_path(path, 23), path);
        assert_eq!(cut_path(path, 22), "…/deep/er/cache.rs:41");
        assert_eq!(cut_path(path, 20), "…/er/cache.rs:41");
        assert_eq!(cut_path(path, 13), "…/cache.rs:41");
        assert_eq!(cut_path(path, 12), "…cache.rs:41");
        assert_eq!(cut_path(path, 5), "…s:41");
        assert_eq!(cut_path(path, 1), "…");
    }

    #[test]
    fn names_wrap_at_their_joints() {
        let parts = |name, room| wrap(name, room, 2).collect::<Vec<_>>();
        assert_eq!(parts("src/cache.rs:41", 15), ["src/cache.rs:41"]);
        assert_eq!(
            parts("/a/very/deep/folder/src/cache.rs:41", 20),
            ["/a/very/deep/folder/", "src/cache.rs:41"]
        );
        assert_eq!(
            parts("<demo::Tree<T> as core::clone::Clone>::clone", 16),
            ["<demo::Tree<T> ", "as core::", "clone::", "Clone>::clone"]
        );
        assert_eq!(parts("abcdefghijkl", 5), ["abcde", "fgh", "ijk", "l"]);
        assert_eq!(parts("漢字漢字", 5), ["漢字", "漢", "字"]);
        assert_eq!(parts("", 5), [""; 0]);
        for room in 0..30 {
            let name = "größe::漢字<demo::Tree>::e\u{301}e\u{301}/fill";
            let parts = parts(name, room);
            assert_eq!(parts.concat(), name);
            assert!(
                parts.iter().all(|part| width(part) <= room.max(2)),
                "{parts:?}"
            );
        }
    }

    #[test]
    fn wide_and_combining_characters_are_measured_in_columns() {
        let name = "漢字漢字漢字";
        assert_eq!(width(name), 12);
        for room in 1..12 {
            assert!(width(&cut_middle(name, room)) <= room, "{room}");
            assert!(width(&cut_end(name, room)) <= room, "{room}");
            assert!(width(&cut_path(name, room)) <= room, "{room}");
        }
        assert_eq!(cut_middle(name, 9), "漢字…漢字");
        assert_eq!(cut_end(name, 6), "漢字…");
        // A combining mark stays with its letter.
        assert_eq!(cut_end("ae\u{301}iou", 3), "ae\u{301}…");
        assert_eq!(cut_path("uoe\u{301}i", 2), "…i");
    }

    #[test]
    fn thousands_have_commas() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (99_746, "99,746"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(grouped_change(-1_234), "-1,234");
        assert_eq!(grouped_change(0), "+0");
        assert_eq!(grouped_change(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(plural(1, "block"), "1 block");
        assert_eq!(plural(0, "block"), "0 blocks");
    }
}
