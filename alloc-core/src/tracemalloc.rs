//! A guide for users of Python's `tracemalloc`: the counterpart of each item, and each deliberate
//! difference.
//!
//! Every function, class, method and attribute of the Python module has a counterpart. Where Rust's
//! conventions or this crate's subject require another form, the table gives the reason. This
//! module contains only the table.
//!
//! # Functions
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `start(nframe)` | [`start`](crate::start), [`start_with`](crate::start_with) with [`Config::frames`] | 128 frames by default, not one: the whole stack costs little more. A second start with another configuration is an error; Python silently keeps the first. A start in a program without the allocator is an error, since zeros would look like results. At most 1000 frames, not 65535; 0 counts the heap without stacks |
//! | `stop()` | [`stop`](crate::stop) | |
//! | `is_tracing()` | [`is_tracing`](crate::is_tracing) | |
//! | `clear_traces()` | [`clear_traces`](crate::clear_traces) | |
//! | `reset_peak()` | [`reset_peak`](crate::reset_peak) | also resets the peaks of all callsites, which Python does not have |
//! | `get_traced_memory()` | [`traced_memory`](crate::traced_memory) | a struct instead of a pair; it includes the peak's error when several threads allocate |
//! | `get_tracemalloc_memory()` | [`tracer_memory`](crate::tracer_memory) | all of the tracer's memory; Python omits most of it |
//! | `get_traceback_limit()` | [`traceback_limit`](crate::traceback_limit) | `None` when tracing is off; Python returns the last limit, although its documentation promises an exception |
//! | `get_object_traceback(obj)` | [`traceback_of`](crate::traceback_of) | takes a block's address: a value may be on the stack, and has no header |
//! | `take_snapshot()` | [`take_snapshot`](crate::take_snapshot) | returns an error where Python raises one |
//! | `PyTraceMalloc_Track` | [`track`](crate::track()) | domain 0 is refused: its blocks are the allocator's |
//! | `PyTraceMalloc_Untrack` | [`untrack`](crate::untrack) | |
//! | | [`traceback_of_tracked`](crate::traceback_of_tracked) | Python has this only in its internal test module |
//! | `-X tracemalloc`, `PYTHONTRACEMALLOC` | `ALLOC_TRACE` | up to as many frames as a [`Config`] permits. No switch ignores the variable, since it is read at the first allocation. `env -u ALLOC_TRACE` starts a program without it |
//!
//! # Filters
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `Filter(inclusive, filename_pattern)` | [`Filter::include`], [`Filter::exclude`] | two names instead of a `bool`; a pattern matches either the compiler's path or the short path that tables show. There is no `.pyc` to map to `.py` |
//! | `Filter(lineno=…)` | [`Filter::line`] | |
//! | `Filter(all_frames=…)` | [`Filter::all_frames`] | without it, the filter tests the charged frame; Python tests the innermost, which here belongs to the standard library |
//! | `Filter(domain=…)` | [`Filter::domain`] | |
//! | `DomainFilter(inclusive, domain)` | [`Filter::include_domain`], [`Filter::exclude_domain`] | one type, so that all filters fit into one list |
//! | `BaseFilter` | | exists only as a base class |
//! | `.inclusive`, `.filename_pattern` | [`Filter::is_inclusive`], [`Filter::file_pattern`] | a filter is immutable; the methods in this table derive one from another, and `==` compares them |
//! | | [`Filter::function`], [`Filter::in_crate`], [`Filter::thread`], [`Filter::file_name`] | not in Python |
//!
//! # Frames and tracebacks
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `Frame.filename` | [`Frame::file`] | `None` if it is unknown, which prints as `<unknown>` |
//! | `Frame.lineno` | [`Frame::line`] | frames also have a function and a column; inlined functions are separate frames |
//! | `Traceback`, a sequence | [`Traceback`], a slice | innermost frame first, as Rust prints backtraces. Both compare by frames only; the order of two tracebacks is decided from the inner end here |
//! | `Traceback.total_nframe` | [`Traceback::total_nframe`] | `None` if frames are missing: recording does not walk further to count them, which makes depth expensive in Python |
//! | `Traceback.format(limit=n)` | [`Traceback::format`] and [`most_recent`](crate::TracebackText::most_recent) | also prints the function |
//! | `Traceback.format(limit=-n)` | [`oldest`](crate::TracebackText::oldest) | the `n` oldest frames, as Python's documentation says; its code omits the `n` most recent instead |
//! | `Traceback.format(most_recent_first=…)` | [`oldest_first`](crate::TracebackText::oldest_first) | the innermost frame comes first by default, as everywhere here |
//! | `str(traceback)` | [`Display`](crate::Traceback#impl-Display-for-Traceback) | all frames; Python prints the oldest |
//!
//! # Snapshots
//!
//! | `tracemalloc` | here | difference, and why |
//! | --- | --- | --- |
//! | `Trace.size` | [`Trace::counters`] | a trace is a callsite with counters, not a block: a snapshot grows with the program's code, not with its data. Peak, total, share at the peak and freed have no counterpart |
//! | `Trace.domain` | [`Trace::domain`] | and [`Trace::thread`], if configured |
//! | `Trace.traceback` | [`Trace::traceback`] | |
//! | `str(trace)` | [`Display`](crate::Trace#impl-Display-for-Trace) | begins with the line that is charged; Python's with the oldest frame |
//! | `Snapshot.traces` | [`Snapshot::traces`] | |
//! | `Snapshot.traceback_limit` | [`Snapshot::traceback_limit`] | |
//! | `Snapshot.filter_traces(filters)` | [`Snapshot::filter_traces`] | |
//! | `Snapshot.statistics(key_type)` | [`Snapshot::statistics`] with a [`GroupBy`] or a [`Grouping`] | `'lineno'` is [`GroupBy::Line`], `'filename'` [`GroupBy::File`], `'traceback'` [`GroupBy::Traceback`]. The line is the innermost outside the standard library, since otherwise `raw_vec.rs` would be charged with everything; [`ChargeTo`](crate::ChargeTo) selects another. Groups without a live block are omitted: a callsite remains when its blocks are freed |
//! | `Snapshot.statistics(cumulative=True)` | [`Grouping::cumulative`] | a trace counts once in each group. In Python a recursive function's bytes are multiplied by its depth |
//! | `Snapshot.compare_to(old, key_type)` | `alloc_report::CompareTo::compare_to` | in the crate that reports; a program that only records does not need it |
//! | `Snapshot.dump`, `Snapshot.load` | [`Snapshot::dump`], [`Snapshot::load`] | a pprof profile, which many tools open, instead of a pickle, which may run code |
//! | an attribute set on a snapshot | [`Snapshot::set_metadata`], [`Snapshot::metadata`] | text, also kept in the file |
//! | `Statistic.traceback` | [`Statistic::key`] | a [`GroupKey`](crate::GroupKey), since a group may have no frames. A file prints as `src/cache.rs`, not as `src/cache.rs:0` |
//! | `Statistic.size`, `.count` | [`Statistic::size`], [`Statistic::count`] | of the requested metric; [`Statistic::counters`] has all |
//! | `StatisticDiff` | `alloc_report::StatisticDiff` | |
//!
//! Sizes and statistics print the same, and statistics sort in the same order.
//!
//! # While the program runs
//!
//! - A reallocated block has a new traceback in both.
//! - A block's record is removed before the block is freed. Python removes it afterwards, when
//!   another thread may already have the address.
//! - If there is no memory for a record, the program continues, and calls that return numbers fail
//!   from then on. Python fails the allocation or ends the process.
//!
//! # CPython's tests
//!
//! CPython 3.11 tests the module with 48 tests. Tests here make the same assertions. Their names
//! contain the number in `test_tracemalloc.py` and the name, as in `t17_filter_traces`. Some differ
//! in form:
//!
//! | number | name | here |
//! | --- | --- | --- |
//! | 1 | `test_repr` | innermost frame first |
//! | 3 | `test_get_object_traceback` | by the block's address |
//! | 4 | `test_new_reference` | a block at a reused address, instead of one from a free list |
//! | 5, 39, 41 | `test_set_traceback_limit` and others | a negative number of frames does not compile, or is refused in the environment |
//! | 7 | `test_get_traces_intern_traceback` | blocks with one stack are one trace |
//! | 12 | `test_snapshot` | `total_nframe` is known if the stack is complete |
//! | 15 | `test_no_incomplete_frames` | a traceback has no frames of the tracer |
//! | 17, 29 | `test_filter_traces`, `test_filter_attributes` | anything but a list of filters does not compile, and attributes are read-only |
//! | 24 | `test_trace_format` | begins with the line that is charged |
//! | 28 | `test_format_traceback` | a negative limit as documented |
//! | 32 | `test_filter_match_filename_joker` | without `.pyc` |
//! | 35 | `test_env_var_ignored_with_E` | **not applicable**: there is no such switch |
//! | 40, 41 | `test_sys_xoptions` and others | `-X` is [`Config::frames`]: a program has no interpreter with a command line |
//! | 42 | `test_pymem_alloc0` | Rust never requests a block of zero bytes; a tracked block may have zero bytes |
//! | 44 | `test_track_without_gil` | on a new thread, and on one that is ending |
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
