//! Joining a generation: a thread caches what it needs from the session next to fields that a
//! record reads.

use super::ThreadState;
use crate::capture::Walker;
use crate::record::gate::GateWord;
use crate::record::session::TABLES;
use crate::record::settings;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::counted::MappedRange;
use crate::tables::counters::{CellCeiling, Concurrency};
use crate::tables::label::{Label, SizeClass, ThreadName};
use crate::tables::sampling::Interval;
use crate::tables::unmapped_ranges::Range;

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
        self.labels_sizes.store(settings::labels_sizes(), Relaxed);
        self.captures.store(settings::capture_limit() != 0, Relaxed);
        self.only_counts.store(settings::only_counts(), Relaxed);
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
        let (recording, counting, drawing) = match settings::sampling() {
            _ if settings::only_counts() => (never, word, never),
            None => (word, never, never),
            Some(_) => (never, never, word),
        };
        self.gap.set(Range::default());
        self.open_gap.shut();
        self.outside.set(MappedRange::NONE);
        self.recording.store(recording, Relaxed);
        self.counting.store(counting, Relaxed);
        self.drawing.store(drawing, Relaxed);
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
    }

    /// Labels the thread's callsites with its name, if the session distinguishes threads.
    fn name(&self, walker: &mut Walker) {
        let label = Label {
            domain: 0,
            thread: if settings::tells_threads_apart() {
                ThreadName::of_this_thread()
            } else {
                ThreadName::default()
            },
            size: SizeClass::default(),
        };
        self.set_label(label, walker);
    }

    fn set_label(&self, label: Label, walker: &mut Walker) {
        self.label.store(label.word(), Relaxed);
        self.salt.store(label.salt(), Relaxed);
        walker.set_tag(label.word());
    }

    /// Whether the session distinguishes callsites by the size of their blocks.
    #[inline(always)]
    pub(crate) fn labels_sizes(&self) -> bool {
        self.labels_sizes.load(Relaxed)
    }

    /// Labels the thread's next allocations with a size class. The caller owns the state, and a
    /// record is under way.
    #[cold]
    #[inline(never)]
    pub(crate) fn label_size(&self, size: usize) {
        let (label, size) = (self.label(), SizeClass::of(size));
        if label.size != size {
            // SAFETY: this is the owner, a record is under way, and the reference ends here.
            let walker = unsafe { self.walker() };
            self.set_label(Label { size, ..label }, walker);
        }
    }

    /// The label of this thread's callsites.
    pub(crate) fn label(&self) -> Label {
        Label::from_word(self.label.load(Relaxed))
    }

    /// The [salt](Label::salt) of the label.
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
