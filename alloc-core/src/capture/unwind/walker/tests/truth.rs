//! Stacks of many kinds equal what the platform's own unwinder says.

use std::cell::Cell;
use std::hint::black_box;

use super::super::line::LINE_FRAMES;
use super::{Walker, walker};
use crate::capture::unwind::functions;
use crate::capture::unwind::registers::Registers;
use crate::capture::{Captured, MAX_FRAMES, StackBounds, hash_of, stack_bounds};
use crate::snapshot::recorded::StackEnd;
use crate::tables::callsites::Stack;

thread_local! {
    /// Kept from one capture to the next, as a thread's own.
    static WALKER: Cell<Option<Box<Walker>>> = const { Cell::new(None) };
}

/// The stack as captured, and the truth from the platform's own unwinder.
#[inline(never)]
fn both() -> (Vec<usize>, StackEnd, Vec<usize>) {
    let mut truth = Vec::with_capacity(MAX_FRAMES);
    let mut walker = WALKER.take().unwrap_or_else(walker);
    let hash = walker.walk_here();
    let stack = walker.stack();
    assert_eq!(stack.hash, hash);
    assert_eq!(hash_of(stack.addresses), hash);
    let (addresses, end) = (stack.addresses.to_vec(), stack.end);
    WALKER.set(Some(walker));
    backtrace::trace(|frame| {
        truth.push(frame.ip() as usize);
        true
    });
    (addresses, end, truth)
}

/// Everything outside of `both` must be equal, down to the bottom of the stack.
#[track_caller]
fn check((captured, end, truth): (Vec<usize>, StackEnd, Vec<usize>)) {
    let first = captured[0];
    let at = truth
        .iter()
        .position(|&ip| ip == first)
        .expect("the caller is in the truth");
    let mut truth = &truth[at..];
    // The platform's unwinder reports the outermost frame's zero return address, or not.
    while truth.last() == Some(&0) {
        truth = &truth[..truth.len() - 1];
    }
    assert_eq!(captured, truth);
    assert_eq!(end, StackEnd::Complete);
    assert!(captured.len() > 5);
}

#[test]
fn a_plain_stack_equals_the_truth() {
    check(black_box(both()));
}

#[test]
fn recursion_and_closures_equal_the_truth() {
    #[inline(never)]
    fn recurse(depth: usize, act: &dyn Fn() -> (Vec<usize>, StackEnd, Vec<usize>)) -> usize {
        if depth == 0 {
            check(act());
            return 1;
        }
        black_box(recurse(depth - 1, act) + 1)
    }
    for depth in [1, 2, 17, 100] {
        assert_eq!(recurse(depth, &|| black_box(both())), depth + 1);
    }
}

#[test]
fn large_and_over_aligned_frames_equal_the_truth() {
    #[repr(align(128))]
    struct Aligned([u8; 128]);

    #[inline(never)]
    fn large() -> u8 {
        let space = black_box([7_u8; 70_000]);
        check(black_box(both()));
        space[69_999]
    }

    #[inline(never)]
    fn aligned() -> u8 {
        let space = black_box(Aligned([3; 128]));
        black_box(large()) + space.0[127]
    }

    assert_eq!(aligned(), 10);
}

#[test]
fn a_callback_through_c_equals_the_truth() {
    unsafe extern "C" fn compare(a: *const libc::c_void, b: *const libc::c_void) -> i32 {
        check(black_box(both()));
        // SAFETY: `qsort` passes pointers to two elements of the array below.
        let a = unsafe { a.cast::<i32>().read() };
        // SAFETY: `qsort` passes pointers to two elements of the array below.
        let b = unsafe { b.cast::<i32>().read() };
        a.cmp(&b) as i32
    }
    let mut numbers = [3, 1, 2];
    // SAFETY: three elements of that size, and a function that compares two.
    unsafe {
        libc::qsort(
            numbers.as_mut_ptr().cast(),
            3,
            size_of::<i32>(),
            Some(compare),
        )
    };
    assert_eq!(numbers, [1, 2, 3]);
}

// A function that keeps a frame pointer and moves rsp by its third argument, as `alloca` does,
// before it calls its second with its first.
std::arch::global_asm!(
    ".local alloc_core_calls_further_down",
    ".type alloc_core_calls_further_down, @function",
    "alloc_core_calls_further_down:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "push rbx",
    ".cfi_offset rbx, -24",
    "push rax",
    "mov rbx, rdx",
    "sub rsp, rbx",
    "call rsi",
    "add rsp, rbx",
    "pop rax",
    "pop rbx",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    ".size alloc_core_calls_further_down, . - alloc_core_calls_further_down",
);

/// Also if the first walk finds rsp where the prologue left it.
#[test]
fn a_frame_that_grows_equals_the_truth() {
    unsafe extern "C" {
        fn alloc_core_calls_further_down(data: usize, act: extern "C" fn(usize), bytes: usize);
    }
    extern "C" fn act(bytes: usize) {
        check(black_box(both()));
        black_box(bytes);
    }
    for bytes in [0, 4_096, 0, 160] {
        // SAFETY: the function above; it makes room for a multiple of sixteen bytes.
        unsafe { alloc_core_calls_further_down(bytes, act, bytes) };
    }
}

