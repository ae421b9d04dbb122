//! Writes a snapshot with addresses to a file.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::pages::{NoMemory, Pages};
use super::raw::{Callsite, Freed, Lifetimes, RawFile, Segment, Summary, Text};
use super::reserve::Reserve;
use crate::Counters;
use crate::error::Error;
use crate::file::known;
use crate::snapshot::{About, Snapshot};

/// The file of a snapshot that was taken in this process, or loaded without names.
pub(in crate::file) fn of_snapshot(snapshot: &Snapshot) -> Result<Pages<u8>, Error> {
    let _reserve = Reserve::take().ok_or(NoMemory)?;
    let recorded = snapshot.recorded();
    let About {
        duration,
        run,
        taken_at,
        process_id,
        is_at_exit,
        program,
        command_line,
        modules,
        metadata,
        unknown,
    } = &snapshot.about;
    let counters = recorded.callsites.iter().map(|it| &it.counters);
    let mut file = RawFile::with_types(known(unknown, counters))?;
    let mut names = Names::default();
    let mut freed_by = Pages::new();
    for callsite in &recorded.callsites {
        let thread = names.number(callsite.thread.as_deref(), &mut file)?;
        let label = names.number(callsite.label.as_deref(), &mut file)?;
        let lifetimes = callsite.lifetimes.as_deref();
        let lifetimes = lifetimes.map(|it| (it.unit(), it.buckets()));
        freed_by.clear();
        for freed in callsite.freed_by.iter().flat_map(|it| it.iter()) {
            let mut text = |name| names.number(name, &mut file);
            freed_by.push(Freed {
                label: text(freed.label.as_deref())?.unwrap_or(Text::EMPTY),
                thread: text(freed.thread.as_deref())?.unwrap_or(Text::EMPTY),
                amount: freed.amount,
            })?;
        }
        file.callsite(Callsite {
            stack: &recorded.addresses[callsite.stack.clone()],
            stack_end: callsite.stack_end,
            counters: callsite.counters,
            before: Counters::default(),
            domain: callsite.domain,
            thread,
            label,
            size_class: callsite.size_class.map(|it| it.get()),
            slack: callsite.slack,
            pinned: callsite.pinned,
            lifetimes: lifetimes.as_ref().map(|(unit, [freed, live])| Lifetimes {
                unit: *unit,
                freed: (&freed.0, &freed.1),
                live: (&live.0, &live.1),
            }),
            freed_by: callsite.freed_by.as_ref().map(|_| &freed_by[..]),
        })?;
    }
    for module in modules {
        file.module(Segment {
            start: module.start,
            end: module.end,
            file_offset: module.file_offset,
            path: module.path.as_bytes(),
            build_id: module.build_id.as_bytes(),
        })?;
    }
    let summary = Summary {
        nanoseconds: nanoseconds(*taken_at),
        run: *run,
        duration: duration.as_nanos().try_into().unwrap_or(i64::MAX),
        shows_allocated: false,
        process_id: *process_id,
        at_exit: *is_at_exit,
        heap: recorded.heap,
        traceback_limit: recorded.traceback_limit,
        sampled_every: recorded.sampling.map_or(0, |it| it.bytes()),
        health: recorded.health,
        residence: recorded.residence,
    };
    Ok(file.finish(
        &summary,
        program.as_bytes(),
        command_line.iter().map(|it| it.as_bytes()),
        metadata.iter().map(|(key, value)| (&**key, &**value)),
    )?)
}

/// The names of threads and labels that are in the file.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, Text>);

impl<'a> Names<'a> {
    fn number(&mut self, name: Option<&'a str>, file: &mut RawFile) -> Result<Option<Text>, Error> {
        let Some(name) = name else { return Ok(None) };
        if let Some(known) = self.0.get(name) {
            return Ok(Some(*known));
        }
        let text = file.text(name.as_bytes())?;
        self.0.try_reserve(1)?;
        self.0.insert(name, text);
        Ok(Some(text))
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}
