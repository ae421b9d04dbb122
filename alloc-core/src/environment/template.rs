//! [`Template`]: a path for snapshots, with placeholders.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{snapshot::utc, system::arena, system::hooks};

/// A path in which `%p` is the process id, `%n` the snapshot's number, `%t` the time, `%h` the host
/// name, and `%%` a percent sign. A relative path starts in the initial working directory.
///
/// Both parts are copies: a program may overwrite its environment and change directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    /// Empty if the text is an absolute path, or if the folder is unknown.
    folder: &'static [u8],
    text: &'static [u8],
}

/// The values of a template's placeholders.
struct Values {
    process: u32,
    number: u32,
    since_1970: Duration,
    host: Vec<u8>,
}

impl Values {
    fn now(process: u32, number: u32) -> Values {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // NOTE: the name must not add a folder to the path.
        let mut host = hooks::host_name();
        for byte in host.iter_mut().filter(|it| **it == b'/') {
            *byte = b'_';
        }
        Values {
            process,
            number,
            since_1970: since_1970.unwrap_or_default(),
            host,
        }
    }
}

/// The initial working directory; empty if it is unknown. Read once, before the program's own code
/// runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning(&'static [u8]);

impl Beginning {
    /// Reads the working directory. Does not allocate.
    pub(crate) fn here() -> Beginning {
        let Some(place) = arena::reserve(LONGEST_PATH + 1) else {
            return Beginning(&[]);
        };
        // SAFETY: `reserve` returned zeroed memory of this size. It is never released, and nothing
        // else refers to it.
        let place: &'static mut [u8] =
            unsafe { std::slice::from_raw_parts_mut(place.as_ptr(), LONGEST_PATH + 1) };
        let len = hooks::working_directory(place);
        // NOTE: if the directory has no path, the system resolves relative paths.
        Beginning(&place[..len.unwrap_or(0)])
    }
}

/// Copies bytes for the rest of the process, without allocating. `None` if the system has no
/// memory.
fn keep(bytes: &[u8]) -> Option<&'static [u8]> {
    if bytes.is_empty() {
        return Some(&[]);
    }
    let place = arena::reserve(bytes.len())?;
    // SAFETY: `place` has room for the bytes, and is new memory, so they do not overlap.
    unsafe { place.copy_from_nonoverlapping(std::ptr::NonNull::from(bytes).cast(), bytes.len()) };
    // SAFETY: the bytes were written above. They are never written again nor released.
    Some(unsafe { std::slice::from_raw_parts(place.as_ptr(), bytes.len()) })
}

/// The longest file name in bytes on Linux. Other systems permit no longer ones.
const LONGEST_NAME: usize = 255;
/// The longest path in bytes on Linux. Other systems permit no longer ones.
pub(crate) const LONGEST_PATH: usize = 4095;

/// Refuses a path that is too long for any file. The error shows which part is too long.
pub(crate) fn check_length(path: &Path) -> Result<(), String> {
    let longest = path.iter().map(|it| it.len()).max().unwrap_or_default();
    let len = path.as_os_str().len();
    let (expected, found) = if longest > LONGEST_NAME {
        (
            format!("names of at most {LONGEST_NAME} bytes in the path"),
            longest,
        )
    } else if len > LONGEST_PATH {
        (format!("a path of at most {LONGEST_PATH} bytes"), len)
    } else {
        return Ok(());
    };
    let path = path.display();
    Err(format!("expected {expected}, found one of {found}: {path}"))
}

impl Template {
    /// The default path of numbered snapshots.
    const NUMBERED: &'static [u8] = b"alloc-trace-%p-%n.pb.gz";

