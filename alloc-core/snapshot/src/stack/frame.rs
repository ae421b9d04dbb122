//! [`Frame`]: one code location; [`SourcePath`]: the path of its file.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

use crate::escape::Escaped;
use crate::process;
use crate::stack::origin::{self, ByName, Origin};
use crate::stack::package;

/// One code location: function, file, line and column, if known.
///
/// A function that the compiler inlined has its own frame. Frames are equal if function, file, line
/// and column are equal; the address in memory does not matter. A frame prints as
/// `src/cache.rs:41`, or as the function's name if it has no file.
///
/// ```
/// use alloc_core::Frame;
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// assert_eq!(frame.to_string(), "src/cache.rs:41");
/// assert_eq!(frame.function(), Some("demo::fill"));
/// assert_eq!(Frame::default().to_string(), "<unknown>");
/// ```
#[derive(Clone)]
pub struct Frame(Arc<Location>);

struct Location {
    function: Function,
    line: u32,
    column: u32,
    address: u64,
    inlined: bool,
    /// The hash of the fields that distinguish frames. PERF: a stack's hash combines those of its
    /// frames. Without this field, hashing names takes nine tenths of grouping by stacks.
    hash: u64,
}

impl Frame {
    /// The memory of one frame, without its function.
    pub(crate) const SIZE: usize = size_of::<Location>() + SHARED;

    /// A frame with these fields; a line or column of 0 is unknown.
    pub fn new(function: Option<&str>, file: Option<&str>, line: u32, column: u32) -> Frame {
        Frame::of(
            function.map(Into::into),
            file.map(|file| SourcePath::new(file, &[""; 0])),
            line,
            column,
        )
    }

    pub(crate) fn of(
        function: Option<Box<str>>,
        file: Option<SourcePath>,
        line: u32,
        column: u32,
    ) -> Frame {
        Frame::within(Function::new(function.map(Name::from), file), line, column)
    }

    /// A frame in a function that other frames may share. The cost does not depend on the length of
    /// names.
    pub(crate) fn within(function: Function, line: u32, column: u32) -> Frame {
        Frame(Arc::new(Location {
            hash: hash_of((function.0.hash, line, column)),
            function,
            line,
            column,
            address: 0,
            inlined: false,
        }))
    }

    /// The function's name, for sharing.
    pub(crate) fn name(&self) -> Option<&Name> {
        self.0.function.0.name.as_ref()
    }

    /// Sets the address of the frame's code, and whether it is inlined into the next frame.
    ///
    /// NOTE: only for frames that are not shared yet.
    pub(crate) fn at(mut self, address: u64, inlined: bool) -> Frame {
        if let Some(location) = Arc::get_mut(&mut self.0) {
            location.address = address;
            location.inlined = inlined;
        }
        self
    }

    /// The function's name, demangled, without a hash.
    pub fn function(&self) -> Option<&str> {
        self.name().map(|name| &*name.text)
    }

    /// The function's linker symbol, if it is known and differs.
    pub(crate) fn mangled(&self) -> Option<&str> {
        self.name()?.mangled.as_deref()
    }

    /// The function's bare name with its generic arguments, if it can allocate and they are known.
    pub(crate) fn generic(&self) -> Option<&str> {
        self.name()?.generic.as_deref()
    }

    /// The source file.
    pub fn file(&self) -> Option<&SourcePath> {
        self.0.function.0.file.as_ref()
    }

    /// The line, counted from 1; 0 if it is unknown.
    ///
    /// ```
    /// assert_eq!(alloc_core::Frame::new(None, None, 41, 9).line(), 41);
    /// ```
    pub fn line(&self) -> u32 {
        self.0.line
    }

    /// The column, counted from 1; 0 if it is unknown.
    ///
    /// ```
    /// assert_eq!(alloc_core::Frame::new(None, None, 41, 9).column(), 9);
    /// ```
    pub fn column(&self) -> u32 {
        self.0.column
    }

    /// The origin of the code.
    pub fn origin(&self) -> Origin {
        self.0.function.0.origin
    }

    /// Whether [`ChargeTo::Caller`] charges this function's caller rather than the function: it is
    /// part of the standard library, the tracer or a [skipped](crate::Snapshot::PASSED_OVER) crate.
    ///
    /// [`ChargeTo::Caller`]: crate::ChargeTo::Caller
    ///
    /// ```
    /// use alloc_core::Frame;
    ///
    /// let place = "/home/me/.cargo/registry/src/i-1/indexmap-2.7.0/src/map.rs";
    /// assert!(Frame::new(Some("IndexMap<K,V>::insert"), Some(place), 420, 9).is_passed_over());
    /// assert!(!Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9).is_passed_over());
    /// ```
    pub fn is_passed_over(&self) -> bool {
        self.0.function.0.is_passed_over
    }

