//! [`View`]: the options of `top` and `diff`.

use alloc_core_snapshot::{ChargeTo, Grouping, Metric, Snapshot, SortBy};
use clap::builder::PossibleValue;
use clap::{ArgGroup, Args, ValueEnum};

use crate::conditions::Conditions;

/// The options that choose which line of a stack is charged.
#[derive(Args, Clone, Debug)]
pub(crate) struct Charging {
    /// The line of a stack to charge the memory to
    #[arg(long, value_enum, value_name = "RULE", default_value_t = Charge::Caller)]
    pub(crate) charge: Charge,
    /// Charge allocations of this crate to its callers, as for the standard library and for
    /// collections such as hashbrown and indexmap; may be repeated
    #[arg(long, value_name = "CRATE", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
}

/// The options that choose which callsites are shown.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("filters").multiple(true).args(["include", "exclude"])))]
pub(crate) struct Filters {
    /// Show only what matches these conditions; repeat to show what matches any of several
    ///
    /// A condition is FILE or FILE:LINE, or one of file=, line=, function=, crate=, thread=,
    /// label= and domain=. All conditions of a comma-separated list must match. A pattern matches a
    /// whole name: ? is any character, [a-z] one of a range, and * any number of characters, also
    /// slashes. A FILE without a slash matches the file name; with one, it matches the path as
    /// shown in the table or as recorded by the compiler. A function= without * and ? also matches
    /// functions with it in their path, as Cache::fill matches demo::Cache<T>::fill.
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) include: Vec<Conditions>,
    /// Hide what matches these conditions; repeat to hide what matches any of several
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) exclude: Vec<Conditions>,
    /// Apply --include and --exclude to all frames of a stack, not only to the charged one
    #[arg(long, requires = "filters")]
    pub(crate) all_frames: bool,
}

#[derive(Args, Debug)]
pub(crate) struct View {
    /// The key of a row; several keys, separated by commas, make groups within groups
    #[arg(
        long,
        value_enum,
        value_name = "KEY,...",
        value_delimiter = ',',
        default_value = "line"
    )]
    by: Vec<By>,
    /// Count a stack once for each of its frames, not only for the charged line
    #[arg(long)]
    pub(crate) cumulative: bool,
    /// The metric to show and sort by; the column to sort by, after a comma or alone
    ///
    /// The default metric is at-peak for a snapshot that was written when the program ended, total
    /// for a profile that holds only allocations, and current for others.
    #[arg(long, value_enum, value_name = "METRIC,ORDER", value_delimiter = ',')]
    sort: Vec<Sort>,
    /// The number of rows, and half as many within a row
    #[arg(
        short = 'n',
        long = "rows",
        value_name = "N",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    pub(crate) rows: usize,
    #[command(flatten)]
    pub(crate) charging: Charging,
    /// Show every frame of a stack, and with --cumulative every function
    ///
    /// Otherwise, consecutive frames of dependencies or of the standard library share a line, and
    /// stacks that look the same share a row. Functions of libraries that only call the program,
    /// such as a runtime that polls futures, or allocate for it, such as Vec::push, are hidden.
    #[arg(long)]
    pub(crate) full: bool,
    /// The number of lines of a stack to show, counted from the allocation
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<usize>,
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Omit the lines of source
    #[arg(long)]
    pub(crate) no_source: bool,
    /// A table for people, or JSON or CSV for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// A key to group by: the library's keys, each with a line of help.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By(pub(crate) alloc_core_snapshot::GroupBy);

