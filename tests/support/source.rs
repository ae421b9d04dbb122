//! [`Source`]: a source file of the tests, whose lines a test refers to by marks.

use alloc_core::{Counters, Snapshot};

/// A source file, in which a comment at the end of a line, `// mark: name`, names the line.
#[derive(Clone, Copy)]
pub struct Source {
    /// The path, as `file!()` has it.
    pub file: &'static str,
    /// The contents.
    pub text: &'static str,
}

/// The [`Source`] of the file that calls this macro.
#[macro_export]
macro_rules! source {
    () => {
        $crate::Source {
            file: file!(),
            // Paths are relative to the workspace, and `include_str!` takes them relative to the
            // file.
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", file!())),
        }
    };
}

impl Source {
    /// The number of the line that ends in `// mark: name`.
    ///
    /// It neither allocates nor frees.
    ///
    /// # Panics
    ///
    /// If no line has the mark, or two have it.
    #[track_caller]
    pub fn line(&self, name: &str) -> u32 {
        let is_marked = |line: &str| {
            let mark = line.split_once("// mark: ");
            mark.is_some_and(|(_, mark)| mark == name)
        };
        self.only_line(is_marked, "// mark: ", name)
    }

    /// The number of the line that has `text` in it, for a file whose lines are printed and so bear
    /// no marks.
    ///
    /// It neither allocates nor frees.
    ///
    /// # Panics
    ///
    /// If no line has the text, or two have it.
    #[track_caller]
    pub fn line_with(&self, text: &str) -> u32 {
        self.only_line(|line| line.contains(text), "", text)
    }

    #[track_caller]
    fn only_line(&self, is_it: impl Fn(&str) -> bool, before: &str, name: &str) -> u32 {
        let lines = self.text.lines().zip(1_u32..);
        let mut found = lines.filter(|(line, _)| is_it(line));
        let Some((_, number)) = found.next() else {
            panic!(
                "expected a line with `{before}{name}` in {}, found none",
                self.file
            );
        };
        if let Some((_, second)) = found.next() {
            let lines = format_args!("lines {number} and {second}");
            panic!(
                "expected one line with `{before}{name}` in {}, found {lines}",
                self.file
            );
        }
        number
    }

    /// The sum over the callsites that a marked line is charged with.
    ///
    /// It neither allocates nor frees.
    ///
    /// # Panics
    ///
    /// If no line has the mark, or two have it.
    #[track_caller]
    pub fn counters(&self, snapshot: &Snapshot, name: &str) -> Counters {
        crate::at_line(snapshot, self.file, self.line(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    const SOURCE: Source = Source {
        file: "tests/some.rs",
        text: "let a = 1; // mark: one\nlet b = 2; // mark: two\nlet c = 3; // mark: two\n",
    };

    #[track_caller]
    fn check_panic(find: fn() -> u32, expected: &str) {
        let panic = std::panic::catch_unwind(find).expect_err("a panic");
        let message = panic.downcast_ref::<String>().map(String::as_str);
        assert_eq!(message, Some(expected));
    }

    #[test]
    fn lines_are_found_by_mark_and_by_text() {
        assert_eq!(SOURCE.line("one"), 1);
        assert_eq!(SOURCE.line_with("let c"), 3);
        assert_eq!(source!().line("this"), line!()); // mark: this
    }

    #[test]
    fn a_mark_that_is_missing_or_not_the_only_one_is_named() {
        check_panic(
            || SOURCE.line("three"),
            "expected a line with `// mark: three` in tests/some.rs, found none",
        );
        check_panic(
            || SOURCE.line("two"),
            "expected one line with `// mark: two` in tests/some.rs, found lines 2 and 3",
        );
        check_panic(
            || SOURCE.line_with("let"),
            "expected one line with `let` in tests/some.rs, found lines 1 and 2",
        );
    }
}
