//! [`LabelStatistic`]: the labels of a snapshot as a tree.

use std::collections::BTreeMap;

use super::Counters;
use crate::snapshot::{LABEL_SEPARATOR, Snapshot};

/// A label: what was allocated in it, and in those within it.
///
/// ```
/// use alloc_core::{Amount, Counters, Metric, Snapshot, Trace, Traceback};
///
/// let trace = |label, bytes| {
///     let counters = Counters { current: Amount::new(bytes, 1), ..Counters::default() };
///     Trace::new(Traceback::new(vec![]), counters).with_label(label)
/// };
/// let traces = vec![trace("request > decode", 100), trace("request", 20)];
/// let request = &Snapshot::from_traces(traces, 32).labels(Metric::Current)[0];
/// assert_eq!(request.name, "request");
/// assert_eq!((request.own.current.bytes.get(), request.inclusive.current.bytes.get()), (20, 120));
/// assert_eq!(request.parts[0].path, "request > decode");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelStatistic {
    /// The name of the label itself.
    pub name: String,
    /// The names of the labels around it and its own, separated by ` > `.
    pub path: String,
    /// What was allocated in this label and in none within it.
    pub own: Counters,
    /// What was allocated in this label and in those within it. Its peaks are sums.
    pub inclusive: Counters,
    /// The labels within it, the largest first.
    pub parts: Vec<LabelStatistic>,
}

/// A label while traces are counted, and the labels within it by name.
#[derive(Default)]
struct Node<'a> {
    own: Counters,
    parts: BTreeMap<&'a str, Node<'a>>,
}

impl Node<'_> {
    fn statistics(self, around: &str, metric: super::Metric) -> Vec<LabelStatistic> {
        let of_part = |(name, node): (&str, Node<'_>)| {
            let path = match around {
                "" => name.to_owned(),
                around => format!("{around}{LABEL_SEPARATOR}{name}"),
            };
            let own = node.own;
            let parts = node.statistics(&path, metric);
            let mut inclusive = own;
            parts.iter().for_each(|part| inclusive += part.inclusive);
            LabelStatistic {
                name: name.to_owned(),
                path,
                own,
                inclusive,
                parts,
            }
        };
        let mut statistics: Vec<_> = self.parts.into_iter().map(of_part).collect();
        statistics.sort_by_key(|it| std::cmp::Reverse(it.inclusive.amount(metric).bytes));
        statistics
    }
}

impl Snapshot {
    /// The outermost labels, the largest by a metric first, with those within them. What was
    /// allocated in no label is one of them, `<no label>`, so that they add up to all callsites.
    pub fn labels(&self, metric: super::Metric) -> Vec<LabelStatistic> {
        let mut root = Node::default();
        for trace in self.traces() {
            let names = trace.label_or_none().split(LABEL_SEPARATOR);
            let node = names.fold(&mut root, |node, name| node.parts.entry(name).or_default());
            node.own += trace.counters;
        }
        root.statistics("", metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Amount, Metric, Trace, Traceback};

    fn trace(label: Option<&str>, bytes: u64) -> Trace {
        let counters = Counters {
            current: Amount::new(bytes, 1),
            total: Amount::new(2 * bytes, 3),
            ..Counters::default()
        };
        let trace = Trace::new(Traceback::new(vec![]), counters);
        match label {
            Some(path) => trace.with_label(path),
            None => trace,
        }
    }

    fn lines(statistics: &[LabelStatistic], level: usize) -> Vec<String> {
        let of_one = |it: &LabelStatistic| {
            let [own, inclusive] = [it.own, it.inclusive].map(|it| it.current.bytes.get());
            let line = format!("{}{}: {own}/{inclusive}", "  ".repeat(level), it.name);
            [vec![line], lines(&it.parts, level + 1)].concat()
        };
        statistics.iter().flat_map(of_one).collect()
    }

    #[test]
    fn a_label_holds_those_within_it() {
        let traces = vec![
            trace(Some("request > decode"), 100),
            trace(None, 7),
            trace(Some("request > decode > utf-8"), 30),
            trace(Some("request > decode"), 50),
            trace(Some("upload"), 500),
            trace(Some("request > answer"), 400),
        ];
        let snapshot = Snapshot::from_traces(traces, 32);
        let expected = [
            "request: 0/580",
            "  answer: 400/400",
            "  decode: 150/180",
            "    utf-8: 30/30",
            "upload: 500/500",
            "<no label>: 7/7",
        ];
        assert_eq!(lines(&snapshot.labels(Metric::Current), 0), expected);
        let totals = snapshot.labels(Metric::Total);
        assert_eq!(totals[0].parts[1].parts[0].path, "request > decode > utf-8");
        assert_eq!(totals[0].inclusive.total, Amount::new(2 * 580, 12));
    }
}
