//! The cost of writing a snapshot, and what happens with little memory or little disk space.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Output};

use alloc_core::{Amount, Counters, Snapshot};
use alloc_tests::Folder;

const WRITING: &str = env!("CARGO_BIN_EXE_writing");
/// The exit status of every case.
const STATUS: i32 = 5;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(WRITING);
    command.args(arguments);
    for variable in ["", "_OUT", "_EVERY", "_SIGNAL", "_LIVE", "_SAMPLE"] {
        command.env_remove(format!("ALLOC_TRACE{variable}"));
    }
    command
}

/// A resource limit for the program.
fn limited(mut command: Command, resource: libc::__rlimit_resource_t, limit: u64) -> Output {
    let set = move || {
        let limit = libc::rlimit {
            rlim_cur: limit,
            rlim_max: limit,
        };
        // SAFETY: `limit` is valid.
        match unsafe { libc::setrlimit(resource, &limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure only makes a system call, which neither allocates nor locks.
    unsafe { command.pre_exec(set) };
    command.output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks that the program ends as it would, and leaves either a complete file or a message, and
/// nothing else.
#[track_caller]
fn check_little_memory(case: &str, variables: &[(&str, &str)]) {
    const STEP: u64 = 500 << 10;
    let untraced = |limit| limited(command(&[case]), libc::RLIMIT_AS, limit).status;
    let enough = (1..200).find(|at| untraced(at * STEP).code() == Some(STATUS));
    let enough = enough.expect("the program runs in a hundred megabytes");
    let (mut files, mut messages) = (0, 0);
    for at in enough..enough + 110 {
        let folder = Folder::new("little-memory");
        let out = folder.path().join("heap.pb.gz");
        let mut command = command(&[case]);
        command
            .env("ALLOC_TRACE", "32")
            .env("ALLOC_TRACE_OUT", &out);
        for (name, value) in variables {
            command.env(
                name,
                value.replace("FOLDER", folder.path().to_str().unwrap()),
            );
        }
        let output = limited(command, libc::RLIMIT_AS, at * STEP);
        let message = text(&output.stderr);
        let limit = at * (STEP >> 10);
        assert_eq!(
            (output.status.code(), output.status.signal()),
            (Some(STATUS), None),
            "{limit} KiB: {message}"
        );
        let is_written = out.exists();
        assert!(
            is_written || message.contains("alloc-core: "),
            "{limit} KiB"
        );
        files += u32::from(is_written);
        messages += u32::from(!is_written);
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "gz") {
                Snapshot::load(&path).unwrap_or_else(|error| panic!("{limit} KiB: {error}"));
            } else {
                assert!(
                    path.ends_with("live"),
                    "{limit} KiB: left {}",
                    path.display()
                );
            }
        }
    }
    assert!(
        files > 10 && messages > 10,
        "{files} files, {messages} messages"
    );
}

#[test]
fn with_little_memory_the_program_ends_as_it_would() {
    check_little_memory("return", &[]);
}

#[test]
fn with_little_memory_snapshots_while_it_runs_do_no_harm() {
    let every = ("ALLOC_TRACE_EVERY", "0.01");
    let live = ("ALLOC_TRACE_LIVE", "FOLDER/live");
    check_little_memory("work", &[every, live]);
    check_little_memory("work", &[("ALLOC_TRACE_SIGNAL", "URG")]);
}

#[test]
fn beyond_the_limit_of_a_file_s_size_nothing_is_left_and_the_old_file_stays() {
    let folder = Folder::new("file-size");
    let out = folder.path().join("heap.pb.gz");
    for content in [None, Some("the old file")] {
        if let Some(content) = content {
            std::fs::write(&out, content).unwrap();
        }
        let mut command = command(&["return"]);
        command
            .env("ALLOC_TRACE", "32")
            .env("ALLOC_TRACE_OUT", &out);
        let output = limited(command, libc::RLIMIT_FSIZE, 100);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(STATUS), "{message}");
        assert!(message.contains("no snapshot written"), "{message}");
        assert!(message.contains("File too large"), "{message}");
        assert_eq!(std::fs::read_to_string(&out).ok().as_deref(), content);
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, usize::from(content.is_some()));
    }
}

/// A message for which there is no disk space does no harm.
#[test]
fn a_message_that_cannot_be_written_ends_no_program() {
    let folder = Folder::new("no-room-for-a-word");
    let messages = folder.path().join("messages");
    std::fs::write(&messages, [b'.'; 200]).unwrap();
    let stderr = std::fs::OpenOptions::new().append(true).open(&messages);
    let mut command = command(&["return"]);
    command
        .env("ALLOC_TRACE", "32")
        .env("ALLOC_TRACE_OUT", folder.path().join("heap.pb.gz"))
        .stderr(stderr.unwrap());
    let output = limited(command, libc::RLIMIT_FSIZE, 100);
    assert_eq!(output.status.code(), Some(STATUS), "{:?}", output.status);
    assert_eq!(folder.names(), ["messages"]);
}

