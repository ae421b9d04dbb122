//! Trait objects: pointers that have a vtable next to them, which tells the type of the value.

#[cfg(any(test, feature = "process"))]
use std::collections::HashMap;

use alloc_core_snapshot::seam::layouts::Vtable;

use super::Graph;
#[cfg(any(test, feature = "process"))]
use super::evidence::{Kind, possible_sizes};
use super::file::VtableRow;

impl Graph {
    /// The vtable next to a reference, if debug information describes it.
    pub(super) fn vtable_of(&self, edge: u32) -> Option<&Vtable> {
        let rows = &self.data.vtables;
        let at = rows.binary_search_by_key(&edge, |it| it.edge).ok()?;
        self.vtable(&rows[at])
    }

    fn vtable(&self, row: &VtableRow) -> Option<&Vtable> {
        let layouts = self.layouts.get(row.module as usize)?;
        layouts.vtables.get(&row.address)
    }

    /// The references to boxes and counted values whose types their vtables name.
    pub(super) fn trait_objects(&self) -> Vec<u32> {
        let rows = self.data.vtables.iter();
        let fitting = rows.filter(|row| {
            let target = self.data.nodes.to[row.edge as usize];
            let (Some(vtable), Some(name)) = (self.vtable(row), self.type_of_block(target)) else {
                return false;
            };
            let inner = name.split_once('<').and_then(|(owner, rest)| {
                matches!(owner, "Box" | "Rc" | "Arc").then(|| rest.strip_suffix('>'))?
            });
            inner == Some(vtable.of.as_str())
        });
        fitting.map(|it| it.edge).collect()
    }

    /// Gives callsites without a type the one that vtables tell, if all of them tell one and each
    /// block has the size of a value.
    #[cfg(any(test, feature = "process"))]
    pub(super) fn name_types_by_vtables(&mut self) {
        let mut told: HashMap<u32, Option<String>> = HashMap::new();
        for row in &self.data.vtables {
            let target = self.data.nodes.to[row.edge as usize];
            let callsite = self.data.nodes.callsites[target as usize];
            if self.type_of(callsite).is_some() {
                continue;
            }
            let vtable = self.vtable(row);
            let vtable = vtable.filter(|_| possible_sizes(&self.data, target).contains(&row.size));
            let name = vtable.map(|it| format!("Box<{}>", it.of));
            let known = told.entry(callsite).or_insert_with(|| name.clone());
            if *known != name {
                *known = None;
            }
        }
        let Some(names) = self.names.get_mut() else {
            return;
        };
        for (callsite, name) in told {
            let callsite = &mut names.callsites[callsite as usize];
            callsite.kind = Kind::of(name.as_deref());
            callsite.type_name = name.map(Into::into);
        }
        self.forget_analysis();
    }
}
