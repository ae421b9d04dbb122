//! A recording: the folder that `alloc-report run` writes and that the other commands read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloc_core::{Bytes, Escaped, Snapshot};
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

pub(crate) mod live;

/// How the folder's name begins, unless another is given.
pub(crate) const PREFIX: &str = "alloc-trace-";
const ABOUT: &str = "run.json";
const MEMORY: &str = "memory.csv";

/// What was run, and how it ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct About {
    pub(crate) command: Vec<String>,
    pub(crate) process_id: u32,
    /// Seconds since 1970.
    pub(crate) started_at: f64,
    /// The same; nothing while it runs, and if the command was killed with it.
    pub(crate) ended_at: Option<f64>,
    /// The exit status as a shell has it: 128 and more for a signal.
    pub(crate) status: Option<i32>,
    /// Whether the program has the allocator, as far as was seen.
    pub(crate) traced: bool,
}

/// The memory at one moment: a row of `memory.csv`. What was not looked at, or is not known, is empty.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Moment {
    /// Since 1970.
    pub(crate) seconds: f64,
    pub(crate) heap_bytes: Option<u64>,
    pub(crate) heap_peak_bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) total_blocks: Option<u64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,
    pub(crate) uss_bytes: Option<u64>,
    /// What the tracer takes up itself.
    #[serde(default)]
    pub(crate) tracer_bytes: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) folder: PathBuf,
    pub(crate) about: About,
    pub(crate) moments: Vec<Moment>,
}

impl Recording {
    /// Reads what a folder has, but for its snapshots.
    pub(crate) fn open(folder: &Path) -> Result<Recording> {
        let shown = folder.display().to_string();
        let path = folder.join(ABOUT);
        let about = fs::read(&path).with_context(|| {
            format!(
                "expected a folder that alloc-report run wrote, found none in {}",
                Escaped(&shown)
            )
        })?;
        let about = serde_json::from_slice(&about)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Recording {
            about,
            moments: read_moments(&folder.join(MEMORY))?,
            folder: folder.to_owned(),
        })
    }

    /// The snapshots of the program itself, in the order of time: paths, and the one at the end last.
    pub(crate) fn snapshots(&self) -> Result<Vec<PathBuf>> {
        let of_program = format!("heap-{}.", self.about.process_id);
        let folder = fs::read_dir(&self.folder);
        let folder = folder.with_context(|| format!("cannot read {}", self.folder.display()))?;
        let mut paths = Vec::new();
        for entry in folder {
            let name = entry?.file_name();
            let name = name.to_string_lossy().into_owned();
            if name.starts_with(&of_program) && name.ends_with(".pb.gz") {
                paths.push(self.folder.join(name));
            }
        }
        // NOTE: numbers have four digits or more, and the last has none.
        let key = |path: &PathBuf| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let number = name[of_program.len()..].split('.').next();
            number.and_then(|it| it.parse().ok()).unwrap_or(u64::MAX)
        };
        paths.sort_by_key(key);
        Ok(paths)
    }

    /// The most that the heap ever held, by the tracer's own count, if it was traced.
    pub(crate) fn heap_peak(&self) -> Option<Bytes> {
        let peak = self
            .moments
            .iter()
            .filter_map(|it| it.heap_peak_bytes)
            .max();
        peak.map(Bytes::new)
    }

    /// The largest resident set size that was seen.
    pub(crate) fn resident_peak(&self) -> Option<Bytes> {
        let peak = self.moments.iter().filter_map(|it| it.rss_bytes).max();
        peak.map(Bytes::new)
    }

    pub(crate) fn duration(&self) -> Duration {
        let last = self.moments.last().map(|it| it.seconds);
        let end = self
            .about
            .ended_at
            .or(last)
            .unwrap_or(self.about.started_at);
        Duration::from_secs_f64((end - self.about.started_at).clamp(0.0, 1e9))
    }

    pub(crate) fn command(&self) -> String {
        let command = self.about.command.join(" ");
        Escaped(&command).to_string()
    }
}

fn read_moments(path: &Path) -> Result<Vec<Moment>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut moments: Vec<Moment> = Vec::new();
    for row in reader.deserialize() {
        let row: std::result::Result<Moment, csv::Error> = row;
        match row {
            Ok(moment) if moment.seconds.is_finite() => moments.push(moment),
            // A recording that was killed may end in the middle of a row.
            Err(_) if reader_is_at_end(path, moments.len()) => break,
            Ok(_) => bail!("{}: expected a number of seconds", path.display()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    Ok(moments)
}

fn reader_is_at_end(path: &Path, rows: usize) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.lines().count() <= rows + 2)
}

/// Writes a recording while the program runs.
pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) about: About,
    moments: csv::Writer<File>,
}

