//! [`flamegraph`]: the stacks of a snapshot as a picture that needs no script.
//!
//! A snapshot, and perhaps an older one, go in; SVG comes out. Nothing is read or written.

use std::fmt;

use alloc_core_snapshot::seam::untraced;
use alloc_core_snapshot::{Metric, Snapshot};

mod stacks;
mod svg;

use stacks::Stacks;

/// Draws the stacks of a snapshot: a box for each function, as wide as what it and its callees allocated, the
/// callers above.
///
/// The frames of the standard library around `main`, and those within an allocation, are left out. The
/// name and the numbers of a box are shown when the pointer rests on it, also where scripts do not run.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = |name, line| Frame::new(Some(name), Some("src/main.rs"), line, 1);
/// let counters = Counters { current: Amount::new(4096, 2), ..Counters::default() };
/// let stack = Traceback::new(vec![frame("shop::load", 7), frame("shop::main", 3)]);
/// let snapshot = Snapshot::from_traces(vec![Trace::new(stack, counters)], 32);
/// let picture = alloc_report::flamegraph(&snapshot).to_string();
/// assert!(picture.contains("<title>shop::load\nsrc/main.rs\n4096 B in 2 blocks, 100.0%</title>"));
/// ```
pub fn flamegraph(snapshot: &Snapshot) -> Flamegraph<'_> {
    Flamegraph {
        snapshot,
        old: None,
        metric: snapshot.first_metric(),
        is_inverted: false,
        title: None,
    }
}

/// A picture of stacks, made by [`flamegraph`].
///
/// It prints as SVG.
#[derive(Clone, Debug)]
#[must_use = "a picture does nothing until it is printed"]
pub struct Flamegraph<'a> {
    snapshot: &'a Snapshot,
    old: Option<&'a Snapshot>,
    metric: Metric,
    is_inverted: bool,
    title: Option<String>,
}

impl<'a> Flamegraph<'a> {
    /// Shows another metric than the default, which is what is live, or the peak of a program that ended.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let picture = alloc_report::flamegraph(&snapshot).metric(alloc_core::Metric::Total);
    /// assert!(picture.to_string().contains("ever allocated"));
    /// ```
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    /// Shows what changed since an older snapshot: the width is the change, and the colour and the sign say
    /// which way.
    ///
    /// ```
    /// # let (old, new) = [(); 2].map(|()| alloc_core::Snapshot::from_traces(vec![], 32)).into();
    /// let picture = alloc_report::flamegraph(&new).compared_to(&old);
    /// assert!(picture.to_string().contains("change"));
    /// ```
    pub fn compared_to(mut self, old: &'a Snapshot) -> Self {
        self.old = Some(old);
        self
    }

    /// Puts the function that allocates first, and its callers below it.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let picture = alloc_report::flamegraph(&snapshot).callers_first();
    /// assert!(picture.to_string().starts_with("<svg"));
    /// ```
    pub fn callers_first(mut self) -> Self {
        self.is_inverted = true;
        self
    }

    /// Sets the title. The default is the name of the program.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let picture = alloc_report::flamegraph(&snapshot).title("before the fix");
    /// assert!(picture.to_string().contains("before the fix"));
    /// ```
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }
}

impl fmt::Display for Flamegraph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let picture = untraced(|| {
            let mut stacks = Stacks::new(self.is_inverted);
            stacks.add(self.snapshot, self.metric, stacks::Side::New);
            if let Some(old) = self.old {
                stacks.add(old, self.metric, stacks::Side::Old);
            }
            svg::draw(&stacks.into_tree(), self)
        });
        f.write_str(&picture)
    }
}