impl ValueEnum for By {
    fn value_variants<'a>() -> &'a [By] {
        use alloc_core_snapshot::GroupBy::*;
        const ALL: &[By] = &[
            By(Line),
            By(File),
            By(Function),
            By(Module),
            By(Crate),
            By(Traceback),
            By(FoldedTraceback),
            By(SizeClass),
            By(Type),
            By(Thread),
            By(Label),
            By(Domain),
        ];
        ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        use alloc_core_snapshot::GroupBy::*;
        let (name, help) = match self.0 {
            Line => ("line", "A line of source"),
            File => ("file", "A source file"),
            Function => ("function", "A function"),
            Module => ("module", "A module"),
            Crate => ("crate", "A crate, with its version if the path contains it"),
            Traceback => ("traceback", "A whole call stack"),
            FoldedTraceback => ("folded", "A call stack without its recursion"),
            SizeClass => ("size-class", "The size of the blocks, by powers of two"),
            Type => ("type", "The type that the blocks were allocated for"),
            Thread => ("thread", "The name of the thread that allocated"),
            Label => ("label", "The label or span that the thread was in"),
            Domain => (
                "domain",
                "The Rust heap, or other memory that the program registered",
            ),
            _ => return None,
        };
        Some(PossibleValue::new(name).help(help))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    /// Live when the snapshot was taken
    Current,
    /// The peak of live memory, each row at its own moment
    Peak,
    /// Live when the whole heap was largest
    AtPeak,
    /// Ever allocated
    Total,
    /// Ever freed
    Freed,
    /// The most bytes first, the default; also called size, share and change, as in the table
    #[value(aliases = ["size", "share", "change"])]
    Bytes,
    /// The most blocks first; also called count, as in the table
    #[value(alias = "count")]
    Blocks,
    /// The largest blocks first, on average
    Average,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Charge {
    /// The innermost line outside the standard library
    Caller,
    /// The innermost line in the program's own workspace; stacks without one share a row
    Workspace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A table
    Text,
    /// One object, documented in the crate alloc-report
    Json,
    /// A header and a line for each row, documented in the crate alloc-report
    Csv,
}

/// The meaning of a word after `--sort`.
enum Chosen {
    Metric(Metric),
    Order(SortBy),
}

impl Sort {
    fn chosen(self) -> Chosen {
        match self {
            Sort::Current => Chosen::Metric(Metric::Current),
            Sort::Peak => Chosen::Metric(Metric::Peak),
            Sort::AtPeak => Chosen::Metric(Metric::AtPeak),
            Sort::Total => Chosen::Metric(Metric::Total),
            Sort::Freed => Chosen::Metric(Metric::Freed),
            Sort::Bytes => Chosen::Order(SortBy::Bytes),
            Sort::Blocks => Chosen::Order(SortBy::Blocks),
            Sort::Average => Chosen::Order(SortBy::Average),
        }
    }
}

impl View {
    /// The options of a report with each stack and all of its frames.
    pub(crate) fn of_stacks(charging: Charging, filters: Filters, format: Format) -> View {
        View {
            by: vec![By(alloc_core_snapshot::GroupBy::Traceback)],
            cumulative: false,
            sort: Vec::new(),
            rows: usize::MAX,
            charging,
            full: true,
            depth: None,
            filters,
            no_source: true,
            format,
        }
    }

    /// The grouping, or a message on what is wrong with the options.
    pub(crate) fn grouping(&self) -> Result<Grouping, String> {
        let (mut metrics, mut orders) = (Vec::new(), Vec::new());
        for sort in &self.sort {
            match sort.chosen() {
                Chosen::Metric(metric) => metrics.push(metric),
                Chosen::Order(order) => orders.push(order),
            }
        }
        if metrics.len() > 1 || orders.len() > 1 {
            return Err(
                "--sort: expected at most one metric (current, peak, at-peak, total, freed) and at \
                 most one order (bytes, blocks, average)"
                    .to_owned(),
            );
        }
        let mut keys = self.by.iter().map(|by| by.0);
        let first = keys.next().map_or_else(Grouping::default, Grouping::by);
        let grouping = keys
            .fold(first, Grouping::then)
            .with_metric(metrics.pop().unwrap_or_default())
            .sorted_by(orders.pop().unwrap_or_default());
        if self.cumulative {
            return grouping
                .cumulative()
                .map_err(|error| format!("--by: {error}"));
        }
        Ok(grouping)
    }

    /// Whether `--sort` names a metric.
    pub(crate) fn has_metric(&self) -> bool {
        let mut sorts = self.sort.iter();
        sorts.any(|sort| matches!(sort.chosen(), Chosen::Metric(_)))
    }
}

impl Charging {
    pub(crate) fn to(&self) -> ChargeTo {
        match self.charge {
            Charge::Caller => ChargeTo::Caller,
            Charge::Workspace => ChargeTo::Workspace,
        }
    }

    /// The snapshot with its memory charged as the options say.
    pub(crate) fn apply(&self, snapshot: Snapshot) -> Snapshot {
        snapshot.charge_to(self.to()).skip_crates(&self.skip)
    }
}

#[cfg(test)]
mod tests {
    use alloc_core_snapshot::GroupBy;

    use super::*;

    #[test]
    fn keys_metrics_and_orders_have_the_names_of_the_library() {
        let names = |value: Option<PossibleValue>| value.map(|it| it.get_name().to_owned());
        let keys = By::value_variants()
            .iter()
            .map(|by| names(by.to_possible_value()));
        let known = GroupBy::ALL.iter().map(|by| Some(by.to_string()));
        assert!(keys.eq(known));
        let sorts = Sort::value_variants()
            .iter()
            .map(|it| names(it.to_possible_value()));
        let metrics = Metric::ALL.iter().map(|it| Some(it.to_string()));
        let orders = SortBy::ALL.iter().map(|it| Some(it.to_string()));
        assert!(sorts.eq(metrics.chain(orders)));
    }
}
