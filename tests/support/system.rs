use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The resident memory of this process, in bytes.
pub fn resident_memory() -> u64 {
    from_status("VmRSS:")
}

/// The highest resident memory of this process so far, in bytes.
pub fn high_water_mark() -> u64 {
    from_status("VmHWM:")
}

/// The resident memory of this process in mappings of files, in bytes: code and variables, with
/// the pages that were changed.
pub fn resident_files() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux");
    let (mut is_file, mut sum) = (false, 0);
    for line in maps.lines() {
        let first = line.split_ascii_whitespace().next().unwrap_or_default();
        match line.strip_prefix("Rss:") {
            Some(size) if is_file => {
                let size = size.trim().trim_end_matches(" kB");
                sum += size.parse::<u64>().expect("a size in KiB") << 10;
            }
            // The head of a mapping starts with its addresses and ends with its path.
            None if !first.ends_with(':') => is_file = line.contains(" /"),
            _ => {}
        }
    }
    sum
}

fn from_status(field: &str) -> u64 {
    status_of(std::process::id(), field).expect("this process has the field")
}

/// A field of a process's status: a size in bytes, or a number. `None` if the process is gone.
pub fn status_of(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    let mut words = value.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    Some(number << if words.next() == Some("kB") { 10 } else { 0 })
}

/// Waits until a condition holds, for up to a minute on a busy machine.
///
/// What the kernel says of a process comes late: a thread that was joined is counted, and a socket that was closed has a
/// descriptor, for a little longer.
///
/// # Panics
///
/// If the condition does not hold after three minutes, with `what`.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        // NOTE: far above what it takes, since the machine may be busy.
        assert!(
            start.elapsed() < Duration::from_secs(180),
            "expected {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a program with arguments and environment variables.
///
/// Variables of the tracer in the environment of this process are not passed on.
pub fn program(path: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    Command::new(path)
        .args(arguments)
        .env_remove("ALLOC_TRACE")
        .env_remove("ALLOC_TRACE_OUT")
        .envs(environment.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reports on standard error that the test, or the rest of it, is skipped, and why.
///
/// It writes past libtest, which keeps what `eprintln!` prints to itself while a test passes.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Another program, which a test needs or compares with.
pub struct Tool(pub &'static str);

impl Tool {
    /// A command of the tool, or `None` where it is not installed, which [`skip`] reports.
    ///
    /// # Panics
    ///
    /// If it is not installed and `ALLOC_TESTS_REQUIRE_TOOLS` is set.
    pub fn command(&self, version: &str) -> Option<Command> {
        let Tool(name) = self;
        let found = Command::new(name).arg(version).output();
        if found.is_ok_and(|output| output.status.success()) {
            return Some(Command::new(name));
        }
        let required = std::env::var_os("ALLOC_TESTS_REQUIRE_TOOLS").is_some();
        assert!(
            !required,
            "{name} is not installed, and ALLOC_TESTS_REQUIRE_TOOLS is set"
        );
        skip(&format!("{name} is not installed"));
        None
    }
}

/// Copies a program that is run right after.
///
/// NOTE: another process copies. If this one did, a child that another thread forks meanwhile would
/// hold the file open for writing for a moment, and the system refuses to run such a file.
#[track_caller]
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let status = Command::new("cp")
        .arg(from.as_ref())
        .arg(to.as_ref())
        .status();
    assert!(status.expect("cp runs").success());
}
