//! Many small blocks of one size.

use alloc_core_snapshot::Bytes;

use super::lines::{Line, Program, Saved};
use super::{Advice, AdviceKind};
use crate::show::text::grouped;

/// Fewer blocks are not worth another data structure.
const LEAST_BLOCKS: u64 = 100_000;

/// What the allocator adds to a larger block is a small part of it.
const LARGEST_BLOCK: u64 = 64;

/// The types that own one value each. A Vec or a String of this size has another next time.
const OF_ONE_VALUE: [&str; 3] = ["Box<", "Rc<", "Arc<"];

pub(super) fn find(line: &Line, program: &Program) -> Option<Advice> {
    let name = line.type_name.as_deref()?;
    let held = line.counters.at_peak.max_of(line.counters.current);
    let size = held.bytes.get().checked_div(held.blocks)?;
    let is_of_one_size = size * held.blocks == held.bytes.get() && line.size_classes <= 1;
    let is_small = held.blocks >= LEAST_BLOCKS && size <= LARGEST_BLOCK;
    if !is_of_one_size || !is_small || !OF_ONE_VALUE.iter().any(|it| name.starts_with(it)) {
        return None;
    }
    let saved = Saved {
        calls: line.counters.total.blocks,
        bytes: Bytes::ZERO,
        peak: Bytes::new(overhead(size) * held.blocks),
    };
    let finding = format!(
        "{} blocks of {size} B are held at once",
        grouped(held.blocks)
    );
    let remedy =
        "keep the values in one Vec, and refer to them by index, or use an arena".to_owned();
    Some(program.advice(line, AdviceKind::Gather, saved, [finding, remedy]))
}

/// What an allocator adds to a block: glibc's has eight bytes in front, and rounds to sixteen, to 32 at
/// least. Others add less; that is said with the advice.
fn overhead(size: u64) -> u64 {
    (size + 8).next_multiple_of(16).max(32) - size
}

/// The larger of two amounts.
trait Larger {
    fn max_of(self, other: Self) -> Self;
}

impl Larger for alloc_core_snapshot::Amount {
    fn max_of(self, other: Self) -> Self {
        match self.blocks >= other.blocks {
            true => self,
            false => other,
        }
    }
}
