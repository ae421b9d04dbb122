//! The recorder on a machine in trouble: a full disk, a folder that cannot be written to or is gone, no
//! memory, a program whose file is gone or replaced, a clock that is set. The program goes on, its memory stays
//! as it is, the last good file can be read, and recording goes on when the trouble ends.

#[path = "bad_company/clock.rs"]
mod clock;
#[path = "bad_company/disk.rs"]
mod disk;
#[path = "bad_company/holding.rs"]
mod holding;
#[path = "bad_company/memory.rs"]
mod memory;
#[path = "bad_company/names.rs"]
mod names;
