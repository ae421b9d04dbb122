//! Workloads that programs run with and without the tracer.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::Random;

/// Grows a vector of bytes to `bytes` by `push`, and returns how often its address changed.
pub fn moves_of_a_growing_vec(bytes: usize) -> u32 {
    let mut grown = Vec::new();
    let mut moves = 0;
    for _ in 0..bytes {
        let before = grown.as_ptr();
        grown.push(black_box(1_u8));
        moves += u32::from(grown.as_ptr() != before);
    }
    moves
}

/// A value as a JSON parser builds it, of many small blocks.
#[derive(Clone)]
pub enum Value {
    /// Text.
    Text(String),
    /// Values in a row.
    List(Vec<Value>),
    /// Values by name.
    Table(BTreeMap<String, Value>),
}

/// Records of a few fields each, with `bytes` bytes of text in total. About twice as many bytes are
/// live.
pub fn records(bytes: usize) -> Vec<Value> {
    let mut random = Random::new(1);
    let mut asked_for = 0;
    let mut records = Vec::new();
    while asked_for < bytes {
        let fields = (0..6).map(|field| {
            // From 48 to 128 bytes.
            let length = 48 + random.below(81);
            asked_for += length;
            let text = Value::Text("x".repeat(length));
            (format!("the field with the long number {field:020}"), text)
        });
        let fields: Vec<(String, Value)> = fields.collect();
        asked_for += fields.iter().map(|(name, _)| name.len()).sum::<usize>();
        records.push(Value::List(vec![Value::Table(
            fields.into_iter().collect(),
        )]));
    }
    records
}

/// A mix of everything on one thread, the same in every run: vectors that grow and shrink, text,
/// trees, clones, zeroed and over-aligned memory, and frees in another order.
pub fn some_of_everything() {
    let mut records = records(300_000);
    let copies = records.clone();
    records.retain(|_| black_box(false));
    drop(copies);
    let mut text = String::new();
    for number in 0..20_000_u32 {
        text.push_str(&number.to_string());
    }
    let mut words: Vec<String> = text.split('7').map(str::to_owned).collect();
    words.sort();
    words.dedup();
    words.shrink_to_fit();
    black_box(vec![0_u64; 100_000]);
    for power in 4..12 {
        let layout =
            std::alloc::Layout::from_size_align(100 << power, 1 << power).expect("a power of two");
        // SAFETY: the size is not zero.
        let block = unsafe { std::alloc::alloc(layout) };
        // SAFETY: from `alloc` with that layout.
        unsafe { std::alloc::dealloc(black_box(block), layout) };
    }
}

/// Allocates, grows, shrinks and frees blocks of all sizes from one byte up, on several threads,
/// and checks that the tracer keeps them apart.
///
/// # Panics
///
/// If the tracer's numbers are wrong.
pub fn check_blocks_of_all_sizes() {
    let whole = || {
        let snapshot = alloc_core::take_snapshot().expect("tracing is on");
        let current = crate::sum_of(&snapshot, |_| true).current;
        assert_eq!(snapshot.health().lost_blocks, 0);
        assert_eq!(current.bytes, alloc_core::traced_memory().current);
        current
    };
    let mut blocks: Vec<Vec<u8>> = Vec::with_capacity(2000);
    alloc_core::start().expect("tracing starts");
    // Blocks of one byte come first: they are as close together as two blocks can be.
    (0..1000).for_each(|_| blocks.push(vec![1; black_box(1)]));
    (1..=1000).for_each(|size| blocks.push(vec![2; black_box(size)]));
    assert_eq!(
        whole(),
        alloc_core::Amount::new(1000 + 1000 * 1001 / 2, 2000)
    );
    blocks
        .iter_mut()
        .for_each(|block| block.reserve_exact(block.len()));
    assert_eq!(
        whole(),
        alloc_core::Amount::new(2 * (1000 + 1000 * 1001 / 2), 2000)
    );
    blocks.iter_mut().for_each(Vec::shrink_to_fit);
    assert_eq!(
        whole(),
        alloc_core::Amount::new(1000 + 1000 * 1001 / 2, 2000)
    );
    let zeroed = vec![0_u8; black_box(10 << 20)];
    assert_eq!(whole().blocks, 2001);
    std::thread::scope(|scope| {
        let free = |chunk: &mut [Vec<u8>]| chunk.iter_mut().for_each(|it| *it = Vec::new());
        for chunk in blocks.chunks_mut(500) {
            // NOTE: each thread is joined, because a scope ends slightly before its threads do.
            scope
                .spawn(move || free(chunk))
                .join()
                .expect("freeing does not panic");
        }
    });
    drop(zeroed);
    let snapshot = alloc_core::take_snapshot().expect("tracing is on");
    let own = crate::at_function(&snapshot, "check_blocks_of_all_sizes");
    assert_eq!(own.current, alloc_core::Amount::default());
    whole();
}
