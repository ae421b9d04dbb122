//! Which code of the program is proven to keep frame pointers.

use std::ops::ControlFlow;

use super::objects::{self, Object};
use super::tables::{self, FRAME_POINTER};
use crate::arena::Reserved;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// A bit for each sixteen bytes of the program's text: set where all code in them keeps a frame
/// pointer at every place that can be returned to.
///
/// # Why a proof
///
/// The shipped standard library keeps frame pointers, the C library does not, and the program's own
/// code does only if it was compiled so; a register that holds something else looks like a frame
/// pointer often enough. So nothing is guessed: at start each function's unwind table says what it
/// does, and the walk takes a frame pointer's word only for code with its bit set. All other code
/// is walked by the tables, in the same walk.
///
/// # Cost
///
/// Some milliseconds at start for a program of average size, and only if the tracer itself was
/// compiled with frame pointers: otherwise the program was not either. One part in 128 of the
/// program's text in memory.
pub(super) struct ProvenText {
    bits: Reserved<AtomicU64, WORDS>,
    start: AtomicUsize,
    granules: AtomicUsize,
}

const GRANULE_BITS: u32 = 4;
/// Room for 512 MiB of text; what lies beyond is walked by the tables.
const WORDS: usize = (512 << 20 >> GRANULE_BITS) / 64;

impl ProvenText {
    pub(super) const fn new() -> ProvenText {
        ProvenText {
            bits: Reserved::new(),
            start: AtomicUsize::new(0),
            granules: AtomicUsize::new(0),
        }
    }

    /// Whether the code before `pc`, a return address, keeps a frame pointer.
    #[inline(always)]
    pub(super) fn covers(&self, pc: usize) -> bool {
        let granule = pc
            .wrapping_sub(1)
            .wrapping_sub(self.start.load(Ordering::Relaxed))
            >> GRANULE_BITS;
        // The acquire pairs with the release in `prove`.
        if granule >= self.granules.load(Ordering::Acquire) {
            return false;
        }
        let Some(bits) = self.bits.get() else {
            return false;
        };
        bits[granule / 64 % WORDS].load(Ordering::Relaxed) >> (granule % 64) & 1 == 1
    }

    /// Proves what can be proven of the program that holds `own_code`, an address in the middle of
    /// a function of the tracer. Returns whether that function keeps a frame pointer, without which
    /// nothing else is looked at.
    pub(super) fn prove(&self, own_code: usize) -> bool {
        if self.granules.load(Ordering::Relaxed) > 0 {
            return true;
        }
        if tables::rule_at(own_code) != FRAME_POINTER {
            return false;
        }
        let Some(object) = objects::find(own_code) else {
            return false;
        };
        self.set_bits(&object).is_some()
    }

    fn set_bits(&self, object: &Object) -> Option<()> {
        let bits = self.bits.get_or_reserve()?;
        let granules = ((object.end - object.start) >> GRANULE_BITS).min(WORDS * 64);
        let each = |start: usize, end: usize, act: &dyn Fn(&AtomicU64, u64)| {
            let first = (start - object.start) >> GRANULE_BITS;
            let last = (end - 1 - object.start) >> GRANULE_BITS;
            for granule in first..=last.min(granules.saturating_sub(1)) {
                act(&bits[granule / 64], 1 << (granule % 64));
            }
        };
        let within =
            |start: usize, end: usize| object.start <= start && start < end && end <= object.end;
        tables::for_each_function(object, |start, end, keeps| {
            if keeps && within(start, end) {
                each(start, end, &|word, bit| {
                    _ = word.fetch_or(bit, Ordering::Relaxed)
                });
            }
            ControlFlow::Continue(())
        });
        // Functions need not begin at a multiple of sixteen: whoever shares a granule with one that
        // keeps no frame pointer loses its bit there.
        tables::for_each_function(object, |start, end, keeps| {
            if !keeps && within(start, end) {
                each(start, end, &|word, bit| {
                    _ = word.fetch_and(!bit, Ordering::Relaxed)
                });
            }
            ControlFlow::Continue(())
        });
        self.start.store(object.start, Ordering::Relaxed);
        // The release publishes the bits and the start to the acquire in `covers`.
        self.granules.store(granules, Ordering::Release);
        Some(())
    }

    pub(super) fn resident(&self) -> usize {
        self.bits.resident()
    }
}
