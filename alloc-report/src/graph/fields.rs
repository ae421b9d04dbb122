//! Names of the fields that pointers are in.

use std::sync::Arc;

#[cfg(any(test, feature = "process"))]
use alloc_core_snapshot::seam::layouts::Layouts;

use super::evidence::{Fields, path_in_static, possible_sizes};
use super::file::{RootKind, RootRow};
use super::{Graph, names};

impl Graph {
    /// Sets the layouts of the types of a module, by its place in [`modules`](Self::modules).
    #[cfg(any(test, feature = "process"))]
    pub(super) fn set_layouts(&mut self, module: usize, layouts: Layouts) {
        self.layouts
            .resize_with(self.data.modules.len(), Layouts::default);
        self.layouts[module] = layouts;
        self.forget_analysis();
    }

    pub(super) fn fields(&self) -> &Fields {
        let callsites = self.names().callsites.iter();
        let types = callsites.filter_map(|it| it.type_name.as_ref());
        self.fields.get_or_init(|| Fields::of(types, &self.layouts))
    }

    /// The fields that lead to a word of a block; empty if they are not known.
    pub(super) fn field_of_block(&self, block: u32, at: u64, target: u32) -> String {
        let type_name = self.type_of_block(block).map(|it| &**it);
        let fields = type_name.and_then(|it| self.fields().of_type(it));
        let spot = fields.and_then(|it| it.at(&possible_sizes(&self.data, block), at));
        let target = self.type_of_block(target).map(|it| &**it);
        spot.map_or_else(String::new, |it| it.path(&self.layouts, target))
    }

    /// The fields that lead to a word of a static; empty if they are not known.
    pub(super) fn field_of_root(&self, root: &RootRow) -> String {
        if root.kind != RootKind::Static {
            return String::new();
        }
        let module = root.extra as usize;
        let address = root.place.wrapping_sub(self.data.modules[module].bias);
        let statics = &self.variables[module].statics;
        let Some(variable) = names::at(statics, address) else {
            return String::new();
        };
        let start = statics[variable].start;
        let target = self.type_of_block(root.target).map(|it| &**it);
        let layouts = self.layouts.get(module);
        layouts.map_or_else(String::new, |it| {
            path_in_static(it, start, address - start, target)
        })
    }

    pub(super) fn type_of_block(&self, block: u32) -> Option<&Arc<str>> {
        self.type_of(self.data.nodes.callsites[block as usize])
    }
}
