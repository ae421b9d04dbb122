//! [`Taken`]: a profile in a file, with what it began with.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::time::SystemTime;

use crate::serve::helper::{Helper, nameless_file};
use crate::write::totals::Totals;
use crate::{Bytes, Error};

/// A profile that was taken, and the totals of its beginning.
///
/// The totals are needed only if the profile is refused: then the next one begins there. So they are
/// kept behind the profile, in its file, and not in memory.
pub(super) struct Taken {
    file: File,
    /// The length of the profile.
    profile: u64,
    /// Whether it is a difference.
    has_totals: bool,
    size: u64,
    /// The time that the profile is about.
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

impl Taken {
    /// Adds the totals of its beginning to a profile in a file.
    pub(super) fn write(
        file: File,
        totals: Option<&Totals>,
        times: [SystemTime; 2],
    ) -> io::Result<Taken> {
        let profile = file.metadata()?.len();
        let mut taken = Taken {
            file,
            profile,
            has_totals: totals.is_some(),
            size: profile,
            from: times[0],
            until: times[1],
        };
        if let Some(totals) = totals {
            taken.file.seek(SeekFrom::Start(profile))?;
            totals.save(&mut taken.file)?;
            taken.size = taken.file.stream_position()?;
        }
        Ok(taken)
    }

    /// The size of the file.
    pub(super) fn size(&self) -> Bytes {
        Bytes::new(self.size)
    }

    /// The length of the profile, and its bytes.
    pub(super) fn profile(&mut self) -> io::Result<(u64, impl Read)> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok((self.profile, (&self.file).take(self.profile)))
    }

    /// What each callsite had when the profile began. `None` if that was when tracing did.
    pub(super) fn totals(&mut self) -> Result<Option<Totals>, Error> {
        if !self.has_totals {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(self.profile))?;
        Totals::load(&mut self.file).map(Some)
    }
}

/// Writes bytes to a new file without a name.
pub(super) fn file_of(bytes: &[u8]) -> io::Result<File> {
    let mut file = nameless_file()?;
    file.write_all(bytes)?;
    Ok(file)
}

/// The same file, to be read from its start.
pub(super) fn from_start(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Has a command make what the receiver gets of a profile, with names.
pub(super) fn named(command: &OsStr, arguments: &[String], profile: &File) -> Result<File, String> {
    let input = from_start(profile).map_err(|error| error.to_string())?;
    let helper = Helper::start(command, arguments, input);
    let (file, _) = helper
        .and_then(Helper::finish)
        .map_err(|it| it.into_message())?;
    Ok(file)
}
