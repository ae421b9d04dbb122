//! The modules of this process, as its loader lists them: the program and its shared libraries.

#[cfg(target_os = "linux")]
use object::{NativeEndian, elf, read::elf::NoteIterator};

use crate::snapshot::modules::FINGERPRINT;

/// A module as the loader lists it, without heap memory. The fields are those of
/// [`Module`](crate::snapshot::modules::Module).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) file_offset: u64,
    pub(crate) path: &'a [u8],
    /// The raw bytes of the build id; empty if there is none.
    pub(crate) build_id: &'a [u8],
    /// Replaces a missing build id; zero if there is nothing to hash.
    pub(crate) fingerprint: u64,
}

impl Listed<'_> {
    /// Writes the text of [`Module::build_id`](crate::snapshot::modules::Module::build_id), cut to
    /// the size of `place`.
    pub(crate) fn write_build_id<'p>(&self, place: &'p mut [u8; 128]) -> &'p [u8] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let hash = self.fingerprint.to_be_bytes();
        let (start, bytes) = match self.build_id {
            [] if self.fingerprint == 0 => return &[],
            [] => (FINGERPRINT.as_bytes(), &hash[..]),
            build_id => (&[][..], build_id),
        };
        place[..start.len()].copy_from_slice(start);
        let mut len = start.len();
        for (pair, byte) in place[start.len()..].chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
            len += 2;
        }
        &place[..len]
    }
}

/// The longest path that the system accepts.
pub(crate) const LONGEST_PATH: usize = 4096;

/// The path of the program, written to `place`; empty if it is unknown. Allocates nothing on Linux.
pub(crate) fn program(place: &mut [u8; LONGEST_PATH]) -> &[u8] {
    #[cfg(target_os = "linux")]
    {
        let link = c"/proc/self/exe";
        // SAFETY: the path ends in a NUL byte, and `place` has room for the number of bytes passed.
        let len = unsafe { libc::readlink(link.as_ptr(), place.as_mut_ptr().cast(), LONGEST_PATH) };
        match usize::try_from(len) {
            Ok(len) => &place[..len],
            // The link may be missing, as after `chroot`.
            Err(_) => as_started(),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let path = std::env::current_exe().unwrap_or_default();
        let path = path.as_os_str().as_encoded_bytes();
        let len = path.len().min(LONGEST_PATH);
        place[..len].copy_from_slice(&path[..len]);
        &place[..len]
    }
}

/// The path that the program was started by, which may be relative.
#[cfg(target_os = "linux")]
fn as_started() -> &'static [u8] {
    // SAFETY: the call has no preconditions.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if path.is_null() {
        return &[];
    }
    // SAFETY: the kernel put a C string there, which lives as long as the process.
    unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes()
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
type Header = libc::Elf64_Phdr;
#[cfg(all(target_os = "linux", not(target_pointer_width = "64")))]
type Header = libc::Elf32_Phdr;

/// The listed data of a module with these program headers, loaded `base` bytes above the addresses
/// in its file. `None` if it has no code.
///
/// NOTE: the module must be loaded and stay loaded.
#[cfg(target_os = "linux")]
pub(crate) fn describe<'a>(base: u64, headers: &'a [Header], path: &'a [u8]) -> Option<Listed<'a>> {
    let code = headers
        .iter()
        .find(|it| it.p_type == libc::PT_LOAD && it.p_flags & libc::PF_X != 0)?;
    // `Elf32_Phdr` has narrower fields.
    #[allow(clippy::useless_conversion)]
    let (at, size, file_offset) = (
        u64::from(code.p_vaddr),
        u64::from(code.p_memsz),
        u64::from(code.p_offset),
    );
    let build_id = headers
        .iter()
        .filter(|it| it.p_type == libc::PT_NOTE)
        .find_map(|it| {
            #[allow(clippy::useless_conversion)]
            let start = base + u64::from(it.p_vaddr);
            // SAFETY: a segment of notes is mapped, readable, and has this length.
            let notes =
                unsafe { std::slice::from_raw_parts(start as *const u8, it.p_memsz as usize) };
            build_id(notes)
        });
    let build_id = build_id.unwrap_or_default();
    Some(Listed {
        start: base + at,
        end: base + at + size,
        file_offset,
        path,
        build_id,
        fingerprint: match build_id {
            [] => fingerprint(base, headers),
            _ => 0,
        },
    })
}

