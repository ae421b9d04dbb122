//! Where a snapshot is written: to files, pipes, sockets, devices and links.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use alloc_core::Snapshot;
use alloc_tests::{Folder, skip};

const WRITING: &str = env!("CARGO_BIN_EXE_writing");
const STATUS: i32 = 5;
/// Users that run no test.
const NOBODY: u32 = 65534;
const SOMEBODY: u32 = 54321;

fn command(case: &str, out: &Path) -> Command {
    let mut command = Command::new(WRITING);
    command
        .arg(case)
        .env("ALLOC_TRACE", "32")
        .env("ALLOC_TRACE_OUT", out);
    command
}

/// The tracer's message. Checks that the program ends as it would.
#[track_caller]
fn message_of(output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(STATUS), "{message}");
    message
}

/// Writes a snapshot, and checks that there is no message.
#[track_caller]
fn write(out: &Path) {
    write_as(command("return", out));
}

#[track_caller]
fn write_as(mut command: Command) {
    let output = command.output().expect("it starts");
    assert_eq!(message_of(&output), "");
}

#[track_caller]
fn check_is_snapshot(file: &[u8]) {
    Snapshot::read_from(file).expect("a snapshot");
}

#[track_caller]
fn check_is_snapshot_at(path: &Path) {
    check_is_snapshot(&fs::read(path).unwrap());
}

/// Whether the test runs as root, who may give files away. If not, the test is reported as skipped.
fn is_root() -> bool {
    // SAFETY: the function has no arguments and no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        skip("only root can give files away");
    }
    is_root
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_pipe_is_written_through_and_stays() {
    let folder = Folder::new("pipe");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // The pipe is open for both directions, so neither side waits for the other, until it has been
    // read.
    let mut reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    write(&pipe);
    let mut file = vec![0; 1 << 16];
    let len = reader.read(&mut file).unwrap();
    check_is_snapshot(&file[..len]);
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(folder.names(), ["pipe"]);
}

#[test]
fn a_pipe_without_a_reader_is_not_waited_for() {
    let folder = Folder::new("unread-pipe");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let message = message_of(&command("return", &pipe).output().unwrap());
    assert!(message.contains("no snapshot written"), "{message}");
}

#[test]
fn a_pipe_whose_reader_is_gone_is_an_error_and_no_signal() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command("return", Path::new("/proc/self/fd/1"));
    let output = command.stdout(writer).output().unwrap();
    let message = message_of(&output);
    assert!(message.contains("Broken pipe"), "{message}");
}

#[test]
fn a_socket_is_connected_to() {
    let folder = Folder::new("socket");
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    write(&socket);
    let mut file = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut file).unwrap();
    check_is_snapshot(&file);
    assert_eq!(folder.names(), ["socket"]);
}

#[test]
fn a_device_is_written_through_and_stays() {
    if !is_root() {
        return;
    }
    let folder = Folder::new("device");
    let device = folder.path().join("null");
    let made = Command::new("mknod")
        .arg(&device)
        .args(["c", "1", "3"])
        .status();
    if !made.unwrap().success() {
        return skip("no device can be made here");
    }
    let output = command("return", &device).output().unwrap();
    let message = message_of(&output);
    // A file system without devices yields a message.
    assert!(
        message.is_empty() || message.contains("ermission denied"),
        "{message}"
    );
    let kind = fs::symlink_metadata(&device).unwrap().file_type();
    assert!(kind.is_char_device());
    assert_eq!(folder.names(), ["null"]);
}

