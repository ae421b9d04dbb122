//! [`Packed`]: a file that may be packed by gzip or zstd.

use std::io::{self, ErrorKind, Read};

use alloc_core_snapshot::{Error, Snapshot};
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The maximum size of a file, and of an unpacked file that is held in memory.
const MOST_BYTES: usize = 512 << 20;

/// How many times its size a file in memory may unpack to, and a further allowance in bytes, as for
/// profiles in pprof's format.
const MOST_TIMES: usize = 250;
const BESIDE: usize = 1 << 20;

/// The same for a file that is read line by line. A loop that allocates and frees packs well.
const MOST_TIMES_BY_LINE: usize = 10_000;

/// How much of a file is read to recognise its format. A block of zstd takes up to 128 KiB.
const HEAD: u64 = 256 << 10;
/// How much of it is unpacked for that.
const START: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

/// A file of which only the first part has been read.
pub(super) struct Packed<R> {
    head: Vec<u8>,
    rest: R,
    packing: Packing,
    start: Vec<u8>,
}

impl<R: Read> Packed<R> {
    pub(super) fn open(mut reader: R) -> Result<Packed<R>, Error> {
        let mut head = Vec::new();
        reader.by_ref().take(HEAD).read_to_end(&mut head)?;
        let packing = match head[..] {
            [0x1F, 0x8B, ..] => Packing::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Packing::Zstd,
            _ => Packing::None,
        };
        let mut start = Vec::new();
        // NOTE: a damaged file is recognised by what comes before the damage.
        let _ = unpacking(packing, &head)
            .take(START)
            .read_to_end(&mut start);
        Ok(Packed {
            head,
            rest: reader,
            packing,
            start,
        })
    }

    /// The first bytes of the unpacked file.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// Reads a profile in pprof's format.
    pub(super) fn pprof(self) -> Result<Snapshot, Error> {
        match self.packing {
            Packing::Zstd => {
                Snapshot::read_from(&self.unpacked("a heap profile of a known format")?[..])
            }
            _ => Snapshot::read_from(self.head.chain(self.rest)),
        }
    }

    /// The unpacked file. Errors say what was `expected`.
    pub(super) fn unpacked(self, expected: &'static str) -> Result<Vec<u8>, Error> {
        let file = self.whole()?;
        let (Packing::Gzip | Packing::Zstd) = file.packing else {
            return Ok(file.bytes);
        };
        let mut unpacked = Vec::new();
        let mut reader = file.limited(MOST_TIMES, MOST_BYTES);
        let read = reader.read_to_end(&mut unpacked);
        read.map_err(|error| damaged(&error, expected))?;
        Ok(unpacked)
    }

    /// The whole file, still packed.
    pub(super) fn whole(mut self) -> Result<Whole, Error> {
        let most = (MOST_BYTES + 1 - self.head.len()) as u64;
        self.rest.take(most).read_to_end(&mut self.head)?;
        if self.head.len() > MOST_BYTES {
            let found = format!("found one of more than {MOST_BYTES} bytes");
            return Err(Error::unexpected("a heap profile", found));
        }
        Ok(Whole {
            bytes: self.head,
            packing: self.packing,
        })
    }
}

/// A file in memory, packed.
pub(super) struct Whole {
    bytes: Vec<u8>,
    packing: Packing,
}

impl Whole {
    /// A size to measure the memory by that the file may take up.
    pub(super) fn size(&self) -> usize {
        match self.packing {
            Packing::None => self.bytes.len(),
            _ => self.most(MOST_TIMES, MOST_BYTES),
        }
    }

    /// Unpacks while it is read. An error of this reader is damage of the file: see [`damaged`].
    pub(super) fn reader(&self) -> impl Read + '_ {
        self.limited(MOST_TIMES_BY_LINE, usize::MAX)
    }

    fn most(&self, times: usize, most: usize) -> usize {
        self.bytes
            .len()
            .saturating_mul(times)
            .saturating_add(BESIDE)
            .min(most)
    }

    fn limited(&self, times: usize, most: usize) -> Limited<'_> {
        Limited {
            left: match self.packing {
                Packing::None => usize::MAX,
                _ => self.most(times, most),
            },
            reader: unpacking(self.packing, &self.bytes),
        }
    }
}

/// What reading packed bytes failed with.
pub(super) fn damaged(error: &io::Error, expected: &'static str) -> Error {
    // The decoder of zstd wraps the end of its input into errors of its own.
    let mut source = error.get_ref().map(|it| it as &dyn std::error::Error);
    let mut is_end = error.kind() == ErrorKind::UnexpectedEof;
    while let Some(inner) = source {
        let inner_error = inner.downcast_ref::<io::Error>();
        is_end |= inner_error.is_some_and(|it| it.kind() == ErrorKind::UnexpectedEof);
        source = inner.source();
    }
    let found = match is_end {
        true => "found one that is cut off: it ends in the middle".to_owned(),
        false => format!("found a damaged file: {error}"),
    };
    Error::unexpected(expected, found)
}

/// A reader that fails beyond a number of bytes.
struct Limited<'a> {
    reader: Box<dyn Read + 'a>,
    left: usize,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read)
            .ok_or_else(|| io::Error::other("it unpacks to more than any recording of its size"))?;
        Ok(read)
    }
}

fn unpacking<'a>(packing: Packing, bytes: &'a [u8]) -> Box<dyn Read + 'a> {
    match packing {
        Packing::None => Box::new(bytes),
        Packing::Gzip => Box::new(MultiGzDecoder::new(bytes)),
        Packing::Zstd => Box::new(Zstd {
            rest: bytes,
            frame: None,
        }),
    }
}

/// The content of zstd frames in a row.
struct Zstd<'a> {
    rest: &'a [u8],
    frame: Option<StreamingDecoder<&'a [u8], FrameDecoder>>,
}

impl Read for Zstd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                self.rest = frame.get_ref();
                self.frame = None;
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            let frame = StreamingDecoder::new(self.rest);
            self.frame = Some(frame.map_err(io::Error::other)?);
        }
    }
}
