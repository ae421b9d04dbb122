//! The rule that selects the frame to charge.

use crate::{ChargeTo, Frame, Snapshot, Traceback, process, stack::origin};

impl Snapshot {
    /// Sets the rule for the charged line.
    ///
    /// ```
    /// use alloc_core::{ChargeTo, Frame, Snapshot, Traceback};
    ///
    /// let place = "/home/me/.cargo/registry/src/i-1/serde_json-1.0.154/src/de.rs";
    /// let traceback = Traceback::new(vec![
    ///     Frame::new(Some("serde_json::de::from_str"), Some(place), 80, 9),
    ///     Frame::new(Some("demo::load"), Some("src/load.rs"), 41, 9),
    /// ]);
    /// let snapshot = Snapshot::from_traces(vec![], 32);
    /// assert_eq!(snapshot.charged_frame(&traceback).line(), 80);
    ///
    /// let snapshot = snapshot.charge_to(ChargeTo::Workspace);
    /// assert_eq!(snapshot.charged_frame(&traceback).line(), 41);
    /// ```
    pub fn charge_to(mut self, rule: ChargeTo) -> Snapshot {
        self.charge_to = rule;
        self
    }

    /// The rule for the charged line.
    ///
    /// ```
    /// use alloc_core::{ChargeTo, Snapshot};
    ///
    /// assert_eq!(Snapshot::from_traces(vec![], 32).charged_to(), ChargeTo::Caller);
    /// ```
    pub fn charged_to(&self) -> ChargeTo {
        self.charge_to
    }

    /// The crates that [`ChargeTo::Caller`] skips in addition to the standard library: collections
    /// and allocators, which allocate on behalf of their caller. [`skip_crates`](Self::skip_crates)
    /// adds more.
    ///
    /// ```
    /// assert!(alloc_core::Snapshot::PASSED_OVER.contains(&"hashbrown"));
    /// ```
    pub const PASSED_OVER: &[&str] = origin::PASSED_OVER;

    /// Adds crates whose frames are skipped in the search for the charged line.
    ///
    /// ```
    /// use alloc_core::{Counters, Frame, Snapshot, Trace, Traceback};
    ///
    /// let place = "/home/me/.cargo/registry/src/i-1/my-arena-0.3.0/src/lib.rs";
    /// let traceback = Traceback::new(vec![
    ///     Frame::new(Some("my_arena::Arena<T>::grow"), Some(place), 80, 9),
    ///     Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9),
    /// ]);
    /// let trace = Trace::new(traceback.clone(), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// assert_eq!(snapshot.charged_frame(&traceback).line(), 80);
    ///
    /// let snapshot = snapshot.skip_crates(["my-arena"]);
    /// assert_eq!(snapshot.charged_frame(&traceback).line(), 41);
    /// ```
    pub fn skip_crates<T: AsRef<str>>(mut self, crates: impl IntoIterator<Item = T>) -> Snapshot {
        let _muted = process::mute();
        let added = crates.into_iter().map(|name| name.as_ref().into());
        self.skipped = self.skipped.iter().cloned().chain(added).collect();
        self
    }

    /// Copies the charging rule and the skipped crates of another snapshot.
    ///
    /// ```
    /// use alloc_core::{ChargeTo, Snapshot};
    ///
    /// let old = Snapshot::from_traces(vec![], 32).charge_to(ChargeTo::Workspace);
    /// let new = Snapshot::from_traces(vec![], 32).charge_like(&old);
    /// assert_eq!(new.charged_to(), ChargeTo::Workspace);
    /// ```
    pub fn charge_like(mut self, other: &Snapshot) -> Snapshot {
        self.charge_to = other.charge_to;
        self.skipped = other.skipped.clone();
        self
    }

    /// The crates that are skipped in addition to [`PASSED_OVER`](Self::PASSED_OVER).
    ///
    /// ```
    /// let snapshot = alloc_core::Snapshot::from_traces(vec![], 32).skip_crates(["my-arena"]);
    /// assert!(snapshot.skipped_crates().eq(["my-arena"]));
    /// ```
    pub fn skipped_crates(&self) -> impl ExactSizeIterator<Item = &str> {
        self.skipped.iter().map(|name| &**name)
    }

    /// The charged frame of a traceback, by this snapshot's rule and skipped crates.
    ///
    /// ```
    /// use alloc_core::{Frame, Snapshot, Traceback};
    ///
    /// let traceback = Traceback::new(vec![Frame::new(None, Some("src/cache.rs"), 41, 9)]);
    /// let snapshot = Snapshot::from_traces(vec![], 32);
    /// assert_eq!(snapshot.charged_frame(&traceback).to_string(), "src/cache.rs:41");
    /// ```
    pub fn charged_frame<'a>(&self, traceback: &'a Traceback) -> &'a Frame {
        traceback.charged_beyond(self.charge_to, &self.skipped)
    }
}