/// The program's own output stays in front of the snapshot, for every kind of standard output.
#[test]
fn a_link_to_a_descriptor_is_written_through() {
    let folder = Folder::new("descriptor");
    let link = folder.path().join("out");
    symlink("/proc/self/fd/1", &link).unwrap();
    let check = |printed: &[u8]| {
        let own = b"the program's own\n";
        assert_eq!(&printed[..own.len()], own);
        check_is_snapshot(&printed[own.len()..]);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    };
    let output = command("print", &link).output().unwrap();
    assert_eq!(message_of(&output), "");
    check(&output.stdout);

    let captured = folder.path().join("captured");
    let mut to_file = command("print", &link);
    write_as_with_stdout(&mut to_file, fs::File::create(&captured).unwrap());
    check(&fs::read(&captured).unwrap());

    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut to_socket = command("print", &link);
    write_as_with_stdout(&mut to_socket, std::os::fd::OwnedFd::from(theirs));
    drop(to_socket);
    let (mut ours, mut printed) = (ours, Vec::new());
    ours.read_to_end(&mut printed).unwrap();
    check(&printed);
    assert_eq!(folder.names(), ["captured", "out"]);
}

#[track_caller]
fn write_as_with_stdout(command: &mut Command, stdout: impl Into<Stdio>) {
    let output = command.stdout(stdout).output().unwrap();
    assert_eq!(message_of(&output), "");
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let folder = Folder::new("link");
    fs::create_dir(folder.path().join("inner")).unwrap();
    let target = folder.path().join("inner/target.pb.gz");
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    symlink("second", &first).unwrap();
    symlink("inner/target.pb.gz", &second).unwrap();
    for is_there in [false, true] {
        if is_there {
            fs::write(&target, "old").unwrap();
        }
        write(&first);
        check_is_snapshot_at(&target);
        for link in [&first, &second] {
            assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        }
    }
    assert_eq!(folder.names(), ["first", "inner", "second"]);
    assert_eq!(
        fs::read_dir(folder.path().join("inner")).unwrap().count(),
        1
    );
}

#[test]
fn links_that_lead_in_a_circle_are_an_error() {
    let folder = Folder::new("circle");
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    symlink("other", &one).unwrap();
    symlink("one", &other).unwrap();
    let message = message_of(&command("return", &one).output().unwrap());
    assert!(message.contains("more than 40 links"), "{message}");
}

#[test]
fn a_file_keeps_its_mode_and_a_new_one_has_that_of_the_umask() {
    let folder = Folder::new("mode");
    let out = folder.path().join("heap.pb.gz");
    for mode in [0o600, 0o640, 0o666] {
        fs::write(&out, "old").unwrap();
        set_mode(&out, mode);
        write(&out);
        check_is_snapshot_at(&out);
        assert_eq!(mode_of(&out), mode);
    }
    for umask in [0o027, 0o077, 0o000] {
        fs::remove_file(&out).unwrap();
        let mut command = command("return", &out);
        let set = move || {
            // SAFETY: the function takes any number.
            unsafe { libc::umask(umask) };
            Ok(())
        };
        // SAFETY: the closure only makes a system call, which neither allocates nor locks.
        let with_umask = unsafe { command.pre_exec(set) };
        assert_eq!(message_of(&with_umask.output().unwrap()), "");
        assert_eq!(mode_of(&out), 0o666 & !umask);
    }
    assert_eq!(folder.names(), ["heap.pb.gz"]);
}

#[test]
fn a_file_keeps_its_owner_where_that_is_permitted() {
    if !is_root() {
        return;
    }
    let folder = Folder::new("owner");
    let out = folder.path().join("heap.pb.gz");
    fs::write(&out, "old").unwrap();
    set_mode(&out, 0o640);
    std::os::unix::fs::chown(&out, Some(NOBODY), Some(SOMEBODY)).unwrap();
    write(&out);
    check_is_snapshot_at(&out);
    let found = fs::metadata(&out).unwrap();
    assert_eq!((found.uid(), found.gid()), (NOBODY, SOMEBODY));
    assert_eq!(mode_of(&out), 0o640);
}

