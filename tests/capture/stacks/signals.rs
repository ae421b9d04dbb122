//! Stacks of signal handlers: on the stack that they interrupt, and on one of their own.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use alloc_core::{Config, start_with};

use crate::ALL;
use crate::compare::{Leaf, check, check_inner_part};
use crate::shapes::{COMPARED, Shapes, call_compared};

impl Shapes<'_> {
    /// A call through a signal handler on the same stack.
    #[inline(never)]
    pub(crate) fn interrupted(&mut self, depth: usize) {
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        // SAFETY: the signal has a handler of these tests.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
    }
}

/// The stack of a handler continues to the interrupted function, also from an alternate stack.
pub(crate) fn signal_handlers_on_the_same_stack_and_on_another() {
    start_with(Config::default().frames(ALL)).unwrap();
    const ROOM: usize = 8 << 20;
    let mut room = vec![0_u8; ROOM];
    let stack = libc::stack_t {
        ss_sp: room.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: ROOM,
    };
    // SAFETY: the memory outlives its use as a stack, which ends below.
    assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
    for (seed, flags) in [(71, 0), (72, libc::SA_ONSTACK), (73, 0)] {
        handle(libc::SIGUSR2, flags);
        let mut shapes = Shapes::new(seed, usize::MAX, &[]);
        for _ in 0..50 {
            shapes.interrupted(4);
            let handler = shapes.leaves.last().unwrap();
            assert!(check_inner_part(handler, "on_signal"));
            // The thread's own stack is whole afterwards.
            shapes.plain::<0>(1);
            check(shapes.leaves.last().unwrap(), ALL);
        }
    }
    let none = libc::stack_t {
        ss_flags: libc::SS_DISABLE,
        ..stack
    };
    // SAFETY: no handler is running on the stack.
    assert_eq!(unsafe { libc::sigaltstack(&none, null_mut()) }, 0);
}

/// A timer interrupts a loop at any instruction, also in the `clock_gettime` of the vdso. The loop
/// neither allocates nor locks, so the handler may.
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
            // SAFETY: `time` is a valid place.
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

/// Installs [`on_signal`] as the handler of a signal.
pub(crate) fn handle(signal: libc::c_int, flags: libc::c_int) {
    // SAFETY: all zeros are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = on_signal;
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = flags | libc::SA_RESTART;
    // SAFETY: the handler allocates, and only interrupts code that does not.
    let failed = unsafe { libc::sigaction(signal, &action, null_mut()) };
    assert_eq!(failed, 0);
}

pub(crate) extern "C" fn on_signal(_: libc::c_int) {
    call_compared();
    black_box(());
}

/// Sends SIGPROF after every `microseconds` of processor time; 0 turns the timer off.
fn set_timer(microseconds: libc::suseconds_t) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: `timer` is valid, and a null pointer asks for no old value.
    let failed = unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, null_mut()) };
    assert_eq!(failed, 0);
}

/// The address range of the vdso.
fn vdso() -> std::ops::Range<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(|line| line.split_once(' ')?.0.split_once('-'));
    let address = |text| usize::from_str_radix(text, 16).ok();
    range
        .and_then(|(start, end)| Some(address(start)?..address(end)?))
        .unwrap_or_default()
}
