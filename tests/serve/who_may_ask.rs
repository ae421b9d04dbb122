//! Who is answered, and who is not.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};

use alloc_tests::wait_until;

use crate::client::{Answer, Served};

#[test]
fn without_the_token_nothing_is_said() {
    let served = Served::start(&["token=s3cret"]);
    for headers in [
        &[][..],
        &[("Authorization", "Bearer s3cre")],
        &[("Authorization", "Bearer s3cret ")],
        &[("Authorization", "Basic czNjcmV0")],
        &[("Authorization", "")],
    ] {
        let is_trimmed = headers.iter().any(|it| it.1.ends_with(' '));
        for target in [
            "/",
            "/metrics",
            "/debug/pprof/heap",
            "/nothing",
            "/debug/pprof/?token=s3cret",
        ] {
            let answer = served.ask("GET", target, headers);
            if is_trimmed {
                // White space around a value is not part of it.
                assert_ne!(answer.status, 401);
                continue;
            }
            assert_eq!(
                (answer.status, answer.body.len()),
                (401, 0),
                "{target} {headers:?}"
            );
            assert!(answer.header("www-authenticate").is_some());
            assert!(answer.header("location").is_none());
        }
        let deleted = served.ask("DELETE", "/metrics", headers);
        assert!(is_trimmed || deleted.status == 401);
    }
    // "any:s3cret"
    for value in ["Bearer s3cret", "Basic YW55OnMzY3JldA=="] {
        let answer = served.ask("GET", "/metrics", &[("Authorization", value)]);
        assert_eq!(answer.status, 200);
    }
    // The token permits any host.
    let headers = [("Authorization", "Bearer s3cret"), ("Host", "heap.example")];
    assert_eq!(served.ask("GET", "/metrics", &headers).status, 200);
}

#[test]
fn a_web_page_of_elsewhere_is_refused() {
    let served = Served::start(&[]);
    let address = served.address.clone();
    for (host, status) in [
        (&*address, 200),
        ("localhost:1", 200),
        ("rebound.example", 403),
    ] {
        let answer = served.ask("GET", "/debug/pprof/heap", &[("Host", host)]);
        assert_eq!(answer.status, status, "{host}");
    }
    for (origin, status) in [
        ("http://evil.example", 403),
        ("null", 403),
        (&*format!("http://{address}"), 200),
    ] {
        let headers = [("Host", &*address), ("Origin", origin)];
        assert_eq!(
            served.ask("POST", "/start", &headers).status,
            status,
            "{origin}"
        );
    }
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = Served::start_at(address, &[]);
        let message = &refused.address;
        assert!(
            message.contains("expected ServeOptions::token"),
            "{message}"
        );
    }
    let served = Served::start_at("0.0.0.0:0", &["token=s3cret"]);
    assert!(served.address.starts_with("0.0.0.0:"), "{}", served.address);
    for (address, expected) in [
        ("nonsense", "expected a host and a port"),
        ("127.0.0.1", "expected a host and a port"),
        ("127.0.0.1:99999", "expected a host and a port"),
        (
            "/no/such/folder/socket",
            "cannot serve at /no/such/folder/socket",
        ),
    ] {
        let refused = Served::start_at(address, &[]);
        assert!(refused.address.contains(expected), "{}", refused.address);
    }
    let first = Served::start(&[]);
    let second = Served::start_at(&first.address, &[]);
    assert!(second.address.contains("in use"), "{}", second.address);
}

fn ask(path: &std::path::Path) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\n\r\n")?;
    Ok(Answer::read(stream))
}

#[test]
fn a_socket_belongs_to_the_owner_of_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heap.sock");
    let text = path.to_str().expect("UTF-8");
    // One that a process left behind when it was killed.
    drop(UnixListener::bind(&path).expect("a socket"));
    let mut served = Served::start_at(text, &[]);
    assert_eq!(served.address, format!("unix:{text}"));
    let found = std::fs::symlink_metadata(&path).expect("a socket");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(ask(&path).expect("it listens").status, 200);
    let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files(), 1);

    let second = Served::start_at(text, &[]);
    assert!(second.address.contains("in use"), "{}", second.address);
    assert_eq!(ask(&path).expect("it listens still").status, 200);

    served.tell("stop-serving");
    assert!(ask(&path).is_err());
    assert_eq!(files(), 0);

    let shared = Served::start_at(&format!("unix:{text}"), &["mode=660"]);
    let mode = std::fs::metadata(&path)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660, "{}", shared.address);
    drop(shared);
    std::fs::remove_file(&path).expect("a socket that is left behind");
    std::fs::write(&path, "not a socket").expect("a file");
    let refused = Served::start_at(text, &[]);
    assert!(
        refused.address.contains("found a file"),
        "{}",
        refused.address
    );
}

#[test]
fn a_server_that_is_dropped_listens_no_more() {
    let mut served = Served::start(&[]);
    let before = served.status("Threads:");
    let idle = served.connect();
    // NOTE: not for metrics, after which a thread waits for names.
    assert_eq!(served.get("/debug/pprof/").status, 200);
    served.tell("stop-serving");
    assert!(std::net::TcpStream::connect(&served.address).is_err());
    wait_until("one thread less", || {
        served.status("Threads:") == before - 1
    });
    drop(idle);
}
