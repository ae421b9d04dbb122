//! [`Output`]: writes a graph file, a frame at a time.

use crate::graph::linux::format::{HEADER, Tag};
use crate::system::arena;

/// Size of the buffer, in bytes, with the head of the frame.
const BUFFER: usize = 1 << 18;
/// The tag and the length.
const HEAD: usize = 5;

/// A writer of sections, with a buffer of its own. After an error it writes nothing more.
pub(super) struct Output {
    file: libc::c_int,
    buffer: &'static mut [u8],
    len: usize,
    tag: u8,
    has_failed: bool,
}

impl Output {
    /// Begins a file. `None` if there is no memory.
    pub(super) fn new(file: libc::c_int) -> Option<Output> {
        let place = arena::reserve(BUFFER)?;
        // SAFETY: the memory is zeroed, has this size, is referred to by nothing else, and is never
        // released.
        let buffer = unsafe { std::slice::from_raw_parts_mut(place.as_ptr(), BUFFER) };
        let mut output = Output {
            file,
            buffer,
            len: HEAD,
            tag: 0,
            has_failed: false,
        };
        output.write_all_of(HEADER);
        Some(output)
    }

    /// Begins a section.
    pub(super) fn section(&mut self, tag: Tag) {
        self.flush();
        self.tag = tag as u8;
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        if self.len == BUFFER {
            self.flush();
        }
        self.buffer[self.len] = byte;
        self.len += 1;
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.byte(*byte));
    }

    /// A text: its length, and its bytes.
    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.bytes(text);
    }

    #[inline(always)]
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    #[inline(always)]
    pub(super) fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63) as u64);
    }

    /// Writes what is left. `None` if something could not be written; `errno` says why.
    pub(super) fn finish(mut self) -> Option<()> {
        self.flush();
        (!self.has_failed).then_some(())
    }

    #[cold]
    #[inline(never)]
    fn flush(&mut self) {
        let payload = self.len - HEAD;
        if payload > 0 {
            self.buffer[0] = self.tag;
            self.buffer[1..HEAD].copy_from_slice(&(payload as u32).to_le_bytes());
            self.write_buffer();
        }
        self.len = HEAD;
    }

    fn write_buffer(&mut self) {
        let mut from = 0;
        while from < self.len && !self.has_failed {
            let rest = &self.buffer[from..self.len];
            self.has_failed = match write(self.file, rest) {
                Some(written) => {
                    from += written;
                    false
                }
                None => true,
            };
        }
    }

    fn write_all_of(&mut self, bytes: &[u8]) {
        self.has_failed |= write(self.file, bytes) != Some(bytes.len());
    }
}

/// Writes a part of the bytes, at least one, and says how many. `None` on an error.
fn write(file: libc::c_int, bytes: &[u8]) -> Option<usize> {
    loop {
        // SAFETY: the pointer is valid for that many bytes.
        let written = unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(0) => return None,
            Ok(written) => return Some(written),
            Err(_) if crate::system::hooks::errno() == libc::EINTR => {}
            Err(_) => return None,
        }
    }
}
