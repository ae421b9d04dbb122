//! What a traced program can be asked for by its environment.
//!
//! A program that has [`TraceAlloc`](crate::TraceAlloc) as its global allocator reads these variables at
//! its very first allocation, before `main`:
//!
//! ```text
//! ALLOC_TRACE=FRAMES           Trace from the first allocation on, keeping so many frames of each stack:
//!                              1 to 1000; 128 is usual, 1 is the line alone. 0: do not trace, whatever
//!                              else is said.
//! ALLOC_TRACE_SAMPLE=BYTES     Trace a sample: a block every so many bytes, with estimates for all;
//!                              1 to 64MiB, as 524288 or 512KiB. With 128 frames, unless ALLOC_TRACE
//!                              says otherwise.
//! ALLOC_TRACE_THREADS=1        Tell threads apart by their names, for alloc-report --by thread.
//! ALLOC_TRACE_SIZES=1          Class blocks by their own size, for alloc-report --by size-class.
//! ALLOC_TRACE_EXACT_PEAK=1     Have the heap's peak exact where several threads allocate at once.
//!                              Each allocation and each free costs more.
//! ALLOC_TRACE_MAX_CALLSITES=N  Tell so many callsites apart: 1 to 1048576; 262144 is the default.
//! ALLOC_TRACE_OUT=PATH         Write a snapshot when the process ends.
//! ALLOC_TRACE_EVERY=SECONDS    Write a numbered snapshot each time that so many seconds have passed:
//!                              0.01 to 1000000.
//! ALLOC_TRACE_SIGNAL=NAME      Write a numbered snapshot when this signal comes: USR1, USR2, HUP, QUIT,
//!                              ALRM, WINCH, URG, IO or PROF. Standard error says where it went.
//! ALLOC_TRACE_KEEP=N           Keep the newest so many of a process's numbered snapshots, and
//!                              remove the others that it wrote: 1 to 1000000. All are kept
//!                              unless it is set.
//! ALLOC_TRACE_NAMES=1          Write snapshots with the names of functions, files and lines, and not with
//!                              addresses that alloc-report names. The process reads its debug information
//!                              each time, which takes time and memory.
//! ALLOC_TRACE_LIVE=PATH        Add a line with the heap's numbers to a file ten times a second:
//!                              seconds since 1970, current, peak, and with every tenth line the bytes and
//!                              blocks ever allocated, and the bytes that the tracer takes up.
//!
//! In a PATH, %p is the process id, %n the number of the snapshot, %t the time in UTC as 20260131T235959Z,
//! %h the host's name, and %% a percent sign. Where a numbered snapshot's path has no %n, the number stands
//! before its extension: heap.pb.gz, heap.0001.pb.gz, heap.0002.pb.gz. Without ALLOC_TRACE_OUT they are
//! alloc-trace-%p-%n.pb.gz.
//!
//! Examples:
//!   ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz ./server
//!   ALLOC_TRACE_SAMPLE=512KiB ALLOC_TRACE_SIGNAL=USR1 ALLOC_TRACE_OUT=/var/tmp/heap-%p.pb.gz ./server
//!   ALLOC_TRACE=128 ALLOC_TRACE_EVERY=60 ALLOC_TRACE_OUT=/var/tmp/%h-%t-%p.pb.gz ./server
//! ```
//!
//! A variable that is empty is as one that is not set. A wrong value ends the program at its start, with
//! status 2 and a message that says what was expected and what was found. A variable that begins
//! with `ALLOC_TRACE` and is none of these is named on standard error, with the one that it is most
//! like; the program goes on.
//!
//! # Who starts tracing
//!
//! `ALLOC_TRACE` and `ALLOC_TRACE_SAMPLE` do. The others have snapshots written whoever starts it; as long as
//! nobody does, nothing is written, which is said at the start. A program that starts tracing
//! itself is spared that message with `ALLOC_TRACE=0`. What the environment started goes before
//! what the program asks [`start_with`](crate::start_with) for.
//!
//! `ALLOC_TRACE_THREADS`, `ALLOC_TRACE_SIZES`, `ALLOC_TRACE_EXACT_PEAK` and
//! `ALLOC_TRACE_MAX_CALLSITES` are of the configuration that these two start with:
//! [`Config::threads`](crate::Config::threads), [`Config::sizes`](crate::Config::sizes),
//! [`Config::exact_peak`](crate::Config::exact_peak) and
//! [`Config::max_callsites`](crate::Config::max_callsites).
//!
//! # Who may ask
//!
//! A program that has rights which the user who starts it has not, since it is installed setuid or setgid, or has
//! capabilities of its file, reads no variable: it could be made to write where only it may write.
//!
//! # Where files are
//!
//! A relative path begins in the folder in which the program began, wherever it goes from there. The variables are
//! read once: a program may change its environment, or write its title over it. After a `chroot` a path means what it
//! means there.
//!
//! A numbered snapshot never replaces a file: a number that is taken is left out. So several processes may have one
//! path, as after a fork, and so may what a process becomes by `exec`, with the same process id. The snapshot at the
//! end replaces a file of its name, unless the path has `%n`: put `%p` into it where there are several processes, and
//! `%t` or `%h` too where process ids come again, as in containers. `%t` is the time at which the snapshot is written.
//! Lines of `ALLOC_TRACE_LIVE` are added to what is in the file, which comes again if it is taken away; `%n` in its path
//! is `0001`.
//!
//! A link is followed, and stays, unless another user put it into a folder that all share. A pipe, a device, a socket
//! or a descriptor of the program, such as `/dev/stdout`, is written through; a pipe that nobody reads is an error. A file
//! keeps its mode, and its owner where that is permitted; a new one has the mode that the umask leaves.
//!
//! A path at which nothing can be written is told on standard error at the program's start, as far
//! as it is known there, and the program goes on: it may make the folder. A file that cannot be
//! written is said there as well, and nothing else changes: no signal comes of it, and nothing is
//! left of it. So is a file that the snapshot at the end replaces, if it was written while the
//! process ran.
//!
//! # What it costs
//!
//! The program's debug information is not read: a file has addresses, and the paths and build ids of the program and its
//! libraries, by which `alloc-report` names them. It takes up about a megabyte while it is written, which then goes back to
//! the system, and some ten milliseconds where there are 20,000 callsites. Where there is no memory for it, or for the
//! tracer's tables at the start, that is said, and the program goes on as it would.
//!
//! # The thread that writes
//!
//! Snapshots by the clock and on a signal, and lines, are written by a thread of the tracer's own. It is not recorded,
//! does not make a program that has one thread one that has two in the tracer's numbers, holds no descriptor between two
//! files, and no signal interrupts it. A snapshot appears whole or not at all; the process does not end in the middle of
//! one. If several signals come while one is written, one more is.
//!
//! What only a process of one thread may do, such as `unshare(CLONE_NEWUSER)`, a program can do before there is such a
//! thread. It starts when it is first needed:
//!
//! - With `ALLOC_TRACE_LIVE`, or an `ALLOC_TRACE_EVERY` of less than a second, before `main`.
//! - With any other `ALLOC_TRACE_EVERY`, when the program allocates or frees something a second after its start. A
//!   program that does neither from then on has no snapshots by the clock until it does: they would all be the same.
//!   In that second each allocation and each free takes a look at the clock.
//! - With `ALLOC_TRACE_SIGNAL`, when the first signal comes. Where the program waits in a system call, for input, for
//!   events or for time to pass, the handler starts the thread at once; else the next allocation or free does, or the
//!   handler, which is called ten times a second until it finds the program waiting. Where that cannot be told apart, which is all but Linux on x86-64 and aarch64, before
//!   `main`.
//! - With either, when a second thread of the program's allocates.
//!
//! The signal interrupts the program as any signal does that is handled with `SA_RESTART`: `read` goes on, `poll` and
//! `nanosleep` return `EINTR`.
//!
//! A program that forbids itself system calls must leave the tracer those that start a thread, and that open, write,
//! link and rename files, or stop tracing before.
//!
//! A fork waits for a snapshot that is being written. The child starts a thread of its own as it is needed there,
//! counted from the fork. A program that handles the signal itself takes it from the tracer; who handled it
//! before, as where a library brings the tracer, is called after it. What a process becomes by
//! `exec` handles the signal only if it has the tracer too: else the signal ends it, or does what is usual.
//!
//! On Windows no variable is read.

mod above;
pub(crate) mod background;
pub(crate) mod clock;
pub(crate) mod live;
pub(crate) mod reach;
pub(crate) mod reporter;
pub(crate) mod retry;
pub(crate) mod signals;
pub(crate) mod startup;
pub(crate) mod template;
pub(crate) mod variables;
pub(crate) mod wake;

pub(crate) use above::{begin, tracer_memory};