/// A folder without write permission: the program cannot replace the file.
#[test]
fn where_the_folder_is_closed_the_file_is_written_in_place() {
    let folder = Folder::new("in-place");
    let out = folder.path().join("heap.pb.gz");
    fs::write(&out, "old").unwrap();
    set_mode(&out, 0o666);
    set_mode(folder.path(), 0o555);
    let inode = fs::metadata(&out).unwrap().ino();
    let mut command = command("return", &out);
    // SAFETY: the function has no arguments and no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let started = command.output();
    set_mode(folder.path(), 0o755);
    let Ok(output) = started else {
        return skip("another user cannot start the program where it is");
    };
    assert_eq!(message_of(&output), "");
    check_is_snapshot_at(&out);
    assert_eq!(fs::metadata(&out).unwrap().ino(), inode);
    assert_eq!(folder.names(), ["heap.pb.gz"]);
}

/// A link that another user planted in a shared folder is not followed.
#[test]
fn a_planted_link_is_not_followed() {
    let folder = Folder::new("planted");
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    // An earlier version wrote to a temporary file of this name, which was predictable.
    let old_name = format!(
        "ln -s victim {0}/heap.pb.gz.$$.tmp; exec {WRITING} return",
        folder.path().display()
    );
    let out = folder.path().join("heap.pb.gz");
    let output = Command::new("sh")
        .args(["-c", &old_name])
        .env("ALLOC_TRACE", "32")
        .env("ALLOC_TRACE_OUT", &out)
        .output()
        .unwrap();
    assert_eq!(message_of(&output), "");
    check_is_snapshot_at(&out);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

    if !is_root() {
        return;
    }
    set_mode(folder.path(), 0o1777);
    std::os::unix::fs::chown(folder.path(), Some(SOMEBODY), None).unwrap();
    let link = folder.path().join("link");
    symlink(&victim, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(NOBODY), None).unwrap();
    let message = message_of(&command("return", &link).output().unwrap());
    let expected = "another user put this file into a shared folder";
    assert!(message.contains(expected), "{message}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    // A link of the folder's owner is followed.
    std::os::unix::fs::lchown(&link, Some(SOMEBODY), None).unwrap();
    write(&link);
    check_is_snapshot_at(&victim);
}

#[test]
fn a_name_may_be_as_long_as_the_system_takes() {
    let folder = Folder::new("long");
    let longest = folder.path().join("a".repeat(255));
    write(&longest);
    check_is_snapshot_at(&longest);
    let longer = folder.path().join("a".repeat(256));
    let message = message_of(&command("return", &longer).output().unwrap());
    assert!(message.contains("no snapshot written"), "{message}");
    assert!(
        message.contains("expected names of at most 255 bytes"),
        "{message}"
    );
    assert_eq!(folder.names().len(), 1);
}

#[test]
fn of_many_that_write_to_one_path_one_whole_file_stays() {
    let folder = Folder::new("together");
    let out = folder.path().join("heap.pb.gz");
    for _ in 0..5 {
        let writers = [(); 8].map(|()| {
            let mut command = command("return", &out);
            command.stderr(Stdio::null());
            command.spawn().unwrap()
        });
        for mut writer in writers {
            assert_eq!(writer.wait().unwrap().code(), Some(STATUS));
        }
        check_is_snapshot_at(&out);
        assert_eq!(folder.names(), ["heap.pb.gz"]);
    }
}

#[test]
fn replacing_the_file_of_a_child_is_reported() {
    let folder = Folder::new("child");
    let out = folder.path().join("heap.pb.gz");
    let output = command("with-a-child", &out).output().unwrap();
    let message = message_of(&output);
    let expected = "replaced a file that was written while this process ran";
    assert_eq!(message.matches(expected).count(), 1, "{message}");
    assert!(message.contains("heap.pb.gz"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");

    let out = folder.path().join("heap-%p.pb.gz");
    let output = command("with-a-child", &out).output().unwrap();
    assert_eq!(message_of(&output), "");
    assert_eq!(folder.names().len(), 3);
}
