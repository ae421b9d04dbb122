//! [`GroupKey`]: what the callsites of a group have in common.

use std::fmt;
use std::sync::Arc;

use crate::escape::Escaped;
use crate::snapshot::{Trace, class_of};
use crate::stack::frame::{Frame, Function};
use crate::stack::traceback::{ChargeTo, Traceback};
use crate::statistics::grouping::GroupBy;
use crate::{Amount, Bytes, Counters, Snapshot};

/// What a group has in common.
///
/// ```
/// use alloc_core::{Bytes, GroupKey};
///
/// assert_eq!(GroupKey::from("serde_json 1.0.154").to_string(), "serde_json 1.0.154");
/// assert_eq!(GroupKey::SizeClass(Bytes::new(64)).to_string(), "up to 64 B");
/// assert_eq!(GroupKey::Domain(0).to_string(), "the Rust heap");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GroupKey {
    /// The part of the frame that the grouping uses: file and line, only the file, or only the
    /// function. A frame without a file is represented by its function.
    Frame(Frame),
    /// The whole stack, or its folded form.
    Traceback(Traceback),
    /// A module, a crate, the name of a thread, the path of a label, or the result of a caller's own
    /// key function.
    Name(Arc<str>),
    /// A power of two: the mean size of the callsite's blocks is at most this, and more than half
    /// of this.
    SizeClass(Bytes),
    /// The domain of the memory; 0 is the Rust heap.
    Domain(u32),
}

impl GroupKey {
    /// The part of a frame that its group has in common.
    pub(super) fn of_frame(frame: &Frame, by: GroupBy) -> GroupKey {
        let bare = |file, line| Frame::within(Function::new(None, Some(file)), line, 0);
        GroupKey::Frame(match (by, frame.file().cloned()) {
            (GroupBy::Line, Some(file)) => bare(file, frame.line()),
            (GroupBy::File, Some(file)) => bare(file, 0),
            (GroupBy::Function, Some(file)) if frame.name().is_none() => bare(file, frame.line()),
            _ => Frame::within(Function::new(frame.name().cloned(), None), 0, 0),
        })
    }

    pub(super) fn of_size(trace: &Trace) -> GroupKey {
        let class = trace
            .size_class
            .unwrap_or_else(|| mean_class(&trace.counters));
        GroupKey::SizeClass(class)
    }

    /// The frame that represents the group; for a whole stack, the frame it is charged to. `None`
    /// if the key has no frame, such as a crate.
    ///
    /// ```
    /// use alloc_core::{ChargeTo, Frame, GroupKey, Traceback};
    ///
    /// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
    /// let stack = GroupKey::from(Traceback::new(vec![frame.clone()]));
    /// assert_eq!(stack.charged(ChargeTo::Caller), Some(&frame));
    /// assert_eq!(GroupKey::Domain(0).charged(ChargeTo::Caller), None);
    /// ```
    pub fn charged(&self, to: ChargeTo) -> Option<&Frame> {
        self.frame(|traceback| traceback.charged(to))
    }

    /// The charged frame by a snapshot's rule: see [`Snapshot::charged_frame`].
    ///
    /// ```
    /// use alloc_core::{Frame, GroupKey, Snapshot};
    ///
    /// let snapshot = Snapshot::from_traces(vec![], 32);
    /// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
    /// assert_eq!(GroupKey::from(frame.clone()).charged_in(&snapshot), Some(&frame));
    /// assert_eq!(GroupKey::from("worker-1").charged_in(&snapshot), None);
    /// ```
    pub fn charged_in<'a>(&'a self, snapshot: &Snapshot) -> Option<&'a Frame> {
        self.frame(|traceback| snapshot.charged_frame(traceback))
    }

    fn frame<'a>(&'a self, charged: impl FnOnce(&'a Traceback) -> &'a Frame) -> Option<&'a Frame> {
        match self {
            GroupKey::Frame(frame) => Some(frame),
            GroupKey::Traceback(traceback) => Some(charged(traceback)),
            GroupKey::Name(_) | GroupKey::SizeClass(_) | GroupKey::Domain(_) => None,
        }
    }
}

/// The size class of the mean size of a callsite's blocks.
fn mean_class(counters: &Counters) -> Bytes {
    // A profile from another tool may have live blocks only.
    let known = [counters.total, counters.current, counters.peak];
    let Amount { bytes, blocks } = known
        .into_iter()
        .find(|amount| amount.blocks > 0)
        .unwrap_or_default();
    class_of(bytes.get().div_ceil(blocks.max(1)).into())
}

impl fmt::Display for GroupKey {
    /// The group's frame or name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupKey::Frame(frame) => frame.fmt(f),
            GroupKey::Traceback(traceback) => traceback.charged(ChargeTo::Caller).fmt(f),
            GroupKey::Name(name) => Escaped(name).fmt(f),
            GroupKey::SizeClass(most) => write!(f, "up to {most}"),
            GroupKey::Domain(0) => f.write_str("the Rust heap"),
            GroupKey::Domain(domain) => write!(f, "domain {domain}"),
        }
    }
}

impl From<&str> for GroupKey {
    fn from(name: &str) -> GroupKey {
        GroupKey::Name(name.into())
    }
}

impl From<String> for GroupKey {
    fn from(name: String) -> GroupKey {
        GroupKey::Name(name.into())
    }
}

impl From<Frame> for GroupKey {
    fn from(frame: Frame) -> GroupKey {
        GroupKey::Frame(frame)
    }
}

impl From<Traceback> for GroupKey {
    fn from(traceback: Traceback) -> GroupKey {
        GroupKey::Traceback(traceback)
    }
}
