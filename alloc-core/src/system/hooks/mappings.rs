//! The mappings of the process, and reading of files in `/proc`.

/// Calls `each` with the start and the end of each mapping in address order, and returns whether
/// the list was complete. Allocates nothing.
pub(crate) fn for_each_mapping(mut each: impl FnMut(usize, usize)) -> bool {
    #[cfg(target_os = "linux")]
    {
        enum Part {
            Start,
            End,
            Rest,
        }
        let (mut part, mut start, mut end) = (Part::Start, 0_usize, 0_usize);
        let hex = |number: usize, byte: u8| {
            let digit = char::from(byte).to_digit(16).unwrap_or(0);
            number << 4 | digit as usize
        };
        read_file(c"/proc/self/maps", |byte| match (&part, byte) {
            (Part::Start, b'-') => part = Part::End,
            (Part::Start, _) => start = hex(start, byte),
            (Part::End, b' ') => {
                each(start, end);
                part = Part::Rest;
            }
            (Part::End, _) => end = hex(end, byte),
            (Part::Rest, b'\n') => (part, start, end) = (Part::Start, 0, 0),
            (Part::Rest, _) => {}
        })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = &mut each;
        false
    }
}

/// The end of the heap that grows by `brk`; zero if there is none.
pub(crate) fn end_of_brk() -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: an increment of zero changes nothing; it only returns the end.
    return unsafe { libc::sbrk(0) }.addr();
    #[cfg(not(target_os = "linux"))]
    0
}

/// Passes the bytes of a file to a callback, and returns whether all of it was read.
#[cfg(target_os = "linux")]
pub(crate) fn read_file(path: &std::ffi::CStr, mut each: impl FnMut(u8)) -> bool {
    // SAFETY: the path ends in a NUL byte.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return false;
    }
    let mut buffer = [0_u8; 4096];
    let whole = loop {
        // SAFETY: `buffer` has room for that many bytes.
        let read = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        match usize::try_from(read) {
            Ok(0) => break true,
            Ok(read) => buffer[..read].iter().for_each(|&byte| each(byte)),
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {
            }
            Err(_) => break false,
        }
    };
    // SAFETY: the file was opened above, and is closed once.
    unsafe { libc::close(file) };
    whole
}
