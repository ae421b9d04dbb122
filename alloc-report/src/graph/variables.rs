//! Names of statics, thread-locals and fields, from the files of a program and its libraries.

use std::collections::HashSet;

use alloc_core_snapshot::SymbolSearch;
use alloc_core_snapshot::seam::modules::Module;
use alloc_core_symbols::{identity, layouts, variables};

use super::Graph;
use super::evidence::elements_of;

impl Graph {
    /// Looks up the names of frames, and of statics, thread-locals and fields in the files of the program
    /// and its libraries. A file of another build is not used.
    ///
    /// Fields have names where debug information describes types, as with `debug = 2`.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
    /// # fn main() -> Result<(), alloc_core::Error> {
    /// # if !cfg!(all(target_os = "linux", target_arch = "x86_64")) { return Ok(()) }
    /// use alloc_core::SymbolSearch;
    /// use alloc_report::Graph;
    /// use std::sync::Mutex;
    ///
    /// static KEPT: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    ///
    /// alloc_core::start()?;
    /// KEPT.lock().unwrap().extend(0..1000);
    ///
    /// let path = std::env::temp_dir().join(format!("{}-names.heapgraph", std::process::id()));
    /// alloc_core::heap_graph(&path)?;
    /// let mut graph = Graph::load(&path)?;
    /// graph.name_all(&SymbolSearch::default());
    /// assert!(graph.roots()[0].name.ends_with("KEPT"), "{}", graph.roots()[0].name);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn name_all(&mut self, search: &SymbolSearch) {
        self.name(search);
        let callsites = self.names().callsites.iter();
        let types = callsites.filter_map(|it| it.type_name.as_deref());
        let wanted: HashSet<String> = types.flat_map(elements_of).collect();
        for at in 0..self.modules().len() {
            let path = self.modules()[at].path.clone();
            let known = self.snapshot().modules();
            let module = match path.is_empty() {
                true => known.first(),
                false => known.iter().find(|it| it.path == path),
            };
            let Some(module) = module.map(of_file) else {
                continue;
            };
            if let Ok(variables) = variables(&module, search) {
                self.set_variables(at, variables);
            }
            if let Ok(layouts) = layouts(&module, search, &wanted) {
                self.set_layouts(at, layouts);
            }
        }
        self.name_types_by_vtables();
    }
}

/// A module, to find its file by.
fn of_file(module: &Module) -> alloc_core_symbols::Module {
    alloc_core_symbols::Module {
        path: module.file().into(),
        identity: identity(module),
        size: module.end.saturating_sub(module.start),
        file_offset: module.file_offset,
    }
}
