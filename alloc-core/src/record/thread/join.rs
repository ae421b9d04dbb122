//! Joining a generation: a thread caches what it needs from the session next to fields that a
//! record reads.

use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

use super::ThreadState;
use crate::capture::Walker;
use crate::record::gate::GateWord;
use crate::record::session::TABLES;
use crate::record::settings;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsite_tag::{CallsiteTag, SizeClass};
use crate::tables::counted::MappedRange;
use crate::tables::counters::{CellCeiling, Concurrency};
use crate::tables::sampling::Interval;
use crate::tables::thread_name::ThreadName;
use crate::tables::unmapped_ranges::Range;

/// The thread may be in another label.
pub(super) const STALE_LABEL: u8 = 1;

/// The session distinguishes sizes.
pub(super) const TAGS_SIZES: u8 = 2;

impl ThreadState {
    /// The generation that the thread last joined.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Whether the thread has joined the generation that was seen, without scopes, in a session
    /// that records every block.
    #[inline(always)]
    pub(crate) fn records_at(&self, word: GateWord) -> bool {
        word.word() == self.recording.load(Relaxed)
    }

    /// Whether the thread has joined the generation that was seen, without scopes, in a session
    /// that only counts.
    #[inline(always)]
    pub(crate) fn counts_at(&self, word: GateWord) -> bool {
        word.word() == self.counting.load(Relaxed)
    }

    /// Whether the thread has joined the generation that was seen, without scopes, in a sampled
    /// session.
    #[inline(always)]
    pub(super) fn samples_at(&self, word: GateWord) -> bool {
        word.word() == self.drawing.load(Relaxed)
    }

    /// Whether the session that the thread last joined only counts.
    ///
    /// NOTE: `counting` cannot answer this, since a signal handler that interrupts a record changes
    /// it.
    #[inline(always)]
    pub(crate) fn only_counts(&self) -> bool {
        self.only_counts.load(Relaxed)
    }

    /// Joins a generation.
    pub(crate) fn join(&self, generation: u64, concurrency: Concurrency) {
        // NOTE: the tally of a single thread is not in the account; see `Tally`.
        self.fold_tally();
        let ceiling = match concurrency {
            Concurrency::Single => CellCeiling::ONE_THREAD,
            Concurrency::Multi => CellCeiling::MANY_THREADS,
        };
        if self.ceiling.swap(ceiling.0, Relaxed) != ceiling.0 {
            self.fold_cells();
        }
        // SAFETY: this is the owner, a record is under way, and the reference ends here.
        let walker = unsafe { self.walker() };
        if self.session.swap(settings::session(), Relaxed) != settings::session() {
            walker.forget();
            self.recent.clear();
            self.name(walker);
        }
        walker.set_limit(settings::capture_limit());
        self.frames.store(settings::capture_limit(), Relaxed);
        self.captures_line.store(settings::captures_line(), Relaxed);
        let sizes = u8::from(settings::distinguishes_sizes()) * TAGS_SIZES;
        self.tag_updates.store(STALE_LABEL | sizes, Relaxed);
        self.captures.store(settings::capture_limit() != 0, Relaxed);
        self.only_counts.store(settings::only_counts(), Relaxed);
        self.counts_frees.store(settings::counts_frees(), Relaxed);
        self.measures.store(settings::measures(), Relaxed);
        let every = settings::sampling().map_or(0, Interval::bytes);
        self.sample_every.store(every, Relaxed);
        if let Some(interval) = self.sampling() {
            self.draw(interval);
        }
        // NOTE: when another thread moves the epoch for this one, which could not record, it makes
        // this one join again.
        self.tally.save_if_old(TABLES.epoch());
        self.account.begin(concurrency, &TABLES.heap);
        let (word, never) = (GateWord::at(generation).word(), GateWord::NEVER.word());
        let (mut recording, mut counting, mut drawing, mut extending) =
            (never, never, never, never);
        *match settings::sampling() {
            _ if settings::only_counts() => &mut counting,
            _ if settings::extends() => &mut extending,
            None => &mut recording,
            Some(_) => &mut drawing,
        } = word;
        self.gap.set(Range::default());
        self.open_gap.shut();
        self.outside.set(MappedRange::NONE);
        self.recording.store(recording, Relaxed);
        self.counting.store(counting, Relaxed);
        self.drawing.store(drawing, Relaxed);
        self.extending.store(extending, Relaxed);
        self.generation.store(generation, Relaxed);
    }

