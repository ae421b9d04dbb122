//! A program without the allocator, whose `main` returns what it was told.

fn main() -> Result<(), alloc_core::Error> {
    alloc_core::start()
}