impl Writer {
    /// In a folder that must not be there, or be empty.
    pub(crate) fn create(folder: &Path, about: About) -> Result<Writer> {
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {shown}"))?;
        if fs::read_dir(folder)
            .with_context(|| format!("cannot read {shown}"))?
            .next()
            .is_some()
        {
            bail!(
                "expected a folder that is empty or not there, found files in {shown}; --force replaces a recording"
            );
        }
        // NOTE: the program may go to another folder.
        let folder = folder.canonicalize()?;
        let memory = folder.join(MEMORY);
        let moments = csv::Writer::from_path(&memory)
            .with_context(|| format!("cannot write {}", memory.display()))?;
        let writer = Writer {
            folder,
            about,
            moments,
        };
        writer.write_about()?;
        Ok(writer)
    }

    pub(crate) fn write_about(&self) -> Result<()> {
        let path = self.folder.join(ABOUT);
        let text = serde_json::to_string_pretty(&self.about)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn append(&mut self, moment: Moment) -> Result<()> {
        self.moments.serialize(moment)?;
        // Whoever looks meanwhile sees it.
        self.moments.flush()?;
        Ok(())
    }
}

/// Now, in seconds since 1970, to the millisecond.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as f64 / 1000.0
}

/// When a snapshot was taken, in seconds since 1970.
pub(crate) fn taken_at(snapshot: &Snapshot) -> f64 {
    let since = snapshot.taken_at().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// A moment as `20261125-200102`, in the time of Greenwich, which needs no table of zones.
pub(crate) fn stamp(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // `civil_from_days` by Howard Hinnant: eras of 400 years that begin in March.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// All recordings in a folder, whatever they are called, the oldest first.
pub(crate) fn all_in(folder: &Path) -> Result<Vec<Recording>> {
    let mut recordings = Vec::new();
    let entries = fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let name = entry?.file_name();
        let path = match folder == Path::new(".") {
            true => PathBuf::from(name),
            false => folder.join(name),
        };
        if let Ok(recording) = Recording::open(&path) {
            recordings.push(recording);
        }
    }
    recordings.sort_by(|a, b| a.about.started_at.total_cmp(&b.about.started_at));
    Ok(recordings)
}

/// All recordings in the present folder, the oldest first.
pub(crate) fn all_here() -> Result<Vec<Recording>> {
    all_in(Path::new("."))
}

/// The snapshot that a path stands for: the file itself, or the last one of a recording.
pub(crate) fn snapshot_at(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    if !path.join(ABOUT).exists() {
        bail!(
            "expected a snapshot file, or a folder that alloc-report run wrote, found another folder at {}",
            Escaped(&path.display().to_string())
        );
    }
    ends(path).map(|(_, last)| last)
}

/// The first and the last snapshot of the recording in a folder.
pub(crate) fn ends(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let mut snapshots = Recording::open(folder)?.snapshots()?;
    let last = snapshots.pop().with_context(|| {
        format!(
            "expected a recording with snapshots, found none in {}",
            Escaped(&folder.display().to_string())
        )
    })?;
    let first = snapshots.into_iter().next();
    Ok((first.unwrap_or_else(|| last.clone()), last))
}

/// Removes from a folder what is of a recording.
pub(crate) fn remove_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_of_recording(&entry) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a folder has a recording, and nothing else.
pub(crate) fn has_nothing_else(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else {
        return false;
    };
    folder.join(ABOUT).exists() && entries.all(|it| it.is_ok_and(|it| is_of_recording(&it)))
}

fn is_of_recording(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy().into_owned();
    matches!(name.as_str(), ABOUT | MEMORY)
        || name.starts_with("heap-") && name.contains(".pb.gz")
        || name.starts_with("live-") && name.ends_with(".csv")
}

/// A recording by its folder, or by its number in [`all_here`]: 0 is the oldest, -1 the newest.
pub(crate) fn find(name: &Path) -> Result<Recording> {
    let number: Option<i64> = name.to_str().and_then(|it| it.parse().ok());
    let Some(number) = number.filter(|_| !name.exists()) else {
        return Recording::open(name);
    };
    let mut all = all_here()?;
    let at = if number < 0 {
        number + all.len() as i64
    } else {
        number
    };
    let at = usize::try_from(at).ok().filter(|&at| at < all.len());
    match at {
        Some(at) => Ok(all.swap_remove(at)),
        None => bail!(
            "expected the number of a recording in this folder, of which there are {}, found {number}",
            all.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        // From `date -u -d @... +%Y%m%d-%H%M%S`.
        for (seconds, text) in [
            (0.0, "19700101-000000"),
            (951_782_399.9, "20000228-235959"),
            (951_868_799.0, "20000229-235959"),
            (951_868_800.0, "20000301-000000"),
            (1_795_636_862.0, "20261125-200102"),
            (4_107_542_400.0, "21000301-000000"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
    }
}
