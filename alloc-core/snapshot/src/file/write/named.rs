//! Writes a snapshot with names as a profile.

use std::collections::HashMap;
use std::io::Write;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use super::drop_frames;
use super::raw::Known;
use crate::error::Error;
use crate::file::proto::{
    self, Extension, Function, Label, Line, Location, Mapping, Profile, Sample,
};
use crate::file::{
    BROKEN, DOMAIN_LABEL, FORMAT, OF_GO, OVERFLOW, OWN_LABEL, SAMPLE_TYPES, SIZE_LABEL,
    STACK_LABEL, THREAD_LABEL, TRUNCATED, TYPE_LABEL, UNCAPTURED, known, values,
};
use crate::recorded::StackEnd;
use crate::snapshot::{Snapshot, Trace};
use crate::stack::frame::Frame;
use crate::{FreedBy, Metric};

pub(crate) fn write(snapshot: &Snapshot, writer: impl Write) -> Result<(), Error> {
    pack(&Builder::default().profile(snapshot), writer)
}

/// Writes a profile of changes, in Go's sample types: the first side minus the second.
pub(crate) fn write_difference(sides: [&Snapshot; 2], writer: impl Write) -> Result<(), Error> {
    pack(&Builder::default().difference(sides), writer)
}

fn pack(profile: &Profile, writer: impl Write) -> Result<(), Error> {
    let mut file = GzEncoder::new(writer, Compression::fast());
    file.write_all(&profile.encode_to_vec())?;
    file.finish()?.flush()?;
    Ok(())
}

/// The tables of a profile under construction.
#[derive(Default)]
struct Builder {
    profile: Profile,
    /// Which of the sample types are in the file.
    known: Known,
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64, i64), u64>,
    /// Keyed by the identity of the location's innermost frame and the number of its frames.
    locations: HashMap<(usize, usize), u64>,
}

impl Builder {
    fn profile(mut self, snapshot: &Snapshot) -> Profile {
        let counters = snapshot.traces().iter().map(|it| &it.counters);
        self.begin(snapshot, known(&snapshot.about.unknown, counters));
        self.samples(snapshot, 1);
        self.finish(snapshot)
    }

    fn difference(mut self, [added, removed]: [&Snapshot; 2]) -> Profile {
        self.begin(added, std::array::from_fn(|at| at < OF_GO));
        self.samples(added, 1);
        self.samples(removed, -1);
        self.finish(added)
    }

