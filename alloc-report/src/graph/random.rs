//! Random graphs for the unit tests.

/// A generator of numbers: xorshift64*, by Vigna.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// Edges as compressed sparse rows.
pub(super) fn rows(nodes: u32, edges: &[(u32, u32)]) -> (Vec<u32>, Vec<u32>) {
    let mut sorted = edges.to_vec();
    sorted.sort_by_key(|it| it.0);
    let first = |node: u32| sorted.partition_point(|it| it.0 < node) as u32;
    let first = (0..=nodes).map(first).collect();
    (first, sorted.iter().map(|it| it.1).collect())
}
