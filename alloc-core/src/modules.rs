//! [`Module`]: the program and its shared libraries, as mapped into the process.

/// Code mapped from a file: the program or a shared library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Module {
    /// The lowest and one past the highest address of the executable segment.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where in the file that segment begins.
    pub(crate) file_offset: u64,
    pub(crate) path: String,
    /// GNU's build id in hexadecimal; empty if there is none.
    pub(crate) build_id: String,
}

impl Module {
    /// The name for code of which nothing else is known: `libc.so.6+0x2724a`, counted from the start
    /// of the file.
    pub(crate) fn name_of(&self, address: u64) -> String {
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        let offset = address.saturating_sub(self.start) + self.file_offset;
        format!("{file}+{offset:#x}")
    }
}

/// A module as the loader lists it, with nothing on the heap. The fields are those of [`Module`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) file_offset: u64,
    pub(crate) path: &'a [u8],
    /// The bytes that are mostly shown in hexadecimal; none if it has none.
    pub(crate) build_id: &'a [u8],
}

/// The modules now loaded, the program first.
pub(crate) fn loaded() -> Vec<Module> {
    let mut modules = Vec::new();
    for_each(&mut |it| {
        modules.push(Module {
            start: it.start,
            end: it.end,
            file_offset: it.file_offset,
            path: String::from_utf8_lossy(it.path).into_owned(),
            build_id: hexadecimal(it.build_id),
        });
    });
    modules
}

/// Hands over the modules now loaded, the program first. Allocates nothing on Linux.
///
/// It enters the loader, so it is never called from a record; and beside one, since a fork leaves the loader's lock taken
/// in the child if another thread has it.
pub(crate) fn for_each(each: &mut dyn FnMut(Listed<'_>)) {
    crate::control::beside_record(|| list(each));
}

/// The longest path that the system takes.
pub(crate) const LONGEST_PATH: usize = 4096;

/// The path of the program, written to `place`; nothing where it cannot be told. Allocates nothing on Linux.
pub(crate) fn program(place: &mut [u8; LONGEST_PATH]) -> &[u8] {
    #[cfg(target_os = "linux")]
    {
        let link = c"/proc/self/exe";
        // SAFETY: a path that ends in zero, and room for as many bytes as are said.
        let len = unsafe { libc::readlink(link.as_ptr(), place.as_mut_ptr().cast(), LONGEST_PATH) };
        &place[..usize::try_from(len).unwrap_or(0)]
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

#[cfg(target_os = "linux")]
fn list(each: &mut dyn FnMut(Listed<'_>)) {
    use std::ffi::{CStr, c_void};

    struct List<'a> {
        each: &'a mut dyn FnMut(Listed<'_>),
        /// The path of the program, which has no name in the list.
        program: &'a [u8],
        is_first: bool,
    }

    unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, list: *mut c_void) -> i32 {
        // SAFETY: `dl_iterate_phdr` passes on the pointer that it was given below.
        let list = unsafe { &mut *list.cast::<List<'_>>() };
        // SAFETY: and a pointer to a struct that is valid during the call.
        let info = unsafe { &*info };
        // SAFETY: which says where the object's program headers are, and how many.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        // SAFETY: the name is a C string, which the loader keeps while the object is loaded.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        let path = match name.to_bytes() {
            b"" if list.is_first => list.program,
            name => name,
        };
        let code = headers
            .iter()
            .find(|it| it.p_type == libc::PT_LOAD && it.p_flags & libc::PF_X != 0);
        if let Some(code) = code {
            // `Elf32_Phdr` has narrower fields.
            #[allow(clippy::useless_conversion)]
            let (base, at, size, file_offset) = (
                u64::from(info.dlpi_addr),
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
                    // SAFETY: a segment of notes is mapped, readable and that long.
                    let notes = unsafe {
                        std::slice::from_raw_parts(start as *const u8, it.p_memsz as usize)
                    };
                    build_id(notes)
                });
            list.is_first = false;
            (list.each)(Listed {
                start: base + at,
                end: base + at + size,
                file_offset,
                path,
                build_id: build_id.unwrap_or_default(),
            });
        }
        0
    }

    let mut place = [0; LONGEST_PATH];
    let mut list = List {
        each,
        program: program(&mut place),
        is_first: true,
    };
    // SAFETY: `add` matches the callback's type and does not unwind, nor does what it calls; the pointer is to a
    // local that outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut list).cast()) };
}

/// Where modules cannot be listed: the program alone, over all addresses.
#[cfg(not(target_os = "linux"))]
fn list(each: &mut dyn FnMut(Listed<'_>)) {
    let mut place = [0; LONGEST_PATH];
    each(Listed {
        start: 0,
        end: u64::MAX,
        file_offset: 0,
        path: program(&mut place),
        build_id: &[],
    });
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The build id among ELF notes: name size, content size and type, then both, padded to four bytes.
///
/// It does not allocate.
#[cfg(target_os = "linux")]
pub(crate) fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (header, rest) = notes.split_at_checked(12)?;
        let word = |at: usize| header[at..at + 4].try_into().map(u32::from_ne_bytes).ok();
        let (name_size, size, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let (name, rest) = rest.split_at_checked(name_size.next_multiple_of(4))?;
        let (content, rest) = rest.split_at_checked(size.next_multiple_of(4).min(rest.len()))?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return content.get(..size);
        }
        notes = rest;
    }
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn this_function_lies_in_the_first_module_and_libc_in_another() {
        let modules = loaded();
        let holds = |address: usize| {
            modules
                .iter()
                .position(|it| (it.start..it.end).contains(&(address as u64)))
        };
        assert_eq!(holds(loaded as *const () as usize), Some(0));
        let libc = holds(libc::malloc as *const () as usize).unwrap();
        assert_ne!(libc, 0);
        assert!(modules[libc].path.contains("libc"));
        assert!(
            modules[libc]
                .name_of(modules[libc].start)
                .starts_with("libc")
        );
    }

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
        assert_eq!(build_id(&notes).map(hexadecimal).as_deref(), Some("ab0c"));
        for len in 0..notes.len() - 2 {
            assert_eq!(build_id(&notes[..len]), None, "{len}");
        }
    }
}