    fn begin(&mut self, snapshot: &Snapshot, known: Known) {
        self.string("");
        self.known = known;
        for ((name, unit), _) in SAMPLE_TYPES.iter().zip(self.known).filter(|it| it.1) {
            let value_type = self.value_type(name, unit);
            self.profile.sample_type.push(value_type);
        }
        if snapshot.knows(Metric::Current) {
            self.profile.default_sample_type = self.string("inuse_space");
        }
        self.profile.period_type = Some(self.value_type("space", "bytes"));
        self.profile.period = snapshot.sampling().map_or(1, |it| it.bytes() as i64);
        self.profile.time_nanos = snapshot
            .about
            .taken_at
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as i64);
        let duration = snapshot.about.duration.as_nanos();
        self.profile.duration_nanos = duration.try_into().unwrap_or(i64::MAX);
        self.mappings(snapshot);
    }

    /// Adds the traces of a snapshot, with their values times `sign`.
    fn samples(&mut self, snapshot: &Snapshot, sign: i64) {
        for trace in snapshot.traces() {
            let mut sample = self.sample(trace);
            sample.value.iter_mut().for_each(|it| *it *= sign);
            self.profile.sample.push(sample);
        }
    }

    fn finish(mut self, snapshot: &Snapshot) -> Profile {
        self.profile.drop_frames = self.string(&drop_frames::of(snapshot));
        self.profile.extension = Some(extension(snapshot));
        self.profile
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let id = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), id);
        id
    }

    fn value_type(&mut self, name: &str, unit: &str) -> proto::ValueType {
        proto::ValueType {
            r#type: self.string(name),
            unit: self.string(unit),
        }
    }

    fn mappings(&mut self, snapshot: &Snapshot) {
        for (at, module) in snapshot.about.modules.iter().enumerate() {
            let mapping = Mapping {
                id: at as u64 + 1,
                memory_start: module.start,
                memory_limit: module.end,
                file_offset: module.file_offset,
                filename: self.string(&module.path),
                build_id: self.string(&module.build_id),
                // Readers must not look up symbols themselves.
                has_functions: true,
                has_filenames: true,
                has_line_numbers: true,
                has_inline_frames: true,
            };
            self.profile.mapping.push(mapping);
        }
    }

    fn sample(&mut self, trace: &Trace) -> Sample {
        let mut location_id = Vec::new();
        // A location is a run of frames that ends with a frame that is not inlined.
        for frames in trace.traceback.split_inclusive(|it| !it.is_inlined()) {
            location_id.push(self.location(frames));
        }
        let end = match trace.traceback.end() {
            StackEnd::Complete => None,
            StackEnd::Truncated => Some(TRUNCATED),
            StackEnd::Broken => Some(BROKEN),
            StackEnd::Overflow => Some(OVERFLOW),
            StackEnd::Uncaptured => Some(UNCAPTURED),
        };
        let mut label = Vec::new();
        if let Some(end) = end {
            label.push(self.text_label(STACK_LABEL, end));
        }
        if let Some(thread) = &trace.thread {
            label.push(self.text_label(THREAD_LABEL, thread));
        }
        if let Some(path) = &trace.label {
            label.push(self.text_label(OWN_LABEL, path));
        }
        if trace.domain != 0 {
            label.push(Label {
                key: self.string(DOMAIN_LABEL),
                num: trace.domain.into(),
                ..Label::default()
            });
        }
        if let Some(name) = &trace.type_name {
            label.push(self.text_label(TYPE_LABEL, name));
        }
        if let Some(class) = trace.size_class {
            label.push(Label {
                key: self.string(SIZE_LABEL),
                num: class.get().try_into().unwrap_or(i64::MAX),
                ..Label::default()
            });
        }
        let freed_by = trace.freed_by.as_deref().map(|it| self.freed_by(it));
        Sample {
            location_id,
            value: values(&trace.counters)
                .iter()
                .zip(self.known)
                .filter(|(_, is_known)| *is_known)
                .map(|(&value, _)| i64::try_from(value).unwrap_or(i64::MAX))
                .collect(),
            label,
            freed_by,
            pinned: trace.pinned.map(Into::into),
            slack: trace.slack.map(|it| proto::Slack {
                current: it.current.get(),
                total: it.total.get(),
            }),
            lifetimes: trace.lifetimes.as_deref().map(|it| {
                let pairs = |buckets: &[(u8, u64)]| {
                    let pairs = buckets.iter();
                    pairs
                        .flat_map(|&(at, blocks)| [at.into(), blocks])
                        .collect()
                };
                proto::Lifetimes {
                    unit: it.freed.unit.max(it.live.unit),
                    freed_times: pairs(&it.freed.times),
                    freed_bytes: pairs(&it.freed.bytes),
                    live_times: pairs(&it.live.times),
                    live_bytes: pairs(&it.live.bytes),
                }
            }),
        }
    }

    fn freed_by(&mut self, freed_by: &[FreedBy]) -> proto::FreedBy {
        let mut numbers = Vec::with_capacity(4 * freed_by.len());
        for freed in freed_by {
            for name in [&freed.label, &freed.thread] {
                let number = name.as_deref().map_or(0, |it| self.string(it));
                numbers.push(number as u64);
            }
            numbers.extend([freed.amount.bytes.get(), freed.amount.blocks]);
        }
        proto::FreedBy { numbers }
    }

    fn text_label(&mut self, key: &str, text: &str) -> Label {
        Label {
            key: self.string(key),
            str: self.string(text),
            ..Label::default()
        }
    }

    fn location(&mut self, frames: &[Frame]) -> u64 {
        // The number of frames is part of the key, because the tracer's own frames may have been
        // cut off before the first frame.
        let identity = (frames.first().map_or(0, Frame::id), frames.len());
        if let Some(&known) = self.locations.get(&identity) {
            return known;
        }
        let address = frames.first().map_or(0, Frame::address);
        let mapping = self
            .profile
            .mapping
            .iter()
            .find(|it| (it.memory_start..it.memory_limit).contains(&address));
        let location = Location {
            id: self.profile.location.len() as u64 + 1,
            mapping_id: mapping.map_or(0, |it| it.id),
            address,
            line: frames
                .iter()
                .map(|frame| Line {
                    function_id: self.function(frame),
                    line: frame.line().into(),
                    column: frame.column().into(),
                })
                .collect(),
        };
        self.locations.insert(identity, location.id);
        let id = location.id;
        self.profile.location.push(location);
        id
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let text = frame.function().unwrap_or_default();
        let name = self.string(text);
        let system_name = match frame.mangled() {
            Some(mangled) => self.string(mangled),
            // NOTE: if both names are equal, readers treat text in angle brackets as template
            // arguments and omit it.
            None if text.contains(['<', ':']) => self.string(""),
            None => name,
        };
        let filename = self.string(frame.file().map_or("", |file| file.full()));
        let next = self.functions.len() as u64 + 1;
        let function = (name, system_name, filename);
        let id = *self.functions.entry(function).or_insert(next);
        if id == next {
            self.profile.function.push(Function {
                id,
                name,
                system_name,
                filename,
            });
        }
        id
    }
}

