//! What the file of a heap graph needs of the snapshot within it.

use std::sync::Arc;

use crate::modules::Module;
use crate::process;
use crate::symbolizer::Search;
use crate::{Frame, GroupBy, GroupKey, Snapshot};

impl Snapshot {
    /// The program and its libraries, the program first.
    #[doc(hidden)]
    pub fn modules(&self) -> &[Module] {
        &self.about.modules
    }

    /// The key of each trace, in the order of [`traces`](Self::traces).
    #[doc(hidden)]
    pub fn keys(&self, by: GroupBy) -> Vec<GroupKey> {
        let _muted = process::mute();
        self.keys_of_traces(by)
    }

    /// The frames at each return address of the process, the innermost inlined function first.
    #[doc(hidden)]
    pub fn frames_at(&self, addresses: &[u64], search: &Search) -> Vec<Arc<[Frame]>> {
        let _muted = process::mute();
        self.symbols(search).frames(addresses)
    }
}
