//! [`Score`]: how often graphs were right, and which findings no truth explains.

use std::collections::BTreeMap;
use std::fmt;

use alloc_report::Graph;
use alloc_report::graph::{BlockId, CountsKind};

use crate::truth::{Expected, Truth};

/// How many graphs were right about each truth, and precision and recall of each kind of finding.
#[derive(Debug, Default)]
pub(crate) struct Score {
    graphs: u64,
    truths: Vec<(&'static str, u64)>,
    /// What was said instead, and how often.
    wrong: BTreeMap<(&'static str, String), u64>,
    leaks: Tally,
    cycles: Tally,
    counts: Tally,
    holders: Tally,
    /// Findings that no truth explains, and how often they were there.
    invented: BTreeMap<String, u64>,
}

/// Findings of one kind, in all graphs.
#[derive(Debug, Default)]
struct Tally {
    planted: u64,
    found: u64,
    invented: u64,
}

impl Tally {
    fn recall(&self) -> f64 {
        self.found as f64 / self.planted as f64
    }

    fn precision(&self) -> f64 {
        self.found as f64 / (self.found + self.invented) as f64
    }
}

impl Score {
    /// Compares a graph with the truths.
    pub(crate) fn add(&mut self, graph: &Graph, truths: &[Truth]) {
        self.graphs += 1;
        self.truths.resize(truths.len(), ("", 0));
        for (truth, right) in truths.iter().zip(&mut self.truths) {
            right.0 = truth.name;
            match truth.check(graph, truths) {
                Ok(()) => right.1 += 1,
                Err(found) => *self.wrong.entry((truth.name, found)).or_default() += 1,
            }
        }
        self.add_findings(graph, truths);
        self.add_holders(graph, truths);
    }

    fn add_findings(&mut self, graph: &Graph, truths: &[Truth]) {
        let of = |fits: fn(Expected) -> bool| -> Vec<BlockId> {
            let fitting = truths.iter().filter(|it| fits(it.expected()));
            fitting.filter_map(|it| it.block(graph).ok()).collect()
        };
        let leaked = of(|it| it == Expected::Leaked);
        let hidden = of(|it| it == Expected::Hidden);
        let leaks = graph.leaks();
        let leaks = leaks
            .iter()
            .filter(|it| !it.is_cycle && !hidden.contains(&it.example));
        let leaks = leaks.map(|it| {
            let is_true = leaked.contains(&it.example) && it.heads == 1;
            (is_true, format!("leak: {}", graph.block(it.example)))
        });
        self.leaks.add(leaked.len(), leaks, &mut self.invented);

        // Of the cycle of two, one is planted, and each has a place of its own.
        let in_cycles = of(|it| it == Expected::Cycle);
        let cycles = graph.cycles();
        let cycles = cycles.iter().map(|it| {
            let is_true = in_cycles.iter().any(|block| it.blocks.contains(block));
            (
                is_true && it.count == 1,
                format!("cycle: {it}, {:?}", it.certainty),
            )
        });
        self.cycles.add(in_cycles.len(), cycles, &mut self.invented);

        let counted = of(|it| matches!(it, Expected::Forgotten(..) | Expected::OnlyWeak(_)));
        let counts = graph.counts();
        let counts = counts.iter().map(|it| {
            let is_true = counted.contains(&it.example) && it.blocks == 1;
            let kind = match it.kind {
                CountsKind::OnlyWeakLeft => "only weak",
                _ => "forgotten",
            };
            (is_true, format!("{kind}: {}", graph.block(it.example)))
        });
        self.counts.add(counted.len(), counts, &mut self.invented);
    }

    fn add_holders(&mut self, graph: &Graph, truths: &[Truth]) {
        for truth in truths {
            let (Expected::Held(root)
            | Expected::ByTheMiddle(root)
            | Expected::Forgotten(root, _)
            | Expected::OnlyWeak(root)
            | Expected::Copies(root, _)) = truth.expected()
            else {
                continue;
            };
            self.holders.planted += 1;
            let found = truth.block(graph).ok().and_then(|it| graph.root_of(it));
            match found {
                Some(it) if it.contains(root) => self.holders.found += 1,
                Some(_) => self.holders.invented += 1,
                None => {}
            }
        }
    }

    /// Asserts what the figures must at least be.
    pub(crate) fn check(&self) {
        let always = self.truths.iter().filter(|it| it.1 == self.graphs);
        assert!(always.count() >= 36, "{self}");
        for tally in [&self.leaks, &self.cycles, &self.counts] {
            assert_eq!(tally.invented, 0, "{self}");
            assert!(tally.recall() >= 0.9, "{self}");
        }
        assert!(self.holders.precision() >= 0.95, "{self}");
        assert!(self.holders.recall() >= 0.95, "{self}");
    }
}

impl Tally {
    fn add(
        &mut self,
        planted: usize,
        findings: impl Iterator<Item = (bool, String)>,
        invented: &mut BTreeMap<String, u64>,
    ) {
        self.planted += planted as u64;
        for (is_true, finding) in findings {
            match is_true {
                true => self.found += 1,
                false => {
                    self.invented += 1;
                    *invented.entry(finding).or_default() += 1;
                }
            }
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graphs = self.graphs;
        let always = self.truths.iter().filter(|it| it.1 == graphs).count();
        writeln!(
            f,
            "{always} of {} truths in {graphs} of {graphs} graphs",
            self.truths.len()
        )?;
        for (name, right) in self.truths.iter().filter(|it| it.1 < graphs) {
            writeln!(f, "  {right} of {graphs}: {name}")?;
        }
        for ((name, found), times) in &self.wrong {
            writeln!(f, "  {times} times: {name}: {found}")?;
        }
        for (name, tally) in [
            ("leaks", &self.leaks),
            ("cycles", &self.cycles),
            ("counts", &self.counts),
            ("holders", &self.holders),
        ] {
            let (found, planted) = (tally.found, tally.planted);
            let (precision, recall) = (tally.precision(), tally.recall());
            writeln!(
                f,
                "{name}: {found} of {planted}, {} invented: precision {precision:.3}, recall {recall:.3}",
                tally.invented
            )?;
        }
        for (finding, times) in &self.invented {
            writeln!(f, "  {times} times: {finding}")?;
        }
        Ok(())
    }
}
