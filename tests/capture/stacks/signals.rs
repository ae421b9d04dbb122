//! Stacks of signal handlers: on the stack that they interrupt, and on one of their own.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use alloc_core::{Config, start_with};

use crate::ALL;
use crate::compare::{Leaf, check, check_inner_part};
use crate::shapes::{COMPARED, Shapes, call_compared};

impl Shapes<'_> {
    /// A handler that runs where it interrupts, if it is on this stack.
    #[inline(never)]
    pub(crate) fn interrupted(&mut self, depth: usize) {
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        // SAFETY: the handler is one of these tests'.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
    }
}

/// The stack of a handler goes on to what the signal interrupted, also from a stack of its own.
pub(crate) fn signal_handlers_on_the_same_stack_and_on_another() {
    start_with(Config::default().frames(ALL)).unwrap();
    const ROOM: usize = 8 << 20;
    let mut room = vec![0_u8; ROOM];
    let stack = libc::stack_t {
        ss_sp: room.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: ROOM,
    };
    // SAFETY: memory that outlives its use as a stack, which ends below.
    assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
    for (seed, flags) in [(71, 0), (72, libc::SA_ONSTACK), (73, 0)] {
        handle(libc::SIGUSR2, flags);
        let mut shapes = Shapes::new(seed, usize::MAX, &[]);
        for _ in 0..50 {
            shapes.interrupted(4);
            let handler = shapes.leaves.last().unwrap();
            assert!(check_inner_part(handler, "on_signal"));
            // The thread's own stack is whole again.
            shapes.plain::<0>(1);
            check(shapes.leaves.last().unwrap(), ALL);
        }
    }
    let none = libc::stack_t {
        ss_flags: libc::SS_DISABLE,
        ..stack
    };
    // SAFETY: nobody is on the stack any more.
    assert_eq!(unsafe { libc::sigaltstack(&none, null_mut()) }, 0);
}

/// A timer interrupts a loop at any instruction of its own and of the `clock_gettime` that the system maps
/// into the program. The loop neither allocates nor locks, so the handler may.
pub(crate) fn a_signal_in_the_middle_of_anything() {
    start_with(Config::default().frames(ALL)).unwrap();
    handle(libc::SIGPROF, 0);
    let mut shapes = Shapes::new(81, 50, &[]);
    shapes.leaves.reserve(50);
    set_timer(1_000);
    for _ in 0..50 {
        COMPARED.set(Some((std::ptr::from_mut(&mut shapes).cast(), 1)));
        while COMPARED.get().is_some() {
            let mut time = MaybeUninit::<libc::timespec>::uninit();
            // SAFETY: room for the time.
            unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
        }
    }
    set_timer(0);
    assert_eq!(shapes.leaves.len(), 50);
    for leaf in &shapes.leaves {
        assert!(check_inner_part(leaf, "on_signal"));
    }
    let vdso = vdso();
    let is_in_vdso = |leaf: &&Leaf| leaf.truth.iter().any(|it| vdso.contains(it));
    let in_vdso = shapes.leaves.iter().filter(is_in_vdso).count();
    println!("{in_vdso} of 50 signals came in the vdso");
}

/// Has signals handled by [`on_signal`].
pub(crate) fn handle(signal: libc::c_int, flags: libc::c_int) {
    // SAFETY: numbers and a null pointer.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = on_signal;
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = flags | libc::SA_RESTART;
    // SAFETY: the handler allocates only where what it interrupts does not.
    let failed = unsafe { libc::sigaction(signal, &action, null_mut()) };
    assert_eq!(failed, 0);
}

pub(crate) extern "C" fn on_signal(_: libc::c_int) {
    call_compared();
    black_box(());
}

/// Has a signal sent after each so many microseconds of processor time; never with 0.
fn set_timer(microseconds: libc::suseconds_t) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: a timer to read, and no old one is asked for.
    let failed = unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, null_mut()) };
    assert_eq!(failed, 0);
}

/// Where the system's own code lies in the program.
fn vdso() -> std::ops::Range<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(|line| line.split_once(' ')?.0.split_once('-'));
    let address = |text| usize::from_str_radix(text, 16).ok();
    range
        .and_then(|(start, end)| Some(address(start)?..address(end)?))
        .unwrap_or_default()
}