// Calls its second argument with its first and the place of a zero, which is where its own return
// address would be.
std::arch::global_asm!(
    ".local alloc_core_calls_at_bottom",
    ".type alloc_core_calls_at_bottom, @function",
    "alloc_core_calls_at_bottom:",
    ".cfi_startproc",
    "push rbx",
    "mov rbx, rsp",
    "push 0",
    "push 0",
    ".cfi_def_cfa rsp, 16",
    "mov rax, rsi",
    "lea rsi, [rsp + 8]",
    "call rax",
    "mov rsp, rbx",
    "pop rbx",
    "ret",
    ".cfi_endproc",
    ".size alloc_core_calls_at_bottom, . - alloc_core_calls_at_bottom",
);

#[test]
fn a_stack_goes_on_where_its_bottom_is_none_any_more() {
    unsafe extern "C" {
        fn alloc_core_calls_at_bottom(data: usize, act: extern "C" fn(usize, *mut usize));
    }
    extern "C" fn act(_: usize, bottom: *mut usize) {
        let (mut remembering, mut forgetful) = (walker(), walker());
        let code = Registers::here().pc;
        let mut ends = Vec::new();
        for word in [0, 0, code, code, 0, code, 0, 0] {
            // SAFETY: a word of a frame that waits for us, and that nobody looks at but walks.
            unsafe { bottom.write_volatile(word) };
            remembering.walk_here();
            forgetful.begin(forgetful.bounds);
            forgetful.walk_here();
            let (stack, truth) = (remembering.stack(), forgetful.stack());
            assert_eq!(stack.addresses[1..], truth.addresses[1..], "{word:x}");
            assert_eq!(stack.end, truth.end, "{word:x}");
            ends.push(stack.addresses.len());
        }
        assert!(ends[0] == ends[1] && ends[0] < ends[2], "{ends:?}");
    }
    // SAFETY: the function above.
    unsafe { alloc_core_calls_at_bottom(0, act) };
}

#[test]
fn a_limit_cuts_the_outer_end() {
    let mut walker = walker();
    walker.set_limit(3);
    let hash = walker.walk_here();
    let stack = walker.stack();
    assert_eq!((stack.addresses.len(), stack.end), (3, StackEnd::Truncated));
    assert_eq!((stack.hash, hash_of(stack.addresses)), (hash, hash));
}

#[test]
fn a_walk_for_one_line_is_the_inner_part_of_the_whole() {
    functions::prepare();
    let mut walker = walker();
    let mut lens = Vec::new();
    for depth in [0, 1, 3, 30] {
        fn recurse(depth: usize, act: &mut dyn FnMut()) {
            match depth {
                0 => act(),
                _ => recurse(depth - 1, act),
            }
            black_box(());
        }
        recurse(depth, &mut || {
            walker.cached.clear();
            walker.cached.wake();
            let Captured { known: None, hash } = walker.capture_line() else {
                panic!("nothing is remembered")
            };
            let line = walker.stack();
            assert_eq!((line.hash, hash_of(line.addresses)), (hash, hash));
            let (line, end) = (line.addresses.to_vec(), line.end);
            walker.set_limit(MAX_FRAMES);
            walker.walk_here();
            let whole = walker.stack().addresses;
            // The call itself is another.
            assert_eq!(line[1..], whole[1..line.len()]);
            assert_eq!(end, StackEnd::Truncated);
            lens.push(line.len());
        });
    }
    // The harness is the first that is not the tracer's own, whose names are those of these tests.
    assert!(lens[0] < lens[1] && lens[1] < lens[2], "{lens:?}");
    assert_eq!(lens[3], LINE_FRAMES);
}

#[test]
fn a_stack_that_is_not_the_threads_own_is_short_and_broken() {
    let mut walker = walker();
    let elsewhere = StackBounds {
        low: 0x1000,
        high: 0x2000,
    };
    walker.begin(elsewhere);
    for _ in 0..2 {
        walker.walk_here();
        let stack = walker.stack();
        assert_ne!(stack.end, StackEnd::Truncated);
        assert!(stack.addresses.len() < 200);
        assert!(walker.reach.start.is_none());
    }
}

#[test]
fn addresses_that_are_not_code_break_the_walk() {
    let mut walker = walker();
    let Registers { sp, bp, .. } = Registers::here();
    for pc in [0x10, sp, usize::MAX] {
        walker.walk(pc, sp, bp);
        let stack = walker.stack();
        assert_eq!((stack.addresses.len(), stack.end), (0, StackEnd::Broken));
    }
}

/// With frame pointers most of these break the walk, without them none is looked at: in either
/// case nothing outside of the stack may be read.
#[test]
fn a_frame_pointer_that_is_not_one_is_never_followed_out_of_the_stack() {
    let mut walker = walker();
    let Registers { pc, sp, bp } = Registers::here();
    walker.walk(pc, sp, bp);
    let whole = walker.stack().addresses.to_vec();
    for bp in [
        0,
        1,
        8,
        sp - 8,
        sp + 1,
        stack_bounds().high - 8,
        stack_bounds().high,
        usize::MAX,
    ] {
        walker.walk(pc, sp, bp);
        let Stack { addresses, end, .. } = walker.stack();
        assert_eq!(*addresses, whole[..addresses.len()], "{bp:#x}");
        let is_whole = addresses.len() == whole.len();
        assert_eq!(end == StackEnd::Broken, !is_whole, "{bp:#x}");
    }
}
