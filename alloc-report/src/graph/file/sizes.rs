//! Sizes made exact: the sum over each callsite is what the callsite counted.

use super::nodes::Nodes;
use super::sections::CallsiteRow;

/// The number of bytes that a rounded size may lack.
///
/// From 1 KiB on, a rounded size is of the form `(32 + m) << e`. The true one is less than
/// `1 << e` above it.
///
/// ```text
/// room(1023) == 0, room(1024) == 31, room(2048) == 63
/// ```
pub(in crate::graph) fn room(rounded: u64) -> u64 {
    match rounded.checked_ilog2() {
        Some(log) if log >= 10 => (1 << (log - 5)) - 1,
        _ => 0,
    }
}

/// The size that a file has for a block of this size: the largest of its form that is not larger.
pub(in crate::graph) fn rounded(size: u64) -> u64 {
    match size.checked_ilog2() {
        Some(log) if log >= 10 => size >> (log - 5) << (log - 5),
        _ => size,
    }
}

/// Spreads what the rounded sizes of each callsite lack over its blocks, in proportion to the room
/// of each.
///
/// A callsite is left as it is if it counted other blocks than the file has.
pub(super) fn make_exact(nodes: &mut Nodes, callsites: &[CallsiteRow]) {
    #[derive(Clone, Copy, Default)]
    struct Sum {
        blocks: u64,
        bytes: u64,
        room: u64,
        /// What is spread over all blocks.
        lacking: u64,
        /// The room of the blocks so far, and what they got.
        passed: u64,
        given: u64,
    }
    let mut sums = vec![Sum::default(); callsites.len()];
    for (callsite, size) in nodes.callsites.iter().zip(&nodes.sizes) {
        let sum = &mut sums[*callsite as usize];
        sum.blocks += 1;
        sum.bytes += size;
        sum.room += room(*size);
    }
    for (sum, callsite) in sums.iter_mut().zip(callsites) {
        let Some(live) = callsite.live else { continue };
        let lacking = live.bytes.get().checked_sub(sum.bytes);
        sum.lacking = lacking
            .filter(|it| *it <= sum.room && live.blocks == sum.blocks)
            .unwrap_or(0);
    }
    for (callsite, size) in nodes.callsites.iter().zip(&mut nodes.sizes) {
        let sum = &mut sums[*callsite as usize];
        if sum.lacking == 0 {
            continue;
        }
        sum.passed += room(*size);
        let product = u128::from(sum.lacking) * u128::from(sum.passed);
        // No block gets more than its room, since `lacking <= room`.
        let due = (product / u128::from(sum.room)) as u64;
        *size += due - sum.given;
        sum.given = due;
    }
}

#[cfg(test)]
mod tests {
    use alloc_core_snapshot::Amount;

    use super::*;

    #[track_caller]
    fn check(sizes: &[u64], live: Option<Amount>, expected: &[u64]) {
        let mut nodes = Nodes {
            sizes: sizes.to_vec(),
            callsites: vec![0; sizes.len()],
            ..Nodes::default()
        };
        let callsite = CallsiteRow {
            live,
            ..CallsiteRow::default()
        };
        make_exact(&mut nodes, &[callsite]);
        assert_eq!(nodes.sizes, expected);
    }

    #[test]
    fn what_sizes_lack_is_spread_in_proportion_to_their_room() {
        for (rounded, expected) in [
            (0, 0),
            (1023, 0),
            (1024, 31),
            (2047, 31),
            (2048, 63),
            (1 << 20, (1 << 15) - 1),
        ] {
            assert_eq!(room(rounded), expected, "{rounded}");
        }
        for size in [0, 1023, 1024, 1055, 1056, 2047, 2048, 5003, 1_000_001] {
            let least = rounded(size);
            assert!((least..=least + room(least)).contains(&size), "{size}");
            assert_eq!((rounded(least), room(size)), (least, room(least)));
        }
        check(&[100, 1024], Some(Amount::new(1155, 2)), &[100, 1055]);
        let four = Some(Amount::new(8198, 4));
        check(&[2048; 4], four, &[2049, 2050, 2049, 2050]);
        check(&[2048, 4096], Some(Amount::new(6334, 2)), &[2111, 4223]);
        // The whole room.
        check(&[2048, 1024], Some(Amount::new(3166, 2)), &[2111, 1055]);
    }

    #[test]
    fn callsites_that_disagree_are_left_alone() {
        check(&[2048], Some(Amount::new(2049, 2)), &[2048]);
        check(&[2048], Some(Amount::new(2112, 1)), &[2048]);
        check(&[2048], Some(Amount::new(2047, 1)), &[2048]);
        check(&[2048], None, &[2048]);
    }
}
