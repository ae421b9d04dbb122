//! Snapshots of addresses are named by the command: from folders, and from a server.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use alloc_core::{Snapshot, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// What is run by itself, as a program that writes a snapshot.
const PROGRAM: &str = "a_program_that_writes_a_snapshot";

#[test]
fn a_program_that_writes_a_snapshot() {
    let Some(file) = std::env::var_os("SNAPSHOT") else {
        return;
    };
    alloc_core::start().unwrap();
    let kept = std::hint::black_box(vec![1_u8; 5_000_000]);
    alloc_core::take_snapshot().unwrap().dump(file).unwrap();
    drop(kept);
}

/// A folder with a snapshot, `heap.pb.gz`, of a program of which only `whole.debug` is left, elsewhere.
struct Case {
    folder: tempfile::TempDir,
    symbols: tempfile::TempDir,
}

impl Case {
    fn new() -> Case {
        let (folder, symbols) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let program = folder.path().join("program");
        // NOTE: not by this process, of which a child may have the file open for a moment; then it cannot be run.
        let mut copy = Command::new("cp");
        copy.arg(std::env::current_exe().unwrap()).arg(&program);
        assert!(copy.status().unwrap().success());
        let output = Command::new(&program)
            .args(["--exact", PROGRAM])
            .env("SNAPSHOT", folder.path().join("heap.pb.gz"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut objcopy = Command::new("objcopy");
        objcopy.arg("--only-keep-debug").arg(&program);
        // As distributions ship them; only the command reads that.
        objcopy.arg("--compress-debug-sections=zstd");
        let status = objcopy.arg(symbols.path().join("whole.debug")).status();
        assert!(status.unwrap().success());
        std::fs::remove_file(program).unwrap();
        Case { folder, symbols }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("heap.pb.gz")
    }

    fn run(&self, arguments: &[&Path], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-report"));
        command.args(arguments).env_remove("DEBUGINFOD_URLS");
        command.env("XDG_CACHE_HOME", self.folder.path());
        command.envs(variables.iter().copied()).output().unwrap()
    }

    fn top(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let file = self.file();
        let mut all = vec![Path::new("top"), &file];
        all.extend(arguments.iter().map(Path::new));
        let output = self.run(&all, variables);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

const LINE: &str = "alloc-report/tests/symbols.rs:";

#[test]
fn frames_are_named_from_a_folder_and_stay_named_in_what_symbolize_writes() {
    let case = Case::new();
    let without = case.top(&[], &[]);
    assert!(
        without.contains("program+0x") && !without.contains(LINE),
        "{without}"
    );
    assert!(
        without.contains("program is not there any more"),
        "{without}"
    );

    let folder = case.symbols.path().to_str().unwrap();
    let named = case.top(&["--symbols", folder], &[]);
    assert!(named.contains(LINE) && !named.contains("+0x"), "{named}");

    // What cannot be named is not written over.
    let file = case.file();
    let before = std::fs::read(&file).unwrap();
    let output = case.run(&[Path::new("symbolize"), &file], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(std::fs::read(&file).unwrap(), before);

    let out = case.folder.path().join("named.pb.gz");
    let arguments = ["--symbols", folder, "symbolize", "-o"].map(Path::new);
    let mut arguments = arguments.to_vec();
    arguments.extend([out.as_path(), &file]);
    let output = case.run(&arguments, &[]);
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    std::fs::rename(out, file).unwrap();
    assert_eq!(case.top(&[], &[]), named);
}

/// Serves `content` for the debug file of every build id but those of others, and notes what it was asked for.
fn serve(content: Vec<u8>, id: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            lines.map_while(Result::ok).find(|line| line.is_empty());
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let is_it = path == format!("/buildid/{id}/debuginfo");
            noted.lock().unwrap().push(path);
            let (status, body) = match is_it {
                true => ("200 OK", &content[..]),
                false => ("404 Not Found", &b"nobody knows it"[..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        }
    });
    (url, asked)
}

#[test]
fn debug_files_are_fetched_from_a_server_once_and_only_if_they_are_right() {
    let case = Case::new();
    let mut content = Vec::new();
    let debug = case.symbols.path().join("whole.debug");
    std::fs::File::open(debug)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    let build_id = || {
        let hint = case.top(&["--format", "json"], &[]);
        assert!(hint.contains("program+0x"), "{hint}");
        let mut command = Command::new("readelf");
        let output = command
            .arg("-n")
            .arg(case.symbols.path().join("whole.debug"));
        let output = String::from_utf8(output.output().unwrap().stdout).unwrap();
        let (_, id) = output.split_once("Build ID: ").unwrap();
        id.lines().next().unwrap().trim().to_owned()
    };
    let id = build_id();
    let (url, asked) = serve(content, id.clone());
    let urls = format!("http://127.0.0.1:1/nobody {url}");
    let named = case.top(&[], &[("DEBUGINFOD_URLS", &urls)]);
    assert!(named.contains(LINE), "{named}");
    assert!(
        case.folder
            .path()
            .join("alloc-report")
            .join(&id)
            .join("debuginfo")
            .is_file()
    );
    let before = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|it| it.contains(&id))
        .count();
    assert_eq!(before, 1);
    assert!(case.top(&[], &[("DEBUGINFOD_URLS", &urls)]).contains(LINE));
    let after = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|it| it.contains(&id))
        .count();
    assert_eq!(after, 1);

    // Of another build: it is not taken, and not kept.
    let other = tempfile::tempdir().unwrap();
    let (url, _) = serve(std::fs::read("/bin/true").unwrap(), id.clone());
    let cache = other.path().to_str().unwrap();
    let variables = [
        ("DEBUGINFOD_URLS", &url[..]),
        ("DEBUGINFOD_CACHE_PATH", cache),
    ];
    let output = case.run(&[Path::new("top"), &case.file()], &variables);
    assert!(!String::from_utf8_lossy(&output.stdout).contains(LINE));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("expected build id ") && said.contains(", found "),
        "{said}"
    );
    assert!(!other.path().join(id).join("debuginfo").exists());

    let variables = [
        ("DEBUGINFOD_URLS", "https://127.0.0.1:1/"),
        ("DEBUGINFOD_CACHE_PATH", cache),
    ];
    let fresh = Case::new();
    let output = fresh.run(&[Path::new("top"), &fresh.file()], &variables);
    assert!(output.status.success(), "{output:?}");
    if cfg!(not(feature = "https")) {
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("this build has no TLS"), "{said}");
    }
}

#[test]
fn a_program_names_what_another_run_of_it_wrote() {
    let case = Case::new();
    let snapshot = Snapshot::load(case.file()).unwrap();
    assert!(!snapshot.is_named());
    // The program's file is gone, and this process is of the same build.
    let table = alloc_report::top(&snapshot, 3).to_string();
    assert!(table.contains(LINE), "{table}");
}
