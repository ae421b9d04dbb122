//! A program without the allocator, whose `main` returns the error of `start`.

fn main() -> Result<(), alloc_core::Error> {
    alloc_core::start()
}
