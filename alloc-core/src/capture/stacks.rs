//! The stack behind a callsite, as readers name its addresses.

use super::then;
use crate::snapshot::recorded::StackEnd;
use crate::system::sync::Ordering;
use crate::tables::callsites::{Callsite, Callsites, Outer};

impl Callsites {
    /// Appends the stack of a callsite to `addresses`, and returns how it ends, if it is written.
    pub(crate) fn append_stack(
        &self,
        callsite: &Callsite,
        addresses: &mut Vec<usize>,
    ) -> Option<StackEnd> {
        let end = callsite.end()?;
        let start = addresses.len();
        addresses.extend_from_slice(callsite.own_addresses());
        let mut rest = callsite.outer();
        while let Some(outer) = rest.filter(|outer| outer.len > 0) {
            let outer = self.owner_of(outer);
            let owner = self.get(outer.callsite)?;
            let own = owner.own_addresses();
            let part = own.get(outer.skip..)?;
            let part = &part[..part.len().min(outer.len)];
            addresses.extend_from_slice(part);
            rest = owner.outer().map(|next| Outer {
                len: outer.len - part.len(),
                ..next
            });
        }
        let era = callsite.era.load(Ordering::Relaxed);
        if era != 0 {
            let own = addresses[start..].iter_mut();
            own.for_each(|address| *address = then(*address, era));
        }
        Some(end)
    }
}
