//! Writes the tables of this process to a file, with minimal memory.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Moment, Reserve};
use crate::Error;
use crate::capture::modules::{LONGEST_PATH, program};
use crate::process::modules;
use crate::process::read_tables::read_tables;
use crate::snapshot::file::{
    Callsite, Freed, Lifetimes, NoMemory, Pages, RawFile, Segment, Summary, Text,
};
use crate::tables::labels::LabelId;
use crate::tables::thread_name::{ThreadName, bytes_of};

/// Builds a file from the current tables. Only one stack at a time is on the heap.
pub(super) fn of_tables(moment: Moment) -> Result<Pages<u8>, Error> {
    let _reserve = Reserve::take().ok_or(NoMemory)?;
    let mut file = RawFile::new()?;
    // Zero means that the name is not in the file yet: it is the number of the empty string.
    let mut threads = Pages::<i64>::zeroed(ThreadName::NUMBERS)?;
    let mut labels = Pages::<i64>::zeroed(LabelId::NUMBERS)?;
    let mut freed_by = Pages::new();
    let whole = read_tables(|seen| {
        let mut of_thread = |thread: ThreadName, file: &mut RawFile| -> Result<Text, Error> {
            let known = &mut threads[thread.number()];
            if *known == 0
                && let Some(name) = thread.name()
            {
                *known = file.text(bytes_of(&name))?.number();
            }
            Ok(Text::from_number(*known).unwrap_or(Text::EMPTY))
        };
        let mut of_label = |label: LabelId, file: &mut RawFile| -> Result<Text, Error> {
            let known = &mut labels[label.get() as usize];
            if *known == 0
                && let Some(path) = label.path()
            {
                *known = file.text(path.as_bytes())?.number();
            }
            Ok(Text::from_number(*known).unwrap_or(Text::EMPTY))
        };
        let thread = of_thread(seen.tag.thread, &mut file)?;
        let label = of_label(seen.tag.label, &mut file)?;
        freed_by.clear();
        for freed in seen.freed_by.into_iter().flatten() {
            freed_by.push(Freed {
                label: of_label(freed.by.label, &mut file)?,
                thread: of_thread(freed.by.thread, &mut file)?,
                amount: freed.amount,
            })?;
        }
        file.callsite(Callsite {
            stack: seen.stack,
            stack_end: seen.stack_end,
            counters: seen.counters,
            domain: seen.tag.domain,
            thread: Text::from_number(thread.number()),
            label: Text::from_number(label.number()),
            size_class: seen.tag.size.largest(),
            slack: seen.slack,
            lifetimes: seen.lifetimes.map(|it| Lifetimes {
                unit: it.unit,
                freed: (&it.freed.times, &it.freed.bytes),
                live: (&it.live.times, &it.live.bytes),
            }),
            freed_by: seen.freed_by.map(|_| &freed_by[..]),
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
        program(&mut place),
        arguments
            .split_inclusive(|&byte| byte == 0)
            .map(|it| &it[..it.len() - 1]),
        std::iter::empty(),
    )?)
}

fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}

/// Returns the command line of this process. Each argument ends with a zero.
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
    // The file is not there, as after `chroot`.
    for argument in std::env::args_os() {
        arguments.extend(argument.as_encoded_bytes())?;
        arguments.push(0)?;
    }
    Ok(arguments)
}