    /// Whether each percent sign starts a placeholder.
    pub(crate) fn is_valid(text: &[u8]) -> bool {
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            if *byte == b'%' && !matches!(bytes.next(), Some(b'p' | b'n' | b't' | b'h' | b'%')) {
                return false;
            }
        }
        true
    }

    /// Copies a [valid](Self::is_valid) text, without allocating. `None` if the system has no
    /// memory.
    pub(crate) fn new(text: &[u8], beginning: Beginning) -> Option<Template> {
        let text = keep(text)?;
        Some(Template::of(text, beginning))
    }

    /// The default path of numbered snapshots.
    pub(crate) fn default_numbered(beginning: Beginning) -> Template {
        Template::of(Template::NUMBERED, beginning)
    }

    fn of(text: &'static [u8], Beginning(folder): Beginning) -> Template {
        let folder = if text.starts_with(b"/") { b"" } else { folder };
        Template { folder, text }
    }

    /// Whether the path contains the snapshot's number.
    pub(crate) fn is_numbered(self) -> bool {
        self.has(b'n')
    }

    fn has(self, place: u8) -> bool {
        let mut bytes = self.text.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte == b'%' && bytes.next() == Some(place) {
                return true;
            }
        }
        false
    }

    /// Writes the path as far as it is known at the program's start, with a zero after it, and
    /// returns whether that is the whole path.
    ///
    /// If the path has placeholders, only the folder before the first one is known. `None` if the
    /// path does not fit. Does not allocate.
    #[cfg(any(unix, test))]
    pub(crate) fn known_part(self, room: &mut [u8]) -> Option<(&std::ffi::CStr, bool)> {
        let separator: &[u8] = if self.folder.is_empty() { b"" } else { b"/" };
        let mut bytes = [self.folder, separator, self.text].into_iter().flatten();
        let (mut len, mut is_whole) = (0, true);
        while let Some(&byte) = bytes.next() {
            if byte == b'%' && bytes.next() != Some(&b'%') {
                is_whole = false;
                break;
            }
            *room.get_mut(len)? = byte;
            len += 1;
        }
        if !is_whole {
            let slash = room[..len].iter().rposition(|&byte| byte == b'/');
            let folder: &[u8] = if slash.is_none() { b"." } else { b"/" };
            // NOTE: the root's path is its slash.
            len = slash.filter(|&at| at > 0).unwrap_or_else(|| {
                room[..1].copy_from_slice(folder);
                1
            });
        }
        *room.get_mut(len)? = 0;
        let path = std::ffi::CStr::from_bytes_with_nul(&room[..=len]).ok()?;
        Some((path, is_whole))
    }

    /// The path of the snapshot at the process's end, after `number` numbered ones.
    pub(crate) fn last(self, process: u32, number: u32) -> PathBuf {
        self.path(&Values::now(process, number + 1))
    }

    /// The path of a numbered snapshot. Without a `%n`, the number is inserted before the
    /// extension.
    pub(crate) fn numbered(self, process: u32, number: u32) -> PathBuf {
        self.numbered_with(&Values::now(process, number))
    }

    fn numbered_with(self, values: &Values) -> PathBuf {
        let path = self.path(values);
        if self.is_numbered() {
            return path;
        }
        let Some(name) = path.file_name() else {
            return path;
        };
        let name = name.as_encoded_bytes();
        // `.pb.gz` is one extension.
        let start = name.strip_suffix(b".gz").unwrap_or(name);
        let at = start.iter().rposition(|&byte| byte == b'.');
        let at = at.filter(|&at| at > 0).unwrap_or(name.len());
        let mut bytes = name[..at].to_vec();
        bytes.extend(format!(".{:04}", values.number).bytes());
        bytes.extend(&name[at..]);
        path.with_file_name(os_string(bytes))
    }

    fn path(self, values: &Values) -> PathBuf {
        let mut path = self.folder.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        let mut bytes = self.text.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => match bytes.next() {
                    Some(b'p') => path.extend(values.process.to_string().bytes()),
                    Some(b'n') => path.extend(format!("{:04}", values.number).bytes()),
                    Some(b't') => path.extend(utc::to_text(values.since_1970).bytes()),
                    Some(b'h') => path.extend(&values.host),
                    other => path.extend(other),
                },
                _ => path.push(byte),
            }
        }
        os_string(path).into()
    }
}

