//! [`Helper`]: a command that works on a profile in a process of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::response::Response;
use crate::write::output;

/// A command that runs, with a file for its input and one for its output.
///
/// The files have no name, so they are gone once nobody has them open.
pub(crate) struct Helper {
    /// `None` once it ended.
    child: Option<Child>,
    output: File,
    errors: File,
    until: Instant,
}

/// How long a command may take.
const LONGEST: Duration = Duration::from_secs(120);

/// What makes `alloc-report` name the profile of its input.
pub(crate) const SYMBOLIZE: [&str; 4] = ["symbolize", "-", "-o", "-"];

const TEMPORARY: &str = "cannot write a temporary file";

impl Helper {
    /// Starts a command on the bytes of its input.
    pub(super) fn start_with(
        command: &OsStr,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Helper, Response> {
        let file = || -> io::Result<File> {
            let mut file = nameless_file()?;
            file.write_all(input)?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        let input = file().map_err(|error| failed(TEMPORARY, &error))?;
        Helper::start(command, arguments, input)
    }

    /// Starts a command on a file, from where the file stands.
    pub(crate) fn start(
        command: &OsStr,
        arguments: &[impl AsRef<OsStr>],
        input: File,
    ) -> Result<Helper, Response> {
        let files = || io::Result::Ok([nameless_file()?, nameless_file()?]);
        let [output, errors] = files().map_err(|error| failed(TEMPORARY, &error))?;
        let started = (|| {
            Command::new(command)
                .args(arguments)
                .stdin(input)
                .stdout(output.try_clone()?)
                .stderr(errors.try_clone()?)
                .spawn()
        })();
        let command = Path::new(command).display();
        match started {
            Ok(child) => Ok(Helper {
                child: Some(child),
                output,
                errors,
                until: Instant::now() + LONGEST,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Response::text(
                501,
                format!(
                    "expected the command {command}, which reads debug information outside of this \
                     process, found none: install alloc-report, or name it with the option \
                     `command`"
                ),
            )),
            Err(error) => Err(failed(&format!("cannot start {command}"), &error)),
        }
    }

    /// What the command wrote, and its length, once it ends well.
    pub(super) fn output(&mut self) -> Result<Option<(File, u64)>, Response> {
        let succeeded = match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) if Instant::now() < self.until => return Ok(None),
            Some(Ok(None)) => {
                let seconds = LONGEST.as_secs();
                let found = format!("the command took over {seconds} seconds");
                return Err(Response::text(504, found));
            }
            Some(Ok(Some(status))) => status.success(),
            // Something else in this process waits for all children. What it wrote must do.
            Some(Err(_)) | None => true,
        };
        self.child = None;
        let written = (|| {
            let file = self.output.try_clone()?;
            let len = file.metadata()?.len();
            io::Result::Ok((file, len))
        })();
        match written {
            Ok(written) if succeeded && written.1 > 0 => Ok(Some(written)),
            Ok(_) => Err(Response::text(
                500,
                format!("the command failed: {}", self.message()),
            )),
            Err(error) => Err(failed("cannot read what the command wrote", &error)),
        }
    }

    /// Waits for what the command writes, and its length.
    pub(crate) fn finish(mut self) -> Result<(File, u64), Response> {
        loop {
            if let Some(written) = self.output()? {
                return Ok(written);
            }
            std::thread::sleep(super::TICK);
        }
    }

    /// The start of what the command wrote to standard error.
    fn message(&mut self) -> String {
        let mut message = Vec::new();
        let _ = self.errors.seek(SeekFrom::Start(0));
        let _ = (&self.errors).take(2000).read_to_end(&mut message);
        String::from_utf8_lossy(&message).trim().to_owned()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // NOTE: not if it ended: its number may belong to another process.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A new file without a name in the folder for temporary files.
pub(crate) fn nameless_file() -> io::Result<File> {
    output::create_nameless(&std::env::temp_dir())
}

fn failed(what: &str, error: &io::Error) -> Response {
    Response::text(500, format!("{what}: {error}"))
}
