//! Where records are written: one table a file.
//!
//! In: a block's address, size and callsite. Out: counters and callsites, read while threads go on.
//! Never: a lock, an allocation, a call stack.

pub(crate) mod block;
pub(crate) mod blocks;
pub(crate) mod callsite_tag;
pub(crate) mod callsites;
pub(crate) mod counted;
pub(crate) mod counters;
pub(crate) mod frees;
pub(crate) mod growing;
pub(crate) mod labels;
pub(crate) mod lifetimes;
pub(crate) mod open_gap;
pub(crate) mod origin;
pub(crate) mod sampling;
pub(crate) mod slot_id;
pub(crate) mod stack_hash;
pub(crate) mod tag_set;
pub(crate) mod tally;
pub(crate) mod thread_name;
pub(crate) mod unmapped_ranges;
pub(crate) mod usable;
pub(crate) mod version;