fn os_string(bytes: Vec<u8>) -> OsString {
    #[cfg(unix)]
    return <OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes);
    #[cfg(not(unix))]
    OsString::from(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &'static str) -> Template {
        assert!(Template::is_valid(text.as_bytes()), "{text}");
        Template::of(text.as_bytes(), Beginning(b""))
    }

    fn seventh() -> Values {
        Values {
            process: 42,
            number: 7,
            since_1970: Duration::from_secs(951_782_400),
            host: b"db-1%p".to_vec(),
        }
    }

    #[test]
    fn each_placeholder_is_replaced() {
        for (text, path) in [
            ("/tmp/a-%p.pb.gz", "/tmp/a-42.pb.gz"),
            ("100%%-%p%p", "100%-4242"),
            ("a-%n", "a-0007"),
            ("%h/%t.pb.gz", "db-1%p/20000229T000000Z.pb.gz"),
            ("%%h", "%h"),
        ] {
            assert_eq!(template(text).path(&seventh()), PathBuf::from(path));
        }
        for wrong in ["a%d", "a%", "%P", "%T", "%%%"] {
            assert!(!Template::is_valid(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn numbers_go_before_the_extension() {
        for (text, path) in [
            ("a-%p.pb.gz", "a-42.0007.pb.gz"),
            ("a-%n.pb.gz", "a-0007.pb.gz"),
            ("a%%n.pb.gz", "a%n.0007.pb.gz"),
            ("%p", "42.0007"),
            ("%t.pb.gz", "20000229T000000Z.0007.pb.gz"),
            ("/t.d/heap", "/t.d/heap.0007"),
            ("/t.d/heap.gz", "/t.d/heap.gz.0007"),
            ("/t.d/heap.pprof", "/t.d/heap.0007.pprof"),
            (".heap", ".heap.0007"),
        ] {
            let numbered = template(text).numbered_with(&seventh());
            assert_eq!(numbered, PathBuf::from(path));
        }
        let default = Template::default_numbered(Beginning(b"/w"));
        let many = default.numbered(1, 12_345);
        assert_eq!(many, PathBuf::from("/w/alloc-trace-1-12345.pb.gz"));
    }

    #[test]
    fn a_relative_path_starts_in_the_initial_folder() {
        let path = |text: &str| {
            let template = Template::new(text.as_bytes(), Beginning(b"/where/it/began"));
            template.expect("memory").path(&seventh())
        };
        assert_eq!(path("heap"), PathBuf::from("/where/it/began/heap"));
        assert_eq!(path("/heap"), PathBuf::from("/heap"));
        let here = Template::of(b"heap", Beginning::here());
        let folder = std::env::current_dir().expect("a folder");
        assert_eq!(here.path(&seventh()), folder.join("heap"));
    }

    #[test]
    fn the_known_part_ends_before_the_first_placeholder() {
        for (text, known, is_whole) in [
            ("/tmp/100%%.pb.gz", c"/tmp/100%.pb.gz", true),
            ("/tmp/heap-%p.pb.gz", c"/tmp", false),
            ("/tmp/%t/heap.pb.gz", c"/tmp", false),
            ("/%p", c"/", false),
            ("%p", c".", false),
            ("heap", c"heap", true),
        ] {
            let mut room = [1; 64];
            let found = template(text).known_part(&mut room);
            assert_eq!(found, Some((known, is_whole)), "{text}");
        }
        let here = Template::of(b"heap-%p", Beginning(b"/where"));
        let mut room = [1; 64];
        assert_eq!(here.known_part(&mut room), Some((c"/where", false)));
        assert_eq!(here.known_part(&mut [1; 8]), None);
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        let check = |path: &str| check_length(Path::new(path));
        let name = "n".repeat(LONGEST_NAME);
        assert_eq!(check(&name), Ok(()));
        assert_eq!(
            check(&format!("/tmp/{name}n")),
            Err(format!(
                "expected names of at most 255 bytes in the path, found one of 256: /tmp/{name}n"
            ))
        );
        let path = "/n".repeat(LONGEST_PATH / 2) + "n";
        assert_eq!(check(&path), Ok(()));
        assert_eq!(
            check(&(path.clone() + "n")),
            Err(format!(
                "expected a path of at most 4095 bytes, found one of 4096: {path}n"
            ))
        );
    }
}
