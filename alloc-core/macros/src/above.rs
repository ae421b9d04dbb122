//! The attributes above an attribute in the source.
//!
//! In: the span of the attribute. Out: an error if a test attribute is above it. Never: an error
//! where the file cannot be read.
//!
//! The compiler removes an attribute before it expands the next one. So only the text of the file
//! shows that `#[test]` or `#[tokio::test]` comes first.

use proc_macro2::Span;
use syn::Error;

/// Fails with the right order of the attributes if a test attribute is above this one.
pub(crate) fn expect_no_test(attribute: Span) -> syn::Result<()> {
    let above = text_before(attribute.unwrap()).unwrap_or_default();
    expect_no_test_in(&above).map_err(|message| Error::new(attribute, message))
}

fn expect_no_test_in(above: &str) -> Result<(), String> {
    match attributes_above(above).find(|path| is_test(path)) {
        None => Ok(()),
        Some(path) if path == "test" => Err(
            "expected no #[test] above it, which runs the test a second time without its limits: remove #[test]"
                .to_owned(),
        ),
        Some(path) => Err(format!(
            "expected #[{path}] below it, found it above: #[alloc_core::memory_test(..)] comes first, #[{path}] second"
        )),
    }
}

/// Whether an attribute with this path makes a test. `rstest` passes the attributes below it on, so
/// it does not count.
fn is_test(path: &str) -> bool {
    path == "test" || path.ends_with("::test")
}

/// The text of the file before a span.
fn text_before(span: proc_macro::Span) -> Option<String> {
    let text = std::fs::read_to_string(span.local_file()?).ok()?;
    let (line, column) = (span.line(), span.column());
    let mut before = String::new();
    for (at, text) in text.lines().enumerate().take(line) {
        if at + 1 == line {
            before.extend(text.chars().take(column.saturating_sub(1)));
        } else {
            before.push_str(text);
            before.push('\n');
        }
    }
    Some(before)
}

/// The paths of the attributes at the end of a text, the last first. Comments between them are
/// skipped.
fn attributes_above(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (before, attribute) = last_attribute(rest)?;
        rest = before;
        let path = |c: &char| c.is_alphanumeric() || matches!(c, '_' | ':');
        Some(attribute.trim_start().chars().take_while(path).collect())
    })
}

/// Splits the last attribute off a text: the text before it, and the inside of its brackets.
fn last_attribute(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.trim_end();
    // Skip whole lines of comments. The line of the attribute itself may be indented.
    while let Some(line) = rest
        .lines()
        .next_back()
        .filter(|it| it.trim_start().starts_with("//"))
    {
        rest = rest[..rest.len() - line.len()].trim_end();
    }
    let inner = rest.strip_suffix(']')?;
    // NOTE: brackets in strings count as brackets. An unbalanced one ends the search.
    let mut depth = 1;
    for (at, c) in inner.char_indices().rev() {
        match c {
            ']' => depth += 1,
            '[' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let before = inner[..at].trim_end().strip_suffix('#')?;
            return Some((before, &inner[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        attributes_above(text).collect()
    }

    #[test]
    fn attributes_are_read_from_below() {
        let text = "fn other() {}\n\n/// Says [`this`].\n#[rstest::rstest]\n#[case([1, 2])]\n    // note\n  #[ tokio::test(flavor = \"x\")]\n  ";
        assert_eq!(paths(text), ["tokio::test", "case", "rstest::rstest"]);
        assert_eq!(paths("#[test] "), ["test"]);
        assert_eq!(paths("#[test]\nfn before() {}\n"), [""; 0]);
        assert_eq!(paths("let list = x[1];\nlist[0]"), [""; 0]);
        assert_eq!(paths(""), [""; 0]);
    }

    #[test]
    fn the_error_has_the_right_order() {
        let check = expect_no_test_in;
        assert_eq!(check("#[should_panic]\n#[cfg(test)]\n#[rstest]\n"), Ok(()));
        let expected = "expected #[tokio::test] below it, found it above: #[alloc_core::memory_test(..)] comes \
                        first, #[tokio::test] second";
        assert_eq!(check("#[tokio::test]\n"), Err(expected.to_owned()));
        let expected = "expected no #[test] above it, which runs the test a second time without its limits: remove \
                        #[test]";
        assert_eq!(check("#[test]\n#[ignore]\n"), Err(expected.to_owned()));
    }
}
