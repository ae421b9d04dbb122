//! [`Taken`]: a profile in a file, with what the next one begins with.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::time::SystemTime;

use crate::serve::helper::{Helper, nameless_file};
use crate::write::totals::Totals;
use crate::{Bytes, Error};

/// A profile that was taken, and the totals of its end.
///
/// The totals are needed only if a later profile is refused. So they are kept behind the profile, in
/// its file, and not in memory.
pub(super) struct Taken {
    file: File,
    /// The length of the profile.
    profile: u64,
    size: u64,
    /// The time that the profile is about.
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

impl Taken {
    /// Writes a profile and the totals of its end to a file.
    pub(super) fn write(
        file: File,
        profile: u64,
        totals: &Totals,
        times: [SystemTime; 2],
    ) -> io::Result<Taken> {
        let mut taken = Taken {
            file,
            profile,
            size: 0,
            from: times[0],
            until: times[1],
        };
        taken.file.seek(SeekFrom::Start(profile))?;
        totals.save(&mut taken.file)?;
        taken.size = taken.file.stream_position()?;
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

    /// What each callsite had at the end of the profile.
    pub(super) fn totals(&mut self) -> Result<Totals, Error> {
        self.file.seek(SeekFrom::Start(self.profile))?;
        Totals::load(&mut self.file)
    }
}

/// Writes bytes to a new file without a name.
pub(super) fn file_of(bytes: &[u8]) -> io::Result<(File, u64)> {
    let mut file = nameless_file()?;
    file.write_all(bytes)?;
    Ok((file, bytes.len() as u64))
}

/// Has a command look up the names of a profile.
pub(super) fn named(command: &OsStr, profile: &File) -> Result<(File, u64), String> {
    let arguments = ["symbolize", "-", "-o", "-"];
    let start = || {
        let mut input = profile.try_clone()?;
        input.seek(SeekFrom::Start(0))?;
        io::Result::Ok(input)
    };
    let input = start().map_err(|error| error.to_string())?;
    let helper = Helper::start(command, &arguments, input);
    helper
        .and_then(Helper::finish)
        .map_err(|it| it.into_message())
}
