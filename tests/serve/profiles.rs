//! Profiles say what the program did, to our reader and to Go's.

use std::time::{Duration, Instant};

use alloc_core::{Amount, Counters, Metric, Snapshot};
use alloc_tests::{Tool, sum_of, wait_until};

use crate::client::{Answer, Served};

/// What the function `keep` of the program allocated.
fn of_keep(snapshot: &Snapshot) -> Counters {
    sum_of(snapshot, |trace| {
        let mut functions = trace.traceback.iter().filter_map(|it| it.function());
        functions.any(|it| it == "served::keep")
    })
}

fn snapshot(answer: &Answer) -> Snapshot {
    assert_eq!(
        answer.status,
        200,
        "{:?}",
        String::from_utf8_lossy(&answer.body)
    );
    Snapshot::read_from(&answer.body[..]).expect("a profile")
}

/// What `keep` allocated, and what of it is live.
pub(crate) fn kept(snapshot: &Snapshot) -> (Amount, Amount) {
    let counters = of_keep(snapshot);
    (counters.total, counters.current)
}

pub(crate) fn blocks(count: u64) -> Amount {
    Amount::new(1000 * count, count)
}

#[test]
fn a_profile_equals_what_the_program_keeps() {
    let mut served = Served::start(&[]);
    served.tell("keep 300");
    served.tell("drop 100");
    for (path, name) in [
        ("heap", "heap"),
        ("allocs", "allocs"),
        ("heap?gc=1", "heap"),
    ] {
        let answer = served.get(&format!("/debug/pprof/{path}"));
        let profile = snapshot(&answer);
        assert_eq!(kept(&profile), (blocks(300), blocks(200)), "{path}");
        assert!(!profile.knows(Metric::Peak), "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let file = format!("attachment; filename=\"{name}\"");
        assert_eq!(answer.header("content-disposition"), Some(&*file));
        assert_eq!(answer.header("content-encoding"), None);
    }
    let whole = snapshot(&served.get("/snapshot"));
    assert_eq!(kept(&whole), (blocks(300), blocks(200)));
    assert!(whole.knows(Metric::Peak));
    let command_line = served.get("/debug/pprof/cmdline");
    assert!(command_line.text().ends_with("served\x00127.0.0.1:0"));
    let head = served.ask("HEAD", "/debug/pprof/heap", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_ne!(head.header("content-length"), Some("0"));
}

#[test]
fn differences_add_up() {
    let mut served = Served::start(&[]);
    served.tell("keep 100");
    // The first one is all that there is.
    let first = snapshot(&served.get("/debug/pprof/delta_heap"));
    assert_eq!(kept(&first), (blocks(100), blocks(100)));
    let mut sum = kept(&first).0;
    for round in 1..=5_u64 {
        served.tell(&format!("keep {round}"));
        served.tell("drop 7");
        let profile = snapshot(&served.get("/debug/pprof/delta_heap"));
        let (total, current) = kept(&profile);
        assert_eq!(total, blocks(round));
        sum += total;
        assert_eq!(current, blocks(sum.blocks - 7 * round));
    }
    assert_eq!(sum, kept(&snapshot(&served.get("/debug/pprof/heap"))).0);
    // Nothing was allocated since, and blocks are live.
    snapshot(&served.get("/debug/pprof/delta_heap"));
    let profile = snapshot(&served.get("/debug/pprof/delta_heap"));
    assert_eq!(kept(&profile), (Amount::default(), blocks(80)));
}

#[test]
fn a_difference_over_seconds_counts_what_happened_meanwhile() {
    let mut served = Served::start(&[]);
    served.tell("keep 100");
    let began = Instant::now();
    let answer = std::thread::scope(|threads| {
        let mut connection = served.connect();
        let asked = threads.spawn(move || {
            use std::io::Write as _;
            let request = b"GET /debug/pprof/allocs?seconds=2 HTTP/1.1\r\n\r\n";
            connection.write_all(request).expect("it reads");
            Answer::read(connection)
        });
        std::thread::sleep(Duration::from_millis(700));
        // Others are answered meanwhile.
        assert_eq!(served.get("/metrics").status, 200);
        served.tell("keep 40");
        served.tell("drop 70");
        asked.join().expect("an answer")
    });
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(answer.status, 200);
    let refused = Snapshot::read_from(&answer.body[..]).expect_err("negative values");
    assert!(
        refused.to_string().contains("alloc-report diff"),
        "{refused}"
    );
    let (added, removed) = Snapshot::read_difference(&answer.body[..]).expect("a difference");
    // One side minus the other is the change: 40 were allocated, and 30 fewer are live.
    let ((added, _), (mut removed, fewer)) = (kept(&added), kept(&removed));
    removed += blocks(40);
    assert_eq!(added, removed);
    assert_eq!(fewer, blocks(30));

    // Nothing that changed: it is a difference nevertheless.
    let answer = served.get("/debug/pprof/heap?seconds=1");
    let (added, _) = Snapshot::read_difference(&answer.body[..]).expect("a difference");
    assert_eq!(of_keep(&added).total, Amount::default());
}

/// A session that ends takes its callsites with it, and a difference counts from its end.
#[test]
fn a_new_session_begins_a_new_difference() {
    let mut served = Served::start(&[]);
    served.tell("keep 100");
    snapshot(&served.get("/debug/pprof/delta_heap"));
    assert_eq!(served.post("/stop").status, 200);
    let off = served.get("/debug/pprof/heap");
    assert_eq!(off.status, 503);
    assert!(off.text().contains("POST /start"), "{}", off.text());
    assert_eq!(served.post("/start?frames=16").status, 200);
    assert_eq!(served.post("/start?frames=16").status, 200);
    assert_eq!(served.post("/start?frames=17").status, 409);
    served.tell("keep 3");
    let profile = snapshot(&served.get("/debug/pprof/delta_heap"));
    assert_eq!(profile.traceback_limit(), 16);
    assert_eq!(kept(&profile), (blocks(3), blocks(3)));
}

#[test]
fn a_sample_has_its_interval_as_period() {
    let mut served = Served::start(&["sample=4096"]);
    served.tell("keep 20000");
    let profile = snapshot(&served.get("/debug/pprof/heap"));
    assert_eq!(profile.sampled_every(), Some(4096_u64.into()));
    let estimate = kept(&profile).1.bytes.get() as f64;
    assert!((0.9..1.1).contains(&(estimate / 20e6)), "{estimate}");
}

#[test]
fn wrong_requests_say_what_was_expected() {
    let served = Served::start(&[]);
    for (target, status, text) in [
        (
            "/debug/pprof/heap?seconds=0",
            400,
            "a number from 1 to 3600, found 0",
        ),
        (
            "/debug/pprof/heap?seconds=x",
            400,
            "a number from 1 to 3600, found \"x\"",
        ),
        ("/debug/pprof/heap?seconds=9999", 400, "found 9999"),
        ("/debug/pprof/heap?seconds=1&debug=1", 400, "found both"),
        ("/debug/pprof/heap?debug=yes", 400, "debug: expected 0 or 1"),
        ("/debug/pprof/heap?names=yes", 400, "names: expected 0 or 1"),
        (
            "/debug/pprof/goroutine",
            404,
            "heap, allocs, delta_heap or cmdline",
        ),
        ("/debug/pprof/profile", 404, "serves profiles of its memory"),
        ("/nothing", 404, "/debug/pprof/, /metrics"),
        ("/stop", 405, "the method POST"),
    ] {
        let answer = served.get(target);
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains(text), "{target}: {}", answer.text());
    }
    assert_eq!(
        served.get("/debug/pprof/goroutine").header("x-go-pprof"),
        Some("1")
    );
    for (target, status) in [
        ("/start?frames=x", 400),
        ("/start?frames=5000", 400),
        ("/start?sample=7PiB", 400),
        ("/debug/pprof/heap", 405),
    ] {
        assert_eq!(served.post(target).status, status, "{target}");
    }
    assert_eq!(served.ask("DELETE", "/metrics", &[]).status, 405);
    let index = served.get("/debug/pprof/");
    assert!(index.text().contains("are live"), "{}", index.text());
    assert_eq!(served.get("/").header("location"), Some("/debug/pprof/"));

    let read_only = Served::start(&["read_only=1"]);
    assert_eq!(read_only.post("/stop").status, 403);
    assert_eq!(read_only.get("/debug/pprof/heap").status, 200);
}

