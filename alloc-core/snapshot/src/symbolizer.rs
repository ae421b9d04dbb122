//! [`Symbolizer`]: names code addresses from any source of names.
//!
//! In: a module and addresses in it. Out: functions, files and lines, or why there are none. It
//! never decides which frame is charged.

use std::path::PathBuf;

use crate::missing::Missing;
use crate::modules::Module;

/// Names code addresses. The crate `alloc-core-symbols` implements it for ELF files.
pub trait Symbolizer: Sync {
    /// Names the code before each return address, in order.
    fn name(&self, code: &Code<'_>, search: &Search) -> Named;

    /// Returns memory to the system. Called after a batch of modules.
    fn finish(&self) {}
}

/// Code to name: return addresses in one module.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// The module that contains the addresses; `None` if no module does.
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
    /// The function's linker symbol, if it differs.
    pub mangled: Option<Box<str>>,
    /// The function's bare name with its generic arguments, `new<demo::Node>`, if the function is
    /// in the standard library's crate `alloc` or in hashbrown, and debug information has the name.
    pub generic: Option<Box<str>>,
    /// The source file, as the compiler recorded it.
    pub file: Option<Box<str>>,
    /// The line, counted from 1; 0 if it is unknown.
    pub line: u32,
    /// The column, counted from 1; 0 if it is unknown.
    pub column: u32,
}

/// The names of addresses in a module.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// For each address, the innermost inlined function first and the function that contains the
    /// code last. Empty if nothing is known.
    pub frames: Vec<Vec<Frame>>,
    /// Why names or lines are missing, if the files show it.
    pub missing: Option<Missing>,
    /// Whether nothing shows that the file is of the same build.
    pub is_unverified: bool,
}

/// Where files are searched, in this order: at the path of the module, if the file there is of the
/// same build; in the folders; in the system's folders for debug files; and with `fetch`.
///
/// Separate debug information is found by build id, flat or in `.build-id` as in gdb, by the name
/// and checksum in `.gnu_debuglink`, and, if it is split, in `.dwo` files and `.dwp` packages.
///
/// ```
/// use alloc_core::SymbolSearch;
///
/// let search = SymbolSearch { folders: vec!["/srv/symbols".into()], ..SymbolSearch::default() };
/// assert!(search.fetch.is_none());
/// ```
#[derive(Default)]
pub struct Search {
    /// Folders with programs or debug files, flat or by build id, such as `.build-id/ab/cdef.debug`
    /// or `abcdef/debuginfo`.
    pub folders: Vec<PathBuf>,
    /// Fetches the debug file of a build id, or else the program; `None` if no source has it.
    #[allow(clippy::type_complexity)]
    pub fetch: Option<Box<dyn Fn(&[u8]) -> Option<PathBuf> + Send + Sync>>,
}
