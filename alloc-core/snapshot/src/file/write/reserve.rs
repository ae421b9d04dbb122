//! [`Reserve`]: heap memory held while a file is written.

/// As much heap as the paths and messages for a file take up. The file itself is not on the heap.
///
/// A heap that can allocate the reserve in one piece can serve these small blocks once the reserve
/// is freed. The reserve is held while the file is built, so that the file cannot take up the last
/// memory.
pub struct Reserve(#[allow(dead_code, reason = "held for its memory")] Vec<u8>);

impl Reserve {
    const BYTES: usize = 100 << 10;

    /// Allocates the reserve; `None` if the heap is too full.
    pub fn take() -> Option<Reserve> {
        let mut block = Vec::<u8>::new();
        block.try_reserve_exact(Reserve::BYTES).ok()?;
        // NOTE: without `black_box`, the compiler would remove an allocation that nothing reads.
        Some(Reserve(std::hint::black_box(block)))
    }
}
