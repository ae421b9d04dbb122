//! Call shapes that tests share: functions that allocate, and paths of calls to them.

use std::hint::black_box;

/// Defines functions that allocate and functions that reallocate, in pairs, each a callsite of its
/// own: four pairs, or pairs of the names given.
///
/// `MAKE[site](layout, zeroed)` allocates, `GROW[site](block, layout, new_size)` reallocates and is
/// unsafe for the reasons that `realloc` is. `NAMES[site]` has the names of both, and `SITES` is
/// the number of pairs.
///
/// It is a macro, so that the functions are compiled in the crate that chooses the allocator, and
/// the compiler may inline the allocator into them.
#[macro_export]
macro_rules! sites {
    () => {
        $crate::sites!(make_a grow_a, make_b grow_b, make_c grow_c, make_d grow_d);
    };
    ($($make:ident $grow:ident),+) => {
        $(
            #[inline(never)]
            fn $make(layout: std::alloc::Layout, zeroed: bool) -> *mut u8 {
                // The name keeps the linker from merging two of the functions.
                std::hint::black_box(stringify!($make));
                assert_ne!(layout.size(), 0);
                std::hint::black_box(match zeroed {
                    // SAFETY: the layout is not empty, as was just asserted.
                    true => unsafe { std::alloc::alloc_zeroed(layout) },
                    // SAFETY: the layout is not empty, as was just asserted.
                    false => unsafe { std::alloc::alloc(layout) },
                })
            }

            #[inline(never)]
            unsafe fn $grow(block: *mut u8, layout: std::alloc::Layout, size: usize) -> *mut u8 {
                std::hint::black_box(stringify!($grow));
                // SAFETY: the caller promises a live block of this layout, and a size that fits.
                std::hint::black_box(unsafe { std::alloc::realloc(block, layout, size) })
            }
        )+
        /// Pairs of functions, and the length of the tables below.
        const SITES: usize = [$(stringify!($make)),+].len();
        const MAKE: [fn(std::alloc::Layout, bool) -> *mut u8; SITES] = [$($make),+];
        const GROW: [unsafe fn(*mut u8, std::alloc::Layout, usize) -> *mut u8; SITES] = [$($grow),+];
        const NAMES: [[&str; 2]; SITES] = [$([stringify!($make), stringify!($grow)]),+];
    };
}

/// Calls `act` through `bits` calls to `zero` and `one`: each `path` is a stack of its own.
///
/// The lowest bit of `path` decides on the outermost call.
pub fn call_by_bits(path: u32, bits: u32, act: &mut dyn FnMut()) {
    match bits {
        0 => act(),
        _ if path & 1 == 0 => zero(path >> 1, bits - 1, act),
        _ => one(path >> 1, bits - 1, act),
    }
    // Something to do after the call, so that it is no jump.
    black_box(());
}

#[inline(never)]
fn zero(path: u32, bits: u32, act: &mut dyn FnMut()) {
    call_by_bits(path, bits, act);
    // The constant keeps the linker from merging the two functions.
    black_box(0);
}

#[inline(never)]
fn one(path: u32, bits: u32, act: &mut dyn FnMut()) {
    call_by_bits(path, bits, act);
    black_box(1);
}

/// The path of a stack that [`call_by_bits`] made, from the names of its functions, innermost
/// first.
pub fn path_of<'a>(functions: impl Iterator<Item = &'a str>) -> u32 {
    let bits = functions.filter_map(|function| match function.rsplit("::").next() {
        Some("zero") => Some(0),
        Some("one") => Some(1),
        _ => None,
    });
    // The innermost call is the highest bit.
    bits.fold(0, |path, bit| path << 1 | bit)
}
