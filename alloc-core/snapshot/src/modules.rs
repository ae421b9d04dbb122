//! [`Module`]: the program and its shared libraries, as mapped into the process.

/// Code mapped from a file: the program or a shared library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The lowest address of the executable segment.
    pub start: u64,
    /// One past its highest address.
    pub end: u64,
    /// Where in the file that segment begins.
    pub file_offset: u64,
    /// The path that the process mapped it from.
    pub path: String,
    /// What identifies its build: GNU's build id in hexadecimal; where there is none,
    /// `fingerprint-` and a hash of what is in memory as it is in the file; empty where that is not
    /// known either.
    pub build_id: String,
}

/// What a fingerprint begins with where a build id could stand.
pub const FINGERPRINT: &str = "fingerprint-";

impl Module {
    /// The name for code of which nothing else is known: `libc.so.6+0x2724a`, counted from the
    /// start of the file.
    pub fn name_of(&self, address: u64) -> String {
        let path = self.file();
        let file = path.rsplit('/').next().unwrap_or(path);
        let offset = address.saturating_sub(self.start) + self.file_offset;
        format!("{file}+{offset:#x}")
    }

    /// The path of its file, without what Linux puts after that of a program whose file is gone.
    pub fn file(&self) -> &str {
        self.path.strip_suffix(" (deleted)").unwrap_or(&self.path)
    }
}
