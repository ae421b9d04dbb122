//! Snapshots and heap graphs from files: read, named, charged and filtered.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::mem::ManuallyDrop;
use std::path::Path;

use alloc_core_snapshot::{Error, Escaped, Filter, Snapshot};
use alloc_report::Graph;
use anyhow::{Result, anyhow};

use crate::conditions::Conditions;
use crate::view::{Charging, Filters, View};
use crate::{recording, symbols};

/// A filtered snapshot.
///
/// NOTE: it is never dropped. The process ends soon, and the kernel frees millions of frames
/// faster.
pub(crate) struct Loaded {
    pub(crate) snapshot: ManuallyDrop<Snapshot>,
    /// The message if the filters leave no callsite.
    pub(crate) nothing: Option<String>,
}

/// Reads the snapshot at `path`, a file or a recording. Charges and filters it.
pub(crate) fn load(path: &Path, charging: &Charging, filters: &Filters) -> Result<Loaded> {
    Ok(filtered(charging.apply(read(path)?), filters))
}

/// Reads a snapshot from elsewhere. Charges and filters it.
pub(crate) fn load_from(
    reader: Box<dyn Read>,
    charging: &Charging,
    filters: &Filters,
) -> Result<Loaded> {
    let mut snapshot = Snapshot::read_from(reader)?;
    symbols::name(&mut snapshot);
    Ok(filtered(charging.apply(snapshot), filters))
}

/// Reads a file that holds a difference. Returns its two sides: the additions and the removals.
pub(crate) fn load_difference(path: &Path, view: &View) -> Result<(Loaded, Loaded)> {
    let sides = read_as(path, Snapshot::read_difference);
    let (added, removed) =
        sides.map_err(|error| anyhow!("{error}; use diff OLD NEW to compare two snapshots"))?;
    let side = |mut snapshot| {
        symbols::name(&mut snapshot);
        filtered(view.charging.apply(snapshot), &view.filters)
    };
    Ok((side(added), side(removed)))
}

/// Reads the snapshot at `path`, a file of ours or of another tool, or a recording. Names its
/// frames.
pub(crate) fn read(path: &Path) -> Result<Snapshot> {
    let mut snapshot = read_unnamed(path)?;
    symbols::name(&mut snapshot);
    Ok(snapshot)
}

/// Reads a file of ours or of another tool. Its frames are named when they are needed.
pub(crate) fn read_unnamed(path: &Path) -> Result<Snapshot> {
    read_as(path, alloc_report::import)
}

/// Reads a file in our format, which is pprof's, and names its frames.
pub(crate) fn read_profile(path: &Path) -> Result<Snapshot> {
    let mut snapshot = read_as(path, Snapshot::read_from)?;
    symbols::name(&mut snapshot);
    Ok(snapshot)
}

/// What a file in our format, which is pprof's, has.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum Content {
    Snapshot(Snapshot),
    /// The additions and the removals between two moments.
    Difference(Snapshot, Snapshot),
}

/// Reads a file, whatever it has, and names its frames.
pub(crate) fn read_content(path: &Path) -> Result<Content> {
    let content = read_as(path, |mut reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        match Snapshot::read_difference(&bytes[..]) {
            Ok((added, removed)) => Ok(Content::Difference(added, removed)),
            Err(_) => Snapshot::read_from(&bytes[..]).map(Content::Snapshot),
        }
    });
    let mut content = content?;
    match &mut content {
        Content::Snapshot(snapshot) => symbols::name(snapshot),
        Content::Difference(added, removed) => {
            symbols::name(added);
            symbols::name(removed);
        }
    }
    Ok(content)
}

/// Reads the heap graph at `path`, names its frames and variables, and charges its blocks.
///
/// NOTE: it is never dropped, as [`Loaded`].
pub(crate) fn load_graph(path: &Path, charging: &Charging) -> Result<ManuallyDrop<Graph>> {
    // NOTE: not a chain of errors, since the message contains its cause.
    let graph = Graph::load(path).map_err(|error| anyhow!("{error}"))?;
    let mut graph = ManuallyDrop::new(graph.charge(|it| charging.apply(it)));
    graph.name_all(symbols::search());
    Ok(graph)
}

fn read_as<T>(
    path: &Path,
    read: impl FnOnce(Box<dyn Read>) -> std::result::Result<T, Error>,
) -> Result<T> {
    let is_standard_input = path == Path::new("-");
    let path = match is_standard_input {
        true => path.to_owned(),
        false => recording::snapshot_at(path)?,
    };
    let loaded = match is_standard_input {
        true => read(Box::new(io::stdin().lock())),
        false => File::open(&path)
            .map_err(Error::from)
            .and_then(|file| read(Box::new(BufReader::new(file)))),
    };
    // NOTE: not a chain of errors, since the message contains its cause.
    loaded.map_err(|error| {
        let path = path.to_string_lossy();
        let path = match is_standard_input {
            true => "from standard input".into(),
            false => path,
        };
        anyhow!("cannot read the snapshot {}: {error}", Escaped(&path))
    })
}

fn filtered(snapshot: Snapshot, chosen: &Filters) -> Loaded {
    let with = |all_frames| {
        let included = chosen.include.iter().map(Conditions::include);
        let excluded = chosen.exclude.iter().map(Conditions::exclude);
        let filters = included.chain(excluded);
        let filters: Vec<Filter> = filters.map(|it| it.all_frames(all_frames)).collect();
        snapshot.filter_traces(&filters)
    };
    if chosen.include.is_empty() && chosen.exclude.is_empty() {
        return Loaded {
            snapshot: ManuallyDrop::new(snapshot),
            nothing: None,
        };
    }
    let filtered = ManuallyDrop::new(with(chosen.all_frames));
    let is_nothing = filtered.traces().is_empty() && !snapshot.traces().is_empty();
    let nothing = is_nothing.then(|| {
        let outer = !chosen.all_frames && !with(true).traces().is_empty();
        nothing_left(&snapshot, chosen, outer)
    });
    Loaded {
        snapshot: filtered,
        nothing,
    }
}

/// The message if the filters leave no callsite. `outer`: whether they would match outer frames.
fn nothing_left(snapshot: &Snapshot, chosen: &Filters, outer: bool) -> String {
    let Some(first) = chosen.include.first() else {
        let first = chosen.exclude.first().map_or("", |it| it.text.as_str());
        return format!("--exclude {} leaves no callsite", Escaped(first));
    };
    let mut text = match chosen.include.len() {
        1 => format!("no callsite matches --include {}", Escaped(&first.text)),
        n => format!("no callsite matches any of the {n} --include options"),
    };
    if !chosen.exclude.is_empty() {
        text += " and remains after --exclude";
    }
    if outer {
        text += "; outer frames of stacks do: add --all-frames";
    } else if let Some(suggestions) = first.suggestions(snapshot, chosen.all_frames) {
        text += &format!("; {suggestions}");
    }
    text
}
