//! Files of a thread in `/proc`, without a formatter.

/// Passes the bytes of `/proc/PROCESS/task/THREAD/NAME` to `each`. Nothing if there is no such file.
pub(super) fn read_file_of(
    process: libc::pid_t,
    thread: libc::pid_t,
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
    if let Ok(path) = std::ffi::CStr::from_bytes_until_nul(&path.bytes) {
        crate::system::hooks::read_file(path, each);
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
        let mut read = Vec::new();
        read_file_of(process, own, b"comm", |byte| read.push(byte));
        let path = format!("/proc/self/task/{own}/comm");
        assert_eq!(read, std::fs::read(path).unwrap());
        assert!(!read.is_empty());
    }
}
