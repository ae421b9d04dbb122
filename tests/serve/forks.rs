//! A program that forks: its child neither serves nor pushes, and takes nothing from it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use alloc_tests::{status_of, wait_until};

use crate::by_environment::serving;
use crate::client::{Answer, REQUEST, Served};
use crate::push::{check_sums, start, wait_for};
use crate::receiver::{Mood, Receiver};

/// A child of the program, which lives until it is told to end. It is killed if a test fails.
struct Forked(u32);

impl Forked {
    fn new(served: &mut Served) -> Forked {
        Forked(served.tell("fork").parse().expect("a number"))
    }

    fn threads(&self) -> Option<u64> {
        status_of(self.0, "Threads:")
    }

    /// Lets it return from `main`.
    #[track_caller]
    fn end(self, served: &mut Served) {
        let status = served.tell(&format!("end-child {}", self.0));
        assert_eq!(status, "0", "the child hung or failed");
        std::mem::forget(self);
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // SAFETY: it takes any number of a process.
        unsafe { libc::kill(self.0 as i32, libc::SIGKILL) };
    }
}

fn ask(path: &Path) -> u16 {
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.write_all(REQUEST).expect("it reads");
    Answer::read(stream).status
}

#[test]
fn the_parent_goes_on_and_the_child_does_nothing() {
    let receiver = Receiver::start();
    let mut served = start(&receiver, &[]);
    served.tell("keep 10");
    wait_for(&mut served, |it| it.pushed >= 2);
    let forked = Forked::new(&mut served);
    assert_eq!(forked.threads(), Some(1));
    for _ in 0..20 {
        assert_eq!(served.get("/metrics").status, 200);
    }
    let before = wait_for(&mut served, |_| true).pushed;
    wait_for(&mut served, |it| it.pushed >= before + 2);
    forked.end(&mut served);
    let second = Forked::new(&mut served);
    assert_eq!(served.get("/debug/pprof/heap").status, 200);
    second.end(&mut served);
    assert_eq!(served.get("/debug/pprof/heap").status, 200);
    // The thousand blocks of each child are in no profile.
    check_sums(served, vec![receiver]);
}

#[test]
fn a_child_of_a_program_that_serves_by_its_environment() {
    let mut served = serving(&[("ALLOC_TRACE_SERVE", "127.0.0.1:0")]);
    let forked = Forked::new(&mut served);
    assert_eq!(forked.threads(), Some(1));
    assert_eq!(served.get("/metrics").status, 200);
    forked.end(&mut served);
    assert_eq!(served.get("/metrics").status, 200);
    let forked = Forked::new(&mut served);
    check_that_nobody_listens(&served.address.clone(), || served.kill());
    assert_eq!(forked.threads(), Some(1));
}

/// Ends the server, after which nobody listens and the address can be used again.
#[track_caller]
fn check_that_nobody_listens(address: &str, end: impl FnOnce()) {
    end();
    let refused = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    TcpListener::bind(address).expect("a port that is free");
}

#[test]
fn a_child_does_not_keep_the_port() {
    let mut served = Served::start(&[]);
    let forked = Forked::new(&mut served);
    check_that_nobody_listens(&served.address.clone(), || _ = served.tell("stop-serving"));
    forked.end(&mut served);

    let mut served = Served::start(&[]);
    let forked = Forked::new(&mut served);
    check_that_nobody_listens(&served.address.clone(), || served.kill());
    assert_eq!(forked.threads(), Some(1));
}

#[test]
fn a_child_leaves_the_socket_to_its_parent() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heap.sock");
    let address = path.to_str().expect("UTF-8");
    let mut served = Served::start_at(address, &[]);
    assert_eq!(ask(&path), 200);
    let forked = Forked::new(&mut served);
    forked.end(&mut served);
    assert_eq!(ask(&path), 200);

    // The socket of a program that is gone can be used again, whoever lives on.
    let forked = Forked::new(&mut served);
    served.kill();
    let refused = UnixStream::connect(&path).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let served = Served::start_at(address, &[]);
    assert_eq!(served.address, format!("unix:{address}"));
    assert_eq!(ask(&path), 200);
    assert_eq!(forked.threads(), Some(1));
    drop(served);
    // NOTE: a process that is killed leaves the file.
    UnixListener::bind(&path).expect_err("the file is there");
}

/// Connections end with the parent.
#[test]
fn a_child_does_not_keep_a_connection() {
    let mut served = Served::start(&[]);
    let mut asking = served.connect();
    asking.write_all(&REQUEST[..20]).expect("it reads");
    let mut waiting = served.connect();
    let request = b"GET /debug/pprof/heap?seconds=3600 HTTP/1.1\r\n\r\n";
    waiting.write_all(request).expect("it reads");
    // Both were accepted before this one.
    assert_eq!(served.get("/metrics").status, 200);
    let forked = Forked::new(&mut served);
    served.kill();
    for mut stream in [asking, waiting] {
        // It ends, by whatever word of the system.
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            Ok(_) => assert!(answer.is_empty()),
        }
    }
    assert_eq!(forked.threads(), Some(1));
}

/// A program that it starts has none of its descriptors, also in the midst of an answer and of a push.
#[test]
fn no_descriptor_survives_an_exec() {
    let receiver = Receiver::start();
    receiver.set(Mood::Hangs);
    let served = start(&receiver, &[]);
    wait_until("a push", || receiver.asked() > 0);
    let _asking = served.connect();
    assert_eq!(served.get("/metrics").status, 200);
    let folder = format!("/proc/{}/fd", served.process());
    let mut seen = 0;
    for file in std::fs::read_dir(folder).expect("it runs") {
        let name = file.expect("a descriptor").file_name();
        let name = name.to_str().expect("a number");
        let of = |process: u32| std::fs::read_link(format!("/proc/{process}/fd/{name}")).ok();
        let inherited = of(std::process::id()) == of(served.process());
        // NOTE: one that is closed meanwhile is gone.
        let status = std::fs::read_to_string(format!("/proc/{}/fdinfo/{name}", served.process()));
        let Some(status) = status
            .ok()
            .filter(|_| !inherited && !["0", "1"].contains(&name))
        else {
            continue;
        };
        let flags = status.lines().find_map(|it| it.strip_prefix("flags:"));
        let flags = i32::from_str_radix(flags.expect("flags").trim(), 8).expect("an octal number");
        assert_ne!(flags & libc::O_CLOEXEC, 0, "{name}: {status}");
        seen += 1;
    }
    // The server, its two ends of a waker, the client, the file that is pushed, and its connection.
    assert!(seen >= 6, "{seen} descriptors");
}

/// Whatever the threads of the server and of the push are about when the program forks.
#[test]
fn many_children_end() {
    let receiver = Receiver::start();
    let mut served = start(&receiver, &["every=10"]);
    served.tell("keep 10");
    for _ in 0..200 {
        Forked::new(&mut served).end(&mut served);
    }
    wait_until("a push after them", || {
        let before = wait_for(&mut served, |_| true).pushed;
        wait_for(&mut served, |it| it.pushed > before).failed == 0
    });
    assert_eq!(served.get("/metrics").status, 200);
}
