//! [`run`]: runs work that needs much stack on one of the tracer's own stacks.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;

use crate::system::arena::{LazyTable, Zeroed};
use crate::system::signal_mask::Blocked;
use crate::system::sync::{AtomicBool, Ordering};

/// Size of a spare stack. Reading an unwind table takes 25 KiB in a debug build, and 3 KiB in a
/// release build.
const SIZE: usize = 64 << 10;

/// Number of spare stacks, and so of threads that can use one at the same time.
const STACKS: usize = 4;

/// A stack that is free or used by one thread.
#[repr(C, align(16))]
struct SpareStack {
    room: UnsafeCell<[MaybeUninit<u8>; SIZE]>,
    is_taken: AtomicBool,
}

// SAFETY: the room is used only by the thread that took the stack.
unsafe impl Sync for SpareStack {}

// SAFETY: all zero is valid: any bytes, and a flag that means "free".
unsafe impl Zeroed for SpareStack {}

static STACKS_THERE: LazyTable<SpareStack, STACKS> = LazyTable::new();

/// Reserves the stacks; called off the hot path. Idempotent.
pub(in crate::capture) fn prepare() {
    STACKS_THERE.get_or_reserve();
}

/// Physical memory of the stacks, in bytes.
pub(in crate::capture) fn resident() -> usize {
    STACKS_THERE.resident()
}

/// Runs `work` on a spare stack, or on the calling thread's if all are taken.
///
/// A record may run on a signal handler's stack, which may have as little as 2 KiB. Rare work that
/// needs more runs here, above all a lookup in an unwind table.
///
/// # Signals
///
/// Signals stay pending until `work` is done: a handler may need more stack than there is, and may
/// not return. So this takes two system calls.
///
/// # Forks
///
/// A thread that forks does so outside of `work`, so in the child all stacks are [free](free_all).
pub(in crate::capture) fn run<R>(mut work: impl FnMut() -> R) -> R {
    let Some(stack) = take() else {
        return work();
    };
    let mut result = None;
    let mut keep = || result = Some(work());
    let top = stack.room.get().wrapping_add(1).cast();
    let blocked = Blocked::begin();
    call_closure_on(&mut keep, top);
    drop(blocked);
    // The release publishes writes to the stack to the acquire in `take`.
    stack.is_taken.store(false, Ordering::Release);
    // NOTE: `result` is always `Some` here.
    result.unwrap_or_else(work)
}

/// After a fork, in the child: the threads that ran on a stack no longer exist.
pub(in crate::capture) fn free_all() {
    for stack in STACKS_THERE.get().map_or(&[][..], |it| it) {
        stack.is_taken.store(false, Ordering::Relaxed);
    }
}

fn take() -> Option<&'static SpareStack> {
    STACKS_THERE.get()?.iter().find(|stack| {
        let is_taken = &stack.is_taken;
        is_taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    })
}

/// NOTE: the stack that ends at `top` is aligned, and belongs to the calling thread alone.
fn call_closure_on<W: FnMut()>(work: &mut W, top: *mut c_void) {
    unsafe extern "C" fn call<W: FnMut()>(work: *mut c_void) {
        // SAFETY: `call_on` passes on this pointer from a caller that waits.
        let work = unsafe { &mut *work.cast::<W>() };
        work();
    }
    // SAFETY: `call` gets a pointer of the type that it expects, and does not unwind. The stack
    // meets the requirements of `call_on`.
    unsafe { call_on(std::ptr::from_mut(work).cast(), call::<W>, top) };
}

/// Calls `call` with `data` on the stack that ends at `top`.
///
/// # Safety
///
/// `top` must be aligned to sixteen bytes, and nobody may use the memory below. Calling `call` with
/// `data` must be sound, and must not unwind.
#[unsafe(naked)]
unsafe extern "C" fn call_on(
    data: *mut c_void,
    call: unsafe extern "C" fn(*mut c_void),
    top: *mut c_void,
) {
    std::arch::naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> usize {
        let here = 0_u8;
        (&raw const here).addr()
    }

    #[test]
    fn work_runs_on_another_stack() {
        prepare();
        let own = place();
        let there = run(place);
        assert!(own.abs_diff(there) > SIZE, "{own:x}, {there:x}");
    }

    #[test]
    fn work_within_work_and_on_many_threads_has_stacks_of_its_own_or_the_threads() {
        prepare();
        fn sum(depth: usize) -> usize {
            match depth {
                0 => 0,
                _ => run(|| depth + sum(depth - 1)),
            }
        }
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..200).for_each(|_| assert_eq!(sum(10), 55)));
            }
        });
    }

    #[test]
    fn a_child_has_all_stacks() {
        prepare();
        let taken = take().unwrap();
        // SAFETY: the child only reads atomics, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            free_all();
            let is_free = !taken.is_taken.load(Ordering::Relaxed);
            // SAFETY: the call has no preconditions.
            unsafe { libc::_exit(i32::from(!is_free)) };
        }
        let mut status = 0;
        // SAFETY: `child` is a child of this process, and `status` has room for its status.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        taken.is_taken.store(false, Ordering::Release);
    }

    #[test]
    fn an_unwinder_finds_its_way_through() {
        prepare();
        let mut names = 0;
        run(|| {
            backtrace::trace(|_| {
                names += 1;
                true
            });
        });
        let mut own = 0;
        backtrace::trace(|_| {
            own += 1;
            true
        });
        assert!(names > own, "{names} and {own}");
    }
}
