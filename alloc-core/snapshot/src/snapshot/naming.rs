//! Names the frames of a snapshot on first use.

use once_cell::race::OnceBox;

use crate::process;
use crate::recorded::{Recorded, RecordedCallsite};
use crate::symbolizer::Search;
use crate::symbols::{Gap, Symbols};
use crate::types::Types;
use crate::{Frame, Snapshot, Trace, Traceback};

use super::About;

/// The callsites with their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) traces: Vec<Trace>,
    pub(super) gaps: Vec<Gap>,
    pub(super) unverified: Vec<String>,
}

impl Snapshot {
    /// A snapshot from a file with addresses: each frame of these traces is an address without a
    /// name.
    pub(crate) fn unnamed(traces: Vec<Trace>, mut recorded: Recorded, about: About) -> Snapshot {
        for trace in traces {
            let start = recorded.addresses.len();
            let calls = trace.traceback.iter().map(Frame::address);
            // Placeholders for a missing stack have no address.
            let calls = calls.filter(|call| *call != 0);
            let returns = calls.map(|call| usize::try_from(call).unwrap_or(0).saturating_add(1));
            recorded.addresses.extend(returns);
            recorded.callsites.push(RecordedCallsite {
                stack: start..recorded.addresses.len(),
                stack_end: trace.traceback.end(),
                counters: trace.counters,
                domain: trace.domain,
                thread: trace.thread,
                label: trace.label,
                size_class: trace.size_class,
                lifetimes: trace.lifetimes,
                freed_by: trace.freed_by,
                slack: trace.slack,
                pinned: trace.pinned,
            });
        }
        let mut snapshot = Snapshot::of_parts(Vec::new(), recorded, about);
        snapshot.named = OnceBox::new();
        snapshot
    }

    /// All callsites that allocated since tracing began, in no particular order.
    ///
    /// The first call looks names up in the files of the program and its libraries, if these exist
    /// and are of the same build. Code without a name becomes `program+0x1f3a`, and
    /// [`missing_debug_info`](Self::missing_debug_info) says why. [`name`](Self::name) searches in
    /// more places.
    ///
    /// ```
    /// use alloc_core::{Counters, Frame, Snapshot, Trace, Traceback};
    ///
    /// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
    /// let trace = Trace::new(Traceback::new(vec![frame]), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace.clone()], 32);
    /// assert_eq!(snapshot.traces(), [trace]);
    /// ```
    pub fn traces(&self) -> &[Trace] {
        &self.named().traces
    }

    pub(super) fn named(&self) -> &Named {
        self.named.get_or_init(|| {
            let _muted = process::mute();
            Box::new(self.look_up(&Search::default()))
        })
    }

    fn look_up(&self, search: &Search) -> Named {
        let mut symbols = self.symbols(search);
        let tracebacks = symbols.tracebacks(&self.recorded);
        Named {
            gaps: std::mem::take(&mut symbols.gaps),
            unverified: std::mem::take(&mut symbols.unverified),
            traces: self.with_tracebacks(tracebacks),
        }
    }

    pub(super) fn symbols<'a>(&'a self, search: &'a Search) -> Symbols<'a> {
        match self.is_here {
            true => Symbols::of_this_process(&self.about.modules, search),
            false => Symbols::of_file(&self.about.modules, search),
        }
    }

    fn with_tracebacks(&self, tracebacks: Vec<Traceback>) -> Vec<Trace> {
        let callsites = tracebacks.into_iter().zip(&self.recorded.callsites);
        let mut types = Types::default();
        callsites
            .map(|(traceback, callsite)| Trace {
                type_name: types.of(&traceback),
                traceback,
                counters: callsite.counters,
                domain: callsite.domain,
                thread: callsite.thread.clone(),
                label: callsite.label.clone(),
                size_class: callsite.size_class,
                lifetimes: callsite.lifetimes.clone(),
                freed_by: callsite.freed_by.clone(),
                slack: callsite.slack,
                pinned: callsite.pinned,
            })
            .collect()
    }

    /// The charged frame of each callsite in another recording of this process.
    #[doc(hidden)]
    pub fn charged(&self, recorded: &Recorded) -> Vec<Frame> {
        self.symbols(&Search::default()).charged(recorded)
    }

    /// Cuts each stack down to the frame that [`ChargeTo::Caller`] charges. Enough for statistics
    /// that use no other frame, and far fewer addresses need names.
    #[doc(hidden)]
    pub fn charged_only(&self) -> Snapshot {
        let _muted = process::mute();
        let charged = self.charged(&self.recorded);
        let tracebacks = charged.into_iter().map(|frame| Traceback::new(vec![frame]));
        let traces = self.with_tracebacks(tracebacks.collect());
        let recorded = Recorded {
            addresses: Vec::new(),
            callsites: Vec::new(),
            ..self.recorded.clone()
        };
        Snapshot::of_parts(traces, recorded, self.about.clone())
    }

    /// Looks the names of frames up now, including in the places of `search`. Existing names do not
    /// change.
    ///
    /// This is for files with addresses, which is how the tracer writes them. A file with the wrong
    /// build id is not used.
    ///
    /// ```
    /// use alloc_core::{Snapshot, SymbolSearch};
    ///
    /// let mut snapshot = Snapshot::from_traces(vec![], 32);
    /// snapshot.name(&SymbolSearch {
    ///     folders: vec!["/srv/symbols".into()],
    ///     ..SymbolSearch::default()
    /// });
    /// assert!(snapshot.is_named());
    /// ```
    pub fn name(&mut self, search: &Search) {
        let _muted = process::mute();
        self.named.get_or_init(|| Box::new(self.look_up(search)));
    }

    /// Whether names have been looked up, or were there from the start.
    ///
    /// ```
    /// // A snapshot that is made of traces has names from the start.
    /// assert!(alloc_core::Snapshot::from_traces(vec![], 32).is_named());
    /// ```
    pub fn is_named(&self) -> bool {
        self.named.get().is_some()
    }

    /// The files whose names were used although nothing shows that they are of the build that ran.
    ///
    /// ```
    /// assert!(alloc_core::Snapshot::from_traces(vec![], 32).unverified_files().is_empty());
    /// ```
    pub fn unverified_files(&self) -> &[String] {
        &self.named().unverified
    }
}
