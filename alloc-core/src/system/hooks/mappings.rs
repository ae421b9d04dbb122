//! What is mapped, and files that the system shows.

/// Hands over the start and the end of whatever is mapped, in the order of addresses, and returns
/// whether that is all. Allocates nothing.
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

/// Where the heap ends that grows by `brk`; zero where there is none.
pub(crate) fn end_of_brk() -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: a question: by nothing it does not grow.
    return unsafe { libc::sbrk(0) }.addr();
    #[cfg(not(target_os = "linux"))]
    0
}

/// Hands over the bytes of a file, and returns whether they are all.
#[cfg(target_os = "linux")]
pub(crate) fn read_file(path: &std::ffi::CStr, mut each: impl FnMut(u8)) -> bool {
    // SAFETY: a path that ends in a zero.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return false;
    }
    let mut buffer = [0_u8; 4096];
    let whole = loop {
        // SAFETY: room for as many bytes.
        let read = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        match usize::try_from(read) {
            Ok(0) => break true,
            Ok(read) => buffer[..read].iter().for_each(|&byte| each(byte)),
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {
            }
            Err(_) => break false,
        }
    };
    // SAFETY: opened above.
    unsafe { libc::close(file) };
    whole
}