    /// Makes the thread join the present generation again before its next record.
    pub(crate) fn rejoin_later(&self) {
        // NOTE: no generation has this number. With the number of a stopped tracer, a record that
        // began just before the stop would be made after it.
        self.generation.store(u64::MAX, Relaxed);
        self.recording.store(GateWord::NEVER.word(), Relaxed);
        self.counting.store(GateWord::NEVER.word(), Relaxed);
        self.drawing.store(GateWord::NEVER.word(), Relaxed);
        self.extending.store(GateWord::NEVER.word(), Relaxed);
    }

    /// Tags the thread's callsites with its name, if the session distinguishes threads.
    fn name(&self, walker: &mut Walker) {
        let tag = CallsiteTag {
            thread: if settings::distinguishes_threads() {
                ThreadName::of_this_thread()
            } else {
                ThreadName::default()
            },
            ..CallsiteTag::default()
        };
        self.set_tag(tag, walker);
    }

    /// Sets the tag, without the size class.
    fn set_tag(&self, tag: CallsiteTag, walker: &mut Walker) {
        self.tag.store(tag.word(), Relaxed);
        self.tag_salt.store(tag.salt(), Relaxed);
        self.set_size_class(SizeClass::default(), walker);
    }

    #[inline(always)]
    fn set_size_class(&self, size: SizeClass, walker: &mut Walker) {
        let salt = self.tag_salt.load(Relaxed) ^ size.salt();
        self.size_class.store(size.get(), Relaxed);
        self.salt.store(salt, Relaxed);
        walker.set_tag(salt);
    }

    /// Whether the next capture must [update the tag](Self::update_tag) first.
    #[inline(always)]
    pub(crate) fn has_stale_tag(&self) -> bool {
        self.tag_updates.load(Relaxed) != 0
    }

    /// Tags the thread's next callsite with its label, and with the class of `size` if the session
    /// distinguishes sizes. The caller owns the state, and a record is under way.
    #[cold]
    #[inline(never)]
    pub(crate) fn update_tag(&self, size: usize) {
        let why = self.tag_updates.load(Relaxed);
        if why & STALE_LABEL != 0 {
            self.update_label(why & !STALE_LABEL);
        }
        let class = SizeClass::of(size);
        if why & TAGS_SIZES != 0 && class.get() != self.size_class.load(Relaxed) {
            // SAFETY: this is the owner, a record is under way, and the reference ends here.
            self.set_size_class(class, unsafe { self.walker() });
        }
    }

    #[inline(never)]
    fn update_label(&self, remaining: u8) {
        // NOTE: before the label is read. A signal handler that changes it meanwhile sets the bit
        // again.
        self.tag_updates.store(remaining, Relaxed);
        compiler_fence(SeqCst);
        let before = CallsiteTag::from_word(self.tag.load(Relaxed));
        let tag = CallsiteTag {
            label: super::label(),
            ..before
        };
        if tag != before {
            // SAFETY: this is the owner, a record is under way, and the reference ends here.
            self.set_tag(tag, unsafe { self.walker() });
        }
    }

    /// Makes the next capture look at the thread's label.
    #[inline(always)]
    pub(super) fn label_changed(&self) {
        let why = self.tag_updates.load(Relaxed);
        self.tag_updates.store(why | STALE_LABEL, Relaxed);
    }

    /// The tag of this thread's callsites.
    pub(crate) fn tag(&self) -> CallsiteTag {
        CallsiteTag {
            size: SizeClass::from_number(self.size_class.load(Relaxed)),
            ..CallsiteTag::from_word(self.tag.load(Relaxed))
        }
    }

    /// The [salt](CallsiteTag::salt) of the tag.
    #[inline(always)]
    pub(crate) fn salt(&self) -> u64 {
        self.salt.load(Relaxed)
    }

    pub(crate) fn captures(&self) -> bool {
        self.captures.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn captures_line(&self) -> bool {
        self.captures_line.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn ceiling(&self) -> CellCeiling {
        CellCeiling(self.ceiling.load(Relaxed))
    }

    #[inline(always)]
    pub(crate) fn sampling(&self) -> Option<Interval> {
        Interval::from_bytes(self.sample_every.load(Relaxed))
    }
}
