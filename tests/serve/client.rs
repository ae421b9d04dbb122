//! A client, and the program that it asks.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use alloc_tests::status_of;

/// A request that is answered at once.
pub(crate) const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The program `served`, which runs until it is dropped.
pub(crate) struct Served {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it serves: an address, or a path.
    pub(crate) address: String,
}

impl Served {
    /// Starts it at a port that is free.
    pub(crate) fn start(options: &[&str]) -> Served {
        Served::start_at("127.0.0.1:0", options)
    }

    /// Starts it with a folder for temporary files.
    pub(crate) fn start_in(folder: impl AsRef<Path>, options: &[&str]) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_served"));
        command.arg("127.0.0.1:0").args(options);
        Served::spawn(command.env("TMPDIR", folder.as_ref()))
    }

    /// Starts a copy of it.
    pub(crate) fn start_copy(program: &Path, options: &[&str]) -> Served {
        let mut command = Command::new(program);
        Served::spawn(command.arg("127.0.0.1:0").args(options))
    }

    pub(crate) fn start_at(address: &str, options: &[&str]) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_served"));
        Served::spawn(command.arg(address).args(options))
    }

    /// Starts it with variables. It serves only if they say so, and what it says first on standard
    /// error is its address.
    pub(crate) fn start_by(environment: &[(&str, &str)]) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_served"));
        command.arg("-").stderr(Stdio::piped());
        let mut served = Served::spawn_with(&mut command, environment);
        assert_eq!(served.address, "not serving");
        let errors = served.child.stderr.take().expect("a pipe");
        served.address.clear();
        let mut errors = BufReader::new(errors);
        errors.read_line(&mut served.address).expect("UTF-8");
        served
    }

    /// Starts the example `service`, whose first clients come. Each line that it is told sends them away, or lets them come
    /// again.
    pub(crate) fn start_example() -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example_service"));
        let mut served = Served::spawn(command.args(["127.0.0.1:0", "-"]));
        let address = served.address.strip_prefix("profiles: http://");
        let address = address.and_then(|it| it.strip_suffix("/debug/pprof/"));
        served.address = address.expect("an address").to_owned();
        assert_eq!(served.line(), "clients come");
        served
    }

    /// Ends it as a machine in trouble does: at once, and without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    fn spawn(command: &mut Command) -> Served {
        Served::spawn_with(command, &[])
    }

    fn spawn_with(command: &mut Command, environment: &[(&str, &str)]) -> Served {
        let is_ours = |name: &str| name.starts_with("ALLOC_TRACE") || name.ends_with("_PROXY");
        for (name, _) in std::env::vars().filter(|it| is_ours(&it.0.to_ascii_uppercase())) {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut served = Served {
            child,
            input,
            output,
            address: String::new(),
        };
        served.address = served.line();
        served
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        line.trim_end().to_owned()
    }

    /// Gives it a command, and returns its answer.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").expect("it reads");
        self.line()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[])
    }

    pub(crate) fn post(&self, target: &str) -> Answer {
        self.ask("POST", target, &[])
    }

    /// Sends a request with headers. Without a header `Host` it names this machine.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|it| it.0 == "Host") {
            head += "Host: localhost\r\n";
        }
        let headers = headers.iter();
        headers.for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        stream
            .write_all(format!("{head}\r\n").as_bytes())
            .expect("it reads");
        Answer::read(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).expect("a timeout");
        stream
    }

    /// A field of its status: a size in bytes, or a number.
    pub(crate) fn status(&self, field: &str) -> u64 {
        status_of(self.process(), field).expect("it runs")
    }

    /// How many descriptors it has.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process());
        std::fs::read_dir(path).expect("it runs").count()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads an answer to its end.
    #[track_caller]
    pub(crate) fn read(mut stream: impl Read) -> Answer {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&bytes)));
        let head = std::str::from_utf8(&bytes[..end]).expect("UTF-8");
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|it| it.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|it| it.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let answer = Answer {
            status: status.expect("a status"),
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        };
        let length = answer.header("content-length").expect("a length");
        let is_whole = length == answer.body.len().to_string();
        assert!(is_whole || answer.body.is_empty(), "{length} bytes");
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|it| it.0 == name);
        found.map(|it| &*it.1)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}
