//! [`Template`]: where snapshots are written that the environment asks for.

use std::ffi::OsString;
use std::path::PathBuf;

/// A path in which `%p` is the process id, `%n` the number of the snapshot and `%%` a percent sign.
///
/// NOTE: borrowed from the environment that the process was started with. A program that sets that very
/// variable itself, later, may change what is written here; no other change does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template(&'static [u8]);

impl Template {
    /// Where numbered snapshots go if nobody said.
    pub(crate) const NUMBERED: Template = Template(b"alloc-trace-%p-%n.pb.gz");

    /// Without allocating. `None` if a percent sign means nothing.
    pub(crate) fn new(text: &'static [u8]) -> Option<Template> {
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte == b'%' && !matches!(bytes.next(), Some(b'p' | b'n' | b'%')) {
                return None;
            }
        }
        Some(Template(text))
    }

    fn is_numbered(self) -> bool {
        let mut bytes = self.0.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte == b'%' && bytes.next() == Some(b'n') {
                return true;
            }
        }
        false
    }

    /// The path of the snapshot at the process's end, which is the one after `number` others.
    pub(crate) fn last(self, process: u32, number: u32) -> PathBuf {
        self.path(process, number + 1)
    }

    /// The path of a numbered snapshot. Where the template has no place for the number, it stands before
    /// the extension.
    pub(crate) fn numbered(self, process: u32, number: u32) -> PathBuf {
        let path = self.path(process, number);
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
        bytes.extend(format!(".{number:04}").bytes());
        bytes.extend(&name[at..]);
        path.with_file_name(os_string(bytes))
    }

    fn path(self, process: u32, number: u32) -> PathBuf {
        let mut path = Vec::new();
        let mut bytes = self.0.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => match bytes.next() {
                    Some(b'p') => path.extend(process.to_string().bytes()),
                    Some(b'n') => path.extend(format!("{number:04}").bytes()),
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
        Template::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn templates_know_the_process_the_number_and_the_percent_sign() {
        let last = |text| template(text).last(42, 6);
        assert_eq!(last("/tmp/a-%p.pb.gz"), PathBuf::from("/tmp/a-42.pb.gz"));
        assert_eq!(last("100%%-%p%p"), PathBuf::from("100%-4242"));
        assert_eq!(last("a-%n"), PathBuf::from("a-0007"));
        for wrong in ["a%d", "a%", "%P"] {
            assert!(Template::new(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn numbers_find_a_place() {
        for (text, path) in [
            ("a-%p.pb.gz", "a-42.0007.pb.gz"),
            ("a-%n.pb.gz", "a-0007.pb.gz"),
            ("a%%n.pb.gz", "a%n.0007.pb.gz"),
            ("/t.d/heap", "/t.d/heap.0007"),
            ("/t.d/heap.gz", "/t.d/heap.gz.0007"),
            ("/t.d/heap.pprof", "/t.d/heap.0007.pprof"),
            (".heap", ".heap.0007"),
        ] {
            assert_eq!(template(text).numbered(42, 7), PathBuf::from(path));
        }
        let many = Template::NUMBERED.numbered(1, 12_345);
        assert_eq!(many, PathBuf::from("alloc-trace-1-12345.pb.gz"));
    }
}
