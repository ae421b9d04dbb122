//! From a profile to a snapshot.
//!
//! In: bytes, ours or another tool's, hostile or not. Out: traces, or an error. It never exceeds
//! the memory budget, and never panics.
//!
//! A file is [unpacked](unpack), its messages are [counted](index), and tables are built from them
//! within a [budget](budget). Then each sample becomes a [trace](samples).

mod budget;
mod index;
mod others;
mod own;
mod places;
mod roots;
mod sample_types;
mod samples;
pub(in crate::file) mod unpack;
pub(in crate::file) mod wire;

use std::borrow::Cow;
use std::io::Read;
use std::time::{Duration, SystemTime};

use crate::Metric;
use crate::error::Error;
use crate::modules::Module;
use crate::recorded::Recorded;
use crate::snapshot::{About, Snapshot, Trace, Unknown};
use budget::Budget;
use index::{Counts, Strings, field};
use own::Own;
use places::Places;
use sample_types::SampleTypes;
use samples::{Samples, Traces};
use unpack::{Unpacked, unpack};
use wire::Fields;

/// Reads a profile of one moment.
pub(crate) fn read(reader: impl Read) -> Result<Snapshot, Error> {
    let file = Profile::read(reader)?;
    if file.is_difference() {
        return Err(Error::invalid_file(
            "found the difference of two, with negative values: `alloc-report diff FILE` shows it, and \
             Snapshot::read_difference reads it",
        ));
    }
    Ok(file.snapshot())
}

/// Reads a profile of changes between two moments: a snapshot of the additions, and one of the
/// removals.
pub(crate) fn read_difference(reader: impl Read) -> Result<(Snapshot, Snapshot), Error> {
    let file = Profile::read(reader)?;
    if !file.is_difference() && file.duration_nanos == 0 {
        return Err(Error::invalid_file(
            "found one of a single moment: expected the difference of two, with negative values or a duration",
        ));
    }
    Ok(file.difference())
}

/// The checked content of a file.
struct Profile {
    traces: Traces,
    own: Option<OfOurs>,
    about: About,
    duration_nanos: i64,
}

/// Data that only our own files have.
struct OfOurs {
    recorded: Recorded,
    filtered_out: u64,
    is_unnamed: bool,
}

impl Profile {
    fn read(reader: impl Read) -> Result<Profile, Error> {
        let Unpacked { profile, is_packed } = unpack(reader)?;
        let counts = Counts::of(&profile).map_err(|error| match others::guess(&profile) {
            Some(what) if is_packed => Error::invalid_file(format!(
                "found a gzip'd file with something else in it: {what}"
            )),
            Some(what) => Error::invalid_file(format!("found {what}")),
            None => error,
        })?;
        let mut budget = Budget::of(profile.len());
        let budget = &mut budget;
        let strings = Strings::of(&profile, &counts, budget)?;
        let types = sample_types(&profile, &counts, &strings, budget)?;
        let mut own = Own::of(&profile, &counts, budget)?;
        let roots = own.as_mut().map(Own::take_roots).unwrap_or_default();
        let places = Places::of(&profile, &counts, &strings, &roots, budget)?;
        let mut samples = Samples::of(&counts, &strings, &places, &types, own.is_some(), budget)?;
        let (mut time_nanos, mut duration_nanos) = (0, 0);
        for at in Fields::of(&profile) {
            match at? {
                (field::SAMPLE, sample) => samples.add(sample.fields()?, budget)?,
                (field::TIME_NANOS, time) => time_nanos = time.number()? as i64,
                (field::DURATION_NANOS, time) => duration_nanos = time.number()? as i64,
                _ => {}
            }
        }
        let traces = samples.traces();
        let modules = modules(&profile, &counts, &strings, budget)?;
        let since = Duration::from_nanos(time_nanos.try_into().unwrap_or(0));
        let mut about = About {
            taken_at: SystemTime::UNIX_EPOCH + since,
            unknown: unknown(&types),
            ..About::default()
        };
        let mut of_ours = None;
        if let Some(own) = own {
            of_ours = Some(OfOurs {
                recorded: own.recorded(),
                filtered_out: own.filtered_out(),
                is_unnamed: own.is_unnamed(),
            });
            about.run = own.run();
            about.process_id = own.process_id();
            about.is_at_exit = own.is_at_exit();
            about.unknown.spread_of_ages = own.has_mean_ages();
            about.program = own.program();
            about.command_line = own.command_line;
            about.metadata = own.metadata;
        }
        if let (true, Some(first)) = (about.program.is_empty(), modules.first()) {
            about.program.clone_from(&first.path);
        }
        about.modules = modules;
        Ok(Profile {
            traces,
            own: of_ours,
            about,
            duration_nanos,
        })
    }

    fn is_difference(&self) -> bool {
        !self.traces.taken_away.is_empty()
    }