/// Passes the modules now loaded to `each`, the program first. Allocates nothing.
///
/// It takes the loader's lock. A fork leaves that lock taken in the child if another thread holds
/// it. So the caller keeps forks away and is not in a record.
#[cfg(target_os = "linux")]
pub(crate) fn list(each: &mut dyn FnMut(Listed<'_>)) {
    use std::ffi::{CStr, c_void};

    struct List<'a> {
        each: &'a mut dyn FnMut(Listed<'_>),
        /// The path of the program, which has no name in the loader's list.
        program: &'a [u8],
        is_first: bool,
    }

    unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, list: *mut c_void) -> i32 {
        // SAFETY: `dl_iterate_phdr` passes on the pointer that it was given below.
        let list = unsafe { &mut *list.cast::<List<'_>>() };
        // SAFETY: `dl_iterate_phdr` passes a pointer to a struct that is valid during the call.
        let info = unsafe { &*info };
        // SAFETY: the struct contains the place and the number of the object's program headers.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        // SAFETY: the name is a C string, which the loader keeps while the object is loaded.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        let path = match name.to_bytes() {
            b"" if list.is_first => list.program,
            name => name,
        };
        // NOTE: the field is narrower in 32-bit programs.
        #[allow(clippy::useless_conversion)]
        let base = u64::from(info.dlpi_addr);
        if let Some(listed) = describe(base, headers, path) {
            list.is_first = false;
            (list.each)(listed);
        }
        0
    }

    let mut place = [0; LONGEST_PATH];
    let mut list = List {
        each,
        program: program(&mut place),
        is_first: true,
    };
    // SAFETY: `add` matches the callback's type and does not unwind, nor does what it calls; the
    // pointer is to a local that outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut list).cast()) };
}

/// Returns nothing on 32-bit systems.
#[cfg(all(target_os = "linux", not(target_pointer_width = "64")))]
fn fingerprint(_: u64, _: &[libc::Elf32_Phdr]) -> u64 {
    0
}

/// A hash of bytes that are the same in memory as in the file.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn fingerprint(base: u64, headers: &[libc::Elf64_Phdr]) -> u64 {
    let index = headers.iter().find(|it| it.p_type == libc::PT_GNU_EH_FRAME);
    let index = index.map_or(&[][..], |it| {
        let start = base + it.p_vaddr;
        // SAFETY: the index of the unwind tables is mapped, readable, and has this length.
        unsafe { std::slice::from_raw_parts(start as *const u8, it.p_memsz as usize) }
    });
    let (start, size) = (headers.as_ptr().cast::<u8>(), size_of_val(headers));
    // SAFETY: these are the bytes of a slice of integers without padding between them.
    let headers = unsafe { std::slice::from_raw_parts(start, size) };
    alloc_core_symbols::fingerprint(headers, index)
}

/// Systems whose modules cannot be listed: the program alone, over all addresses.
#[cfg(not(target_os = "linux"))]
pub(crate) fn list(each: &mut dyn FnMut(Listed<'_>)) {
    let mut place = [0; LONGEST_PATH];
    each(Listed {
        start: 0,
        end: u64::MAX,
        file_offset: 0,
        path: program(&mut place),
        build_id: &[],
        fingerprint: 0,
    });
}

/// The build id among ELF notes.
///
/// It does not allocate.
#[cfg(target_os = "linux")]
pub(crate) fn build_id(notes: &[u8]) -> Option<&[u8]> {
    #[cfg(target_pointer_width = "64")]
    type Elf = elf::FileHeader64<NativeEndian>;
    #[cfg(not(target_pointer_width = "64"))]
    type Elf = elf::FileHeader32<NativeEndian>;
    const ALIGNMENT: u8 = 4;
    let endian = NativeEndian;
    let mut notes = NoteIterator::<Elf>::new(endian, ALIGNMENT.into(), notes).ok()?;
    while let Ok(Some(note)) = notes.next() {
        if note.n_type(endian) == elf::NT_GNU_BUILD_ID && note.name() == elf::ELF_NOTE_GNU {
            return Some(note.desc());
        }
    }
    None
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn build_ids_are_found_among_other_notes_and_never_beyond_the_end() {
        let mut notes = Vec::new();
        for (name, content, kind) in [
            ("GNU\0", &[1_u8, 2, 3][..], 1_u32),
            ("GNU\0", &[0xAB, 0xC], 3),
        ] {
            notes.extend((name.len() as u32).to_ne_bytes());
            notes.extend((content.len() as u32).to_ne_bytes());
            notes.extend(kind.to_ne_bytes());
            notes.extend(name.bytes());
            notes.extend(content);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(build_id(&notes), Some(&[0xAB, 0x0C][..]));
        for len in 0..notes.len() - 2 {
            assert_eq!(build_id(&notes[..len]), None, "{len}");
        }
    }
}
