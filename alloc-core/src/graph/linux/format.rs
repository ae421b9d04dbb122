//! The numbers of a graph file: see `alloc-report/src/graph/file.rs`, which reads it.

/// How a graph file begins: a name, a zero, and the version.
pub(super) const HEADER: &[u8; 8] = b"HGRAPH\0\x01";

/// The sections of the file.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Tag {
    Facts = b'I',
    Modules = b'M',
    Threads = b'T',
    Callsites = b'C',
    Nodes = b'N',
    Roots = b'R',
    /// The vtables next to pointers.
    Vtables = b'V',
    Snapshot = b'S',
    /// The callsite of each sample of the snapshot.
    SampleCallsites = b'K',
    /// The names of the roots that the program named.
    NamedRoots = b'P',
    End = b'E',
}

/// The keys of facts.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Fact {
    Process = 1,
    Nanoseconds = 2,
    Granule = 3,
    HasExactSizes = 4,
    HasHashes = 5,
    Pause = 6,
    Threads = 7,
    ThreadsMissed = 8,
    CloneTime = 9,
    ChildCpu = 10,
    WithoutStop = 13,
    LiveBytes = 14,
    LiveBlocks = 15,
}

/// The kinds of roots.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RootKind {
    Static = 1,
    ThreadLocal = 2,
    Stack = 3,
    Register = 4,
    Unknown = 5,
    Named = 6,
}
