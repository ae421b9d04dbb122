//! Special stacks: aligned frames, the bottoms of stacks, coroutines, and each way to record a
//! block.

use std::ffi::c_void;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::thread;

use alloc_core::{Config, Scope, start_with, take_snapshot};
use alloc_tests::boxed_afar;

use crate::compare::{Leaf, check, check_inner_part};
use crate::shapes::{COMPARED, Shapes, call_compared};
use crate::{ALL, check_health};

/// An over-aligned frame is at the same address below callers of ten sizes. Only its frame pointer
/// distinguishes them: the return address to an earlier caller is still where it was.
pub(crate) fn over_aligned_frames_at_the_same_place() {
    #[repr(align(256))]
    struct Aligned([u8; 256]);
    #[inline(never)]
    fn aligned(shapes: &mut Shapes<'_>) {
        let space = black_box(Aligned([1; 256]));
        shapes.leaf();
        assert_eq!(black_box(space).0[255], 1);
    }
    #[inline(never)]
    fn from<const BYTES: usize>(shapes: &mut Shapes<'_>) {
        let mut room = MaybeUninit::<[u8; BYTES]>::uninit();
        black_box(&mut room);
        aligned(shapes);
        black_box(&mut room);
    }
    const CALLERS: [fn(&mut Shapes<'_>); 10] = [
        from::<16>,
        from::<32>,
        from::<48>,
        from::<64>,
        from::<80>,
        from::<96>,
        from::<112>,
        from::<128>,
        from::<144>,
        from::<160>,
    ];
    start_with(Config::default().frames(ALL)).unwrap();
    let mut shapes = Shapes::new(62, usize::MAX, &[]);
    for _ in 0..500 {
        let caller = shapes.below(10);
        CALLERS[caller](&mut shapes);
    }
    for leaf in &shapes.leaves {
        check(leaf, ALL);
    }
    check_health();
}

/// The bottoms of stacks: in `main`, in a thread of the standard library, and in a thread started
/// by C.
pub(crate) fn the_bottoms_of_main_and_of_threads() {
    fn leaves() -> Vec<Leaf> {
        let mut shapes = Shapes::new(61, 20, &[]);
        shapes.leaf();
        shapes.run(3);
        shapes.leaves
    }
    extern "C" fn start(found: *mut c_void) -> *mut c_void {
        // SAFETY: the pointer is passed below, by a thread that waits for this one.
        unsafe { *found.cast::<Vec<Leaf>>() = leaves() };
        null_mut()
    }
    start_with(Config::default().frames(ALL)).unwrap();
    let mut of_c = Vec::new();
    let mut thread = 0;
    // SAFETY: the function has the right type, and its argument outlives the thread.
    let failed =
        unsafe { libc::pthread_create(&mut thread, null_mut(), start, (&raw mut of_c).cast()) };
    assert_eq!(failed, 0);
    // SAFETY: the thread is joinable, and no other thread joins it.
    assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
    let of_rust = thread::spawn(leaves).join().unwrap();
    for found in [leaves(), of_rust, of_c] {
        assert_eq!(found.len(), 20);
        for leaf in &found {
            check(leaf, ALL);
        }
    }
    check_health();
}

/// The stack of a coroutine contains the coroutine, and nothing beyond its own stack.
pub(crate) fn coroutines() {
    start_with(Config::default().frames(ALL)).unwrap();
    let mut shapes = Shapes::new(91, usize::MAX, &[]);
    for size in [64 << 10, 1 << 20] {
        let mut room = vec![0_u8; size];
        for _ in 0..50 {
            COMPARED.set(Some((std::ptr::from_mut(&mut shapes).cast(), 1)));
            on_another_stack(&mut room);
            check_inner_part(shapes.leaves.last().unwrap(), "run");
            shapes.plain::<0>(1);
            check(shapes.leaves.last().unwrap(), ALL);
        }
    }
    assert_eq!(shapes.leaves.len(), 200);
}

/// A block is recorded on the fast path, or on the slow path after something has changed.
pub(crate) fn every_way_to_record_a_block_captures_the_same_stack() {
    let ways: [fn(); 8] = [
        || start_with(Config::default()).unwrap(),
        || (),
        || alloc_core::reset_peak(),
        || thread::spawn(|| drop(boxed_afar())).join().unwrap(),
        || alloc_core::untraced(|| drop(boxed_afar())),
        || (),
        // The scope stays open for the last block, too.
        || std::mem::forget(Scope::enter().unwrap()),
        || (),
    ];
    // In debug builds, calls for scopes leave other frames.
    let ways = if cfg!(debug_assertions) {
        &ways[..6]
    } else {
        &ways[..]
    };
    let mut kept = Vec::with_capacity(ways.len());
    // The slice is opaque, so that the compiler does not unroll the loop: all boxes come from one
    // call.
    for way in black_box(ways) {
        way();
        kept.push(boxed_afar());
    }
    let snapshot = take_snapshot().unwrap();
    let traces = snapshot.traces().iter().filter(|trace| {
        let mut functions = trace.traceback.iter().filter_map(|frame| frame.function());
        functions.any(|name| name.ends_with("boxed_afar"))
    });
    let blocks = traces.map(|trace| trace.counters.current.blocks);
    let live: Vec<u64> = blocks.filter(|&blocks| blocks > 0).collect();
    assert_eq!(live, [ways.len() as u64]);
}

/// Calls a leaf on another stack.
fn on_another_stack(room: &mut [u8]) {
    extern "C" fn run() {
        call_compared();
        black_box(());
    }
    // SAFETY: all zeros are a valid `ucontext_t`, which is filled in below.
    let mut here: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: all zeros are a valid `ucontext_t`, which is filled in below.
    let mut there: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: `there` is a valid place for a context.
    assert_eq!(unsafe { libc::getcontext(&mut there) }, 0);
    there.uc_stack.ss_sp = room.as_mut_ptr().cast();
    there.uc_stack.ss_size = room.len();
    there.uc_link = &mut here;
    // SAFETY: the context has its own stack, and the function has no arguments.
    unsafe { libc::makecontext(&mut there, run, 0) };
    // SAFETY: both contexts are valid, and the function returns to `here`.
    assert_eq!(unsafe { libc::swapcontext(&mut here, &there) }, 0);
}
