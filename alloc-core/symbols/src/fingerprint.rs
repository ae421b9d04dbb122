//! [`fingerprint`]: identifies a build that has no build id.

/// How many bytes of the unwind tables' index are hashed.
const INDEX: usize = 16 << 10;

/// Hashes the program headers and the start of the unwind tables' index, `.eh_frame_hdr`.
///
/// Both are the same in memory and in the file. Any change of code changes a size in the former or
/// an address in the latter. The index may be empty. The result is never zero.
pub fn fingerprint(program_headers: &[u8], unwind_index: &[u8]) -> u64 {
    let index = &unwind_index[..unwind_index.len().min(INDEX)];
    // FNV-1a: stable across builds of this crate.
    let bytes = program_headers.iter().chain(index);
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    hash.max(1)
}

/// Returns the fingerprint of a file's content, or `None` if it is not a 64-bit ELF file.
pub fn fingerprint_of(file: &[u8]) -> Option<u64> {
    const PT_GNU_EH_FRAME: u32 = 0x6474_E550;
    if file.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let is_little = *file.get(5)? == 1;
    let number = |at: usize, size: usize| {
        let bytes = file.get(at..at.checked_add(size)?)?;
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = if is_little {
            bytes.iter().rev().fold(0, fold)
        } else {
            bytes.iter().fold(0, fold)
        };
        usize::try_from(number).ok()
    };
    let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let headers = file.get(start..start.checked_add(size.checked_mul(count)?)?)?;
    let index = (0..count).find_map(|header| {
        let at = start + header * size;
        if number(at, 4)? != PT_GNU_EH_FRAME as usize {
            return None;
        }
        let (offset, length) = (number(at + 8, 8)?, number(at + 32, 8)?);
        file.get(offset..offset.checked_add(length)?)
    });
    Some(fingerprint(headers, index.unwrap_or_default()))
}