    /// Whether the frame is in this crate, by its path or else by its function.
    pub(crate) fn is_in_crate(&self, name: &str) -> bool {
        let package = self.file().and_then(package::package_of);
        let own = package.or_else(|| package::crate_of_function(self.function()?));
        own.is_some_and(|own| origin::is_same_crate(own, name))
    }

    /// The placeholder that is charged if a stack has no frame of the workspace.
    pub(crate) fn outside_the_workspace() -> Frame {
        Frame::new(Some(OUTSIDE), None, 0, 0)
    }

    /// Whether it is this placeholder.
    pub(crate) fn is_instead(&self) -> bool {
        self.file().is_none() && self.function() == Some(OUTSIDE)
    }

    /// Whether the compiler inlined this function into that of the next outer frame.
    ///
    /// ```
    /// assert!(!alloc_core::Frame::default().is_inlined());
    /// ```
    pub fn is_inlined(&self) -> bool {
        self.0.inlined
    }

    /// The return address of the code in the memory of the process; 0 if unknown. The address of
    /// unloaded code is unique: no other code has or had it.
    pub fn address(&self) -> u64 {
        self.0.address
    }

    /// Whether both frames are in one function, judging by names. Two functions `fmt` in different
    /// files are distinct.
    pub(crate) fn is_same_function(&self, other: &Frame) -> bool {
        match (self.name(), other.name()) {
            (Some(own), Some(others)) => own == others && self.file() == other.file(),
            _ => self == other,
        }
    }

    /// The fields that distinguish frames, the file first, so that frames sort by file and line.
    fn key(&self) -> (Option<&SourcePath>, u32, u32, Option<&Name>) {
        (self.file(), self.line(), self.column(), self.name())
    }

    /// An identity that is cheap to hash and equal for clones of a frame.
    #[doc(hidden)]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Default for Frame {
    /// A frame without any known field.
    fn default() -> Frame {
        Frame::of(None, None, 0, 0)
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Frame) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.key() == other.key()
    }
}

impl Eq for Frame {}

impl Ord for Frame {
    fn cmp(&self, other: &Frame) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Frame) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Frame {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file(), self.function()) {
            (Some(file), _) if self.line() > 0 => write!(f, "{file}:{}", self.line()),
            (Some(file), _) => file.fmt(f),
            (None, Some(function)) => Escaped(function).fmt(f),
            (None, None) => f.write_str("<unknown>"),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Frame {self} in {:?}>", self.function().unwrap_or("?"))
    }
}

const OUTSIDE: &str = "<no frame of the workspace>";

/// A function in a source file, if known. Its frames share it.
#[derive(Clone)]
pub(crate) struct Function(Arc<InFile>);

pub(crate) struct InFile {
    name: Option<Name>,
    file: Option<SourcePath>,
    origin: Origin,
    is_passed_over: bool,
    hash: u64,
}

impl Function {
    /// The memory of one function, without its name and path.
    pub(crate) const SIZE: usize = size_of::<InFile>() + SHARED;

    pub(crate) fn new(name: Option<Name>, file: Option<SourcePath>) -> Function {
        let by_name = name.as_ref().map(|name| name.by_name);
        let by_file = file.as_ref().map(|file| file.0.origin);
        let hashes = (
            name.as_ref().map(|name| name.hash),
            file.as_ref().map(|file| file.0.hash),
        );
        let origin = origin::of_both(by_name, by_file);
        let package = || match (&file, &name) {
            (Some(file), _) => package::package_of(file),
            (None, Some(name)) => package::crate_of_function(&name.text),
            (None, None) => None,
        };
        let is_passed_over = match origin {
            Origin::Std | Origin::Tracer => true,
            Origin::Workspace => false,
            _ => package().is_some_and(origin::is_passed_over),
        };
        Function(Arc::new(InFile {
            name,
            file,
            origin,
            is_passed_over,
            hash: hash_of(hashes),
        }))
    }
}

/// The name of a function, with data that is derived from its text once.
#[derive(Clone)]
pub(crate) struct Name {
    text: Arc<str>,
    hash: u64,
    by_name: ByName,
    /// The linker symbol, if known and different. Equality ignores it.
    mangled: Option<Arc<str>>,
    /// The bare name with its generic arguments, if debug information has it and the function
    /// allocates. Equality ignores it.
    generic: Option<Arc<str>>,
}

