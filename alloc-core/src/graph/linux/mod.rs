//! Heap graphs on Linux.
//!
//! In: a path. Out: a graph file: [`take`] stops the [`threads`], makes a [`clone`](self::clone) of
//! the process, and completes what that writes, which is [`child`]. Never: a thread that stands
//! still longer than the clone takes to be made.

mod child;
mod clone;
mod format;
mod machine;
mod modules;
mod take;
mod threads;

pub(super) use take::write;
