//! Call stacks: frames, tracebacks, and the origin of code.
//!
//! In: names, paths and lines. Out: the charged frame, and the text of a stack. It never looks up
//! symbols.

pub(crate) mod frame;
pub(crate) mod origin;
pub(crate) mod package;
pub(crate) mod traceback;
pub(crate) mod traceback_text;
