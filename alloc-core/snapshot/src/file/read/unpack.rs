//! [`unpack`]: decompresses a file to the bytes of a profile.

use std::io::{ErrorKind, Read};

use flate2::bufread::GzDecoder;

use super::others;
use crate::error::Error;

/// The maximum size of an unpacked profile. A larger profile is refused.
const MOST_BYTES: usize = 512 << 20;

/// How many times its size a file may unpack to, and a further allowance in bytes.
///
/// Real profiles unpack to three to ten times their size; one with stacks of a thousand frames of
/// pure recursion, to some hundred and thirty. Gzip bombs unpack to a thousand times their size.
const MOST_TIMES: usize = 250;
const BESIDE: usize = 1 << 20;

const GZIP: [u8; 2] = [0x1F, 0x8B];

/// The content of a file.
#[derive(Debug)]
pub(in crate::file) struct Unpacked {
    pub(in crate::file) profile: Vec<u8>,
    /// Whether the file is a gzip file.
    pub(in crate::file) is_packed: bool,
}

/// The bytes of a profile, from a file that is compressed with gzip or not, as in pprof.
///
/// A file may consist of several gzip files in a row, as `cat` makes them. Trailing data that is
/// not gzip, such as a newline, is ignored, as in `gzip`.
pub(in crate::file) fn unpack(reader: impl Read) -> Result<Unpacked, Error> {
    let mut file = Vec::new();
    reader.take(MOST_BYTES as u64 + 1).read_to_end(&mut file)?;
    if file.is_empty() {
        return Err(Error::invalid_file("found an empty file"));
    }
    if file.len() > MOST_BYTES {
        return Err(Error::invalid_file(format!(
            "found one of more than {MOST_BYTES} bytes"
        )));
    }
    let is_packed = file.starts_with(&GZIP[..file.len().min(GZIP.len())]);
    let mut profile = if is_packed { gunzip(&file)? } else { file };
    if let Some(what) = others::name_of(&profile) {
        return Err(Error::invalid_file(format!("found {what}")));
    }
    profile.shrink_to_fit();
    Ok(Unpacked { profile, is_packed })
}

fn gunzip(packed: &[u8]) -> Result<Vec<u8>, Error> {
    let most = packed
        .len()
        .saturating_mul(MOST_TIMES)
        .saturating_add(BESIDE);
    let most = most.min(MOST_BYTES);
    let mut unpacked = Vec::new();
    let mut rest = packed;
    while rest.starts_with(&GZIP) {
        let mut member = GzDecoder::new(rest);
        let room = (most - unpacked.len()) as u64;
        let read = member.by_ref().take(room + 1).read_to_end(&mut unpacked);
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                Error::invalid_file("found one that is cut off: it ends in the middle")
            }
            _ => Error::invalid_file(format!("found a damaged gzip file: {error}")),
        })?;
        if unpacked.len() > most {
            return Err(Error::invalid_file(match most {
                MOST_BYTES => format!("found one that unpacks to more than {MOST_BYTES} bytes"),
                _ => format!(
                    "found one of {} bytes that unpacks to more than {MOST_TIMES} times that and {} MiB",
                    packed.len(),
                    BESIDE >> 20,
                ),
            }));
        }
        rest = member.into_inner();
    }
    if unpacked.is_empty() && packed.len() < GZIP.len() {
        return Err(Error::invalid_file(
            "found one that is cut off: it ends in the middle",
        ));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut file = GzEncoder::new(Vec::new(), Compression::best());
        file.write_all(bytes).unwrap();
        file.finish().unwrap()
    }

    #[track_caller]
    fn refuses(file: &[u8], found: &str) {
        let error = unpack(file).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }

    #[test]
    fn packed_and_plain_files_are_equal() {
        let profile = [10, 2, 8, 1];
        assert_eq!(unpack(&profile[..]).unwrap().profile, profile);
        assert_eq!(unpack(&packed(&profile)[..]).unwrap().profile, profile);
    }

    #[test]
    fn members_are_joined_and_trailing_data_is_ignored() {
        let mut file = packed(&[10, 2]);
        file.extend(packed(&[]));
        file.extend(packed(&[8, 1]));
        for after in ["", "\n", "\0\0\0\0", "more"] {
            let file = [&file[..], after.as_bytes()].concat();
            assert_eq!(
                unpack(&file[..]).unwrap().profile,
                [10, 2, 8, 1],
                "{after:?}"
            );
        }
        let cut_off = [&file[..], &packed(&[1])[..8]].concat();
        refuses(&cut_off, "cut off");
    }

    #[test]
    fn the_compression_ratio_is_limited() {
        // Zeros compress to a thousandth.
        refuses(
            &packed(&vec![0; 4 << 20]),
            "bytes that unpacks to more than 250 times that and 1 MiB",
        );
        // A small file may have any content.
        assert!(unpack(&packed(&vec![1; 1 << 20])[..]).is_ok());
        // Several members in a row do not bypass the limit.
        let members = packed(&vec![0; 1 << 20]).repeat(30);
        refuses(&members, "250 times");
    }

    #[test]
    fn a_reader_s_error_is_an_io_error() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("the disk"))
            }
        }
        assert!(unpack(Fails).unwrap_err().is_io());
    }
}
