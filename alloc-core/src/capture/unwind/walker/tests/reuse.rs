//! Walks that reuse equal walks that do not.

use std::hint::black_box;

use super::shapes::Shapes;
use crate::capture::MAX_FRAMES;

#[test]
fn a_walk_that_remembers_equals_one_that_does_not_in_all_shapes() {
    for (seed, limit) in [(1, MAX_FRAMES), (2, 40), (3, 12), (4, 1), (5, 46)] {
        let mut shapes = Shapes::new(seed, limit);
        while shapes.leaves < 4_000 {
            let depth = 1 + shapes.below(40) as usize;
            shapes.call(depth);
        }
    }
}

/// The same stacks again and again, among others that begin alike. How many are recalled depends on
/// which of them have their memos in the same places, and so on where the program was loaded.
#[test]
fn whole_stacks_are_recalled_if_they_are_the_same() {
    let mut recalled = 0;
    for (seed, limit) in [(1, MAX_FRAMES), (2, 40), (3, 12), (4, 1)] {
        let mut shapes = Shapes::new(seed, limit);
        for leaves in [100, 50, 100, 300, 100, 100] {
            (shapes.random, shapes.leaves) = (seed, 0);
            while shapes.leaves < leaves {
                let depth = 1 + shapes.below(5) as usize;
                shapes.call(depth);
            }
        }
        recalled += shapes.recalled;
    }
    // About 1,150 of 3,000, by where the program is loaded.
    assert!(recalled > 300, "{recalled}");
}

/// Recursion deeper than the limit, and than links are kept: the window slides outwards and back.
/// Now and then a frame is found by rbp.
#[test]
fn a_recursion_beyond_the_limit_is_cut_right_on_its_way_in_and_out() {
    #[inline(never)]
    fn aligned(shapes: &mut Shapes, depth: usize) {
        #[repr(align(128))]
        struct Aligned([u8; 128]);
        let space = black_box(Aligned([7; 128]));
        recurse(shapes, depth);
        assert_eq!(space.0[depth % 128], 7);
    }
    #[inline(never)]
    fn recurse(shapes: &mut Shapes, depth: usize) {
        if depth.is_multiple_of(3) {
            shapes.leaf();
        }
        if depth.is_multiple_of(7) && depth > 0 {
            aligned(shapes, depth - 1);
        } else if depth > 0 {
            recurse(shapes, depth - 1);
        }
        if depth.is_multiple_of(5) {
            shapes.leaf();
        }
        black_box(());
    }
    for (limit, depth) in [(10, 400), (46, 2_000), (MAX_FRAMES, 5_000)] {
        let mut shapes = Shapes::new(1, limit);
        recurse(&mut shapes, depth);
    }
}
