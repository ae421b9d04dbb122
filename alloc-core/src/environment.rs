//! What a traced program can be asked for by its environment.
//!
//! A program that has [`TraceAlloc`](crate::TraceAlloc) as its global allocator reads these variables at
//! its very first allocation, before `main`:
//!
//! ```text
//! ALLOC_TRACE=FRAMES           Trace from the first allocation on, keeping so many frames of each stack:
//!                              1 to 1000; 32 is usual, 1 is the line alone. 0: do not trace, whatever
//!                              else is said.
//! ALLOC_TRACE_SAMPLE=BYTES     Trace a sample: a block every so many bytes, with estimates for all;
//!                              1 to 64MiB, as 524288 or 512KiB. With 32 frames, unless ALLOC_TRACE
//!                              says otherwise.
//! ALLOC_TRACE_OUT=PATH         Write a snapshot when the process ends.
//! ALLOC_TRACE_EVERY=SECONDS    Write a numbered snapshot each time that so many seconds have passed:
//!                              0.01 to 1000000.
//! ALLOC_TRACE_SIGNAL=NAME      Write a numbered snapshot when this signal comes: USR1, USR2, HUP, QUIT,
//!                              ALRM, WINCH, URG, IO or PROF.
//! ALLOC_TRACE_LIVE=PATH        Add a line with the heap's numbers to a file ten times a second:
//!                              seconds since 1970, current, peak, and with every tenth line the bytes and
//!                              blocks ever allocated.
//!
//! In a PATH, %p is the process id, %n the number of the snapshot, and %% a percent sign. Where a numbered
//! snapshot's path has no %n, the number stands before its extension: heap.pb.gz, heap.0001.pb.gz,
//! heap.0002.pb.gz. Without ALLOC_TRACE_OUT they are alloc-trace-%p-%n.pb.gz.
//!
//! Examples:
//!   ALLOC_TRACE=32 ALLOC_TRACE_OUT=heap.pb.gz ./server
//!   ALLOC_TRACE_SAMPLE=512KiB ALLOC_TRACE_SIGNAL=USR1 ALLOC_TRACE_OUT=/var/tmp/heap-%p.pb.gz ./server
//!   ALLOC_TRACE=32 ALLOC_TRACE_EVERY=60 ./server
//! ```
//!
//! A variable that is empty is as one that is not set. A wrong value ends the program at its start, with
//! status 2 and a message that says what was expected and what was found.
//!
//! # Who starts tracing
//!
//! `ALLOC_TRACE` and `ALLOC_TRACE_SAMPLE` do. The others have snapshots written whoever starts it; as long as
//! nobody does, nothing is written. What the environment started goes before what the program asks
//! [`start_with`](crate::start_with) for.
//!
//! # The thread that writes
//!
//! Snapshots by the clock and on a signal are written by a thread of the tracer's own, which starts before
//! `main` and is there only where one of `ALLOC_TRACE_EVERY`, `ALLOC_TRACE_SIGNAL` and `ALLOC_TRACE_LIVE` is set.
//! It is not recorded, does not make a program that has one thread one that has two, and no signal
//! interrupts it. A snapshot appears whole or not at all; the process does not end in the middle of one.
//! If several signals come while one is written, one more is. A file that cannot be written is said on
//! standard error, and nothing else changes.
//!
//! A fork waits for a snapshot that is being written. The child starts such a thread of its own: put `%p` into the path. A program that handles the
//! signal itself takes it from the tracer.
//!
//! On Windows no variable is read.
