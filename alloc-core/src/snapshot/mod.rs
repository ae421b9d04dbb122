//! What is read: snapshots, statistics, filters, the file. Ordinary Rust.
//!
//! In: plain numbers and addresses, or a file. Out: statistics by line, tracebacks, a file. Never: a part of a record.

pub(crate) mod escape;
pub(crate) mod file;
pub(crate) mod filter;
pub(crate) mod frame;
pub(crate) mod grouping;
pub(crate) mod modules;
pub(crate) mod numbers;
pub(crate) mod origin;
pub(crate) mod package;
pub(crate) mod pattern;
pub(crate) mod recorded;
pub(crate) mod snapshot;
pub(crate) mod statistics;
pub(crate) mod symbols;
pub(crate) mod traceback;
pub(crate) mod traceback_text;
pub(crate) mod types;
