//! Synthetic snapshots of any size.

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};

use crate::random::Random;

/// The size of a synthetic snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Callsites, each with its own stack.
    pub callsites: usize,
    /// Frames of a stack.
    pub depth: usize,
    /// The seed of the amounts. Snapshots of all seeds have the same stacks.
    pub seed: u64,
}

/// Distinct frames: as many as the workload `rust-source` has.
const PLACES: usize = 20_000;
const FUNCTIONS: usize = 4_000;
const FILES: usize = 400;
const CRATES: usize = 40;

/// Makes a snapshot of this shape.
///
/// The stacks are of a program of forty crates. Neighbours share their outer frames, as real ones
/// do, and each ends in three frames of the standard library.
///
/// ```
/// use alloc_benches::synthetic::{Shape, snapshot};
///
/// let shape = Shape { callsites: 100, depth: 30, seed: 1 };
/// assert_eq!(snapshot(shape).traces().len(), 100);
/// ```
pub fn snapshot(shape: Shape) -> Snapshot {
    let mut random = Random(0);
    let places: Vec<Frame> = (0..PLACES).map(place).collect();
    let std: Vec<Frame> = (0..3).map(of_std).collect();
    let mut amounts = Random(shape.seed);
    let mut stack: Vec<usize> = (0..shape.depth)
        .map(|_| below(&mut random, PLACES))
        .collect();
    let traces = (0..shape.callsites).map(|_| {
        // Each stack keeps the outer frames of the last one. The branch is near the inner end
        // more often than not.
        let kept = below(&mut random, shape.depth).max(below(&mut random, shape.depth));
        for place in &mut stack[kept..] {
            *place = below(&mut random, PLACES);
        }
        let own = stack.iter().rev().map(|&place| places[place].clone());
        let frames = std.iter().cloned().chain(own).take(shape.depth).collect();
        let blocks = 1 + amounts.below(1_000);
        let current = Amount::new(blocks * (8 + amounts.below(500)), blocks);
        let counters = Counters {
            current,
            peak: current,
            at_peak: current,
            total: Amount::new(2 * current.bytes.get(), 2 * blocks),
            ..Counters::default()
        };
        Trace::new(Traceback::new(frames), counters)
    });
    let limit = shape.depth.try_into().unwrap_or(u16::MAX);
    Snapshot::from_traces(traces.collect(), limit)
}

fn below(random: &mut Random, limit: usize) -> usize {
    random.below(limit as u64) as usize
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
