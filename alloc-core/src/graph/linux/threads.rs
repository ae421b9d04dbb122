//! Stops all other threads by a signal, so that their registers are in memory.
//!
//! The handler notes where the registers are, acknowledges, and waits until the threads are
//! released. Signals stay installed: a thread that blocks them takes one later, and the default
//! action would end the process.

use std::ffi::c_void;
use std::time::{Duration, Instant};

use super::machine::thread_pointer;
use crate::Error;
use crate::system::arena::{LazyTable, Zeroed};
use crate::system::hooks::{self, ThreadId};
use crate::system::signal_mask::stop_signal;
use crate::system::sync::{AtomicI32, AtomicU32, AtomicUsize, Ordering::*};

/// A thread that has stopped, as its handler noted it.
pub(super) struct Stopped {
    /// Zero until the other two are written.
    id: AtomicI32,
    /// Where its `ucontext_t` is.
    pub(super) context: AtomicUsize,
    pub(super) thread_pointer: AtomicUsize,
    /// A thread that a signal was sent to, zero, or [`GONE`]. NOTE: not of the same thread.
    sent_to: AtomicI32,
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for Stopped {}

/// A thread that ended before it took the signal.
const GONE: ThreadId = -1;

/// How long to wait for one more thread before looking for those that have ended.
const PATIENCE: Duration = Duration::from_millis(2);

/// The most threads that are stopped.
const MOST: usize = 1 << 16;

static STOPPED: LazyTable<Stopped, MOST> = LazyTable::new();

/// Odd while threads are to stand still.
static ROUND: AtomicU32 = AtomicU32::new(0);
/// Number of threads that have taken a place, and that have acknowledged.
static TAKEN: AtomicU32 = AtomicU32::new(0);
static ACKNOWLEDGED: AtomicU32 = AtomicU32::new(0);

/// The signal, once its handler is installed.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Installs the handler, once, of a real-time signal that the program does not use.
pub(super) fn prepare() -> Result<(), Error> {
    STOPPED
        .get_or_reserve()
        .ok_or_else(|| Error::out_of_memory("the list of threads"))?;
    if SIGNAL.load(Relaxed) != 0 {
        return Ok(());
    }
    let others = (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev();
    let free = std::iter::once(stop_signal())
        .chain(others)
        .find(|signal| is_free(*signal));
    let installed = free.filter(|signal| install(*signal));
    let signal = installed.ok_or_else(|| {
        std::io::Error::other("expected a real-time signal without a handler, found none")
    })?;
    SIGNAL.store(signal, Relaxed);
    Ok(())
}

fn is_free(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a query; `action` has room for the answer.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0;
    // SAFETY: zeroed, which is valid for all fields, or filled in by the system.
    !failed && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

fn install(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zero is valid for all fields: no handler, no flags, an empty set.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = on_stop as *const () as usize;
    // On the alternate stack, if there is one: the stack of a coroutine may be small.
    action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the set is the action's own. No other handler runs on top of this one.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    // SAFETY: `SA_SIGINFO` matches the type of the handler, which is async-signal-safe.
    unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) == 0 }
}

extern "C" fn on_stop(_: libc::c_int, _: *const c_void, context: *const c_void) {
    let round = ROUND.load(SeqCst);
    if round.is_multiple_of(2) {
        // A signal of an earlier round, which this thread had blocked.
        return;
    }
    let errno = hooks::errno();
    let place = TAKEN.fetch_add(1, Relaxed) as usize;
    if let Some(own) = STOPPED.get().and_then(|all| all.get(place)) {
        own.context.store(context.addr(), Relaxed);
        own.thread_pointer.store(thread_pointer(), Relaxed);
        // The release publishes both to the acquire in `id`.
        own.id.store(hooks::thread_id(), Release);
    }
    ACKNOWLEDGED.fetch_add(1, SeqCst);
    wake(&ACKNOWLEDGED);
    while ROUND.load(SeqCst) == round {
        wait_for(&ROUND, round, Duration::from_secs(1));
    }
    hooks::set_errno(errno);
}

impl Stopped {
    /// The thread; `None` if its handler has not noted everything.
    pub(super) fn id(&self) -> Option<ThreadId> {
        let id = self.id.load(Acquire);
        (id != 0).then_some(id)
    }
}

/// Stops all threads but the calling one, until [`release`]. Allocates nothing.
///
/// A thread that started another one before it stopped has it listed by then, so the list is read
/// until nothing is new in it. Those that have not stopped at the deadline are [`missed`].
pub(super) fn stop(deadline: Duration) {
    let Some(all) = STOPPED.get() else {
        return;
    };
    let until = Instant::now() + deadline;
    forget_last(all);
    ROUND.fetch_add(1, SeqCst);
    let (mut listed, mut expected) = (0, 0);
    loop {
        let sent = signal_new(all, &mut listed);
        if sent == 0 {
            return;
        }
        expected += sent;
        loop {
            let acknowledged = ACKNOWLEDGED.load(SeqCst);
            if acknowledged >= expected {
                break;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            wait_for(&ACKNOWLEDGED, acknowledged, left.min(PATIENCE));
            if ACKNOWLEDGED.load(SeqCst) == acknowledged {
                expected -= forget_gone(&all[..listed]);
            }
        }
    }
}

/// Forgets the threads of the last round, so that none of them counts as stopped or missed.
pub(super) fn forget() {
    if let Some(all) = STOPPED.get() {
        forget_last(all);
    }
}

fn forget_last(all: &[Stopped; MOST]) {
    let taken = TAKEN.load(Relaxed) as usize;
    all.iter()
        .take(taken)
        .for_each(|it| it.id.store(0, Relaxed));
    let was_listed = |it: &&Stopped| it.sent_to.load(Relaxed) != 0;
    let listed = all.iter().take_while(was_listed);
    listed.for_each(|it| it.sent_to.store(0, Relaxed));
    TAKEN.store(0, Relaxed);
    ACKNOWLEDGED.store(0, Relaxed);
}

/// Forgets threads that ended before they took the signal. Returns how many.
fn forget_gone(listed: &[Stopped]) -> u32 {
    let mut gone = 0;
    for place in listed {
        let id = place.sent_to.load(Relaxed);
        if id != GONE && hooks::is_gone(id) {
            place.sent_to.store(GONE, Relaxed);
            gone += 1;
        }
    }
    gone
}

/// Lets the stopped threads go on.
pub(super) fn release() {
    ROUND.fetch_add(1, SeqCst);
    wake(&ROUND);
}

/// The threads that have stopped.
pub(super) fn stopped() -> impl Iterator<Item = (ThreadId, &'static Stopped)> {
    let all = STOPPED.get().map_or(&[][..], |all| &all[..]);
    let taken = TAKEN.load(Relaxed) as usize;
    all.iter().take(taken).filter_map(|it| Some((it.id()?, it)))
}

/// The threads that a signal was sent to and that have not stopped.
pub(super) fn missed() -> impl Iterator<Item = ThreadId> {
    let all = STOPPED.get().map_or(&[][..], |all| &all[..]);
    let sent_to = all.iter().map(|it| it.sent_to.load(Relaxed));
    let has_stopped = |id: &ThreadId| stopped().any(|(stopped, _)| stopped == *id);
    sent_to
        .take_while(|id| *id != 0)
        .filter(move |id| *id != GONE && !has_stopped(id))
}

/// Sends the signal to each thread that is not listed yet, and lists it. Returns to how many.
fn signal_new(all: &[Stopped; MOST], listed: &mut usize) -> u32 {
    // SAFETY: the path ends in a NUL byte.
    let folder = unsafe {
        libc::open(
            c"/proc/self/task".as_ptr(),
            libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
    };
    let own = hooks::thread_id();
    // SAFETY: the call takes no arguments.
    let process = unsafe { libc::getpid() };
    let mut sent = 0;
    for_each_number(folder, |id| {
        let is_known = |it: &Stopped| it.sent_to.load(Relaxed) == id;
        if id == own || *listed == MOST || all[..*listed].iter().any(is_known) {
            return;
        }
        // SAFETY: the arguments are numbers. The signal has a handler.
        let result = unsafe { libc::syscall(libc::SYS_tgkill, process, id, SIGNAL.load(Relaxed)) };
        // NOTE: it fails if the thread has ended.
        if result == 0 {
            all[*listed].sent_to.store(id, Relaxed);
            *listed += 1;
            sent += 1;
        }
    });
    // SAFETY: the descriptor was opened above, or is invalid, which is an error.
    unsafe { libc::close(folder) };
    sent
}

/// Passes each name in a folder that is a number to `each`.
fn for_each_number(folder: libc::c_int, mut each: impl FnMut(ThreadId)) {
    /// The length of a `linux_dirent64` is at 16, its name at 19.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let mut buffer = [0_u8; 4096];
    loop {
        // SAFETY: `buffer` has room for that many bytes.
        let read = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                folder,
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        let Some(mut rest) = usize::try_from(read)
            .ok()
            .and_then(|read| buffer.get(..read))
        else {
            return;
        };
        if rest.is_empty() {
            return;
        }
        while let Some((head, name)) = rest.split_at_checked(NAME) {
            let length = usize::from(u16::from_ne_bytes([head[LENGTH], head[LENGTH + 1]]));
            let digits = name.iter().take_while(|byte| byte.is_ascii_digit());
            let number = digits.fold(0, |number: ThreadId, digit| {
                number
                    .wrapping_mul(10)
                    .wrapping_add(ThreadId::from(digit - b'0'))
            });
            if number > 0 {
                each(number);
            }
            rest = rest.get(length.max(NAME)..).unwrap_or_default();
        }
    }
}

fn wait_for(word: &AtomicU32, value: u32, at_most: Duration) {
    let time = libc::timespec {
        tv_sec: at_most.as_secs() as libc::time_t,
        tv_nsec: at_most.subsec_nanos().into(),
    };
    // SAFETY: the word and the time live during the call. Whatever wakes it, the caller looks
    // again.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            &raw const time,
        );
    }
}

fn wake(word: &AtomicU32) {
    // SAFETY: the call only looks for threads that wait for the word.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            i32::MAX,
        );
    }
}
