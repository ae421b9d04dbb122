//! Numbers for Prometheus, read by Prometheus.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use alloc_tests::Tool;

use crate::client::{Answer, Served};
use crate::profiles::alloc_report;

/// The numbers by name and label.
pub(crate) fn numbers(text: &str) -> HashMap<String, u64> {
    let lines = text.lines().filter(|it| !it.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').expect("a name and a value"));
    pairs
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

#[test]
fn numbers_equal_those_of_the_program() {
    let mut served = Served::start(&[]);
    served.tell("keep 300");
    served.tell("label 100");
    served.tell("temporary 50");
    let expected = served.tell("total");
    let expected: Vec<u64> = expected
        .split(' ')
        .map(|it| it.parse().expect("a number"))
        .collect();
    let answer = served.get("/metrics");
    let content = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(content));
    let found = numbers(answer.text());
    let of = |name: &str| found[&format!("alloc_trace_{name}")];
    // NOTE: the program reads no more input and prints nothing, but the answer to `total` itself.
    let slack = 4096;
    assert!((expected[0]..expected[0] + slack).contains(&of("allocated_bytes_total")));
    assert!((expected[1]..expected[1] + 20).contains(&of("allocations_total")));
    assert!(of("heap_bytes").abs_diff(expected[2]) < slack);
    assert!(of("heap_peak_bytes") >= of("heap_bytes"));
    assert_eq!(of("tracing"), 1);
    assert_eq!(of("label_bytes{label=\"request \\\"1\\\"\"}"), 100_000);
    let labels = of("label_bytes{label=\"\"}") + 100_000;
    assert_eq!(labels, of("heap_bytes"));
    let resident = served.status("VmRSS:");
    assert!(of("resident_bytes").abs_diff(resident) < 4 << 20);
    check_with_promtool(answer.text());

    let off = Served::start(&["tracing=0"]);
    let found = numbers(off.get("/metrics").text());
    assert_eq!(
        (
            found["alloc_trace_tracing"],
            found["alloc_trace_heap_bytes"]
        ),
        (0, 0)
    );
}

/// The rows of the callsites, and the size of the heap.
fn callsites(text: &str) -> (HashMap<String, u64>, u64) {
    let found = numbers(text);
    let heap = found["alloc_trace_heap_bytes"];
    let rows = found.into_iter().filter_map(|(name, bytes)| {
        let row = name.strip_prefix("alloc_trace_callsite_bytes{callsite=\"")?;
        Some((row.strip_suffix("\"}")?.to_owned(), bytes))
    });
    (rows.collect(), heap)
}

#[test]
fn the_largest_callsites_have_names_and_the_rows_add_up() {
    let Some(command) = alloc_report() else {
        return;
    };
    let mut served = Served::start(&[&command]);
    served.tell("keep 300");
    served.tell("callsites 500");
    served.tell("keep 400");
    let until = Instant::now() + Duration::from_secs(120);
    let (rows, text) = loop {
        let answer = served.get("/metrics");
        let (rows, heap) = callsites(answer.text());
        // Before there are names, too.
        assert_eq!(rows.values().sum::<u64>(), heap, "{rows:?}");
        assert!(rows.len() <= 21, "{rows:?}");
        if rows.len() > 1 {
            break (rows, answer.text().to_owned());
        }
        assert!(Instant::now() < until, "{rows:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    // The two largest that keep: both are in the same line.
    let of_keep = rows.iter().filter(|it| it.0.contains("served::keep"));
    let of_keep: Vec<_> = of_keep.collect();
    assert_eq!(of_keep.len(), 1, "{rows:?}");
    assert!(of_keep[0].0.contains("served.rs:"), "{rows:?}");
    // Of the 500 callsites with one block each, some are among the largest.
    let bytes = *of_keep[0].1;
    assert!((700_000..720_000).contains(&bytes), "{rows:?}");
    assert!(rows["<others>"] > 480_000, "{rows:?}");
    check_with_promtool(&text);
}

/// Without the command, all is among the others, and nobody waits.
#[test]
fn without_the_command_there_are_only_others() {
    let mut served = Served::start(&["command=/no/such/command"]);
    served.tell("keep 300");
    for _ in 0..5 {
        let (rows, heap) = callsites(served.get("/metrics").text());
        assert_eq!(rows, HashMap::from([("<others>".to_owned(), heap)]));
        std::thread::sleep(Duration::from_millis(20));
    }
    let processes = served.status("Threads:");
    assert!(processes <= 3, "{processes} threads");
}

fn check_with_promtool(text: &str) {
    let Some(mut promtool) = Tool("promtool").command("--version") else {
        return;
    };
    promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
}

struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real Prometheus scrapes the program, with a token, and is asked for the numbers.
#[test]
fn prometheus_scrapes_the_program() {
    let Some(mut prometheus) = Tool("prometheus").command("--version") else {
        return;
    };
    let mut served = Served::start(&["token=s3cret"]);
    served.tell("keep 500");
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - job_name: served\n\
         \x20 authorization: {{credentials: s3cret}}\n\
         \x20 static_configs: [{{targets: ['{}']}}]\n",
        served.address
    );
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, config).expect("a file");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    prometheus
        .arg(format!("--config.file={}", path.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stderr(Stdio::null());
    let _running = Prometheus(prometheus.spawn().expect("it starts"));

    let until = Instant::now() + Duration::from_secs(60);
    let ask = |query: &str| -> Option<f64> {
        let mut stream = std::net::TcpStream::connect(&address).ok()?;
        let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).ok()?;
        // {"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}
        let (_, value) = text.split_once("\"value\":[")?;
        value.split('"').nth(1)?.parse().ok()
    };
    let wait_for = |query: &str, is_expected: &dyn Fn(f64) -> bool| loop {
        if let Some(value) = ask(query).filter(|it| is_expected(*it)) {
            return value;
        }
        assert!(Instant::now() < until, "{query}: {:?}", ask(query));
        std::thread::sleep(Duration::from_millis(200));
    };
    wait_for("up", &|it| it == 1.0);
    let before = wait_for("alloc_trace_heap_bytes", &|it| it >= 500_000.0);
    served.tell("keep 1000");
    let after = wait_for("alloc_trace_heap_bytes", &|it| it >= before + 1e6);
    assert!(after < before + 1.1e6, "{before} {after}");
    let own: Answer = served.ask("GET", "/metrics", &[("Authorization", "Bearer s3cret")]);
    let own = numbers(own.text())["alloc_trace_heap_bytes"] as f64;
    assert!((after - own).abs() < 4096.0, "{after} {own}");
    wait_for("rate(alloc_trace_allocated_bytes_total[30s])", &|it| {
        it > 0.0
    });
}
