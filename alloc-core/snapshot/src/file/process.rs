//! From the tables of this process to a file, with as little as can be beside them.

use std::time::{SystemTime, UNIX_EPOCH};

use super::pages::{NoMemory, Pages};
use super::raw::{Callsite, RawFile, Segment, Summary, Text};
use super::{Moment, Reserve};
use crate::error::Error;
use crate::modules::{self, LONGEST_PATH};
use crate::recorded;
use crate::snapshot::{About, Snapshot};
use crate::tables::label::{ThreadName, bytes_of};

/// A file of what the tables hold now. Nothing is on the heap but a stack at a time.
pub(super) fn of_tables(moment: Moment) -> Result<Pages<u8>, Error> {
    let _reserve = Reserve::take().ok_or(NoMemory)?;
    let mut file = RawFile::new()?;
    // Zero is the empty string, which is no thread's name.
    let mut threads = Pages::<i64>::zeroed(ThreadName::NUMBERS)?;
    let whole = recorded::read_tables(|seen| {
        let place = &mut threads[seen.label.thread.number()];
        if *place == 0
            && let Some(name) = seen.label.thread.name()
        {
            *place = file.thread(bytes_of(&name))?.number();
        }
        file.callsite(Callsite {
            stack: seen.stack,
            stack_end: seen.stack_end,
            counters: seen.counters,
            domain: seen.label.domain,
            thread: Text::from_number(*place),
            size_class: seen.label.size.largest(),
        })?;
        Ok(())
    })?;

    let mut failed = None;
    modules::for_each(&mut |module| {
        let mut build_id = [0; 128];
        let written = file.module(Segment {
            start: module.start,
            end: module.end,
            file_offset: module.file_offset,
            path: module.path,
            build_id: module.write_build_id(&mut build_id),
        });
        failed = failed.or(written.err());
    });
    failed.map_or(Ok(()), Err)?;

    let summary = Summary {
        nanoseconds: nanoseconds(SystemTime::now()),
        process_id: std::process::id(),
        at_exit: moment == Moment::Exit,
        heap: whole.heap,
        traceback_limit: whole.traceback_limit,
        sampled_every: whole.sampling.map_or(0, |it| it.bytes()),
        health: whole.health,
    };
    let mut place = [0; LONGEST_PATH];
    let arguments = arguments()?;
    Ok(file.finish(
        &summary,
        modules::program(&mut place),
        arguments
            .split_inclusive(|&byte| byte == 0)
            .map(|it| &it[..it.len() - 1]),
        std::iter::empty(),
    )?)
}

/// A file of what a snapshot holds that was taken in this process, or loaded without names.
pub(super) fn of_snapshot(snapshot: &Snapshot) -> Result<Pages<u8>, Error> {
    let _reserve = Reserve::take().ok_or(NoMemory)?;
    let recorded = snapshot.recorded();
    let About {
        taken_at,
        process_id,
        is_at_exit,
        program,
        command_line,
        modules,
        metadata,
        ..
    } = &snapshot.about;
    let mut file = RawFile::new()?;
    let mut threads: Vec<(&str, Text)> = Vec::new();
    for callsite in &recorded.callsites {
        let thread = match callsite.thread.as_deref() {
            None => None,
            Some(name) => Some(match threads.iter().find(|it| it.0 == name) {
                Some(known) => known.1,
                None => {
                    let text = file.thread(name.as_bytes())?;
                    threads.try_reserve(1)?;
                    threads.push((name, text));
                    text
                }
            }),
        };
        file.callsite(Callsite {
            stack: &recorded.addresses[callsite.stack.clone()],
            stack_end: callsite.stack_end,
            counters: callsite.counters,
            domain: callsite.domain,
            thread,
            size_class: callsite.size_class.map(|it| it.get()),
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
        process_id: *process_id,
        at_exit: *is_at_exit,
        heap: recorded.heap,
        traceback_limit: recorded.traceback_limit,
        sampled_every: recorded.sampling.map_or(0, |it| it.bytes()),
        health: recorded.health,
    };
    Ok(file.finish(
        &summary,
        program.as_bytes(),
        command_line.iter().map(|it| it.as_bytes()),
        metadata.iter().map(|(key, value)| (&**key, &**value)),
    )?)
}

fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}

/// The arguments of this process, its own name first, each with a zero after it.
fn arguments() -> Result<Pages<u8>, NoMemory> {
    let mut arguments = Pages::new();
    #[cfg(target_os = "linux")]
    {
        let mut added = Ok(());
        let whole = crate::system::hooks::read_file(c"/proc/self/cmdline", |byte| {
            if added.is_ok() {
                added = arguments.push(byte);
            }
        });
        added?;
        if whole {
            if arguments.last().is_some_and(|&byte| byte != 0) {
                arguments.push(0)?;
            }
            return Ok(arguments);
        }
        arguments.clear();
    }
    // Where there is no such file, as after `chroot`.
    for argument in std::env::args_os() {
        arguments.extend(argument.as_encoded_bytes())?;
        arguments.push(0)?;
    }
    Ok(arguments)
}
