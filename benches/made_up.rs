//! A snapshot as large as one likes, made up.

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};

/// What a made-up snapshot is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The number of callsites, each with a stack of its own.
    pub callsites: usize,
    /// The frames of a stack.
    pub depth: usize,
    /// The same seed gives the same program and the same stacks; the amounts differ from seed to seed.
    pub seed: u64,
}

/// The places of code that stacks go through: as many as the parser among the workloads has.
const PLACES: usize = 20_000;
const FUNCTIONS: usize = 4_000;
const FILES: usize = 400;
const CRATES: usize = 40;

/// A snapshot of this shape: stacks of a program of forty crates that have their outer frames in
/// common, as real ones have, and three frames of the standard library at the inner end.
pub fn snapshot(shape: Shape) -> Snapshot {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let places: Vec<Frame> = (0..PLACES).map(place).collect();
    let std: Vec<Frame> = (0..3).map(of_std).collect();
    let mut amounts = Random(shape.seed | 1);
    let mut stack: Vec<usize> = (0..shape.depth).map(|_| random.below(PLACES)).collect();
    let traces = (0..shape.callsites).map(|_| {
        // The next stack leaves the last one's somewhere, and more often near its inner end.
        let kept = random.below(shape.depth).max(random.below(shape.depth));
        for place in &mut stack[kept..] {
            *place = random.below(PLACES);
        }
        let own = stack.iter().rev().map(|&place| places[place].clone());
        let frames = std.iter().cloned().chain(own).take(shape.depth).collect();
        let blocks = 1 + amounts.below(1_000) as u64;
        let current = Amount::new(blocks * (8 + amounts.below(500) as u64), blocks);
        let counters = Counters {
            current,
            peak: current,
            at_peak: current,
            total: Amount::new(2 * current.bytes.get(), 2 * blocks),
            reallocations: 0,
        };
        Trace::new(Traceback::new(frames), counters)
    });
    let limit = shape.depth.try_into().unwrap_or(u16::MAX);
    Snapshot::from_traces(traces.collect(), limit)
}

fn place(number: usize) -> Frame {
    let function = number % FUNCTIONS;
    let (file, package) = (function % FILES, function % CRATES);
    let name = format!("package_{package}::module_{file}::Type<T>::function_{function}");
    let folder = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
    let path = match package {
        0 => format!("/home/me/project/src/module_{file}.rs"),
        _ => format!("{folder}/package_{package}-1.0.{package}/src/module_{file}.rs"),
    };
    let line = 1 + (number / FUNCTIONS * 40 + function) as u32;
    Frame::new(Some(&name), Some(&path), line, 9)
}

fn of_std(number: usize) -> Frame {
    let (function, file) = [
        ("alloc::alloc::Global::alloc_impl", "alloc.rs"),
        ("alloc::raw_vec::finish_grow", "raw_vec/mod.rs"),
        ("alloc::raw_vec::RawVec<T,A>::grow_one", "raw_vec/mod.rs"),
    ][number];
    let path = format!("/rustc/59807616e1b0d9e4f9b1e6bd2f7e2c4d9a6f4d2a/library/alloc/src/{file}");
    Frame::new(Some(function), Some(&path), 300 + number as u32, 9)
}

/// xorshift64*, by Vigna.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        bits as usize % n
    }
}
