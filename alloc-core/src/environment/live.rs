//! [`Live`]: a file to which the heap's numbers are appended, for a reader that follows it.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::Error;
use crate::environment::clock::Clock;
use crate::environment::template::Template;
use crate::snapshot::file::Reserve;
use crate::{control, process::read_tables, system::hooks};

/// Appends rows to a file.
///
/// The file is opened for each row: the program could close a descriptor that is kept open and
/// reuse its number.
pub(crate) struct Live {
    path: PathBuf,
    pub(crate) clock: Clock,
    rows: u32,
    has_complained: bool,
}

impl Live {
    /// How often a row is appended.
    const EVERY: Duration = Duration::from_millis(100);
    /// How many rows there are for each one with totals and the tracer's memory, which take longer.
    const ROWS_PER_TOTAL: u32 = 10;

    /// Creates the writer. `None` if there is no memory for the path: a failed allocation would end
    /// the program.
    pub(crate) fn new(path: Template) -> Option<Live> {
        if Reserve::take().is_none() {
            hooks::write_to_stderr(&[
                "alloc-core: ALLOC_TRACE_LIVE: no line written: the system gave no memory for it\n",
            ]);
            return None;
        }
        Some(Live {
            path: path.last(std::process::id(), 0),
            clock: Clock::begun(Live::EVERY, Duration::ZERO),
            rows: 0,
            has_complained: false,
        })
    }

    /// Appends a row: seconds since 1970, current and peak bytes, and in some rows the bytes and
    /// blocks allocated in total and the tracer's own bytes.
    pub(crate) fn append(&mut self) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.unwrap_or_default().as_secs_f64();
        let memory = control::traced_memory();
        let (current, peak) = (memory.current.get(), memory.peak.get());
        let with_totals = self.rows.is_multiple_of(Live::ROWS_PER_TOTAL);
        let total = with_totals.then(read_tables::total).and_then(Result::ok);
        // NOTE: on the stack, so that a lack of memory cannot end the program.
        let mut buffer = [0_u8; 160];
        let mut rest = &mut buffer[..];
        let _ = write!(rest, "{seconds:.3},{current},{peak},");
        let _ = match total {
            Some(total) => {
                let own = super::tracer_memory();
                writeln!(rest, "{},{},{}", total.bytes.get(), total.blocks, own.get())
            }
            None => writeln!(rest, ",,"),
        };
        let left = rest.len();
        let row = &buffer[..buffer.len() - left];
        self.rows += 1;
        let written = self.write(row);
        if let (Err(error), false) = (written, self.has_complained) {
            self.has_complained = true;
            if Reserve::take().is_none() {
                hooks::write_to_stderr(&[
                    "alloc-core: ALLOC_TRACE_LIVE: no line written, and no memory to say why\n",
                ]);
                return;
            }
            let error = Error::from(error).about("cannot write", &self.path);
            let error = error.to_string();
            hooks::write_to_stderr(&["alloc-core: ALLOC_TRACE_LIVE: ", &error, "\n"]);
        }
    }

    fn write(&self, row: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        // A pipe without a reader must not block.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            libc::O_NONBLOCK | libc::O_NOCTTY,
        );
        let is_gone = |error: &io::Error| {
            let kind = error.kind();
            matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::WouldBlock) || {
                #[cfg(unix)]
                let nobody_reads = error.raw_os_error() == Some(libc::ENXIO);
                #[cfg(not(unix))]
                let nobody_reads = false;
                nobody_reads
            }
        };
        let written = options
            .open(&self.path)
            .and_then(|mut file| file.write_all(row));
        match written {
            // The reader may be gone or slow.
            Err(error) if is_gone(&error) => Ok(()),
            written => written,
        }
    }
}
