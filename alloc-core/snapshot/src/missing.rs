//! [`Missing`]: why code has no name or no line.

use std::path::PathBuf;

/// Why code has no name or no line, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// The file does not exist.
    #[error(
        "no names and lines: {} is not there any more; `--symbols FOLDER` of alloc-report looks for it elsewhere",
        .path.display()
    )]
    Deleted {
        /// The expected path.
        path: PathBuf,
    },
    /// The system denies reading the file.
    #[error("no names and lines: {} cannot be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's message.
        error: String,
    },
    /// The file is of another build.
    #[error(
        "no names and lines: {} is another build: expected {expected}, found {found}; `--symbols FOLDER` of \
         alloc-report looks elsewhere for the one that ran",
        .path.display()
    )]
    OtherBuild {
        /// The file.
        path: PathBuf,
        /// The identity of the build that ran.
        expected: String,
        /// The identity of the build in the file.
        found: String,
    },
    /// The file has no symbols.
    #[error(
        "no names and lines: {} was stripped; put `strip = false` and `debug = 1` under [profile.release] in \
         Cargo.toml, or give the folder of its debug file to alloc-report with `--symbols`",
        .path.display()
    )]
    Stripped {
        /// The file.
        path: PathBuf,
    },
    /// The file has only symbols.
    #[error(
        "no lines: {} was built without debug information; put `debug = 1` under [profile.release] in Cargo.toml",
        .path.display()
    )]
    NoDebugInfo {
        /// The file.
        path: PathBuf,
    },
    /// The debug information is compressed by a method that this build does not support.
    #[error(
        "no lines: the debug information of {} is compressed with {method}, which is not read here; alloc-report \
         reads it from the snapshot's file",
        .path.display()
    )]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The name of the method.
        method: &'static str,
    },
    /// The debug information is damaged.
    #[error("no lines: the debug information of {} is damaged: {error}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        error: String,
    },
}

impl Missing {
    /// Whether names are missing too, rather than lines only.
    pub fn has_no_names(&self) -> bool {
        !matches!(
            self,
            Missing::NoDebugInfo { .. } | Missing::Compressed { .. } | Missing::Damaged { .. }
        )
    }
}
