//! Collections that hold more than they use.

use alloc_core_snapshot::{Bytes, Snapshot};

use super::lines::{Line, Program, Saved};
use super::{Advice, AdviceKind};
use crate::show::text::{place, plural};

/// A collection holds too much if it holds this many times what it uses.
const LEAST_TIMES: u64 = 3;

/// The collections of a line that are alive, and what they use of what they hold.
#[derive(Clone, Debug)]
pub(crate) struct Collections {
    /// The line, as reports show it, and the type.
    pub(crate) place: String,
    pub(crate) type_name: String,
    pub(crate) count: u64,
    pub(crate) held: Bytes,
    pub(crate) used: Bytes,
}

pub(super) fn find(
    snapshot: &Snapshot,
    program: &Program,
    collections: &[Collections],
) -> Vec<Advice> {
    let advice = |it: &Collections| {
        if it.held.get() < LEAST_TIMES.saturating_mul(it.used.get()) {
            return None;
        }
        let is_theirs = |line: &&Line| {
            let at = line.key.charged_in(snapshot).map(place);
            line.type_name.as_deref() == Some(&it.type_name) && at.as_ref() == Some(&it.place)
        };
        let line = program.lines.iter().find(is_theirs)?;
        let saved = Saved {
            peak: it.held - it.used,
            ..Saved::default()
        };
        let [hold, and_use, are] = match it.count {
            1 => ["holds", "uses", "it is"],
            _ => ["hold", "use", "they are"],
        };
        let count = plural(it.count, "collection");
        let finding = format!("{count} {hold} {} and {and_use} {}", it.held, it.used);
        let remedy = format!("reserve less, or call `shrink_to_fit` once {are} filled");
        Some(program.advice(line, AdviceKind::Shrink, saved, [finding, remedy]))
    };
    collections.iter().filter_map(advice).collect()
}
