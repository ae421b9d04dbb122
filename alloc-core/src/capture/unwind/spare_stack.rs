//! [`run`]: work that takes much stack, on a stack of the tracer's own.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;

use crate::system::arena::{LazyTable, Zeroed};
use crate::system::signal_mask::Blocked;
use crate::system::sync::{AtomicBool, Ordering};

/// How large a spare stack is. Reading an unwind table takes 25 KiB in a debug build, and 3 in a
/// release build.
const SIZE: usize = 64 << 10;

/// As many threads as have one at the same time.
const STACKS: usize = 4;

/// A stack that nobody runs on, or one thread.
#[repr(C, align(16))]
struct SpareStack {
    room: UnsafeCell<[MaybeUninit<u8>; SIZE]>,
    is_taken: AtomicBool,
}

// SAFETY: the room is used only by the thread that took the stack.
unsafe impl Sync for SpareStack {}

// SAFETY: any bytes, and an atomic that says that nobody has it.
unsafe impl Zeroed for SpareStack {}

static STACKS_THERE: LazyTable<SpareStack, STACKS> = LazyTable::new();

/// Reserves the stacks; called off the hot path. Idempotent.
pub(in crate::capture) fn prepare() {
    STACKS_THERE.get_or_reserve();
}

/// The physical memory that the stacks take up.
pub(in crate::capture) fn resident() -> usize {
    STACKS_THERE.resident()
}

/// Runs `work` on a spare stack, or on the calling thread's where all are taken.
///
/// A record may have to do with a signal handler's stack, of which there may be as little as 2 KiB.
/// What is rare and takes more, a look into an unwind table above all, is done here.
///
/// # Signals
///
/// They wait until `work` is done: a handler may need more stack than there is, and may not return.
/// So this takes two system calls.
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
    // The release shows what was written there to the acquire in `take`.
    stack.is_taken.store(false, Ordering::Release);
    // NOTE: it is there.
    result.unwrap_or_else(work)
}

/// After a fork, in the child: those who ran on a stack are not there.
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

/// NOTE: the stack that ends at `top` is the calling thread's, aligned, and nobody runs on it.
fn call_closure_on<W: FnMut()>(work: &mut W, top: *mut c_void) {
    unsafe extern "C" fn call<W: FnMut()>(work: *mut c_void) {
        // SAFETY: passed on by `call_on`, from a caller that waits for us.
        let work = unsafe { &mut *work.cast::<W>() };
        work();
    }
    // SAFETY: `call` gets what it is of, and does not unwind; the stack is as it must be.
    unsafe { call_on(std::ptr::from_mut(work).cast(), call::<W>, top) };
}

/// Calls `call` with `data` on the stack that ends at `top`.
///
/// # Safety
///
/// `top` is aligned to sixteen bytes, and nobody uses the memory below. `call` may be called with
/// `data`, and does not unwind.
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
        // SAFETY: the child does nothing but look at atomics, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            free_all();
            let is_free = !taken.is_taken.load(Ordering::Relaxed);
            // SAFETY: always safe.
            unsafe { libc::_exit(i32::from(!is_free)) };
        }
        let mut status = 0;
        // SAFETY: a child of this process, and room for its status.
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
