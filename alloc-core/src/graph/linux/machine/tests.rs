//! What is scanned of a thread that a signal interrupted.

use std::arch::asm;
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;
use crate::system::sync::{AtomicUsize, Ordering::Relaxed};

/// In a general register, in a vector register, and left on the stack by a call that has returned.
const GENERAL: usize = 0x6e65_6721_0000_0001;
const VECTOR: usize = 0x6365_7621_0000_0001;
const LEFT: usize = 0x7466_656c_0000_0001;

/// How often the handler found each of them.
static FOUND: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// Held by a test: the handler is one for all threads.
static ALONE: Mutex<()> = Mutex::new(());

extern "C" fn look(_: libc::c_int, _: *const c_void, context: *mut libc::ucontext_t) {
    // SAFETY: a handler with `SA_SIGINFO` gets a context, which nobody else uses.
    let context = unsafe { &mut *context };
    for (start, end) in Registers::places(context) {
        for at in (start..end).step_by(8) {
            // SAFETY: the place is in the frame of this signal, and aligned.
            let word = unsafe { (at as *const usize).read_volatile() };
            for (value, found) in [GENERAL, VECTOR, LEFT].iter().zip(&FOUND) {
                if word == *value {
                    found.fetch_add(1, Relaxed);
                }
            }
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // On, past the instruction that caused the signal.
        context.uc_mcontext.pc += 4;
    }
}

/// Installs the handler, of the signal that a breakpoint causes.
fn prepare() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zero is valid for all fields: no handler, no flags, an empty set.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = look as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: `SA_SIGINFO` matches the type of the handler, which is async-signal-safe.
    let failed = unsafe { libc::sigaction(libc::SIGTRAP, action, std::ptr::null_mut()) };
    assert_eq!(failed, 0);
    FOUND.iter().for_each(|it| it.store(0, Relaxed));
    alone
}

/// Leaves words on the stack, where the frame of a signal comes to be.
///
/// NOTE: one by one. A copy of an array leaves its items in vector registers, too.
#[inline(never)]
fn leave() {
    let mut words = [0_usize; 4096];
    for word in &mut words {
        // SAFETY: a place of the array.
        unsafe { std::ptr::from_mut(word).write_volatile(black_box(LEFT)) };
    }
    black_box(&words);
}

/// More than the general registers that `leave` may have left a word in.
const FEW: usize = 4;

fn found() -> [usize; 3] {
    [0, 1, 2].map(|at| FOUND[at].load(Relaxed))
}

#[test]
fn a_signal_s_frame_has_registers_and_not_what_calls_left() {
    let _alone = prepare();
    leave();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: changes one register, which is an output. The handler changes nothing.
    unsafe {
        asm!("movq xmm9, {vector}", "int3", vector = in(reg) VECTOR, in("r12") GENERAL, out("xmm9") _);
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: changes one register, which is an output. The handler goes on after the breakpoint.
    unsafe {
        asm!("mov v9.d[1], {vector}", "brk #0", vector = in(reg) VECTOR, in("x20") GENERAL, out("v9") _);
    }
    let [general, vector, left] = found();
    println!("{general} in general registers, {vector} in vectors, {left} left by calls");
    assert!(general >= 1);
    // One of them is where the vector's came from.
    assert!(vector >= 2, "{vector}");
    assert!(left < FEW, "{left}");
}

/// Vectors that are too long for the room in the frame are elsewhere.
#[test]
#[cfg(target_arch = "aarch64")]
fn long_vectors_are_found() {
    const PR_SVE_SET_VL: libc::c_int = 50;
    const LONGEST: usize = 256;
    let _alone = prepare();
    // SAFETY: the arguments are numbers. The code of this program uses no such vectors.
    let bytes = unsafe { libc::prctl(PR_SVE_SET_VL, LONGEST) };
    let Ok(bytes) = usize::try_from(bytes) else {
        println!("this processor has none");
        return;
    };
    leave();
    // SAFETY: changes one register, which is an output. The handler goes on after the breakpoint.
    unsafe {
        asm!(
            ".arch_extension sve", "dup z9.d, {vector}", "brk #0", ".arch_extension nosve",
            vector = in(reg) VECTOR, out("v9") _,
        );
    }
    let [_, vector, left] = found();
    // More than the record of short vectors and the general registers have.
    println!("vectors of {bytes} bytes");
    assert!(vector >= bytes / 8 + 3, "{vector}");
    assert!(left < FEW, "{left}");
}

#[test]
#[cfg(all(target_arch = "aarch64", target_env = "gnu"))]
fn the_control_block_is_as_long_as_the_c_library_says() {
    // SAFETY: the name ends in a NUL byte.
    let size = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_thread_db_sizeof_pthread".as_ptr()) };
    assert!(!size.is_null());
    // SAFETY: it is a number of the C library, which is there for debuggers.
    let size = unsafe { *size.cast::<u32>() } as usize;
    let pointer = thread_pointer();
    assert_eq!(control_block(pointer), (pointer - size, pointer + 16));
}
