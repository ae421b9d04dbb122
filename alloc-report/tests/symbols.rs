//! Snapshots with addresses only are named from folders and from a debuginfod server.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use alloc_core::{Snapshot, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// The test that runs in a child process, as a program that writes a snapshot.
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

/// A folder with the snapshot `heap.pb.gz` of a deleted program, and another folder with its debug
/// file `whole.debug`.
struct Case {
    folder: tempfile::TempDir,
    symbols: tempfile::TempDir,
}

impl Case {
    /// Without `objcopy` and `readelf`, there is no case, and the test says that it is skipped.
    fn new() -> Option<Case> {
        for tool in ["objcopy", "readelf"] {
            if Command::new(tool).arg("--version").output().is_err() {
                let required = std::env::var_os("ALLOC_TESTS_REQUIRE_TOOLS").is_some();
                assert!(
                    !required,
                    "{tool} is not installed, and ALLOC_TESTS_REQUIRE_TOOLS is set"
                );
                eprintln!("skipped: {tool} is not installed");
                return None;
            }
        }
        let (folder, symbols) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let program = folder.path().join("program");
        // NOTE: copied by another process. A concurrent fork of this one could inherit the open
        // file, and then the program could not be executed.
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
        // As distributions compress them. Only the command can read this format.
        objcopy.arg("--compress-debug-sections=zstd");
        let status = objcopy.arg(symbols.path().join("whole.debug")).status();
        assert!(status.unwrap().success());
        std::fs::remove_file(program).unwrap();
        Some(Case { folder, symbols })
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
fn symbolize_writes_the_names_that_a_folder_provides() {
    let Some(case) = Case::new() else { return };
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

    // A file is not replaced if names are missing.
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

#[test]
fn a_confidential_file_has_no_folders_and_no_arguments() {
    let Some(case) = Case::new() else { return };
    let symbols = case.symbols.path().to_str().unwrap();
    let write = |options: &[&str]| {
        let out = case.folder.path().join("out.pb.gz");
        let mut arguments = vec![Path::new("--symbols"), case.symbols.path()];
        arguments.extend(["symbolize", "--force", "-o"].map(Path::new));
        let file = case.file();
        arguments.extend([out.as_path(), &file]);
        arguments.extend(options.iter().map(Path::new));
        let output = case.run(&arguments, &[]);
        assert!(output.status.success(), "{output:?}");
        let mut text = Vec::new();
        let mut packed = flate2::read::GzDecoder::new(std::fs::File::open(&out).unwrap());
        packed.read_to_end(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        (text, Snapshot::load(&out).unwrap())
    };
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let secrets = [
        case.folder.path().to_str().unwrap(),
        home.to_str().unwrap(),
        "--exact",
    ];
    let (open, whole) = write(&[]);
    let (closed, confidential) = write(&["--confidential"]);
    for secret in secrets {
        assert!(open.contains(secret), "{secret}");
        assert!(
            !closed.contains(secret) && !closed.contains(symbols),
            "{secret}"
        );
    }
    assert!(closed.contains("symbols.rs") && closed.contains("program"));
    let lines = |snapshot: &Snapshot| {
        let rows = snapshot.statistics(alloc_core::GroupBy::Line);
        Vec::from_iter(rows.iter().map(|it| (it.size, it.count)))
    };
    assert_eq!(lines(&confidential), lines(&whole));
    assert_eq!(confidential.traced_memory(), whole.traced_memory());
    assert_eq!(confidential.build_id(), whole.build_id());
    assert_eq!(confidential.command_line(), [""; 0]);
}

/// Serves `content` as the debug file of `id`. Returns its URL, and the list of requested paths.
fn serve(content: Vec<u8>, id: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            lines.map_while(Result::ok).find(|line| line.is_empty());
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let is_it = path == format!("/buildid/{id}/debuginfo");
            log.lock().unwrap().push(path);
            let (status, body) = match is_it {
                true => ("200 OK", &content[..]),
                false => ("404 Not Found", &b"not found"[..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        }
    });
    (url, requests)
}

#[test]
fn debug_files_are_fetched_once_and_verified() {
    let Some(case) = Case::new() else { return };
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
    let (url, requests) = serve(content, id.clone());
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
    let count = || {
        let requests = requests.lock().unwrap();
        requests.iter().filter(|it| it.contains(&id)).count()
    };
    assert_eq!(count(), 1);
    assert!(case.top(&[], &[("DEBUGINFOD_URLS", &urls)]).contains(LINE));
    assert_eq!(count(), 1);

    // A file of another build is neither used nor kept.
    let other = tempfile::tempdir().unwrap();
    let (url, _) = serve(std::fs::read("/bin/true").unwrap(), id.clone());
    let cache = other.path().to_str().unwrap();
    let variables = [
        ("DEBUGINFOD_URLS", &url[..]),
        ("DEBUGINFOD_CACHE_PATH", cache),
    ];
    let output = case.run(&[Path::new("top"), &case.file()], &variables);
    assert!(!String::from_utf8_lossy(&output.stdout).contains(LINE));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("expected build id ") && message.contains(", found "),
        "{message}"
    );
    assert!(!other.path().join(id).join("debuginfo").exists());

    let variables = [
        ("DEBUGINFOD_URLS", "https://127.0.0.1:1/"),
        ("DEBUGINFOD_CACHE_PATH", cache),
    ];
    let fresh = Case::new().unwrap();
    let output = fresh.run(&[Path::new("top"), &fresh.file()], &variables);
    assert!(output.status.success(), "{output:?}");
    if cfg!(not(feature = "https")) {
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("this build has no TLS"), "{message}");
    }
}

#[test]
fn a_program_names_the_snapshot_of_another_run() {
    let Some(case) = Case::new() else { return };
    let snapshot = Snapshot::load(case.file()).unwrap();
    assert!(!snapshot.is_named());
    // The program's file is gone, but this process runs the same build.
    let table = alloc_report::top(&snapshot, 3).to_string();
    assert!(table.contains(LINE), "{table}");
}
