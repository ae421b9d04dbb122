//! Tools built on scopes: assertions, baselines, benchmarks, `#[profile]`, memory over time.
//!
//! In: a piece of work. Out: what it allocated, a failed test, a table. Never: a part of recording.

pub(crate) mod assertions;
pub(crate) mod baseline;
pub(crate) mod bench;
pub(crate) mod memory_usage;
pub(crate) mod profile;
