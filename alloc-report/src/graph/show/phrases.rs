//! Words that tables, sentences and the page have in common.

use crate::graph::{Certainty, CountFinding, CountsKind, Reach, RootClass};

/// What holds the blocks that no single root holds.
pub(in crate::graph) const SEVERAL_ROOTS: &str = "several roots together";

/// The name of a root.
pub(in crate::graph) fn of_root(class: RootClass, name: &str) -> &str {
    match class {
        RootClass::Nothing => "nothing: leaked",
        _ => name,
    }
}

/// What reaches blocks.
pub(in crate::graph) fn reached_by(reach: Reach, class: Option<RootClass>) -> &'static str {
    match (reach, class) {
        (_, Some(RootClass::Static)) => "statics",
        (_, Some(RootClass::ThreadLocal)) => "thread-locals",
        (_, Some(RootClass::Stack)) => "stacks",
        (_, Some(RootClass::Register)) => "registers",
        (_, Some(RootClass::Library)) => "statics of libraries",
        (_, Some(RootClass::Named)) => "roots that the program named",
        (Reach::Weakly, _) => "only words that may be left behind",
        (Reach::OnlyByUnknownMemory, _) => "only unknown memory, such as C's",
        _ => "nothing: leaked",
    }
}

/// How sure a cycle is, and why.
pub(in crate::graph) fn of_cycle(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Certain => "certain: it explains its own counts, so nobody else owns it",
        Certainty::Likely => "likely: no root reaches it, but more is counted than was found",
        Certainty::OnlyUnknownMemory => {
            "only unknown memory refers to it, and it explains its own counts"
        }
    }
}

/// What is wrong with counts, and how sure that is.
pub(in crate::graph) fn of_counts(finding: &CountFinding) -> String {
    match finding.kind {
        CountsKind::ForgottenClone => format!("likely {} forgotten", finding.counts.missing()),
        CountsKind::OnlyWeakLeft => "certain, only Weak is left".to_owned(),
    }
}
