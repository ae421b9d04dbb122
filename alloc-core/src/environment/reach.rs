//! Checks at the program's start whether the requested files can be written.

use crate::environment::template::Template;
use crate::system::hooks;

/// Reports a path that cannot be written. Does not allocate.
///
/// The program continues, since it may create the folder before a file is written.
pub(crate) fn warn_if_unwritable(variable: &str, template: Template) {
    #[cfg(unix)]
    if let Some(trouble) = unix::Trouble::of(template) {
        hooks::write_to_stderr(&["alloc-core: ", variable, ": nothing can be written there: "]);
        trouble.report();
    }
    // NOTE: no variable is read on other systems.
    #[cfg(not(unix))]
    let _ = (variable, template, hooks::errno);
}

#[cfg(unix)]
mod unix {
    use std::ffi::CStr;

    use super::*;
    use crate::environment::template::LONGEST_PATH;

    /// A reason why a path cannot be written, with the path or its folder.
    pub(super) struct Trouble {
        why: &'static str,
        path: [u8; LONGEST_PATH + 1],
        len: usize,
    }

    impl Trouble {
        /// Checks the part of the path that is known at the start. `None` if all is well.
        pub(super) fn of(template: Template) -> Option<Trouble> {
            let mut path = [0; LONGEST_PATH + 1];
            let Some((known, is_whole)) = template.known_part(&mut path) else {
                let (why, len) = ("the path is longer than 4095 bytes", 0);
                return Some(Trouble { why, path, len });
            };
            let len = known.count_bytes();
            if !is_whole {
                let why = trouble_with_folder(known)?;
                return Some(Trouble { why, path, len });
            }
            let is_writable = match hooks::is_folder(known) {
                Ok(true) => {
                    let why = "there is a folder with this name: ";
                    return Some(Trouble { why, path, len });
                }
                Ok(false) => hooks::may(known, libc::W_OK),
                Err(libc::ENAMETOOLONG) => {
                    let why = "the name is too long: ";
                    return Some(Trouble { why, path, len });
                }
                Err(_) => false,
            };
            if is_writable {
                return None;
            }
            // The file is created or replaced in its folder.
            let len = shorten_to_folder(&mut path, len);
            let folder = CStr::from_bytes_until_nul(&path).ok()?;
            let why = trouble_with_folder(folder)?;
            Some(Trouble { why, path, len })
        }

        pub(super) fn report(&self) {
            let path = str::from_utf8(&self.path[..self.len]);
            hooks::write_to_stderr(&[self.why, path.unwrap_or("(its name is not UTF-8)"), "\n"]);
        }
    }

    fn trouble_with_folder(folder: &CStr) -> Option<&'static str> {
        match hooks::is_folder(folder) {
            Err(libc::ENOENT) => Some("there is no folder "),
            Ok(false) | Err(libc::ENOTDIR) => Some("this is no folder: "),
            Err(libc::ENAMETOOLONG) => Some("the name is too long: "),
            Err(_) => Some("this folder cannot be reached: "),
            Ok(true) if hooks::may(folder, libc::W_OK | libc::X_OK) => None,
            Ok(true) => Some("this folder cannot be written to: "),
        }
    }

    /// Truncates the path to its folder, and returns the new length.
    fn shorten_to_folder(path: &mut [u8], len: usize) -> usize {
        let slash = path[..len].iter().rposition(|&byte| byte == b'/');
        let len = match slash {
            Some(0) => 1,
            Some(at) => at,
            None => {
                path[0] = b'.';
                1
            }
        };
        path[len] = 0;
        len
    }
}
