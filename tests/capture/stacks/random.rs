//! Random calls: on a large stack, with few frames, on threads, and deep.

use std::hint::black_box;
use std::panic::resume_unwind;
use std::thread;

use alloc_core::{Config, start_with};

use crate::c_functions::Library;
use crate::compare::{Leaf, check};
use crate::shapes::Shapes;
use crate::{ALL, check_health};

pub(crate) fn random_calls() {
    start_with(Config::default().frames(ALL)).unwrap();
    let libraries = Library::all();
    on_a_large_stack(|| {
        for seed in 1..=8 {
            let mut shapes = Shapes::new(seed, 400, &libraries);
            shapes.run(20);
            assert_eq!(shapes.leaves.len(), 400);
            for (shape, calls) in shapes.calls.iter().enumerate() {
                assert!(*calls > 0, "shape {shape} was never drawn");
            }
            for leaf in &shapes.leaves {
                check(leaf, ALL);
            }
        }
    });
    check_health();
}

/// Stacks are truncated at the limit, while the walk remembers more frames than it records.
pub(crate) fn random_calls_with_few_frames() {
    let libraries = Library::all();
    on_a_large_stack(|| {
        for (seed, frames) in [(11, 1), (12, 2), (13, 7), (14, 20), (15, 32), (16, 46)] {
            start_with(Config::default().frames(frames)).unwrap();
            let mut shapes = Shapes::new(seed, 300, &libraries);
            shapes.run(30);
            let cut = shapes
                .leaves
                .iter()
                .filter(|leaf| check(leaf, frames))
                .count();
            assert!(cut > 0);
            check_health();
            drop(shapes);
            alloc_core::stop();
        }
    });
}

pub(crate) fn random_calls_on_many_threads() {
    start_with(Config::default().frames(ALL)).unwrap();
    let libraries = Library::all();
    let libraries = &libraries[..];
    let found: Vec<Vec<Leaf>> = thread::scope(|scope| {
        let threads = [21, 22, 23, 24].map(|seed| {
            let run = move || {
                let mut shapes = Shapes::new(seed, 300, libraries);
                shapes.run(20);
                shapes.leaves
            };
            let thread = thread::Builder::new().stack_size(LARGE_STACK);
            thread.spawn_scoped(scope, run).unwrap()
        });
        threads.map(|it| it.join().unwrap()).into()
    });
    for leaf in found.iter().flatten() {
        check(leaf, ALL);
    }
    check_health();
}

/// Threads with small stacks. The stacks that they capture are checked outside of them.
pub(crate) fn small_threads() {
    start_with(Config::default().frames(ALL)).unwrap();
    let mut found = Vec::new();
    for (seed, kib) in [(31, 256), (32, 320), (33, 384), (34, 512)] {
        let run = move || {
            let mut shapes = Shapes::new(seed, 40, &[]);
            shapes.is_small = true;
            shapes.run(5);
            shapes.leaves
        };
        let thread = thread::Builder::new().stack_size(kib << 10);
        found.extend(thread.spawn(run).unwrap().join().unwrap());
    }
    assert_eq!(found.len(), 160);
    for leaf in &found {
        check(leaf, ALL);
    }
    check_health();
}

/// Leaves on the way in and on the way out, at depths below, at and above the limit of frames.
pub(crate) fn a_recursion_of_two_thousand() {
    #[inline(never)]
    fn recurse(shapes: &mut Shapes<'_>, depth: usize) {
        if depth.is_multiple_of(7) {
            shapes.leaf();
        }
        if depth > 0 {
            recurse(shapes, depth - 1);
        }
        if depth.is_multiple_of(11) {
            shapes.leaf();
        }
        black_box(());
    }
    on_a_large_stack(|| {
        for frames in [1, 5, 32, 64] {
            start_with(Config::default().frames(frames)).unwrap();
            let mut shapes = Shapes::new(1, usize::MAX, &[]);
            recurse(&mut shapes, 2000);
            assert_eq!(shapes.leaves.len(), 2000 / 7 + 1 + 2000 / 11 + 1);
            for leaf in &shapes.leaves {
                check(leaf, frames);
            }
            check_health();
            drop(shapes);
            alloc_core::stop();
        }
    });
}

pub(crate) const LARGE_STACK: usize = 256 << 20;

/// Runs on a stack that is large enough for the frames of debug builds.
pub(crate) fn on_a_large_stack(run: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(LARGE_STACK);
        let thread = thread.spawn_scoped(scope, run).unwrap();
        thread.join().unwrap_or_else(|panic| resume_unwind(panic));
    });
}
