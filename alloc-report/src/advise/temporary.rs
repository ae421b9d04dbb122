//! Blocks that are freed at once.

use std::time::Duration;

use alloc_core_snapshot::{Bytes, Lifetimes};

use super::lines::{Line, Program, Saved};
use super::{Advice, AdviceKind};
use crate::show::text::grouped;

/// A block is freed at once if the program allocated less than this meanwhile, or if less time passed.
/// The first is the same from run to run; the second holds while other threads allocate, too.
const MEANWHILE: Bytes = Bytes::kib(4);
const SOON: Duration = Duration::from_micros(10);

/// The least part of a line's blocks that are freed at once. What is kept now and then cannot be reused.
const LEAST_PART: f64 = 0.9;

/// Fewer blocks are no loop.
const LEAST_BLOCKS: u64 = 100;

pub(super) fn find(line: &Line, program: &Program) -> Option<Advice> {
    let total = line.counters.total;
    let blocks = freed_at_once(line.lifetimes.as_ref()?).min(total.blocks);
    if blocks < LEAST_BLOCKS || (blocks as f64) < LEAST_PART * total.blocks as f64 {
        return None;
    }
    let bytes = u128::from(total.bytes.get()) * u128::from(blocks) / u128::from(total.blocks);
    let saved = Saved {
        calls: blocks,
        bytes: Bytes::new(bytes as u64),
        peak: Bytes::ZERO,
    };
    let all = match blocks == total.blocks {
        true => format!("all {} blocks", grouped(blocks)),
        false => format!("{} of {} blocks", grouped(blocks), grouped(total.blocks)),
    };
    let remedy = match line.type_name.as_deref() {
        Some("String") => {
            "borrow, write into what is there, or `clear()` one String and use it again"
        }
        Some(name) if name.starts_with("Vec<") => "borrow, or `clear()` one Vec and use it again",
        _ => "use one value again, or borrow",
    };
    Some(program.advice(
        line,
        AdviceKind::Reuse,
        saved,
        [format!("{all} are freed at once"), remedy.to_owned()],
    ))
}

/// How many blocks were freed at once.
fn freed_at_once(lifetimes: &Lifetimes) -> u64 {
    let by_bytes = lifetimes.freed.bytes().filter(|(age, _)| *age <= MEANWHILE);
    let by_time = lifetimes.freed.times().filter(|(age, _)| *age <= SOON);
    let by_bytes: u64 = by_bytes.map(|(_, blocks)| blocks).sum();
    by_bytes.max(by_time.map(|(_, blocks)| blocks).sum())
}
