//! [`Frame`]: one code location; [`SourcePath`]: the file that it lies in.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use crate::escape::Escaped;
use crate::origin::{self, Origin};
use crate::thread;

/// One code location: function, file, line and column, as far as they are known.
///
/// A function that the compiler inlined has a frame of its own. Frames are equal if function, file,
/// line and column are; where in memory the code was does not count. They print as
/// `src/cache.rs:41`; without a file, as the function's name.
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
    function: Option<Box<str>>,
    file: Option<SourcePath>,
    line: u32,
    column: u32,
    origin: Origin,
    address: u64,
    inlined: bool,
    /// The hash of what tells frames apart. PERF: a stack's hash is that of its frames, and without
    /// this hashing names is nine tenths of grouping by stacks.
    hash: u64,
}

impl Frame {
    /// A frame from what is known of it; a line or column of 0 is unknown.
    pub fn new(function: Option<&str>, file: Option<&str>, line: u32, column: u32) -> Frame {
        Frame::of(
            function.map(Into::into),
            file.map(|file| SourcePath::new(file, &[])),
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
        let origin = origin::of(function.as_deref(), file.as_ref().map(SourcePath::full));
        let mut hasher = DefaultHasher::new();
        (&file, line, column, &function).hash(&mut hasher);
        Frame(Arc::new(Location {
            hash: hasher.finish(),
            function,
            file,
            line,
            column,
            origin,
            address: 0,
            inlined: false,
        }))
    }

    /// The same frame, of the code at `address`; `inlined` into the next frame or not.
    ///
    /// NOTE: for frames that nobody else holds yet.
    pub(crate) fn at(mut self, address: u64, inlined: bool) -> Frame {
        if let Some(location) = Arc::get_mut(&mut self.0) {
            location.address = address;
            location.inlined = inlined;
        }
        self
    }

    /// The function's name, demangled, without a hash.
    pub fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    /// The source file.
    pub fn file(&self) -> Option<&SourcePath> {
        self.0.file.as_ref()
    }

    /// The line, counted from 1; 0 if it is unknown.
    pub fn line(&self) -> u32 {
        self.0.line
    }

    /// The column, counted from 1; 0 if it is unknown.
    pub fn column(&self) -> u32 {
        self.0.column
    }

    /// Whose code it is.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Whether the compiler inlined this function into the one of the next outer frame.
    pub fn is_inlined(&self) -> bool {
        self.0.inlined
    }

    /// Where the code was in the memory of the process: a return address. 0 if it is unknown.
    pub fn address(&self) -> u64 {
        self.0.address
    }

    /// Whether both are in one function, as far as names tell: in different files, two that are called
    /// `fmt` are not.
    pub(crate) fn is_same_function(&self, other: &Frame) -> bool {
        match (self.function(), other.function()) {
            (Some(own), Some(others)) => own == others && self.file() == other.file(),
            _ => self == other,
        }
    }

    /// What tells two frames apart, the file first, so that frames sort by file and line.
    fn key(&self) -> (Option<&SourcePath>, u32, u32, Option<&str>) {
        (self.file(), self.line(), self.column(), self.function())
    }

    /// An identity that is cheap to hash: the same for clones of a frame.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Default for Frame {
    /// A frame of which nothing is known.
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

/// The path of a source file: as the compiler wrote it down, and as people say it.
///
/// It prints in its short form: relative to the workspace, or with the package's name and version
/// for code from a registry.
///
/// ```
/// use alloc_core::Frame;
///
/// let path = "/home/me/.cargo/registry/src/index.crates.io-6f17d22bba15001f/itoa-1.0.9/src/lib.rs";
/// let frame = Frame::new(None, Some(path), 12, 0);
/// assert_eq!(frame.to_string(), "itoa-1.0.9/src/lib.rs:12");
/// assert_eq!(frame.file().unwrap().full(), path);
/// ```
#[derive(Clone)]
pub struct SourcePath {
    full: Arc<str>,
    short_at: usize,
}

impl SourcePath {
    /// A path, shortened by what the path itself says or by one of `roots`.
    pub(crate) fn new(full: &str, roots: &[Arc<str>]) -> SourcePath {
        SourcePath {
            short_at: origin::short_at(full, roots),
            full: full.into(),
        }
    }

    /// The path as the compiler wrote it down.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// The path relative to the workspace or, with the package's name, to the registry; the full
    /// path where neither is known.
    pub fn short(&self) -> &str {
        &self.full[self.short_at..]
    }

    /// The text of a line, counted from 1, without the space around it; nothing if the file is not
    /// at hand, or shorter.
    ///
    /// A relative path is not followed: what it is relative to is not known.
    pub fn read_line(&self, line: u32) -> Option<String> {
        let _muted = thread::mute();
        let path = Path::new(self.full());
        // A path may come from a file of someone else: no pipe is opened.
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
        Arc::ptr_eq(&self.full, &other.full) || self.full == other.full
    }
}

impl Eq for SourcePath {}

impl Ord for SourcePath {
    fn cmp(&self, other: &SourcePath) -> Ordering {
        if Arc::ptr_eq(&self.full, &other.full) {
            return Ordering::Equal;
        }
        self.full.cmp(&other.full)
    }
}

impl PartialOrd for SourcePath {
    fn partial_cmp(&self, other: &SourcePath) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for SourcePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.full.hash(state);
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
