//! The environment: `ALLOC_TRACE` and `ALLOC_TRACE_OUT`.
//!
//! Read at the very first allocation, before `main`, by code that does not allocate. A wrong value
//! ends the program there, with a message that says what was expected.

use std::ffi::{CStr, OsString};
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::control::Config;
use crate::{hooks, snapshot_at_exit, thread};

const TRACE: &CStr = c"ALLOC_TRACE";
const OUT: &CStr = c"ALLOC_TRACE_OUT";

/// The configuration that the environment asks for, if it asks for tracing.
///
/// With `ALLOC_TRACE_OUT`, has a snapshot written at the process's end, whoever starts tracing.
pub(crate) fn config_from_environment() -> Option<Config> {
    if let Some(template) = hooks::environment(OUT).filter(|it| !it.is_empty()) {
        if let Err(wrong) = check_template(template.to_bytes()) {
            refuse(&["ALLOC_TRACE_OUT: ", wrong, "\n"]);
        }
        if AT_EXIT.set(template.to_bytes()).is_err() || !hooks::call_at_exit(at_exit) {
            refuse(&["ALLOC_TRACE_OUT: the system refused to call us at the program's end\n"]);
        }
    }
    let value = hooks::environment(TRACE)?;
    match parse_frames(value.to_bytes()) {
        Ok(frames) => frames.map(|frames| Config::default().frames(frames)),
        Err(()) => refuse(&[
            "ALLOC_TRACE: expected a number of frames from 1 to 1000, or 0 for off; found \"",
            value.to_str().unwrap_or("a value that is not UTF-8"),
            "\"\n",
        ]),
    }
}

/// Ends the program: it was started with something that cannot be done.
pub(crate) fn refuse(message: &[&str]) -> ! {
    hooks::write_to_stderr(&["alloc-core: "]);
    hooks::write_to_stderr(message);
    hooks::exit_at_once(2)
}

/// A number of frames; nothing and `0` mean off.
fn parse_frames(value: &[u8]) -> Result<Option<u16>, ()> {
    if value.is_empty() {
        return Ok(None);
    }
    let digits = str::from_utf8(value).map_err(|_| ())?;
    // NOTE: `parse` takes a leading plus sign, which no one means.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(());
    }
    match digits.parse::<u16>() {
        Ok(0) => Ok(None),
        Ok(frames) if frames <= Config::MAX_FRAMES => Ok(Some(frames)),
        _ => Err(()),
    }
}

/// The value of `ALLOC_TRACE_OUT`.
///
/// NOTE: borrowed from the environment that the process was started with. A program that sets this
/// very variable itself, later, may change what is written here; no other change does.
static AT_EXIT: OnceLock<&'static [u8]> = OnceLock::new();

extern "C" fn at_exit() {
    let Some(template) = AT_EXIT.get() else {
        return;
    };
    // The path and what the writer needs are not the program's.
    let _muted = thread::mute();
    // A panic must not cross into the C library.
    let result = std::panic::catch_unwind(|| {
        let path = path_of(template, std::process::id());
        snapshot_at_exit(&path).map_err(|error| error.to_string())
    });
    if let Err(error) = result.unwrap_or_else(|_| Err("a panic while writing it".to_owned())) {
        hooks::write_to_stderr(&[
            "alloc-core: ALLOC_TRACE_OUT: no snapshot written: ",
            &error,
            "\n",
        ]);
    }
}

/// Only `%p` and `%%` have a meaning.
fn check_template(template: &[u8]) -> Result<(), &'static str> {
    let mut bytes = template.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'%' && !matches!(bytes.next(), Some(b'p' | b'%')) {
            return Err(
                "after a percent sign, expected `p` for the process id or another percent sign",
            );
        }
    }
    Ok(())
}

fn path_of(template: &[u8], process: u32) -> PathBuf {
    let mut path = Vec::new();
    let mut bytes = template.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' => match bytes.next() {
                Some(b'p') => path.extend(process.to_string().bytes()),
                other => path.extend(other),
            },
            _ => path.push(byte),
        }
    }
    #[cfg(unix)]
    let path = <OsString as std::os::unix::ffi::OsStringExt>::from_vec(path);
    #[cfg(not(unix))]
    let path = OsString::from(String::from_utf8_lossy(&path).into_owned());
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_a_plain_number_in_range() {
        assert_eq!(parse_frames(b""), Ok(None));
        assert_eq!(parse_frames(b"0"), Ok(None));
        assert_eq!(parse_frames(b"1"), Ok(Some(1)));
        assert_eq!(parse_frames(b"1000"), Ok(Some(1000)));
        for wrong in [
            "-1",
            "+5",
            "1001",
            "65536",
            "1073741824",
            "abc",
            "1 ",
            "yes",
            "0x10",
        ] {
            assert_eq!(parse_frames(wrong.as_bytes()), Err(()), "{wrong}");
        }
        assert_eq!(parse_frames(b"\xFF"), Err(()));
    }

    #[test]
    fn templates_know_the_process_id_and_the_percent_sign() {
        assert_eq!(
            path_of(b"/tmp/a-%p.pb.gz", 42),
            PathBuf::from("/tmp/a-42.pb.gz")
        );
        assert_eq!(path_of(b"100%%-%p%p", 7), PathBuf::from("100%-77"));
        assert!(check_template(b"a%p%%b").is_ok());
        assert!(check_template(b"a%d").is_err());
        assert!(check_template(b"a%").is_err());
    }
}
