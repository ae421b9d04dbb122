//! Names for snapshots that have only addresses.
//!
//! A snapshot without names goes in; the same snapshot with names comes out. The search covers the
//! folders of `--symbols` and the servers in `DEBUGINFOD_URLS`. Files are written only to the cache
//! of downloads, never to a snapshot.

use std::path::PathBuf;
use std::sync::OnceLock;

use alloc_core_snapshot::{Snapshot, SymbolSearch};

mod debuginfod;

use debuginfod::Servers;

static SEARCH: OnceLock<SymbolSearch> = OnceLock::new();

/// Sets the folders to search, before the first snapshot is read.
pub(crate) fn search_in(folders: Vec<PathBuf>) {
    let servers = Servers::from_environment();
    let fetch = servers.map(|servers| {
        let fetch = move |build_id: &[u8]| servers.fetch(build_id);
        Box::new(fetch) as Box<dyn Fn(&[u8]) -> Option<PathBuf> + Send + Sync>
    });
    let _ = SEARCH.set(SymbolSearch { folders, fetch });
}

/// Where names are searched.
pub(crate) fn search() -> &'static SymbolSearch {
    SEARCH.get_or_init(SymbolSearch::default)
}

/// Names the frames of a snapshot that has only addresses.
pub(crate) fn name(snapshot: &mut Snapshot) {
    if snapshot.is_named() {
        return;
    }
    snapshot.name(search());
}