/// `go tool pprof` with these arguments. `None` if it is not installed.
pub(crate) fn go(served: &Served, arguments: &[&str], target: &str) -> Option<String> {
    let mut go = Tool("go").command("version")?;
    let folder = tempfile::tempdir().expect("a folder");
    go.args(["tool", "pprof", "-symbolize=none"])
        .args(arguments);
    go.arg(format!("http://{}{target}", served.address));
    go.env("HOME", folder.path())
        .env("PPROF_TMPDIR", folder.path());
    let output = go.output().expect("go runs");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn go_tool_pprof_reads_every_profile() {
    let mut served = Served::start(&[]);
    served.tell("keep 300");
    served.tell("drop 100");
    for (target, sample, bytes) in [
        ("/debug/pprof/heap", "inuse_space", 200_000),
        ("/debug/pprof/allocs", "alloc_space", 300_000),
        ("/debug/pprof/heap?debug=1", "inuse_space", 200_000),
        ("/debug/pprof/heap?debug=1", "alloc_space", 300_000),
    ] {
        let sample = format!("-sample_index={sample}");
        let arguments = ["-raw", &sample];
        let Some(raw) = go(&served, &arguments, target) else {
            return;
        };
        // The largest callsite is `keep`; the program has some others.
        let column = if sample.contains("inuse") { 3 } else { 1 };
        let rows = raw.lines().filter_map(|line| {
            let (values, _) = line.split_once(':')?;
            let values: Vec<i64> = values
                .split_ascii_whitespace()
                .map_while(|it| it.parse().ok())
                .collect();
            (values.len() == 4).then(|| values[column])
        });
        let kept: i64 = rows.filter(|it| it % 1000 == 0).sum();
        assert_eq!(kept, bytes, "{target} {sample}\n{raw}");
    }
    let Some(difference) = go(&served, &["-raw", "-seconds=1"], "/debug/pprof/heap") else {
        return;
    };
    assert!(difference.contains("Duration: 1."), "{difference}");
}

/// Rules of the strictest public reader, Parca's `pkg/normalizer/validate.go`, on the bytes.
#[test]
fn profiles_keep_the_rules_of_strict_readers() {
    let mut served = Served::start(&[]);
    served.tell("keep 10");
    served.tell("label 10");
    for target in [
        "/debug/pprof/heap",
        "/debug/pprof/delta_heap",
        "/debug/pprof/allocs?seconds=1",
    ] {
        let answer = served.get(target);
        let Some(raw) = raw_of(&answer.body) else {
            return;
        };
        let types = raw
            .lines()
            .nth(raw.lines().position(|it| it == "Samples:").unwrap() + 1);
        let types = types.expect("types").split_ascii_whitespace();
        let types: Vec<&str> = types.map(|it| it.trim_end_matches("[dflt]")).collect();
        let expected = [
            "alloc_objects/count",
            "alloc_space/bytes",
            "inuse_objects/count",
            "inuse_space/bytes",
        ];
        assert_eq!(types, expected, "{target}");
        assert!(
            raw.contains("PeriodType: space bytes\nPeriod: 1\n"),
            "{target}"
        );
    }
}

fn raw_of(profile: &[u8]) -> Option<String> {
    let mut go = Tool("go").command("version")?;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("profile");
    std::fs::write(&file, profile).expect("a file");
    go.args(["tool", "pprof", "-symbolize=none", "-raw"])
        .arg(file);
    go.env("HOME", folder.path())
        .env("PPROF_TMPDIR", folder.path());
    let output = go.output().expect("go runs");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

/// A command in the place of `alloc-report`.
pub(crate) fn command(folder: &tempfile::TempDir, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join("alloc-report");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file");
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&path, mode).expect("permissions");
    format!("command={}", path.display())
}

#[test]
fn a_command_makes_the_page_and_the_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "echo \"$*\"; wc -c > /dev/null";
    let served = Served::start(&[&command(&folder, script)]);
    let page = served.get("/report");
    assert_eq!((page.status, page.text()), (200, "html - -o -\n"));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let named = served.get("/debug/pprof/heap?names=1");
    assert_eq!((named.status, named.text()), (200, "symbolize - -o -\n"));
    let named = served.get("/debug/pprof/heap?names=1&seconds=1");
    assert_eq!((named.status, named.text()), (200, "symbolize - -o -\n"));

    let always = Served::start(&["names=1", &command(&folder, "cat")]);
    assert_eq!(
        snapshot(&always.get("/debug/pprof/heap")).traceback_limit(),
        128
    );

    let fails = Served::start(&[&command(&folder, "echo no disk >&2; exit 3")]);
    let failed = fails.get("/report");
    assert_eq!(failed.status, 500);
    assert!(failed.text().contains("no disk"), "{}", failed.text());

    let missing = Served::start(&["command=/no/such/command"]);
    let answer = missing.get("/report");
    assert_eq!(answer.status, 501);
    assert!(
        answer.text().contains("/no/such/command"),
        "{}",
        answer.text()
    );
}

