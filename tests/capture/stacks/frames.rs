//! Shapes of calls whose frames differ.

use std::hint::black_box;
use std::mem::MaybeUninit;

use crate::shapes::Shapes;

impl<'l> Shapes<'l> {
    #[inline(never)]
    pub(crate) fn plain<const N: usize>(&mut self, depth: usize) {
        self.call(depth - 1);
        black_box(N);
    }

    /// The unwinder finds its frame by rbp.
    #[inline(never)]
    pub(crate) fn aligned<const N: usize>(&mut self, depth: usize) {
        #[repr(align(128))]
        struct Aligned([u8; 128]);
        let space = black_box(Aligned([N as u8; 128]));
        self.call(depth - 1);
        assert_eq!(black_box(space).0[N], N as u8);
    }

    #[inline(never)]
    pub(crate) fn large(&mut self, depth: usize) {
        if self.is_small {
            return self.plain::<2>(depth);
        }
        let mut space = [const { MaybeUninit::<u8>::uninit() }; 64 << 10];
        black_box(&mut space);
        self.call(depth - 1);
        black_box(&mut space);
    }

    #[inline(never)]
    pub(crate) fn dynamic(&mut self, depth: usize) {
        let act = |shapes: &mut Shapes<'l>| {
            shapes.call(depth - 1);
            black_box(depth);
        };
        let act: &dyn Fn(&mut Shapes<'l>) = black_box(&act);
        act(self);
    }

    /// Three functions and a closure of the program, and an iterator of the standard library, in
    /// one frame.
    #[inline(never)]
    pub(crate) fn inlined(&mut self, depth: usize) {
        #[inline(always)]
        fn outer(shapes: &mut Shapes<'_>, depth: usize) {
            inner(shapes, depth);
            black_box(1);
        }
        #[inline(always)]
        fn inner(shapes: &mut Shapes<'_>, depth: usize) {
            (0..black_box(1)).for_each(|_| shapes.call(depth - 1));
            black_box(2);
        }
        outer(self, depth);
        black_box(3);
    }

    /// A jump in release builds, so that neither stack has this frame.
    #[inline(never)]
    pub(crate) fn tail(&mut self, depth: usize) {
        black_box(depth);
        self.plain::<3>(depth);
    }

    /// Some of the arguments are passed on the stack.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "that is the shape")]
    pub(crate) fn many_arguments(
        &mut self,
        depth: usize,
        array: [u64; 3],
        a: u64,
        b: u64,
        c: u64,
        d: u64,
        e: u64,
        f: u64,
        g: u64,
    ) {
        self.call(depth - 1);
        let sum = a + b + c + d + e + f + g + array.iter().sum::<u64>();
        assert_eq!(black_box(sum), 55);
    }

    #[inline(never)]
    pub(crate) fn several(&mut self, depth: usize) {
        for _ in 0..2 {
            self.call(depth - 1);
        }
        self.call(depth.saturating_sub(3));
    }
}
