//! Shapes of calls, drawn at random: what they share. The modules next to this one have the shapes.

use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::LazyLock;

use alloc_tests::Random;

use crate::c_functions::Library;
use crate::compare::{Block, Leaf};
use crate::panics::QUIET;

/// A tree of calls of random shapes, and what is found at its leaves.
///
/// The leaves of one tree follow each other on nearly the same stack. The tracer's walk relies on
/// that, and could be wrong about it.
pub(crate) struct Shapes<'l> {
    pub(crate) random: Random,
    pub(crate) most: usize,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) libraries: &'l [Library],
    /// Whether to avoid frames that do not fit on a small stack.
    pub(crate) is_small: bool,
    /// Calls of each shape.
    pub(crate) calls: [usize; Shapes::KINDS],
}

impl<'l> Shapes<'l> {
    pub(crate) const KINDS: usize = 25;

    pub(crate) fn new(seed: u64, most: usize, libraries: &'l [Library]) -> Shapes<'l> {
        LazyLock::force(&QUIET);
        Shapes {
            random: Random::new(seed),
            most,
            leaves: Vec::new(),
            libraries,
            is_small: false,
            calls: [0; _],
        }
    }

    /// Calls until there are `most` leaves.
    pub(crate) fn run(&mut self, depth: usize) {
        while self.leaves.len() < self.most {
            let depth = 1 + self.below(depth);
            self.call(depth);
        }
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.random.below(end)
    }

    #[inline(never)]
    pub(crate) fn leaf(&mut self) {
        if self.leaves.len() >= self.most {
            return;
        }
        let mut grown = Vec::with_capacity(10);
        let block = match self.below(4) {
            0 => Block::Boxed(black_box(Box::new([0; 48]))),
            1 => Block::Bytes(black_box(vec![0; 100])),
            2 => Block::Text(black_box(format!("{:>40}", self.most))),
            _ => {
                grown.reserve_exact(black_box(1000));

                Block::Bytes(grown)
            }
        };
        let mut truth = Vec::with_capacity(3000);
        backtrace::trace(|frame| {
            truth.push(frame.ip() as usize);
            true
        });
        truth.shrink_to_fit();
        self.leaves.push(Leaf { block, truth });
    }

    /// Calls a random shape, `depth` levels above the leaves.
    pub(crate) fn call(&mut self, depth: usize) {
        if depth == 0 || self.leaves.len() >= self.most {
            return self.leaf();
        }
        let kind = self.below(Shapes::KINDS);
        self.calls[kind] += 1;
        // A panic that ends the process cannot be caught.
        match kind {
            14 | 18 | 21 | 23 if cfg!(panic = "abort") => self.plain::<0>(depth),
            0 => self.plain::<0>(depth),
            1 => self.plain::<1>(depth),
            2 => self.aligned::<0>(depth),
            3 => self.aligned::<1>(depth),
            4 => self.large(depth),
            5 => self.dynamic(depth),
            6 => self.inlined(depth),
            7 => self.tail(depth),
            8 => self.many_arguments(depth, [1, 2, 3], 4, 5, 6, 7, 8, 9, 10),
            9 => self.searching(depth),
            10 => self.sorting(depth),
            11 => self.comparing(depth),
            12 => self.formatting(depth),
            13 => self.dropping(depth),
            14 => self.panicking(depth),
            15 => self.awaiting(depth),
            16 => self.joining(depth),
            17 => self.own_c(depth),
            18 => self.panicking_through_c(depth),
            19 => self.once(depth),
            20 => self.walking_a_tree(depth),
            21 => self.hooking(depth),
            22 => self.nesting(depth),
            23 => self.catching(depth),
            _ => self.several(depth),
        }
    }
}

thread_local! {
    /// The tree whose leaf the panic hook calls.
    pub(crate) static HOOKED: Cell<Option<*mut c_void>> = const { Cell::new(None) };
    /// The tree and the depth for callbacks of C functions without an argument. The first callback
    /// takes it.
    pub(crate) static COMPARED: Cell<Option<(*mut c_void, usize)>> = const { Cell::new(None) };
}

/// Continues the tree in [`COMPARED`], unless another callback has.
#[inline(never)]
pub(crate) fn call_compared() {
    if let Some((shapes, depth)) = COMPARED.take() {
        // SAFETY: the pointer was set by a caller that waits for this call.
        let shapes = unsafe { &mut *shapes.cast::<Shapes<'_>>() };
        shapes.call(depth - 1);
    }
    black_box(());
}

pub(crate) unsafe extern "C" fn compare(a: *const c_void, b: *const c_void) -> i32 {
    call_compared();
    // SAFETY: the pointer is to an element, which begins with a number.
    let a = unsafe { *a.cast::<i32>() };
    // SAFETY: the pointer is to an element, which begins with a number.
    let b = unsafe { *b.cast::<i32>() };
    a.cmp(&b) as i32
}
