//! What of Python's `tracemalloc` is where, and what is different on purpose.
//!
//! Whoever knows the one shall know the other. Every function, class, method and attribute of the Python
//! module has a counterpart; where Rust's conventions or this crate's subject ask for another form, the
//! table says so, with the reason. This module holds nothing but the table.
//!
//! # Functions
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `start(nframe)` | [`start`](crate::start), [`start_with`](crate::start_with) with [`Config::frames`] | 32 frames by default, not one: the whole stack costs little more. A second start with another configuration is an error, where Python keeps the first and says nothing. In a program that did not install the allocator it is an error, since zeros would look like numbers. At most 1000 frames, not 65535; 0 counts the heap without stacks |
//! | `stop()` | [`stop`](crate::stop) | |
//! | `is_tracing()` | [`is_tracing`](crate::is_tracing) | |
//! | `clear_traces()` | [`clear_traces`](crate::clear_traces) | |
//! | `reset_peak()` | [`reset_peak`](crate::reset_peak) | resets the peaks of all callsites too, which Python does not have |
//! | `get_traced_memory()` | [`traced_memory`](crate::traced_memory) | a struct instead of a pair; it says how far off the peak may be when several threads allocate |
//! | `get_tracemalloc_memory()` | [`tracer_memory`](crate::tracer_memory) | all that the tracer takes up; Python's leaves out the better part |
//! | `get_traceback_limit()` | [`traceback_limit`](crate::traceback_limit) | `None` when tracing is off, where Python answers with the last one and its documentation promises an exception |
//! | `get_object_traceback(obj)` | [`traceback_of`](crate::traceback_of) | takes the address of a block: a value may lie on the stack, and has no header |
//! | `take_snapshot()` | [`take_snapshot`](crate::take_snapshot) | returns an error where Python raises one |
//! | `PyTraceMalloc_Track` | [`track`](crate::track()) | domain 0 is refused: its blocks are the allocator's |
//! | `PyTraceMalloc_Untrack` | [`untrack`](crate::untrack) | |
//! | | [`traceback_of_tracked`](crate::traceback_of_tracked) | Python asks its own test module for it |
//! | `-X tracemalloc`, `PYTHONTRACEMALLOC` | `ALLOC_TRACE` | as many frames as a [`Config`] allows. There is no switch to ignore the variable: it is read at the first allocation, before the program has said anything. `env -u ALLOC_TRACE` starts a program without it |
//!
//! # Filters
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `Filter(inclusive, filename_pattern)` | [`Filter::include`], [`Filter::exclude`] | two names instead of a `bool`; a pattern is tried on the path as the compiler wrote it down and on the short one that tables show. There is no `.pyc` to be taken for `.py` |
//! | `Filter(lineno=…)` | [`Filter::line`] | |
//! | `Filter(all_frames=…)` | [`Filter::all_frames`] | otherwise the frame is the one that the trace is charged to; Python's is the innermost, which here is the standard library's |
//! | `Filter(domain=…)` | [`Filter::domain`] | |
//! | `DomainFilter(inclusive, domain)` | [`Filter::include_domain`], [`Filter::exclude_domain`] | one type, so that all filters go into one list |
//! | `BaseFilter` | | is there only to be derived from |
//! | `.inclusive`, `.filename_pattern` | [`Filter::is_inclusive`], [`Filter::file_pattern`] | a filter does not change; one is made from another by the methods above, and compared by `==` |
//! | | [`Filter::function`], [`Filter::in_crate`], [`Filter::thread`], [`Filter::file_name`] | not in Python |
//!
//! # Frames and tracebacks
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `Frame.filename` | [`Frame::file`] | nothing where it is not known, which prints as `<unknown>` |
//! | `Frame.lineno` | [`Frame::line`] | frames know function and column too; inlined functions are frames of their own |
//! | `Traceback`, a sequence | [`Traceback`], a slice | innermost frame first, as Rust prints backtraces. Both compare by their frames alone; which of two comes first is decided from the inner end here |
//! | `Traceback.total_nframe` | [`Traceback::total_nframe`] | nothing where frames are missing: recording does not walk on to count them, which is what makes depth expensive in Python |
//! | `Traceback.format(limit=n)` | [`Traceback::format`] and [`most_recent`](crate::TracebackText::most_recent) | the function is named too |
//! | `Traceback.format(limit=-n)` | [`oldest`](crate::TracebackText::oldest) | the `n` oldest frames, as Python's documentation says; its code leaves out the `n` most recent instead |
//! | `Traceback.format(most_recent_first=…)` | [`oldest_first`](crate::TracebackText::oldest_first) | the innermost frame comes first unless this is asked for, as everywhere here |
//! | `str(traceback)` | [`Display`](crate::Traceback#impl-Display-for-Traceback) | all frames, where Python prints the oldest |
//!
//! # Snapshots
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `Trace.size` | [`Trace::counters`] | a trace is a callsite with its counters and not a block: a snapshot grows with the program's code, not with its data. Peak, total, share at the peak and freed have no counterpart |
//! | `Trace.domain` | [`Trace::domain`] | and [`Trace::thread`], if asked for |
//! | `Trace.traceback` | [`Trace::traceback`] | |
//! | `str(trace)` | [`Display`](crate::Trace#impl-Display-for-Trace) | begins with the line that is charged; Python's with the oldest frame |
//! | `Snapshot.traces` | [`Snapshot::traces`] | |
//! | `Snapshot.traceback_limit` | [`Snapshot::traceback_limit`] | |
//! | `Snapshot.filter_traces(filters)` | [`Snapshot::filter_traces`] | |
//! | `Snapshot.statistics(key_type)` | [`Snapshot::statistics`] with a [`GroupBy`] or a [`Grouping`] | `'lineno'` is [`GroupBy::Line`], `'filename'` [`GroupBy::File`], `'traceback'` [`GroupBy::Traceback`]. The line is the innermost outside the standard library, since all would be charged to `raw_vec.rs`; [`ChargeTo`](crate::ChargeTo) chooses. Groups without a live block are left out: a callsite stays when its blocks are gone |
//! | `Snapshot.statistics(cumulative=True)` | [`Grouping::cumulative`] | a trace counts once in each group. In Python a recursive function's bytes are multiplied by its depth |
//! | `Snapshot.compare_to(old, key_type)` | `alloc_report::CompareTo::compare_to` | in the crate that reports; a program that only records does not need it |
//! | `Snapshot.dump`, `Snapshot.load` | [`Snapshot::dump`], [`Snapshot::load`] | a pprof profile, which many tools open, and not a pickle, which may run code |
//! | an attribute set on a snapshot | [`Snapshot::set_metadata`], [`Snapshot::metadata`] | texts; kept in the file as well |
//! | `Statistic.traceback` | [`Statistic::key`] | a [`GroupKey`](crate::GroupKey), since a group need not be of frames. A file prints as `src/cache.rs`, not as `src/cache.rs:0` |
//! | `Statistic.size`, `.count` | [`Statistic::size`], [`Statistic::count`] | of the metric that was asked for; [`Statistic::counters`] has all |
//! | `StatisticDiff` | `alloc_report::StatisticDiff` | |
//!
//! Sizes print alike, and so do lines of statistics. So do the orders in which these are sorted.
//!
//! # While the program runs
//!
//! - A block that is reallocated has a new traceback in both.
//! - A block's record is taken out before it is freed; Python's goes after, and another thread may have got
//!   the address in between.
//! - If there is no memory for a record, the program goes on, and calls that ask for numbers return an error
//!   from then on. Python fails the allocation or ends the process.
//!
//! # CPython's tests
//!
//! CPython 3.11 tests the module with 48 tests. What they assert is asserted here, in tests that have
//! their numbers, in the order of its `test_tracemalloc.py`, and their names: `t17_filter_traces`. Some
//! are in another form:
//!
//! | number | name | here |
//! | --- | --- | --- |
//! | 1 | `test_repr` | innermost frame first |
//! | 3 | `test_get_object_traceback` | by the block's address |
//! | 4 | `test_new_reference` | a block at an address that was freed, instead of one from a free list |
//! | 5, 39, 41 | `test_set_traceback_limit` and others | a negative number of frames does not compile, or is refused in the environment |
//! | 7 | `test_get_traces_intern_traceback` | blocks of one stack are one trace |
//! | 12 | `test_snapshot` | `total_nframe` is known where the stack is whole |
//! | 15 | `test_no_incomplete_frames` | no frame of the tracer's own is in a traceback |
//! | 17, 29 | `test_filter_traces`, `test_filter_attributes` | what is no list of filters does not compile, and attributes cannot be written |
//! | 24 | `test_trace_format` | begins with the line that is charged |
//! | 28 | `test_format_traceback` | a negative limit as documented |
//! | 32 | `test_filter_match_filename_joker` | without `.pyc` |
//! | 35 | `test_env_var_ignored_with_E` | **not applicable**: there is no such switch, as said above |
//! | 40, 41 | `test_sys_xoptions` and others | `-X` is [`Config::frames`]: the interpreter has a command line, a program its own |
//! | 42 | `test_pymem_alloc0` | Rust asks an allocator for no block of no bytes; blocks that are told of may have none |
//! | 44 | `test_track_without_gil` | on a thread that is new, and on one that ends |
//!
//! [`Config`]: crate::Config
//! [`Config::frames`]: crate::Config::frames
//! [`Filter::include`]: crate::Filter::include
//! [`Filter::exclude`]: crate::Filter::exclude
//! [`Filter::line`]: crate::Filter::line
//! [`Filter::all_frames`]: crate::Filter::all_frames
//! [`Filter::domain`]: crate::Filter::domain
//! [`Filter::include_domain`]: crate::Filter::include_domain
//! [`Filter::exclude_domain`]: crate::Filter::exclude_domain
//! [`Filter::is_inclusive`]: crate::Filter::is_inclusive
//! [`Filter::file_pattern`]: crate::Filter::file_pattern
//! [`Filter::function`]: crate::Filter::function
//! [`Filter::in_crate`]: crate::Filter::in_crate
//! [`Filter::thread`]: crate::Filter::thread
//! [`Filter::file_name`]: crate::Filter::file_name
//! [`Frame::file`]: crate::Frame::file
//! [`Frame::line`]: crate::Frame::line
//! [`Traceback`]: crate::Traceback
//! [`Traceback::total_nframe`]: crate::Traceback::total_nframe
//! [`Traceback::format`]: crate::Traceback::format
//! [`Trace::counters`]: crate::Trace::counters
//! [`Trace::domain`]: crate::Trace::domain
//! [`Trace::thread`]: crate::Trace::thread
//! [`Trace::traceback`]: crate::Trace::traceback
//! [`Snapshot::traces`]: crate::Snapshot::traces
//! [`Snapshot::traceback_limit`]: crate::Snapshot::traceback_limit
//! [`Snapshot::filter_traces`]: crate::Snapshot::filter_traces
//! [`Snapshot::statistics`]: crate::Snapshot::statistics
//! [`Snapshot::dump`]: crate::Snapshot::dump
//! [`Snapshot::load`]: crate::Snapshot::load
//! [`Snapshot::set_metadata`]: crate::Snapshot::set_metadata
//! [`Snapshot::metadata`]: crate::Snapshot::metadata
//! [`GroupBy`]: crate::GroupBy
//! [`GroupBy::Line`]: crate::GroupBy::Line
//! [`GroupBy::File`]: crate::GroupBy::File
//! [`GroupBy::Traceback`]: crate::GroupBy::Traceback
//! [`Grouping`]: crate::Grouping
//! [`Grouping::cumulative`]: crate::Grouping::cumulative
//! [`Statistic::key`]: crate::Statistic::key
//! [`Statistic::size`]: crate::Statistic::size
//! [`Statistic::count`]: crate::Statistic::count
//! [`Statistic::counters`]: crate::Statistic::counters
