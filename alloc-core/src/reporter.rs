//! The thread that writes snapshots while the program runs, where the environment asks for that.
//!
//! It stands [apart](crate::apart): nothing that it allocates is recorded, and it is not one of the threads among which the heap's peak is divided. A fork takes no
//! threads along, so the child starts its own.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::error::Error;
use crate::file::{self, Names};
use crate::signals::Signal;
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crate::template::Template;
use crate::{apart, control, hooks, recorded, thread};

/// What the thread is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// A numbered snapshot each time that this has passed.
    pub(crate) every: Option<Duration>,
    /// A numbered snapshot on this signal.
    pub(crate) signal: Option<Signal>,
    /// The heap's numbers, ten times a second.
    pub(crate) live: Option<Template>,
    /// Where snapshots go.
    pub(crate) out: Option<Template>,
}

static ORDER: OnceLock<Order> = OnceLock::new();
static AT_EXIT: OnceLock<Template> = OnceLock::new();
/// How many numbered snapshots there are.
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// Held while one is written, so that the process does not end in the middle of it.
static WRITING: Mutex<()> = Mutex::new(());
/// Whether the process is at its end. Guarded by the lock.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Takes note of what is to be done while the program runs, and of whether a snapshot is to be written at its
/// end. Does not allocate. `false` where the system refuses to call us at the end.
pub(crate) fn order(order: Order) -> bool {
    file::begin();
    if order.every.is_some() || order.signal.is_some() || order.live.is_some() {
        let _ = ORDER.set(order);
    }
    if let Some(out) = order.out {
        let _ = AT_EXIT.set(out);
    }
    (ORDER.get().is_none() && order.out.is_none()) || hooks::call_at_exit(at_exit)
}

/// Starts the thread if there is something to do: once in each process, when no lock is held.
pub(crate) fn start() {
    let Some(order) = ORDER.get() else {
        return;
    };
    if !apart::start(serve, order.signal) {
        hooks::write_to_stderr(&["alloc-core: the system refused a thread to write snapshots\n"]);
    }
}

/// Waits until no snapshot is being written, and keeps it so for as long as a fork takes: whoever writes
/// holds locks of many libraries.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn at_exit() {
    if let Some(&out) = AT_EXIT.get() {
        // The path and what the writer needs are not the program's.
        let _muted = thread::mute();
        let written = write(|process, number| out.last(process, number));
        if let Err(error) = written {
            hooks::write_to_stderr(&[
                "alloc-core: ALLOC_TRACE_OUT: no snapshot written: ",
                &error,
                "\n",
            ]);
        }
    }
    // Waits for one that is being written; none is begun any more, since it would be cut off.
    let _writing = hold();
    HAS_ENDED.store(true, Ordering::Relaxed);
}

/// Writes a snapshot to what `path` says for this process and for so many numbered snapshots.
fn write(path: impl FnOnce(u32, u32) -> std::path::PathBuf) -> Result<(), String> {
    // A panic must not cross into the C library.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _writing = hold();
        if HAS_ENDED.load(Ordering::Relaxed) {
            return Ok(());
        }
        let number = NUMBER.load(Ordering::Relaxed);
        if !file::has_memory() {
            hooks::write_to_stderr(&[
                "alloc-core: no snapshot written: the system gave no memory for it\n",
            ]);
            return Ok(());
        }
        let path = path(std::process::id(), number);
        match file::dump_process(&path, Names::Addresses) {
            Ok(None) => Ok(()),
            Ok(Some(warning)) => {
                let path = path.to_string_lossy();
                hooks::write_to_stderr(&["alloc-core: ", &path, ": ", warning, "\n"]);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }));
    result.unwrap_or_else(|_| Err("a panic while writing it".to_owned()))
}

fn write_numbered(out: Template) {
    if !control::is_on() {
        return;
    }
    let written = write(|process, before| {
        NUMBER.store(before + 1, Ordering::Relaxed);
        out.numbered(process, before + 1)
    });
    if let Err(error) = written {
        hooks::write_to_stderr(&["alloc-core: no snapshot written: ", &error, "\n"]);
    }
}

/// The thread. `wait` waits so long at most, or until the signal came, which it then says.
fn serve(wait: &dyn Fn(Option<Duration>) -> bool) {
    let Some(order) = ORDER.get() else {
        return;
    };
    let out = order.out.unwrap_or(Template::NUMBERED);
    let mut snapshots = order.every.map(Clock::new);
    let mut live = order.live.and_then(Live::open);
    loop {
        let next = [
            snapshots.as_ref().map(Clock::left),
            live.as_ref().map(|it| it.clock.left()),
        ];
        let signalled = wait(next.into_iter().flatten().min());
        let is_due = snapshots.as_mut().is_some_and(Clock::is_due);
        if signalled || is_due {
            write_numbered(out);
        }
        if let Some(live) = &mut live
            && live.clock.is_due()
        {
            live.append();
        }
    }
}

/// Says when something is to be done that is done again and again.
struct Clock {
    every: Duration,
    next: Instant,
}

impl Clock {
    fn new(every: Duration) -> Clock {
        Clock {
            every,
            next: Instant::now() + every,
        }
    }

    fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Whether it is time. What was missed is left out.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = now >= self.next;
        while self.next <= now {
            self.next += self.every;
        }
        is_due
    }
}

/// A file to which the heap's numbers are added, for whoever follows it.
struct Live {
    file: File,
    clock: Clock,
    rows: u32,
}

impl Live {
    /// How often a row is added, and with how many the totals, which take longer.
    const EVERY: Duration = Duration::from_millis(100);
    const ROWS_WITHOUT_TOTALS: u32 = 10;

    fn open(path: Template) -> Option<Live> {
        let path = path.last(std::process::id(), 0);
        match File::create(&path) {
            Ok(file) => Some(Live {
                file,
                clock: Clock::new(Live::EVERY),
                rows: 0,
            }),
            Err(error) => {
                let error = Error::from(error).about("cannot write", &path).to_string();
                hooks::write_to_stderr(&["alloc-core: ALLOC_TRACE_LIVE: ", &error, "\n"]);
                None
            }
        }
    }

    /// Seconds since 1970, heap, peak, and now and then the bytes and blocks ever allocated.
    fn append(&mut self) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.unwrap_or_default().as_secs_f64();
        let memory = control::traced_memory();
        let (current, peak) = (memory.current.get(), memory.peak.get());
        let with_totals = self.rows.is_multiple_of(Live::ROWS_WITHOUT_TOTALS);
        let total = with_totals.then(recorded::total).and_then(Result::ok);
        let total = total.map_or(",".to_owned(), |it| {
            format!("{},{}", it.bytes.get(), it.blocks)
        });
        // Whoever followed it may be gone.
        let _ = self
            .file
            .write_all(format!("{seconds:.3},{current},{peak},{total}\n").as_bytes());
        self.rows += 1;
    }
}
