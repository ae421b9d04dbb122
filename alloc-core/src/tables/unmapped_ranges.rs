//! Address ranges unmapped at session start. A block inside one needs no index entry.

use crate::system::hooks;
use crate::system::sync::{AtomicUsize, Ordering};
use Ordering::Relaxed;

/// The address range of `len` bytes from `start`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Range {
    #[inline(always)]
    pub(crate) fn holds(self, address: usize) -> bool {
        address.wrapping_sub(self.start) < self.len
    }
}

/// Number of ranges that are kept. The large ones, between the heap and the libraries, are among
/// the first.
pub(crate) const MOST: usize = 256;

/// Bytes after the end of the `brk` heap that belong to no range.
const FIRST_OF_HEAP: usize = 1 << 20;

/// The ranges between mappings, called gaps.
///
/// A block from before the session is in memory that was mapped when the session began. So a block
/// in a gap was allocated during the session; no index lookup is needed. Memory that was mapped
/// stays outside the gaps, even if it is unmapped and mapped again later.
///
/// This holds only if no thread was inside an allocation when the gaps were read, which only the
/// sole thread of a process can know.
///
/// PERF: the measured gain of gaps is at [`Counted`](crate::tables::counted::Counted).
pub(crate) struct UnmappedRanges {
    gaps: [[AtomicUsize; 2]; MOST],
    /// Number of gaps; zero unless they may be used.
    len: AtomicUsize,
}

impl UnmappedRanges {
    pub(crate) const fn new() -> UnmappedRanges {
        UnmappedRanges {
            gaps: [const { [const { AtomicUsize::new(0) }; 2] }; MOST],
            len: AtomicUsize::new(0),
        }
    }

    /// Reads the gaps from the system. Returns `false`, with no gaps, if there is another thread or
    /// the system does not list its mappings. Allocates nothing.
    pub(crate) fn find(&self) -> bool {
        self.forget();
        if !hooks::is_sole_thread() {
            return false;
        }
        // No process maps the first 64 KiB.
        let mut from = 1 << 16;
        let mut len = 0;
        let end_of_heap = hooks::end_of_brk();
        let whole = hooks::for_each_mapping(|start, end| {
            if start > from
                && let Some([place, place_len]) = self.gaps.get(len)
            {
                place.store(from, Relaxed);
                place_len.store(start - from, Relaxed);
                len += 1;
            }
            from = from.max(end);
            // PERF: a small heap is outside the gaps, and a large one nearly all inside one. If
            // both cases were equally likely, mispredicted branches would cost more than lookups in
            // a byte table.
            if end == end_of_heap {
                from += FIRST_OF_HEAP;
            }
        });
        if whole {
            // The release publishes the gaps to the acquire in `known`.
            self.len.store(len, Ordering::Release);
        }
        whole
    }

    /// Removes all gaps.
    pub(crate) fn forget(&self) {
        self.len.store(0, Relaxed);
    }

    /// The gap that contains an address, or else the range between two gaps, with its index.
    pub(crate) fn around(&self, address: usize) -> Result<Range, (usize, Range)> {
        let known = self.known();
        let after = known.partition_point(|[start, _]| start.load(Relaxed) <= address);
        let gap = after.checked_sub(1).map(|place| range(&known[place]));
        match gap.filter(|gap| gap.holds(address)) {
            Some(gap) => Ok(gap),
            None => Err((after, between(known, after))),
        }
    }

    /// The ranges between gaps in address order. The first and the last reach to the ends of the
    /// address space.
    pub(crate) fn between(&self) -> impl Iterator<Item = Range> {
        let known = self.known();
        (0..=known.len()).map(move |place| between(known, place))
    }

    fn known(&self) -> &[[AtomicUsize; 2]] {
        &self.gaps[..self.len.load(Ordering::Acquire)]
    }

    /// Whether an address is in a gap.
    pub(crate) fn hold(&self, address: usize) -> bool {
        self.around(address).is_ok()
    }
}

fn range([start, len]: &[AtomicUsize; 2]) -> Range {
    Range {
        start: start.load(Relaxed),
        len: len.load(Relaxed),
    }
}

/// The range before the gap at `place`.
fn between(gaps: &[[AtomicUsize; 2]], place: usize) -> Range {
    let before = place.checked_sub(1).map(|place| range(&gaps[place]));
    let start = before.map_or(0, |gap| gap.start + gap.len);
    let end = gaps.get(place).map_or(usize::MAX, |gap| range(gap).start);
    Range {
        start,
        len: end - start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_the_gap_that_holds_them_or_in_none() {
        let gaps = UnmappedRanges::new();
        let everything = Range {
            start: 0,
            len: usize::MAX,
        };
        assert_eq!(gaps.around(0x5000), Err((0, everything)));
        for (place, (start, len)) in gaps.gaps.iter().zip([(0x1000, 0x1000), (0x4000, 0x3000)]) {
            place[0].store(start, Relaxed);
            place[1].store(len, Relaxed);
        }
        gaps.len.store(2, Relaxed);
        for (address, expected) in [
            (0xFFF, Err((0, 0x1000))),
            (0x1000, Ok((0x1000, 0x1000))),
            (0x1FFF, Ok((0x1000, 0x1000))),
            (0x2000, Err((0x2000, 0x2000))),
            (0x3FFF, Err((0x2000, 0x2000))),
            (0x4000, Ok((0x4000, 0x3000))),
            (0x6FFF, Ok((0x4000, 0x3000))),
            (0x7000, Err((0x7000, usize::MAX - 0x7000))),
            (usize::MAX - 1, Err((0x7000, usize::MAX - 0x7000))),
        ] {
            let pair = |it: Range| (it.start, it.len);
            let found = gaps.around(address).map(pair).map_err(|(_, it)| pair(it));
            assert_eq!(found, expected, "{address:#x}");
        }
        let starts: Vec<_> = gaps.between().map(|range| range.start).collect();
        assert_eq!(starts, [0, 0x2000, 0x7000]);
        for (place, range) in gaps.between().enumerate() {
            assert_eq!(gaps.around(range.start), Err((place, range)));
        }
        gaps.forget();
        assert_eq!(gaps.around(0x5000), Err((0, everything)));
    }

    /// The test process has other threads, so no gaps may be used.
    #[test]
    fn with_another_thread_there_are_none() {
        std::thread::scope(|threads| {
            let (sender, receiver) = std::sync::mpsc::channel::<()>();
            threads.spawn(move || receiver.recv());
            let gaps = UnmappedRanges::new();
            assert!(!gaps.find());
            assert_eq!(gaps.len.load(Relaxed), 0);
            drop(sender);
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_mapped_is_told_in_order() {
        let block = Box::new(7);
        let local = 7;
        let (mut last, mut held) = (0, [false; 3]);
        let whole = hooks::for_each_mapping(|start, end| {
            assert!(last <= start && start < end, "{last:x} {start:x} {end:x}");
            last = end;
            let places = [
                &raw const *block as usize,
                &raw const local as usize,
                UnmappedRanges::forget as *const () as usize,
            ];
            for (held, place) in held.iter_mut().zip(places) {
                *held |= (start..end).contains(&place);
            }
        });
        assert!(whole);
        assert_eq!(held, [true; 3]);
    }
}
