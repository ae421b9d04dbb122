//! [`Variables`]: the statics and thread-locals of a program or library.

/// The variables of a program or library.
///
/// ```
/// use alloc_core_snapshot::seam::variables::Variables;
///
/// assert!(Variables::default().statics.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// Statics, by their addresses in the file.
    pub statics: Vec<Variable>,
    /// Thread-locals, by their places in the module's thread-local memory.
    pub thread_locals: Vec<Variable>,
}

/// A static or a thread-local.
///
/// ```
/// use alloc_core_snapshot::seam::variables::Variable;
///
/// let cache = Variable { start: 0x1000, size: 8, name: "app::CACHE".into() };
/// assert_eq!(cache.name, "app::CACHE");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The first byte.
    pub start: u64,
    /// The size in bytes.
    pub size: u64,
    /// The name, demangled, without a hash.
    pub name: String,
}
