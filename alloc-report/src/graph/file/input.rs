//! [`Stream`]: the content of one section; [`Input`]: a cursor in it that knows its place in the
//! file.

use std::borrow::Cow;

use alloc_core_snapshot::Error;

/// What every error says was expected.
pub(super) const EXPECTED: &str = "a heap graph";

/// An error about a file, at a byte of it.
pub(super) fn wrong(found: &str, at: usize) -> Error {
    Error::unexpected(EXPECTED, format!("found {found} at byte {at}"))
}

/// The content of a section: the payloads of its frames, one after another.
#[derive(Default)]
pub(super) struct Stream<'a> {
    content: Cow<'a, [u8]>,
    /// Where each frame's payload starts: in the content, and in the file.
    frames: Vec<(usize, usize)>,
    /// Whether the file has the section.
    pub(super) is_there: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn add(&mut self, payload: &'a [u8], at: usize) {
        self.is_there = true;
        if payload.is_empty() {
            return;
        }
        self.frames.push((self.content.len(), at));
        match self.content.is_empty() {
            true => self.content = Cow::Borrowed(payload),
            false => self.content.to_mut().extend_from_slice(payload),
        }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(super) fn input(&self) -> Input<'_> {
        Input {
            stream: self,
            at: 0,
        }
    }

    /// The place in the file of a byte of the content.
    fn place(&self, at: usize) -> usize {
        let frame = self.frames.partition_point(|(start, _)| *start <= at);
        let frame = frame.checked_sub(1).and_then(|it| self.frames.get(it));
        frame.map_or(0, |(start, place)| place + (at - start))
    }
}

/// A cursor in a section.
pub(super) struct Input<'a> {
    stream: &'a Stream<'a>,
    at: usize,
}

impl Input<'_> {
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.stream.content.len()
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.stream.content.len() - self.at
    }

    /// An error at the current place.
    pub(super) fn wrong(&self, found: impl AsRef<str>) -> Error {
        wrong(found.as_ref(), self.stream.place(self.at))
    }

    #[inline]
    pub(super) fn byte(&mut self, what: &str) -> Result<u8, Error> {
        let Some(&byte) = self.stream.content.get(self.at) else {
            return Err(self.wrong(format!("the end of a section where {what} belongs")));
        };
        self.at += 1;
        Ok(byte)
    }

    /// A varint.
    #[inline]
    pub(super) fn number(&mut self, what: &str) -> Result<u64, Error> {
        // PERF: most numbers take one byte.
        match self.stream.content.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_number(what),
        }
    }

    fn long_number(&mut self, what: &str) -> Result<u64, Error> {
        let start = self.at;
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(self.byte(what)?);
            let part = byte & 0x7F;
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        self.at = start;
        Err(self.wrong(format!("more than 64 bits for {what}")))
    }

    /// A number with a sign.
    #[inline]
    pub(super) fn signed(&mut self, what: &str) -> Result<i64, Error> {
        let number = self.number(what)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A number of 32 bits.
    #[inline]
    pub(super) fn small(&mut self, what: &str) -> Result<u32, Error> {
        let number = self.number(what)?;
        let small = u32::try_from(number);
        small.map_err(|_| self.wrong(format!("{number} for {what}, which has 32 bits")))
    }

    /// The number of items that follow, each of at least `least` bytes.
    pub(super) fn count(&mut self, what: &str, least: usize) -> Result<usize, Error> {
        let claimed = self.number(what)?;
        let most = self.left() / least;
        match usize::try_from(claimed) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(self.wrong(format!(
                "{claimed} for {what}, where {} bytes have room for {most}",
                self.left()
            ))),
        }
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, Error> {
        let length = self.count(what, 1)?;
        let bytes = &self.stream.content[self.at..self.at + length];
        self.at += length;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Eight bytes, the least significant first.
    pub(super) fn eight_bytes(&mut self, what: &str) -> Result<u64, Error> {
        let bytes = self.stream.content.get(self.at..self.at + 8);
        let Some(bytes) = bytes.and_then(|it| it.try_into().ok()) else {
            return Err(self.wrong(format!("the end of a section where {what} belongs")));
        };
        self.at += 8;
        Ok(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream<'a>(pieces: &[(usize, &'a [u8])]) -> Stream<'a> {
        let mut stream = Stream::default();
        for (at, piece) in pieces {
            stream.add(piece, *at);
        }
        stream
    }

    #[test]
    fn numbers_cross_frames() {
        let stream = stream(&[(100, &[0x80]), (200, &[]), (300, &[0x01, 7])]);
        let mut input = stream.input();
        assert_eq!(input.number("a").unwrap(), 128);
        assert_eq!(input.number("a").unwrap(), 7);
        assert!(input.is_at_end());
    }

    #[test]
    fn errors_name_the_byte_of_the_file() {
        #[track_caller]
        fn check(pieces: &[(usize, &[u8])], read: fn(&mut Input<'_>) -> Error, expected: &str) {
            let stream = stream(pieces);
            let error = read(&mut stream.input()).to_string();
            assert_eq!(error, format!("expected a heap graph, found {expected}"));
        }
        let number = |it: &mut Input<'_>| it.number("an age").unwrap_err();
        check(
            &[(100, &[0x80]), (300, &[0x80])],
            number,
            "the end of a section where an age belongs at byte 301",
        );
        let too_long: &[u8] = &[0xFF; 11];
        check(
            &[(100, too_long)],
            number,
            "more than 64 bits for an age at byte 100",
        );
        let small = |it: &mut Input<'_>| it.small("a word").unwrap_err();
        check(
            &[(9, &[0x80, 0x80, 0x80, 0x80, 0x10])],
            small,
            "4294967296 for a word, which has 32 bits at byte 14",
        );
        let count = |it: &mut Input<'_>| it.count("the threads", 3).unwrap_err();
        check(
            &[(9, &[3, 0, 0, 0])],
            count,
            "3 for the threads, where 3 bytes have room for 1 at byte 10",
        );
        let text = |it: &mut Input<'_>| it.text("a path").unwrap_err();
        check(
            &[(9, &[200, 1, 0])],
            text,
            "200 for a path, where 1 bytes have room for 1 at byte 11",
        );
    }

    #[test]
    fn the_largest_number_has_ten_bytes() {
        let bytes: &[u8] = &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let stream = stream(&[(0, bytes)]);
        assert_eq!(stream.input().number("a").unwrap(), u64::MAX);
        assert_eq!(stream.input().signed("a").unwrap(), i64::MIN);
    }
}