fn extension(snapshot: &Snapshot) -> Extension {
    let (heap, health) = (snapshot.traced_memory(), snapshot.health());
    Extension {
        format: FORMAT,
        heap_current: heap.current.get(),
        heap_peak: heap.peak.get(),
        heap_peak_error: heap.peak_error.get(),
        traceback_limit: snapshot.traceback_limit().into(),
        process_id: snapshot.process_id(),
        program: snapshot.program().to_owned(),
        command_line: snapshot.command_line().to_vec(),
        sampled_every: snapshot.sampling().map_or(0, |it| it.bytes()),
        metadata: snapshot.metadata().clone(),
        filtered_out: snapshot.filtered_out(),
        at_exit: snapshot.is_at_exit(),
        roots: snapshot.roots().iter().map(|it| it.to_string()).collect(),
        truncated_stacks: health.truncated_stacks,
        broken_stacks: health.broken_stacks,
        overflowed: health.overflowed,
        skipped: health.skipped,
        unknown_frees: health.unknown_frees,
        lost_blocks: health.lost_blocks,
        unnamed: false,
        mean_ages: snapshot.about.unknown.spread_of_ages,
        ..Extension::default()
    }
    .with_residence(snapshot.residence())
    .with_run(snapshot.about.run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::frame::Name;
    use crate::{Counters, Traceback};

    /// Each function has its name and its linker symbol.
    #[test]
    fn functions_have_their_linker_symbols() {
        let frame = |name: &str, mangled: Option<&str>| {
            let name = Name::from(name).with_mangled(mangled.map(Into::into));
            Frame::within(crate::stack::frame::Function::new(Some(name), None), 1, 1)
        };
        let frames = vec![
            frame("<demo::Key<u8> as demo::T>::new", Some("_RNvXCs0_4demo")),
            frame("<demo::Key<u8> as demo::T>::old", None),
            frame("demo::main", None),
            frame("main", None),
        ];
        let trace = Trace::new(Traceback::new(frames), Counters::default());
        let profile = Builder::default().profile(&Snapshot::from_traces(vec![trace], 32));
        let text = |at: i64| profile.string_table[at as usize].as_str();
        let functions = profile.function.iter();
        let names: Vec<(&str, &str)> = functions
            .map(|it| (text(it.name), text(it.system_name)))
            .collect();
        assert_eq!(
            names,
            [
                ("<demo::Key<u8> as demo::T>::new", "_RNvXCs0_4demo"),
                ("<demo::Key<u8> as demo::T>::old", ""),
                ("demo::main", ""),
                ("main", "main"),
            ]
        );
    }
}