impl Name {
    /// The memory of one name, without its text.
    pub(crate) const SIZE: usize = size_of::<Name>() + SHARED;

    pub(crate) fn with_mangled(self, mangled: Option<Box<str>>) -> Name {
        Name {
            mangled: mangled.map(Arc::from),
            ..self
        }
    }

    pub(crate) fn with_generic(self, generic: Option<Arc<str>>) -> Name {
        Name { generic, ..self }
    }
}

impl<T: Into<Arc<str>>> From<T> for Name {
    fn from(text: T) -> Name {
        let text = text.into();
        Name {
            hash: hash_of(&text),
            by_name: ByName::of(&text),
            text,
            mangled: None,
            generic: None,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || self.hash == other.hash && self.text == other.text
    }
}

impl Eq for Name {}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        if Arc::ptr_eq(&self.text, &other.text) {
            return Ordering::Equal;
        }
        self.text.cmp(&other.text)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The memory that an `Arc` adds to its content.
const SHARED: usize = 2 * size_of::<usize>();

fn hash_of(it: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    it.hash(&mut hasher);
    hasher.finish()
}

/// The path of a source file, in full and in short form.
///
/// Prints in short form: relative to the workspace, or with the package's name and version for code
/// from a registry.
///
/// ```
/// use alloc_core::Frame;
///
/// let path = "/home/me/.cargo/registry/src/index.crates.io-6f17d22b/itoa-1.0.9/src/lib.rs";
/// let frame = Frame::new(None, Some(path), 12, 0);
/// assert_eq!(frame.to_string(), "itoa-1.0.9/src/lib.rs:12");
/// assert_eq!(frame.file().unwrap().full(), path);
/// ```
#[derive(Clone)]
pub struct SourcePath(Arc<Path>);

struct Path {
    full: Box<str>,
    short_at: usize,
    origin: Origin,
    hash: u64,
}

impl SourcePath {
    /// The memory of one path, without its text.
    pub(crate) const SIZE: usize = size_of::<Path>() + SHARED;

    /// A path, shortened by the path's own structure or by one of `roots`.
    pub(crate) fn new(full: &str, roots: &[impl AsRef<str>]) -> SourcePath {
        SourcePath(Arc::new(Path {
            short_at: origin::short_at(full, roots),
            origin: origin::of_file(full),
            hash: hash_of(full),
            full: full.into(),
        }))
    }

    /// The path as the compiler recorded it.
    pub fn full(&self) -> &str {
        &self.0.full
    }

    /// The path relative to the workspace, or to the registry and with the package's name; the full
    /// path if neither is known.
    pub fn short(&self) -> &str {
        &self.0.full[self.0.short_at..]
    }

    /// The name of the file's package, without its version: `tokio`, or `alloc` of the standard
    /// library. `None` if the path does not show it, as in the program's own workspace.
    ///
    /// ```
    /// use alloc_core::Frame;
    ///
    /// let path = "/home/me/.cargo/registry/src/i-1/hyper-util-0.1.9/src/lib.rs";
    /// let frame = Frame::new(None, Some(path), 12, 0);
    /// assert_eq!(frame.file().unwrap().package(), Some("hyper-util"));
    /// ```
    pub fn package(&self) -> Option<&str> {
        package::package_of(self)
    }

    /// The text of a line, counted from 1, without surrounding whitespace; `None` if the file is
    /// not available or shorter.
    ///
    /// A relative path is not read, since its base is unknown.
    pub fn read_line(&self, line: u32) -> Option<String> {
        let _muted = process::mute();
        let path = std::path::Path::new(self.full());
        // A path may come from an untrusted file: never open a pipe.
        if !path.is_absolute() || !path.is_file() {
            return None;
        }
        let file = BufReader::new(File::open(path).ok()?);
        let text = file.lines().nth(line.checked_sub(1)? as usize)?.ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

impl PartialEq for SourcePath {
    fn eq(&self, other: &SourcePath) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.0.full == other.0.full
    }
}

impl Eq for SourcePath {}

impl Ord for SourcePath {
    fn cmp(&self, other: &SourcePath) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.full.cmp(&other.0.full)
    }
}

impl PartialOrd for SourcePath {
    fn partial_cmp(&self, other: &SourcePath) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for SourcePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.short()).fmt(f)
    }
}

impl fmt::Debug for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.full(), f)
    }
}
