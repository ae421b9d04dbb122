//! Writes the tables of this process to a file, with minimal memory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Moment, Reserve};
use crate::capture::modules::{LONGEST_PATH, program};
use crate::process::read_tables::{Seen, Whole, read_tables};
use crate::process::residence::PinnedPages;
use crate::process::{modules, run};
use crate::snapshot::file::{
    Callsite, Freed, Lifetimes, NoMemory, Pages, RawFile, Segment, Summary, Text,
};
use crate::tables::labels::LabelId;
use crate::tables::thread_name::{ThreadName, bytes_of};
use crate::{Counters, Error, Pinned, Residence};

/// Builds a file from the current tables. Only one stack at a time is on the heap.
///
/// Passes the callsite of each sample to `each`, in order.
pub(super) fn of_tables(
    moment: Moment,
    pages: Option<&PinnedPages>,
    metadata: &[(&str, &str)],
    each: &mut dyn FnMut(u32),
) -> Result<Pages<u8>, Error> {
    let _reserve = Reserve::take().ok_or(NoMemory)?;
    let mut file = TablesFile::begin(RawFile::new()?)?;
    let whole = read_tables(|seen| {
        each(seen.id.get());
        file.add(&seen, Counters::default(), pages.map(|it| it.of(seen.id)))
    })?;
    file.finish(
        &whole,
        About {
            moment,
            residence: pages.map(|it| it.residence),
            metadata,
            ..About::default()
        },
    )
}

/// What a file is about, besides the tables.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) moment: Moment,
    /// How long the time is that the file is about; zero for a single moment.
    pub(super) duration: Duration,
    /// Whether readers show first what was allocated, and not what is live.
    pub(super) shows_allocated: bool,
    /// Where the resident memory goes, if it was asked for.
    pub(super) residence: Option<Residence>,
    /// The snapshot's metadata: keys and values.
    pub(super) metadata: &'a [(&'a str, &'a str)],
}

/// A file to which the callsites of this process are added.
pub(super) struct TablesFile {
    file: RawFile,
    /// The numbers of names in the file. Zero means that the name is not in the file yet: it is the
    /// number of the empty string.
    threads: Pages<i64>,
    labels: Pages<i64>,
    freed_by: Pages<Freed>,
}

impl TablesFile {
    pub(super) fn begin(file: RawFile) -> Result<TablesFile, NoMemory> {
        Ok(TablesFile {
            file,
            threads: Pages::zeroed(ThreadName::NUMBERS)?,
            labels: Pages::zeroed(LabelId::NUMBERS)?,
            freed_by: Pages::new(),
        })
    }

    /// Adds a callsite, less what was counted there `before`.
    pub(super) fn add(
        &mut self,
        seen: &Seen<'_>,
        before: Counters,
        pinned: Option<Pinned>,
    ) -> Result<(), Error> {
        let thread = self.of_thread(seen.tag.thread)?;
        let label = self.of_label(seen.tag.label)?;
        self.freed_by.clear();
        for freed in seen.freed_by.into_iter().flatten() {
            let freed = Freed {
                label: self.of_label(freed.by.label)?,
                thread: self.of_thread(freed.by.thread)?,
                amount: freed.amount,
            };
            self.freed_by.push(freed)?;
        }
        self.file.callsite(Callsite {
            stack: seen.stack,
            stack_end: seen.stack_end,
            counters: seen.counters,
            before,
            domain: seen.tag.domain,
            thread: Text::from_number(thread.number()),
            label: Text::from_number(label.number()),
            size_class: seen.tag.size.largest(),
            slack: seen.slack,
            pinned,
            lifetimes: seen.lifetimes.map(|it| Lifetimes {
                unit: it.unit,
                freed: (&it.freed.times, &it.freed.bytes),
                live: (&it.live.times, &it.live.bytes),
            }),
            freed_by: seen.freed_by.map(|_| &self.freed_by[..]),
        })?;
        Ok(())
    }

    fn of_thread(&mut self, thread: ThreadName) -> Result<Text, NoMemory> {
        let known = &mut self.threads[thread.number()];
        if *known == 0
            && let Some(name) = thread.name()
        {
            *known = self.file.text(bytes_of(&name))?.number();
        }
        Ok(Text::from_number(*known).unwrap_or(Text::EMPTY))
    }

    fn of_label(&mut self, label: LabelId) -> Result<Text, NoMemory> {
        let known = &mut self.labels[label.get() as usize];
        if *known == 0
            && let Some(path) = label.path()
        {
            *known = self.file.text(path.as_bytes())?.number();
        }
        Ok(Text::from_number(*known).unwrap_or(Text::EMPTY))
    }

    /// Adds the modules and what there is besides callsites, and returns the file.
    pub(super) fn finish(mut self, whole: &Whole, about: About<'_>) -> Result<Pages<u8>, Error> {
        let mut failed = None;
        modules::for_each(&mut |module| {
            let mut build_id = [0; 128];
            let written = self.file.module(Segment {
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
            run: run(),
            duration: i64::try_from(about.duration.as_nanos()).unwrap_or(i64::MAX),
            shows_allocated: about.shows_allocated,
            process_id: std::process::id(),
            at_exit: about.moment == Moment::Exit,
            heap: whole.heap,
            traceback_limit: whole.traceback_limit,
            sampled_every: whole.sampling.map_or(0, |it| it.bytes()),
            health: whole.health,
            residence: about.residence,
        };
        let mut place = [0; LONGEST_PATH];
        let arguments = arguments()?;
        Ok(self.file.finish(
            &summary,
            program(&mut place),
            arguments
                .split_inclusive(|&byte| byte == 0)
                .map(|it| &it[..it.len() - 1]),
            about.metadata.iter().copied(),
        )?)
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}

/// Returns the command line of this process. Each argument ends with a zero.
pub(crate) fn arguments() -> Result<Pages<u8>, NoMemory> {
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
