//! [`Symbolizer`]: names code addresses, from whatever knows them.
//!
//! In: a module and addresses in it. Out: functions, files and lines, or why there are none. Never:
//! a decision which frame is charged.

use std::path::PathBuf;

use crate::missing::Missing;
use crate::modules::Module;

/// Names code addresses. The crate `alloc-core-symbols` implements it over ELF files.
pub trait Symbolizer: Sync {
    /// Names the code before each of the return addresses, in their order.
    fn name(&self, code: &Code<'_>, search: &Search) -> Named;

    /// Called when a batch of modules is named: gives memory back to the system.
    fn finish(&self) {}
}

/// Code to name: return addresses in one module.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// The module of all addresses; `None` where they are in none.
    pub module: Option<&'a Module>,
    /// Whether the module is the program itself.
    pub is_program: bool,
    /// Whether the module is loaded in this process.
    pub is_here: bool,
    /// Return addresses, in ascending order.
    pub addresses: &'a [usize],
}

/// One function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The function's name, demangled, without a hash.
    pub function: Option<Box<str>>,
    /// The function's name as the linker has it, if that differs.
    pub mangled: Option<Box<str>>,
    /// The function's bare name with its generic arguments, `new<demo::Node>`, if it is of the
    /// standard library's crate `alloc` or of hashbrown, and the debug information has it.
    pub generic: Option<Box<str>>,
    /// The source file, as the compiler wrote it down.
    pub file: Option<Box<str>>,
    /// The line, counted from 1; 0 if it is unknown.
    pub line: u32,
    /// The column, counted from 1; 0 if it is unknown.
    pub column: u32,
}

/// What is known of addresses in a module.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// For each address, the innermost inlined function first, the one that the code belongs to
    /// last. Empty where nothing is known.
    pub frames: Vec<Vec<Frame>>,
    /// Why names or lines are missing, as far as the files show.
    pub missing: Option<Missing>,
    /// Whether nothing shows that the file is of the same build.
    pub is_unverified: bool,
}

/// Where files are looked for, in this order: at the path of the module, if the file there is of
/// the same build; in the folders; where the system keeps debug files; and with the ones who have
/// been asked to fetch it.
///
/// Debug information that is apart from the program is found by build id, flat or in `.build-id` as
/// gdb has it, by the name and checksum in `.gnu_debuglink`, and, where it is split, in `.dwo`
/// files and `.dwp` packages.
///
/// ```
/// use alloc_core::SymbolSearch;
///
/// let search = SymbolSearch { folders: vec!["/srv/symbols".into()], ..SymbolSearch::default() };
/// assert!(search.fetch.is_none());
/// ```
#[derive(Default)]
pub struct Search {
    /// Folders with programs or debug files, flat, or by build id as in `.build-id/ab/cdef.debug`
    /// or `abcdef/debuginfo`.
    pub folders: Vec<PathBuf>,
    /// Fetches the debug file of a build id, or else the program; nothing if nobody has it.
    #[allow(clippy::type_complexity)]
    pub fetch: Option<Box<dyn Fn(&[u8]) -> Option<PathBuf> + Send + Sync>>,
}
