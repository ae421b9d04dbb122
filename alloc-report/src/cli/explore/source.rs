//! [`Source`]: where newer snapshots come from.

use std::io::Read;
use std::path::Path;

use alloc_core_snapshot::Snapshot;
use anyhow::{Result, bail};

use super::LiveOptions;
use crate::load::{Loaded, load, load_from};
use crate::view::{Charging, Filters};

/// What a source found.
pub(super) enum Found {
    Snapshot(Box<Snapshot>),
    /// Nothing new.
    Unchanged,
    /// No snapshot, for this reason; the next try may have one.
    Failed(String),
    /// There will be no more.
    Ended(String),
}

/// Where newer snapshots come from.
pub(super) trait Source: Send {
    /// Looks for a newer snapshot. It may wait for one a few seconds.
    fn next(&mut self) -> Found;

    /// What is looked at, for messages.
    fn name(&self) -> String;
}

/// How snapshots are charged and filtered.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    charging: Charging,
    filters: Filters,
}

impl Rules {
    pub(super) fn of(options: &LiveOptions) -> Rules {
        Rules {
            charging: options.common.charging.clone(),
            filters: options.common.filters.clone(),
        }
    }

    pub(super) fn load(&self, path: &Path) -> Result<Box<Snapshot>> {
        whole(load(path, &self.charging, &self.filters)?)
    }

    pub(super) fn read(&self, reader: Box<dyn Read>) -> Result<Box<Snapshot>> {
        whole(load_from(reader, &self.charging, &self.filters)?)
    }
}

fn whole(loaded: Loaded) -> Result<Box<Snapshot>> {
    match loaded.nothing {
        Some(nothing) => bail!(nothing),
        None => Ok(Box::new(std::mem::ManuallyDrop::into_inner(
            loaded.snapshot,
        ))),
    }
}

/// The result of loading as what was found.
pub(super) fn found(loaded: Result<Box<Snapshot>>) -> Found {
    match loaded {
        Ok(snapshot) => Found::Snapshot(snapshot),
        Err(error) => Found::Failed(format!("{error:#}")),
    }
}
