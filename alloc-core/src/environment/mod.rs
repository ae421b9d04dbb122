//! The environment variables that control the tracer.
//!
//! In: environment variables, the clock, signals. Out: tracing from the start, snapshot files.
//! Never: a step of the fast path.
//!
//! A program whose global allocator is [`TraceAlloc`](crate::TraceAlloc) reads these variables at
//! its first allocation, before `main`:
//!
//! ```text
//! ALLOC_TRACE=FRAMES           Trace from the first allocation, with up to FRAMES frames of each
//!                              stack: 1 to 1000. 128 is usual; 1 keeps the line only. 0 turns
//!                              tracing off, whatever else is set.
//! ALLOC_TRACE_SAMPLE=BYTES     Trace a sample: one block every BYTES bytes on average, with
//!                              estimates of the totals. 1 to 64MiB, as 524288 or 512KiB. Uses 128
//!                              frames unless ALLOC_TRACE says otherwise.
//! ALLOC_TRACE_THREADS=1        Group by thread name, for alloc-report --by thread.
//! ALLOC_TRACE_SIZES=1          Class blocks by their own size, for alloc-report --by size-class.
//! ALLOC_TRACE_LIFETIMES=1      Record how long blocks live, for alloc-report lifetimes.
//! ALLOC_TRACE_FREES=1          Count who frees whose memory, for alloc-report frees.
//! ALLOC_TRACE_SLACK=1          Measure how many more bytes blocks have than were asked for, for
//!                              alloc-report slack.
//! ALLOC_TRACE_RESIDENT=1       Say in each snapshot where the resident memory goes, for
//!                              alloc-report resident. It needs stacks of every block, and Linux.
//! ALLOC_TRACE_EXACT_GRAPH=1    Keep exact sizes and ages of blocks, for heap graphs.
//! ALLOC_TRACE_EXACT_PEAK=1     Keep the heap's peak exact when several threads allocate at once.
//!                              Each allocation and each free costs more.
//! ALLOC_TRACE_MAX_CALLSITES=N  Keep at most N callsites: 1 to 1000000; the default is 262144.
//! ALLOC_TRACE_OUT=PATH         Write a snapshot when the process ends.
//! ALLOC_TRACE_EVERY=SECONDS    Write a numbered snapshot every SECONDS seconds: 0.01 to 1000000.
//! ALLOC_TRACE_SIGNAL=NAME      Write a numbered snapshot on this signal: USR1, USR2, HUP, QUIT,
//!                              ALRM, WINCH, URG, IO or PROF. Its path is printed on standard
//!                              error.
//! ALLOC_TRACE_GRAPH_SIGNAL=NAME
//!                              Write a heap graph on this signal, for alloc-report graph. It needs
//!                              stacks of every block, and Linux. Its path is that of a numbered
//!                              snapshot with the extension heapgraph, and is printed as well.
//! ALLOC_TRACE_WHEN=CONDITIONS  Write a numbered snapshot on conditions, with commas between them:
//!                              limit=90% at this part of the memory that the control group or the
//!                              limit on address space permits, and again at each half of the way
//!                              that is left; growth=20% or step=1GiB when the heap has grown by so
//!                              much since the last snapshot; pressure=10% when tasks waited for
//!                              memory in so many percent of the last ten seconds. They are looked
//!                              at ten times a second. For alloc-report oom.
//! ALLOC_TRACE_KEEP=N           Keep only the newest N numbered snapshots of a process, and remove
//!                              the others that it wrote: 1 to 1000000. By default all are kept. If
//!                              the disk is full, the oldest make room for a new one.
//! ALLOC_TRACE_NAMES=1          Write snapshots with function names, files and lines instead of
//!                              addresses for alloc-report to name. The process reads its debug
//!                              information each time, which takes time and memory.
//! ALLOC_TRACE_LIVE=PATH        Append the heap's numbers to a file ten times a second: seconds
//!                              since 1970, current, peak. Every tenth line also has the bytes and
//!                              blocks allocated in total, and the tracer's own bytes.
//! ALLOC_TRACE_SERVE=ADDRESS    Serve profiles over HTTP, as alloc_core::serve does: 127.0.0.1:6060, or the
//!                              path of a Unix socket. It needs the feature serve.
//! ALLOC_TRACE_SERVE_TOKEN=TOKEN
//!                              The token that each request needs; without one, only this machine is
//!                              answered.
//! ALLOC_TRACE_PUSH=URL         Push profiles to Pyroscope every 15 seconds, as alloc_core::push does:
//!                              http://pyroscope:4040. It needs the feature push.
//!
//! In a PATH, %p is the process id, %n the snapshot's number, %t the time in UTC as
//! 20260131T235959Z, %h the host name, and %% a percent sign. If a numbered snapshot's path has no
//! %n, the number is inserted before the extension: heap.pb.gz, heap.0001.pb.gz, heap.0002.pb.gz.
//! Without ALLOC_TRACE_OUT, numbered snapshots are alloc-trace-%p-%n.pb.gz.
//!
//! Examples:
//!   ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz ./server
//!   ALLOC_TRACE_SAMPLE=512KiB ALLOC_TRACE_SIGNAL=USR1 ALLOC_TRACE_OUT=/var/tmp/%p.pb.gz ./server
//!   ALLOC_TRACE_SAMPLE=512KiB ALLOC_TRACE_WHEN=limit=80%,growth=20% ALLOC_TRACE_KEEP=20 ./server
//!   ALLOC_TRACE_SAMPLE=512KiB ALLOC_TRACE_SERVE=127.0.0.1:6060 ./server
//!   ALLOC_TRACE=128 ALLOC_TRACE_EVERY=60 ALLOC_TRACE_OUT=/var/tmp/%h-%t-%p.pb.gz ./server
//! ```
//!
//! An empty variable counts as unset. An invalid value ends the program at its start, with status 2
//! and a message that shows what was expected and what was found; one of the variables that serve and
//! push is only reported. An unknown variable that begins with `ALLOC_TRACE` is reported on standard
//! error, with the closest known name. The program then continues.
//!
//! # What starts tracing
//!
//! `ALLOC_TRACE` and `ALLOC_TRACE_SAMPLE` start it. The other variables only take effect while
//! tracing is on, whatever started it. If neither is set, a message at the start says so.
//! `ALLOC_TRACE=0` silences it for a program that starts tracing itself. A session started by the
//! environment takes precedence over the program's [`start_with`](crate::start_with).
//!
//! `ALLOC_TRACE_THREADS`, `ALLOC_TRACE_SIZES`, `ALLOC_TRACE_LIFETIMES`, `ALLOC_TRACE_FREES`,
//! `ALLOC_TRACE_EXACT_PEAK` and `ALLOC_TRACE_MAX_CALLSITES` set fields of the configuration that
//! these two start with:
//! [`Config::threads`](crate::Config::threads), [`Config::sizes`](crate::Config::sizes),
//! [`Config::lifetimes`](crate::Config::lifetimes), [`Config::frees`](crate::Config::frees),
//! [`Config::lifetimes`](crate::Config::lifetimes), [`Config::slack`](crate::Config::slack),
//! [`Config::exact_peak`](crate::Config::exact_peak) and
//! [`Config::max_callsites`](crate::Config::max_callsites).
//!
//! # Serving and pushing
//!
//! `ALLOC_TRACE_SERVE` and `ALLOC_TRACE_PUSH` start a thread before `main`, whether tracing is on or not: a
//! request to `/start` turns it on. The address that is served is printed on standard error. What is
//! wrong with these variables is printed there too, and the program continues without. A child after
//! a fork neither serves nor pushes. When the process ends, what was allocated since the last push is
//! not pushed.
//!
//! # Privileged programs
//!
//! A setuid or setgid program, or one with file capabilities, reads no variable: otherwise its user
//! could make it write where only the program may.
//!
//! # Files
//!
//! A relative path starts in the program's initial working directory, even if it changes directory.
//! The variables are read once, so the program may change its environment or overwrite it with a
//! title. After a `chroot`, paths are resolved in the new root.
//!
//! A numbered snapshot never replaces a file: numbers already taken are skipped. So several
//! processes may share a path, as after a fork, and so may a program and what it becomes by `exec`.
//! The snapshot at the end replaces an existing file unless the path has `%n`. Use `%p` if there
//! are several processes, and `%t` or `%h` too if process ids repeat, as in containers. `%t` is the
//! time when the snapshot is written. `ALLOC_TRACE_LIVE` appends to an existing file, and creates
//! it again if it is removed. In its path `%n` is `0001`.
//!
//! Links are followed and kept, unless another user created them in a shared folder. Pipes,
//! devices, sockets and the program's descriptors, such as `/dev/stdout`, are written to directly.
//! A pipe without a reader is an error. A replaced file keeps its mode, and its owner where that is
//! permitted. A new file's mode follows the umask.
//!
//! A path that looks unwritable at the program's start is reported on standard error. The program
//! continues, since it may still create the folder. A failed write is also reported there: once for
//! a row of them, if no signal requested them, and again when snapshots can be written. It has no
//! other effect: it raises no signal and leaves no partial file. A snapshot on a condition that
//! could not be written is tried again each second. A message also appears when the snapshot at the
//! end replaces a file that was written while the process ran.
//!
//! # Cost
//!
//! Debug information is not read: a file holds addresses, and the paths and build ids of the
//! program and its libraries, from which `alloc-report` finds the names. Writing a file takes about
//! a megabyte, which is then returned to the system, and about ten milliseconds for 20,000
//! callsites. If there is no memory for a file, or at the start for the tracer's tables, a message
//! says so and the program continues.
//!
//! With `ALLOC_TRACE_WHEN` or `ALLOC_TRACE_KEEP`, this memory is set aside when the writer thread
//! starts, so that a snapshot at the limit needs no page of the system: a megabyte and a quarter. It
//! grows with the callsites, up to 16 MiB, by at most four times the length of the file and 30 bytes
//! for each address in it. It is measured again when there are an eighth more callsites, which takes
//! as long as a snapshot. Names, and where the resident memory goes, need more when they are written.
//! A file without memory for the latter leaves it out.
//!
//! # The writer thread
//!
//! Periodic snapshots, snapshots on a signal, and live lines are written by a thread of the
//! tracer. It is not recorded and does not count as a thread of the program. It holds no descriptor
//! between two files, and blocks all signals. A snapshot appears whole or not at all, and the
//! process does not exit in the middle of one. Signals that arrive during a write are merged into
//! one more snapshot.
//!
//! Some calls are only permitted in a process with one thread, such as `unshare(CLONE_NEWUSER)`.
//! They work until the writer thread starts. It starts when it is first needed:
//!
//! - With `ALLOC_TRACE_LIVE` or `ALLOC_TRACE_WHEN`, or an `ALLOC_TRACE_EVERY` below one second: before
//!   `main`.
//! - With a longer `ALLOC_TRACE_EVERY`: at the first allocation or free one second after the
//!   program's start. A program that does neither gets no periodic snapshots until it does; they
//!   would all be equal. During that second each allocation and each free reads the clock.
//! - With `ALLOC_TRACE_SIGNAL`: when the first signal arrives. If the program waits in a system
//!   call, such as for input, for events or for a timeout, the handler starts the thread. Otherwise
//!   the next allocation or free starts it, or the handler does, which is called ten times a second
//!   until it finds the program waiting. Only Linux on x86-64 and aarch64 can detect that. On other
//!   systems the thread starts before `main`.
//! - With either of the last two: when a second thread of the program allocates.
//!
//! The signal interrupts the program like any signal handled with `SA_RESTART`: `read` continues,
//! while `poll` and `nanosleep` return `EINTR`.
//!
//! A program with a system-call filter must allow the calls that start a thread and that open,
//! write, link and rename files. Otherwise it must stop tracing first.
//!
//! A fork waits for a snapshot in progress. The child starts its own thread by the same rules,
//! timed from the fork. A program that installs its own handler for the signal replaces the
//! tracer's. A handler that was installed earlier, as when a library brings the tracer, is called
//! after the tracer's. After an `exec`, the signal has its default effect, such as ending the
//! process, unless the new program has the tracer too.
//!
//! On Windows no variable is read.

mod above;
pub(crate) mod background;
pub(crate) mod clock;
pub(crate) mod live;
pub(crate) mod reach;
mod rehearsals;
pub(crate) mod reporter;
pub(crate) mod retry;
pub(crate) mod ring;
pub(crate) mod signals;
pub(crate) mod startup;
pub(crate) mod template;
pub(crate) mod variables;
pub(crate) mod wake;
pub(crate) mod watch;

pub(crate) use above::{begin, tracer_memory};
