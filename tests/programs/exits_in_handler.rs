//! Ends by `exit` in a signal handler, as many old programs do on SIGTERM.
//!
//! `exits_in_handler churn|wait MICROSECONDS THREADS`: what the handler interrupts, when, and how
//! many other threads allocate meanwhile.

use std::hint::black_box;

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

extern "C" fn end(_: libc::c_int) {
    // SAFETY: `exit` is not allowed in a handler; the test is about programs that call it there
    // anyway.
    unsafe { libc::exit(0) }
}

fn churn() -> ! {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(vec![0; kept.len() * 7 % 3_000]);
        if kept.len() > 500 {
            kept = Vec::new();
        }
    }
}

fn main() {
    let argument = |at: usize| std::env::args().nth(at).expect("three arguments");
    let number = |at: usize| argument(at).parse::<i64>().expect("a number");
    for _ in 0..number(3) {
        std::thread::spawn(|| churn());
    }
    black_box(Box::leak(Box::new([1_u8; 1000])));
    let handler: extern "C" fn(libc::c_int) = end;
    // SAFETY: a handler of the right type.
    unsafe { libc::signal(libc::SIGALRM, handler as *const () as libc::sighandler_t) };
    let timer = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: 0,
            tv_usec: number(2),
        },
    };
    // SAFETY: `timer` is valid, and a null pointer asks for no old value.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    match argument(1).as_str() {
        "churn" => churn(),
        _ => loop {
            std::thread::sleep(std::time::Duration::from_secs(60));
        },
    }
}