/// Periodic snapshots are written on the tracer's thread.
#[test]
fn numbered_snapshots_beyond_the_limit_of_a_file_s_size_do_no_harm() {
    let folder = Folder::new("numbered-file-size");
    let mut command = command(&["work"]);
    command
        .env("ALLOC_TRACE", "32")
        .env("ALLOC_TRACE_EVERY", "0.01")
        .env("ALLOC_TRACE_OUT", folder.path().join("heap-%n.pb.gz"));
    let output = limited(command, libc::RLIMIT_FSIZE, 100);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(STATUS), "{message}");
    assert!(message.contains("File too large"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The resident memory and its peak, as the program prints them.
fn resident(output: &Output) -> [u64; 2] {
    assert_eq!(
        output.status.code(),
        Some(STATUS),
        "{}",
        text(&output.stderr)
    );
    let numbers = text(&output.stdout);
    let numbers = numbers.split_whitespace().map(|it| it.parse().unwrap());
    numbers.collect::<Vec<u64>>().try_into().unwrap()
}

/// Both runs are traced, so the difference is what the snapshots add.
#[track_caller]
fn check_residence(callsites: u32) {
    let run = |every: Option<&str>, files: &str| {
        let folder = Folder::new("residence");
        let path = folder.path().to_str().unwrap();
        let mut command = command(&["hold", &callsites.to_string(), path, files]);
        command.env("ALLOC_TRACE", "32");
        if let Some(every) = every {
            command
                .env("ALLOC_TRACE_EVERY", every)
                .env("ALLOC_TRACE_OUT", folder.path().join("%n.pb.gz"));
        }
        let output = command.output().expect("it starts");
        let files = std::fs::read_dir(folder.path()).unwrap();
        let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
        (resident(&output), sizes.max().unwrap_or(0))
    };
    let ([without, _], _) = run(None, "0");
    let ([with, at_most], file) = run(Some("0.02"), "10");
    println!(
        "{callsites} callsites: {without} without, {with} with, {at_most} at most; the file has {file}"
    );
    assert!(with <= without + (3 << 20), "{with} and {without}");
    // The file's buffer is copied when it doubles.
    assert!(
        at_most <= without + (3 << 20) + 3 * file,
        "{at_most} and {without}"
    );
}

#[test]
fn snapshots_by_the_clock_leave_no_memory_behind() {
    check_residence(100);
}

#[test]
fn twenty_thousand_callsites_are_written_in_little_memory() {
    check_residence(20_000);
}

/// A snapshot taken in the program equals the one written from the tables at its end.
#[test]
fn what_is_read_back_is_what_the_tables_held() {
    let folder = Folder::new("both-ways");
    let by_hand = folder.path().join("by-hand.pb.gz");
    let at_end = folder.path().join("at-end.pb.gz");
    let output = command(&["both-ways", by_hand.to_str().unwrap()])
        .env("ALLOC_TRACE_OUT", &at_end)
        .output()
        .expect("it starts");
    assert_eq!(
        output.status.code(),
        Some(STATUS),
        "{}",
        text(&output.stderr)
    );
    let [by_hand, at_end] = [by_hand, at_end].map(|path| Snapshot::load(path).unwrap());
    let parts = |snapshot: &Snapshot| {
        let traces = snapshot.traces().iter();
        let parts = traces.map(|it| {
            let addresses = it.traceback.iter().map(|it| it.address());
            let thread = it.thread.as_deref().unwrap_or_default().to_owned();
            (
                it.counters,
                it.domain,
                thread,
                addresses.collect::<Vec<_>>(),
            )
        });
        parts.collect::<Vec<_>>()
    };
    let (first, second) = (parts(&by_hand), parts(&at_end));
    assert!(first.len() > 20, "{}", first.len());
    assert!(
        first
            .iter()
            .any(|it| it.2 == "größe" && it.0.total.bytes == 333)
    );
    let tracked = Counters {
        current: Amount::new(4096, 1),
        peak: Amount::new(4096, 1),
        total: Amount::new(4096, 1),
        ..first.iter().find(|it| it.1 == 7).unwrap().0
    };
    assert_eq!(first.iter().find(|it| it.1 == 7).unwrap().0, tracked);
    // Blocks in between are those that the program frees at its end.
    let total = |parts: &[(Counters, u32, String, Vec<u64>)]| -> Amount {
        let totals = parts.iter().map(|it| it.0.total);
        let add = |sum: Amount, it: Amount| {
            Amount::new(sum.bytes.get() + it.bytes.get(), sum.blocks + it.blocks)
        };
        totals.fold(Amount::default(), add)
    };
    assert!(second.len() >= first.len());
    assert_eq!(total(&second[..first.len()]), total(&first));
    assert!(
        first
            .iter()
            .zip(&second)
            .all(|(a, b)| a.3 == b.3 && a.2 == b.2)
    );
    assert_eq!(by_hand.command_line(), at_end.command_line());
    assert_eq!(by_hand.program(), at_end.program());
    assert_eq!(by_hand.process_id(), at_end.process_id());
}

/// Any reader of pprof's format can read the file.
#[test]
fn go_tool_pprof_opens_the_file() {
    let Some(mut go) = alloc_tests::Tool("go").command("version") else {
        return;
    };
    let folder = Folder::new("go");
    let out = folder.path().join("heap.pb.gz");
    let status = command(&["return"])
        .env("ALLOC_TRACE", "32")
        .env("ALLOC_TRACE_OUT", &out)
        .status();
    assert_eq!(status.unwrap().code(), Some(STATUS));
    go.args(["tool", "pprof", "-raw"]).arg(&out);
    let output = go.output().unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(shown.contains("inuse_space/bytes"), "{shown}");
    assert!(shown.contains(Path::new(WRITING).file_name().unwrap().to_str().unwrap()));
}
