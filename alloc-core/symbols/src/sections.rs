//! Loads the debug sections of a file, and decompresses them.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{CompressionFormat, Object as _, ObjectSection as _};

use crate::Missing;
use crate::elf::Binary;

pub(crate) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
pub(crate) type Sections<'a> = DwarfSections<Cow<'a, [u8]>>;

/// The sections that are needed for names and lines.
const NEEDED: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Returns a section, or its counterpart in a `.dwo` if `is_split`; empty if there is none.
pub(crate) fn section<'a>(
    binary: &'a Binary,
    object: &object::File<'a>,
    id: SectionId,
    is_split: bool,
) -> Result<Cow<'a, [u8]>, Missing> {
    let index = [SectionId::DebugCuIndex, SectionId::DebugTuIndex].contains(&id);
    let name = match is_split {
        _ if index => Some(id.name()),
        true => id.dwo_name(),
        false => Some(id.name()),
    };
    // NOTE: a package's index refers to parts of all sections, so a package needs all of them.
    let Some(name) = name.filter(|_| is_split || NEEDED.contains(&id)) else {
        return Ok(Cow::Borrowed(&[]));
    };
    let Some(section) = by_name(object, name) else {
        return Ok(Cow::Borrowed(&[]));
    };
    let packed = section
        .compressed_data()
        .map_err(|it| binary.damaged(&it))?;
    let unsupported = |method| Missing::Compressed {
        path: binary.path.clone(),
        method,
    };
    let damaged = || binary.damaged(&format_args!("{name} cannot be unpacked"));
    match packed.format {
        CompressionFormat::None => Ok(Cow::Borrowed(packed.data)),
        CompressionFormat::Zlib => zlib(packed.data, packed.uncompressed_size)
            .map(Cow::Owned)
            .ok_or_else(damaged),
        #[cfg(feature = "zstd")]
        CompressionFormat::Zstandard => zstd(packed.data, packed.uncompressed_size)
            .map(Cow::Owned)
            .ok_or_else(damaged),
        #[cfg(not(feature = "zstd"))]
        CompressionFormat::Zstandard => Err(unsupported("zstd")),
        _ => Err(unsupported("an unknown method")),
    }
}

/// Returns the section of this name, or its old compressed form: `.zdebug_info` for `.debug_info`.
pub(crate) fn by_name<'a, 'o>(
    object: &'o object::File<'a>,
    name: &str,
) -> Option<object::Section<'a, 'o>> {
    let packed = || object.section_by_name(&format!(".z{}", name.strip_prefix('.')?));
    object.section_by_name(name).or_else(packed)
}

pub(crate) fn of<'a>(binary: &'a Binary, is_split: bool) -> Result<Sections<'a>, Missing> {
    let object = binary.object()?;
    Sections::load(|id| section(binary, &object, id, is_split))
}

pub(crate) fn endian(object: &object::File<'_>) -> RunTimeEndian {
    match object.is_little_endian() {
        true => RunTimeEndian::Little,
        false => RunTimeEndian::Big,
    }
}

/// Allocates a buffer of `size` bytes, unless that exceeds the compression ratio `most`.
fn buffer(packed: &[u8], size: u64, most: u64) -> Option<Vec<u8>> {
    if size > (packed.len() as u64 + 64).saturating_mul(most) {
        return None;
    }
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(usize::try_from(size).ok()?).ok()?;
    Some(buffer)
}

fn zlib(packed: &[u8], size: u64) -> Option<Vec<u8>> {
    // The highest ratio of deflate is 1032.
    let mut unpacked = buffer(packed, size, 1032)?;
    let mut unpacker = Decompress::new(true);
    let status = unpacker.decompress_vec(packed, &mut unpacked, FlushDecompress::Finish);
    let is_whole = status.ok()? == Status::StreamEnd && unpacked.len() as u64 == size;
    is_whole.then_some(unpacked)
}

#[cfg(feature = "zstd")]
fn zstd(packed: &[u8], size: u64) -> Option<Vec<u8>> {
    use std::io::Read as _;

    // A zstd block of four bytes can repeat one byte 128 Ki times.
    let mut unpacked = buffer(packed, size, 32 << 10)?;
    let mut rest = packed;
    while !rest.is_empty() {
        let decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest).ok()?;
        let left = size.checked_sub(unpacked.len() as u64)?;
        decoder.take(left + 1).read_to_end(&mut unpacked).ok()?;
    }
    (unpacked.len() as u64 == size).then_some(unpacked)
}
