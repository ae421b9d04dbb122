//! Small files in `/proc`, read and written without the heap.

use std::ffi::CStr;

/// An open file.
struct Open(libc::c_int);

impl Open {
    fn new(path: &CStr, flags: libc::c_int) -> Option<Open> {
        // SAFETY: the path ends in a NUL byte.
        let file = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) };
        (file >= 0).then_some(Open(file))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: the descriptor was opened in `new`, and is closed once.
        unsafe { libc::close(self.0) };
    }
}

/// Passes the bytes of a file to `each`. Returns whether all of it was read.
pub(super) fn read(path: &CStr, mut each: impl FnMut(u8)) -> bool {
    let Some(open) = Open::new(path, libc::O_RDONLY) else {
        return false;
    };
    let mut buffer = [0_u8; 4096];
    loop {
        // SAFETY: `buffer` has room for that many bytes.
        let read = unsafe { libc::read(open.0, buffer.as_mut_ptr().cast(), buffer.len()) };
        match usize::try_from(read) {
            Ok(0) => return true,
            Ok(read) => buffer[..read].iter().for_each(|byte| each(*byte)),
            Err(_) => return false,
        }
    }
}

/// Writes a file that exists. A refusal changes nothing.
pub(super) fn write(path: &CStr, bytes: &[u8]) {
    if let Some(open) = Open::new(path, libc::O_WRONLY) {
        // SAFETY: the pointer is valid for that many bytes.
        unsafe { libc::write(open.0, bytes.as_ptr().cast(), bytes.len()) };
    }
}

/// Passes the bytes of `/proc/PROCESS/task/THREAD/NAME` to `each`. Nothing if there is no such
/// file.
pub(super) fn read_of_thread(
    (process, thread): (libc::pid_t, libc::pid_t),
    name: &[u8],
    each: impl FnMut(u8),
) {
    let mut path = Path {
        bytes: [0; 64],
        len: 0,
    };
    path.add(b"/proc/");
    path.add_number(process);
    path.add(b"/task/");
    path.add_number(thread);
    path.add(b"/");
    path.add(name);
    if let Ok(path) = CStr::from_bytes_until_nul(&path.bytes) {
        read(path, each);
    }
}

struct Path {
    bytes: [u8; 64],
    len: usize,
}

impl Path {
    /// NOTE: what has no room is left out; the last byte stays zero.
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.len + 1 < self.bytes.len() {
                self.bytes[self.len] = *byte;
                self.len += 1;
            }
        }
    }

    fn add_number(&mut self, number: i32) {
        let mut digits = [0; 10];
        let (mut rest, mut from) = (number.unsigned_abs(), digits.len());
        while from > 0 && (rest > 0 || from == digits.len()) {
            from -= 1;
            digits[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.add(&digits[from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_thread_is_read() {
        let own = crate::system::hooks::thread_id();
        // SAFETY: the call takes no arguments.
        let process = unsafe { libc::getpid() };
        let mut bytes = Vec::new();
        read_of_thread((process, own), b"comm", |byte| bytes.push(byte));
        let path = format!("/proc/self/task/{own}/comm");
        assert_eq!(bytes, std::fs::read(path).unwrap());
        assert!(!bytes.is_empty());
        assert!(!read(c"/no/such/file", |_| ()));
    }
}
