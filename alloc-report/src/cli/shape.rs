//! [`Shape`]: the options of the commands that print a list of groups.

use std::mem::ManuallyDrop;
use std::path::Path;
use std::str::FromStr as _;

use alloc_core_snapshot::{GroupBy, Snapshot};
use anyhow::{Result, bail};
use clap::Args;

use crate::formats::report::Question;
use crate::load::{Loaded, load};
use crate::view::{Charging, Filters};

/// What the commands that print a list of groups have in common.
#[derive(Args, Debug)]
pub(crate) struct Shape {
    /// The key of a row, as for top
    #[arg(long, value_name = "KEY", default_value = "line", value_parser = GroupBy::from_str)]
    pub(crate) by: GroupBy,
    /// The number of rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    pub(crate) rows: usize,
    #[command(flatten)]
    charging: Charging,
    #[command(flatten)]
    filters: Filters,
}

impl Shape {
    /// Reads a snapshot. Charges and filters it. Fails if the filters leave nothing.
    pub(crate) fn load(&self, file: &Path) -> Result<ManuallyDrop<Snapshot>> {
        let Loaded { snapshot, nothing } = load(file, &self.charging, &self.filters)?;
        match nothing {
            Some(nothing) => bail!(nothing),
            None => Ok(snapshot),
        }
    }

    /// What a report of a snapshot is made of.
    pub(crate) fn question<'a>(&'a self, snapshot: &'a Snapshot, file: &'a Path) -> Question<'a> {
        Question {
            snapshot,
            file,
            by: self.by,
            rows: self.rows,
            charging: &self.charging,
            filters: &self.filters,
        }
    }
}
