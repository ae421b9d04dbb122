//! Buffers that grow step by step.

use alloc_core_snapshot::Bytes;

use super::lines::{Line, Program, Saved};
use super::{Advice, AdviceKind};
use crate::show::text::plural;

/// A buffer that grew less often is no finding: one step is what a reserve of the wrong size costs.
const LEAST_STEPS: f64 = 3.0;

/// The least bytes that a buffer begins with.
const LEAST_FIRST: f64 = 4.0;

/// `Vec` and what is made of it begin with so many elements, and double. `HashMap` and `BTreeMap` make new
/// blocks instead of reallocating, so their growth does not show.
///
/// Source: `RawVec::MIN_NON_ZERO_CAP` of the standard library.
const FIRST_OF_BYTES: u64 = 8;
const FIRST_OF_OTHERS: u64 = 4;

pub(super) fn find(line: &Line, program: &Program) -> Option<Advice> {
    let (total, steps) = (line.counters.total, line.counters.reallocations);
    // A reallocation counts as an allocation, too. Blocks that come from other lines have no first one here.
    let buffers = total.blocks.checked_sub(steps).filter(|it| *it > 0)?;
    let steps_each = steps as f64 / buffers as f64;
    if steps_each < LEAST_STEPS {
        return None;
    }
    // The sizes of a buffer are s, 2s, 4s, ..., so the last is half of their sum, and s / 2 more.
    let sum = total.bytes.get() as f64 / buffers as f64;
    let last = sum / (2.0 - 0.5_f64.powf(steps_each));
    // Otherwise buffers of other lines are made smaller here, and none grows.
    if last < LEAST_FIRST * 2_f64.powf(steps_each) {
        return None;
    }
    let saved = Saved {
        calls: steps,
        bytes: Bytes::new((total.bytes.get() as f64 - last * buffers as f64).max(0.0) as u64),
        peak: Bytes::ZERO,
    };
    let often = match steps % buffers {
        0 => format!("{}", steps / buffers),
        _ => format!("{steps_each:.1}"),
    };
    let what = match buffers {
        1 => "a buffer here grows".to_owned(),
        n => format!("each of {} here grows", plural(n, "buffer")),
    };
    let of_bytes = line.type_name.as_deref().is_some_and(is_of_bytes);
    let first = if of_bytes {
        FIRST_OF_BYTES
    } else {
        FIRST_OF_OTHERS
    };
    let capacity = match (steps % buffers, u32::try_from(steps / buffers)) {
        (0, Ok(steps)) if steps < 48 => Some(first << steps),
        _ => None,
    };
    let remedy = match capacity {
        Some(capacity) => format!("begin with `with_capacity({capacity})`"),
        None => format!(
            "begin with `with_capacity` of what it holds at last, {} on average",
            Bytes::new(last as u64)
        ),
    };
    let finding = format!(
        "{what} {often} times{}",
        if buffers > 1 { " on average" } else { "" }
    );
    Some(program.advice(line, AdviceKind::Reserve, saved, [finding, remedy]))
}

fn is_of_bytes(name: &str) -> bool {
    matches!(
        name,
        "String" | "Vec<u8>" | "Vec<i8>" | "Vec<bool>" | "PathBuf" | "OsString" | "VecDeque<u8>"
    )
}
