//! A library with the tracer is closed while threads that called it are alive.

use std::ffi::CString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;

type Fill = extern "C" fn() -> usize;

/// The library, which cargo builds.
fn plugin() -> PathBuf {
    let cargo = Command::new(env!("CARGO"))
        .args(["build", "--package", "alloc-tests", "--example", "plugin"])
        .args(["--message-format", "json"])
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{cargo:?}");
    let messages = String::from_utf8(cargo.stdout).expect("JSON");
    let is_it = |it: &&str| it.ends_with(".so") && it.contains("plugin");
    let path = messages.split('"').rfind(is_it);
    PathBuf::from(path.expect("the library is built"))
}

/// The program itself has no tracer.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_ends_after_the_library_was_closed() {
    if std::env::var_os("ALLOC_TRACE").is_some() {
        return open_and_close(&PathBuf::from(
            std::env::args().next_back().expect("a path"),
        ));
    }
    // The test runs in its own process, which an error ends.
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args([
            "--exact",
            "a_thread_ends_after_the_library_was_closed",
            "--",
        ])
        .arg(plugin())
        .env("ALLOC_TRACE", "8")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

fn open_and_close(path: &std::path::Path) {
    let path = CString::new(path.to_str().expect("UTF-8")).expect("no zeros");
    // SAFETY: the library is part of this workspace, and has no initializers but Rust's.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!library.is_null());
    // SAFETY: the library is open, and the name ends in a zero.
    let fill = unsafe { libc::dlsym(library, c"fill".as_ptr()) };
    assert!(!fill.is_null());
    // SAFETY: the function has this type.
    let fill = unsafe { std::mem::transmute::<*mut libc::c_void, Fill>(fill) };
    let (send_filled, filled) = channel();
    let (send_closed, closed) = channel();
    let thread = std::thread::spawn(move || {
        send_filled.send(fill()).expect("a thread waits");
        closed.recv().expect("it is closed");
    });
    assert_eq!(filled.recv(), Ok(1000));
    // SAFETY: the library was opened above, and none of its functions is running.
    assert_eq!(unsafe { libc::dlclose(library) }, 0);
    send_closed.send(()).expect("it waits");
    thread.join().expect("it ends well");
}
