//! The builder methods of [`Top`](crate::Top), [`Diff`](crate::Diff) and
//! [`Suspects`](crate::Suspects), with their examples.

/// A doc example for a table that `$call` makes of a snapshot with one stack.
macro_rules! example {
    ($call:literal, $($line:literal),+) => {
        concat!(
            "```\n",
            "# use alloc_core_snapshot::{Amount, Counters, Frame, GroupBy, Metric, Snapshot, Trace};\n",
            "# let source = concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/Cargo.toml\");\n",
            "# let std = \"/rustc/59807616e/library/alloc/src/vec/mod.rs\";\n",
            "# let grow = Frame::new(Some(\"alloc::vec::Vec<T>::grow\"), Some(std), 10, 9);\n",
            "# let push = Frame::new(Some(\"alloc::vec::Vec<T>::push\"), Some(std), 20, 9);\n",
            "# let fill = Frame::new(Some(\"demo::fill\"), Some(source), 1, 9);\n",
            "# let traceback = alloc_core_snapshot::Traceback::new(vec![grow, push, fill]);\n",
            "# let current = Amount::new(200_000, 1_001);\n",
            "# let counters = Counters { current, total: current, ..Counters::default() };\n",
            "# let new = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);\n",
            "# let old = Snapshot::from_traces(vec![], 32);\n",
            "# let snapshots = [old.clone(), new.clone()];\n",
            "let table = ", $call, ";\n",
            $($line, "\n",)+
            "```"
        )
    };
}

/// The builder methods that `Top` and `Diff` share. The literal makes a table in an example.
macro_rules! builder {
    ($type:ident, $call:literal) => {
        impl $type<'_> {
            /// Groups by files, functions, tracebacks and so on; lines are the default.
            ///
            /// Groups within groups are indented below them, half as many as there are groups. The
            /// metric and the order of a [`Grouping`](alloc_core_snapshot::Grouping) apply.
            ///
            #[doc = example!(
                $call,
                "assert!(table.by(GroupBy::Function).to_string().contains(\"demo::fill\"));"
            )]
            pub fn by(mut self, by: impl Into<alloc_core_snapshot::Grouping>) -> Self {
                self.view.by = by.into();
                self
            }

            /// Shows a metric other than that of the grouping, which is
            /// [`Metric::Current`](alloc_core_snapshot::Metric::Current) by default.
            ///
            #[doc = example!(
                $call,
                "assert!(table.metric(Metric::Total).to_string().contains(\"ever allocated\"));"
            )]
            pub fn metric(mut self, metric: alloc_core_snapshot::Metric) -> Self {
                self.view.metric = Some(metric);
                self
            }
        }

        look!($type, $call);
    };
}

/// The builder methods of the look of a table, which all tables share.
macro_rules! look {
    ($type:ident, $call:literal) => {
        impl $type<'_> {
            /// Turns ANSI colours on or off; off is the default.
            ///
            /// Growth is red and shrinkage is green. Colour never carries information alone.
            ///
            #[doc = example!(
                $call,
                "assert!(!table.to_string().contains('\\u{1b}'));",
                "assert!(table.colour(true).to_string().contains('\\u{1b}'));"
            )]
            pub fn colour(mut self, colour: bool) -> Self {
                self.view.colour = colour;
                self
            }

            /// Fits the table into `width` columns; 100 is the default, `usize::MAX` no limit.
            ///
            /// Paths, names and lines of source are wrapped or cut; numbers and notes never are,
            /// and 24 columns always remain for a path, however narrow the table.
            ///
            #[doc = example!(
                $call,
                "let table = table.width(80).to_string();",
                "let mut rows = table.lines().skip(1).filter(|line| !line.starts_with(\"note: \"));",
                "assert!(rows.all(|line| line.chars().count() <= 80));"
            )]
            pub fn width(mut self, width: usize) -> Self {
                self.view.width = width;
                self
            }

            /// Shows every frame of a stack, and every function of a cumulative table.
            ///
            /// Otherwise, consecutive frames of the standard library or of dependencies share a
            /// line, stacks that look the same share a row, and functions that are
            /// [plumbing](field@alloc_core::Statistic::is_plumbing) are hidden.
            ///
            #[doc = example!(
                $call,
                "let table = table.by(GroupBy::Traceback);",
                "assert!(table.to_string().contains(\"… 2 frames of the standard library\"));",
                "assert!(table.full().to_string().contains(\"alloc::vec::Vec<T>::push\"));"
            )]
            pub fn full(mut self) -> Self {
                self.view.is_full = true;
                self
            }

            /// Limits each stack to `lines` lines, counted from the allocation.
            ///
            #[doc = example!(
                $call,
                "let table = table.by(GroupBy::Traceback).depth(1);",
                "assert!(table.to_string().contains(\"… 1 frame further out\"));"
            )]
            pub fn depth(mut self, lines: usize) -> Self {
                self.view.depth = Some(lines);
                self
            }

            /// Omits the lines of source, and opens no file.
            ///
            #[doc = example!(
                $call,
                "assert!(table.to_string().contains(\"[package]\"));",
                "assert!(!table.without_sources().to_string().contains(\"[package]\"));"
            )]
            pub fn without_sources(mut self) -> Self {
                self.view.sources = false;
                self
            }
        }
    };
}

/// The builder methods of a table that has no more of them in common with others.
macro_rules! plain {
    ($type:ident) => {
        impl $type<'_> {
            /// Groups by files, functions, types and so on; lines are the default.
            pub fn by(mut self, by: alloc_core_snapshot::GroupBy) -> Self {
                self.view.by = by.into();
                self
            }

            /// Turns ANSI colours on or off; off is the default.
            pub fn colour(mut self, colour: bool) -> Self {
                self.view.colour = colour;
                self
            }

            /// Fits the table into `width` columns, as [`Top::width`](crate::Top::width) does.
            pub fn width(mut self, width: usize) -> Self {
                self.view.width = width;
                self
            }
        }
    };
}

pub(crate) use {builder, example, look, plain};