/// The command `alloc-report`, if it was built next to this test.
pub(crate) fn alloc_report() -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_BIN_EXE_served")).with_file_name("alloc-report");
    if !path.exists() {
        alloc_tests::skip("alloc-report is not built: `cargo test --workspace` builds it");
        return None;
    }
    Some(format!("command={}", path.display()))
}

#[test]
fn alloc_report_makes_the_page_and_the_names() {
    let Some(command) = alloc_report() else {
        return;
    };
    let mut served = Served::start(&["names=1", &command]);
    served.tell("keep 300");
    let before = served.status("VmRSS:");
    let profile = snapshot(&served.get("/debug/pprof/heap"));
    assert!(profile.is_named());
    assert_eq!(kept(&profile), (blocks(300), blocks(300)));
    let unnamed = snapshot(&served.get("/debug/pprof/heap?names=0"));
    assert!(!unnamed.is_named());

    let answer = served.get("/debug/pprof/heap?seconds=1");
    let (added, removed) = Snapshot::read_difference(&answer.body[..]).expect("a difference");
    assert_eq!(of_keep(&added), of_keep(&removed));

    let page = served.get("/report");
    assert_eq!(page.status, 200, "{}", page.text());
    // NOTE: the data of the page is packed. The title is the program's name.
    let text = page.text();
    assert!(
        text.get(..15)
            .is_some_and(|it| it.eq_ignore_ascii_case("<!doctype html>"))
    );
    assert!(
        text.contains("served") && text.trim_end().ends_with("</html>"),
        "{}",
        text.len()
    );
    // All of that was done elsewhere.
    let grown = served.status("VmRSS:").saturating_sub(before);
    assert!(grown < 2 << 20, "{grown} bytes");
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn a_heap_graph_is_served_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut served = Served::start_in(&folder, &[]);
    served.tell("keep 300");
    let answer = served.get("/graph");
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let path = folder.path().join("app.heapgraph");
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
    std::fs::write(&path, &answer.body).expect("a file");
    let graph = alloc_report::Graph::load(&path).expect("a heap graph");
    assert!(graph.blocks().len() >= 300);
    assert_eq!(served.post("/stop").status, 200);
    let refused = served.get("/graph");
    assert_eq!(refused.status, 503, "{}", refused.text());
}

/// The command of a client that is gone is ended.
#[test]
fn a_command_ends_with_its_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 100",
        folder.path().join("pid").display()
    );
    let served = Served::start(&[&command(&folder, &script)]);
    let mut client = served.connect();
    std::io::Write::write_all(&mut client, b"GET /report HTTP/1.1\r\n\r\n").expect("it reads");
    let file = folder.path().join("pid");
    wait_until("the command", || file.exists());
    let pid = std::fs::read_to_string(file).expect("a number");
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    assert!(process.exists());
    drop(client);
    wait_until("no command", || !process.exists());
}
