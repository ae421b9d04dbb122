//! Clients that are slow, wrong, many or gone. None of them stops the program or grows its memory.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use alloc_tests::wait_until;

use crate::client::{Answer, REQUEST, Served};

fn check_that_it_answers(served: &Served) {
    assert_eq!(served.get("/metrics").status, 200);
}

#[test]
fn garbage_is_answered_with_an_error() {
    let served = Served::start(&[]);
    let long = [
        b"GET /".to_vec(),
        vec![b'a'; 100_000],
        b" HTTP/1.1\r\n\r\n".to_vec(),
    ]
    .concat();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    let null = [b"GET /\0 HTTP/1.1\r\n\r\n".to_vec(), vec![0; 5000]].concat();
    for (request, statuses) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"[..],
            &[400][..],
        ),
        (b"hello\r\n\r\n", &[400]),
        (&null, &[400]),
        (&long, &[431]),
        (many.as_bytes(), &[431]),
        (b"GET http://a/metrics HTTP/1.1\r\n\r\n", &[200]),
        (b"GET /debug/pprof/%00%FF?%zz=%&&= HTTP/1.1\r\n\r\n", &[404]),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", &[405]),
    ] {
        let mut stream = served.connect();
        // The answer may come before all is sent.
        let _ = stream.write_all(request);
        let answer = Answer::read(&stream);
        assert!(statuses.contains(&answer.status), "{answer:?}");
    }
    check_that_it_answers(&served);
}

#[test]
fn a_request_in_pieces_is_answered() {
    let served = Served::start(&[]);
    let mut stream = served.connect();
    for byte in REQUEST {
        stream.write_all(&[*byte]).expect("it reads");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(Answer::read(stream).status, 200);
}

#[test]
fn who_sends_half_a_request_is_closed_in_time() {
    let served = Served::start(&[]);
    let began = Instant::now();
    let mut idle = served.connect();
    let mut half = served.connect();
    half.write_all(&REQUEST[..20]).expect("it reads");
    check_that_it_answers(&served);
    for stream in [&mut idle, &mut half] {
        let mut answer = Vec::new();
        // It ends, by whatever word of the system.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    assert!(began.elapsed() >= Duration::from_secs(9));
}

#[test]
fn ten_thousand_connections_keep_nobody_out() {
    let served = Served::start(&[]);
    check_that_it_answers(&served);
    let (descriptors, resident) = (served.descriptors(), served.status("VmRSS:"));
    let mut open = Vec::new();
    for number in 0..10_000 {
        let stream = TcpStream::connect(&served.address).expect("it listens");
        if number % 3 == 0 {
            let _ = (&stream).write_all(&REQUEST[..10]);
        }
        open.push(stream);
        // As many as the limit of this process permits.
        if open.len() == 700 {
            open.clear();
        }
        if number % 1000 == 999 {
            check_that_it_answers(&served);
        }
    }
    check_that_it_answers(&served);
    assert!(served.descriptors() <= descriptors + 65);
    let grown = served.status("VmRSS:").saturating_sub(resident);
    assert!(grown < 2 << 20, "{grown} bytes");
    drop(open);
    wait_until("as many descriptors as before", || {
        served.descriptors() <= descriptors
    });
}

#[test]
fn who_does_not_read_holds_up_nobody() {
    let mut served = Served::start(&[]);
    served.tell("callsites 20000");
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = served.connect();
        stream
            .write_all(b"GET /snapshot HTTP/1.1\r\n\r\n")
            .expect("it reads");
        slow.push(stream);
    }
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..3 {
        check_that_it_answers(&served);
    }
    // Those that began are whole in the end; others were told to come again.
    let statuses: Vec<u16> = slow.into_iter().map(|it| Answer::read(it).status).collect();
    assert!(
        statuses.iter().all(|it| [200, 503].contains(it)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&200), "{statuses:?}");
    assert_eq!(served.get("/snapshot").status, 200);
}

#[test]
fn who_is_gone_leaves_nothing() {
    let mut served = Served::start(&[]);
    served.tell("callsites 2000");
    check_that_it_answers(&served);
    let descriptors = served.descriptors();
    for target in [
        "/snapshot",
        "/debug/pprof/heap?seconds=100",
        "/debug/pprof/allocs?seconds=100",
    ] {
        for _ in 0..20 {
            let mut stream = served.connect();
            let request = format!("GET {target} HTTP/1.1\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("it reads");
            drop(stream);
        }
    }
    wait_until("as many descriptors as before", || {
        served.descriptors() <= descriptors
    });
    // All of them could wait: those that were gone made room.
    wait_until("room", || {
        served.get("/debug/pprof/heap?seconds=1").status == 200
    });
}

#[test]
fn a_flood_after_the_request_changes_nothing() {
    let served = Served::start(&[]);
    let mut flood = served.connect();
    flood
        .write_all(b"POST /start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        .expect("it reads");
    let timeout = Some(Duration::from_secs(10));
    flood.set_write_timeout(timeout).expect("a timeout");
    let until = Instant::now() + Duration::from_secs(10);
    let closed = loop {
        match flood.write(&[b'x'; 65536]) {
            Ok(_) if Instant::now() < until => check_that_it_answers(&served),
            Ok(_) => break false,
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    assert!(closed, "a client that sends forever is closed");
}

/// A program without a free descriptor serves nobody, and neither ends nor works for nothing.
#[test]
fn without_descriptors_it_waits() {
    let served = Served::start(&[]);
    let used = served.descriptors() as libc::rlim_t;
    let limit = |most: libc::rlim_t| {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: 4096,
        };
        // SAFETY: the pointers are valid or null.
        let set = unsafe {
            libc::prlimit(
                served.process() as i32,
                libc::RLIMIT_NOFILE,
                &limit,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(set, 0);
    };
    limit(used);
    let mut stream = served.connect();
    stream.write_all(REQUEST).expect("the system keeps it");
    let before = cpu_time(&served);
    std::thread::sleep(Duration::from_secs(1));
    let spent = cpu_time(&served) - before;
    assert!(spent < 0.3, "{spent} s");
    limit(1024);
    assert_eq!(Answer::read(stream).status, 200);
}

/// The processor time of the program, in seconds.
fn cpu_time(served: &Served) -> f64 {
    let path = format!("/proc/{}/stat", served.process());
    let stat = std::fs::read_to_string(path).expect("it runs");
    let (_, rest) = stat.rsplit_once(") ").expect("its name");
    let mut fields = rest.split(' ').skip(11);
    let mut ticks = || -> f64 {
        fields
            .next()
            .and_then(|it| it.parse().ok())
            .expect("a number")
    };
    (ticks() + ticks()) / 100.0
}
