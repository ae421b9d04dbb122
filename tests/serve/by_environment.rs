//! A program that serves and pushes since its environment says so.

use std::time::{Duration, Instant};

use crate::client::Served;
use crate::receiver::Receiver;

/// Starts the program, which says where it serves.
pub(crate) fn serving(environment: &[(&str, &str)]) -> Served {
    let mut served = Served::start_by(environment);
    let line = served.address.trim_end();
    let address = line.strip_prefix("alloc-core: serving at http://");
    let address = address.and_then(|it| it.strip_suffix("/debug/pprof/"));
    served.address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    served
}

#[test]
fn a_program_serves_without_an_edit() {
    let mut served = serving(&[("ALLOC_TRACE_SERVE", "127.0.0.1:0")]);
    served.tell("keep 10");
    assert_eq!(served.get("/debug/pprof/heap").status, 200);
    assert_eq!(served.get("/metrics").status, 200);
}

#[test]
fn the_token_is_required() {
    let environment = [
        ("ALLOC_TRACE_SERVE", "0.0.0.0:0"),
        ("ALLOC_TRACE_SERVE_TOKEN", "s3cret"),
    ];
    let mut served = serving(&environment);
    served.address = served.address.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(served.get("/metrics").status, 401);
    let token = [("Authorization", "Bearer s3cret")];
    assert_eq!(served.ask("GET", "/metrics", &token).status, 200);
}

#[test]
fn a_wrong_value_is_reported_and_the_program_goes_on() {
    for (name, value, expected) in [
        ("ALLOC_TRACE_SERVE", "0.0.0.0:0", "token"),
        ("ALLOC_TRACE_SERVE", "6060", "expected a host and a port"),
        (
            "ALLOC_TRACE_SERVE",
            "/no/such/folder/socket",
            "cannot serve at /no/such/folder/socket",
        ),
        (
            "ALLOC_TRACE_PUSH",
            "pyroscope:4040",
            "expected a URL, as http://127.0.0.1:4040",
        ),
        (
            "ALLOC_TRACE_SERV",
            "127.0.0.1:0",
            "did you mean ALLOC_TRACE_SERVE?",
        ),
    ] {
        let mut served = Served::start_by(&[(name, value)]);
        let said = served.address.clone();
        let begin = format!("alloc-core: {name}: ");
        assert!(
            said.starts_with(&begin) && said.contains(expected),
            "{said}"
        );
        assert_eq!(served.tell("keep 10"), "done");
    }
}

/// As a program that is started by one that serves, which inherits the variable.
#[test]
fn a_program_that_finds_its_address_taken_goes_on() {
    let first = serving(&[("ALLOC_TRACE_SERVE", "127.0.0.1:0")]);
    let mut second = Served::start_by(&[("ALLOC_TRACE_SERVE", &first.address)]);
    let said = second.address.clone();
    let begin = format!(
        "alloc-core: ALLOC_TRACE_SERVE: cannot serve at {}: ",
        first.address
    );
    assert!(said.starts_with(&begin), "{said}");
    assert_eq!(second.tell("keep 10"), "done");
    assert_eq!(first.get("/metrics").status, 200);
}

#[test]
fn a_program_pushes_without_an_edit() {
    let receiver = Receiver::start();
    let url = receiver.url();
    let environment = [
        ("ALLOC_TRACE_SERVE", "127.0.0.1:0"),
        ("ALLOC_TRACE_PUSH", &*url),
        ("PATH", "/no/such/folder"),
    ];
    let mut served = serving(&environment);
    served.tell("keep 10");
    let until = Instant::now() + Duration::from_secs(90);
    while receiver.received().is_empty() {
        assert!(Instant::now() < until, "it pushes every 15 seconds");
        std::thread::sleep(Duration::from_millis(100));
    }
    let name = &receiver.received()[0].query["name"];
    assert_eq!(name, "served{}");
}