    fn snapshot(self) -> Snapshot {
        let Profile {
            traces: Traces { added, .. },
            own,
            about,
            ..
        } = self;
        match own {
            Some(own) => {
                let of_parts = match own.is_unnamed {
                    true => Snapshot::unnamed,
                    false => Snapshot::of_parts,
                };
                let mut snapshot = of_parts(added, own.recorded, about);
                snapshot.set_filtered_out(own.filtered_out);
                snapshot
            }
            None => foreign(added, about),
        }
    }

    fn difference(self) -> (Snapshot, Snapshot) {
        let Profile {
            traces: Traces { added, taken_away },
            own,
            mut about,
            duration_nanos,
        } = self;
        about.unknown.levels = true;
        about.duration = Duration::from_nanos(duration_nanos.try_into().unwrap_or(0));
        if let Some(own) = own.filter(|it| it.is_unnamed) {
            let side = |traces| Snapshot::unnamed(traces, own.recorded.clone(), about.clone());
            return (side(added), side(taken_away));
        }
        let before = About {
            modules: Vec::new(),
            ..about.clone()
        };
        (foreign(added, about), foreign(taken_away, before))
    }
}

/// A snapshot from a file of another writer.
fn foreign(traces: Vec<Trace>, about: About) -> Snapshot {
    let deepest = traces.iter().map(|it| it.traceback.len()).max();
    let limit = deepest.unwrap_or(0).try_into().unwrap_or(u16::MAX);
    Snapshot::of_named(traces, None, limit, about)
}

fn sample_types(
    profile: &[u8],
    counts: &Counts,
    strings: &Strings<'_>,
    budget: &mut Budget,
) -> Result<SampleTypes, Error> {
    // A replacement character takes three bytes for each invalid byte.
    let text = size_of::<Cow<'_, str>>() + 3 * (SampleTypes::LONGEST + 1);
    let each = 2 * text;
    budget.check(counts.sample_types, each, "sample types")?;
    let mut types = Vec::with_capacity(counts.sample_types);
    for at in Fields::of(profile) {
        let (field::SAMPLE_TYPE, value_type) = at? else {
            continue;
        };
        let (mut name, mut unit) = (0, 0);
        for at in value_type.fields()? {
            match at? {
                (1, it) => name = it.number()? as i64,
                (2, it) => unit = it.number()? as i64,
                _ => {}
            }
        }
        let text = |at| -> Result<Cow<'_, str>, Error> {
            let bytes = strings.bytes(at)?;
            let most = bytes.len().min(SampleTypes::LONGEST + 1);
            Ok(String::from_utf8_lossy(&bytes[..most]))
        };
        types.push((text(name)?, text(unit)?));
    }
    SampleTypes::of(types.iter().map(|(name, unit)| (&**name, &**unit)))
}

fn modules(
    profile: &[u8],
    counts: &Counts,
    strings: &Strings<'_>,
    budget: &mut Budget,
) -> Result<Vec<Module>, Error> {
    budget.take(counts.mappings, size_of::<Module>(), "mappings")?;
    let mut modules = Vec::with_capacity(counts.mappings);
    for at in Fields::of(profile) {
        let (field::MAPPING, mapping) = at? else {
            continue;
        };
        let mut module = Module {
            start: 0,
            end: 0,
            file_offset: 0,
            path: String::new(),
            build_id: String::new(),
        };
        for at in mapping.fields()? {
            match at? {
                (2, it) => module.start = it.number()?,
                (3, it) => module.end = it.number()?,
                (4, it) => module.file_offset = it.number()?,
                (5, it) => module.path = owned(strings, it.number()? as i64, budget)?,
                (6, it) => module.build_id = owned(strings, it.number()? as i64, budget)?,
                _ => {}
            }
        }
        modules.push(module);
    }
    Ok(modules)
}

fn owned(strings: &Strings<'_>, at: i64, budget: &mut Budget) -> Result<String, Error> {
    // A replacement character takes three bytes for each invalid byte.
    budget.take(strings.bytes(at)?.len(), 3, "mappings")?;
    strings.text(at).map(Cow::into_owned)
}

/// The metrics that are missing in a file with these types.
fn unknown(types: &SampleTypes) -> Unknown {
    let needed = [
        (Metric::Current, "inuse_space"),
        (Metric::Total, "alloc_space"),
        (Metric::Freed, "alloc_space"),
        (Metric::Freed, "inuse_space"),
        (Metric::Peak, "peak_space"),
        (Metric::AtPeak, "at_peak_space"),
    ];
    let missing = needed.into_iter().filter(|(_, name)| !types.knows(name));
    let mut metrics: Vec<Metric> = missing.map(|(metric, _)| metric).collect();
    metrics.dedup();
    Unknown {
        metrics,
        blocks: [
            ("inuse_space", "inuse_objects"),
            ("alloc_space", "alloc_objects"),
            ("at_peak_space", "at_peak_objects"),
        ]
        .iter()
        .any(|(bytes, blocks)| types.knows(bytes) && !types.knows(blocks)),
        copied: !types.knows("copied_space"),
        levels: false,
        spread_of_ages: false,
    }
}
