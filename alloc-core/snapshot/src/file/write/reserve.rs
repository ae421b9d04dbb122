//! [`Reserve`]: memory that is held while a file is put together.

/// What paths and messages take up of the heap on the way to a file; the file itself is not on the
/// heap.
///
/// A heap that gave this as a whole gives it in small parts, once it has it back. It is held while
/// a file is put together, which would else take up what is left.
pub struct Reserve(#[allow(dead_code, reason = "held for its memory")] Vec<u8>);

impl Reserve {
    const BYTES: usize = 100 << 10;

    /// `None` where the heap has not so much.
    pub fn take() -> Option<Reserve> {
        let mut block = Vec::<u8>::new();
        block.try_reserve_exact(Reserve::BYTES).ok()?;
        // NOTE: a block that nobody looks at would not be allocated at all.
        Some(Reserve(std::hint::black_box(block)))
    }
}
