//! [`Limited`]: what a budget limits.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use crate::label::Label;
use crate::process::label_bytes::LabelBytes;
use crate::record::gate::Mode;
use crate::record::thread;
use crate::scope::ScopeHandle;
use crate::{Bytes, Error, Snapshot, control};

/// What a budget limits.
#[derive(Clone)]
pub(super) enum Limited {
    Scope(ScopeHandle),
    Label(LimitedLabel),
}

/// A label, with what was seen of its callsites.
pub(super) struct LimitedLabel(ManuallyDrop<Arc<LabelBytes>>);

impl Limited {
    /// The live bytes; perhaps zero instead if they are no more than `least`. `None` if the count
    /// is not reliable.
    #[inline]
    pub(super) fn live_bytes(&self, least: Bytes) -> Option<Bytes> {
        match self {
            Limited::Scope(scope) => scope.live_bytes(),
            Limited::Label(label) => label.0.live(least),
        }
    }

    pub(super) fn used(&self) -> Result<Bytes, Error> {
        match self {
            Limited::Scope(scope) => scope.usage().map(|it| it.current.bytes),
            Limited::Label(label) => label.0.live(Bytes::ZERO).ok_or_else(control::why_off),
        }
    }

    /// Runs `work` in the scope or the label.
    pub(super) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        match self {
            Limited::Scope(scope) => scope.run(work),
            Limited::Label(label) => Label::of_id(label.0.label()).run(work),
        }
    }

    /// What is live, by stack, if that is counted.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        match self {
            Limited::Scope(scope) if !scope.has_stacks() => None,
            Limited::Scope(scope) => scope.snapshot().ok(),
            Limited::Label(label) => label.0.snapshot().ok(),
        }
    }
}

impl LimitedLabel {
    pub(super) fn new(label: Label) -> Result<LimitedLabel, Error> {
        let wrong = |message: &str| Err(Error::invalid_config(message.to_owned()));
        if label == Label::default() {
            return wrong("a budget needs a label: expected one with a name, found no label");
        }
        if control::is_unset() {
            return Err(Error::not_installed());
        }
        match control::gate_word().how() {
            _ if !control::is_on() => return Err(control::why_off()),
            Mode::Counted => return wrong("labels need stacks: expected at least one frame"),
            _ => {}
        }
        // This allocation is not the program's.
        let bytes = thread::untraced(|| Arc::new(LabelBytes::new(label.id())));
        Ok(LimitedLabel(ManuallyDrop::new(bytes)))
    }
}

impl Clone for LimitedLabel {
    fn clone(&self) -> LimitedLabel {
        LimitedLabel(self.0.clone())
    }
}

impl Drop for LimitedLabel {
    fn drop(&mut self) {
        let _muted = thread::mute();
        // SAFETY: it is not used after this, and nothing else drops it.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}
