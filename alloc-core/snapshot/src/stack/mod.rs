//! Call stacks: frames, tracebacks, and whose code a frame is.
//!
//! In: names, paths and lines. Out: which frame is charged, and the text of a stack. Never: a
//! symbol lookup.

pub(crate) mod frame;
pub(crate) mod origin;
pub(crate) mod package;
pub(crate) mod traceback;
pub(crate) mod traceback_text;
