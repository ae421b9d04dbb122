//! [`Origin`]: which process of a fleet a snapshot is of, and the place of its file.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use alloc_core_snapshot::Snapshot;
use alloc_core_snapshot::seam::utc;
use anyhow::{Result, bail};
use twox_hash::XxHash64;

use crate::export::options::OriginOptions;

/// How many hexadecimal digits of a build id stand for an unknown version.
const BUILD_ID_DIGITS: usize = 12;

/// Which process of a fleet a snapshot is of, and when it was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) service: String,
    pub(super) version: String,
    pub(super) instance: String,
    /// All other metadata and labels.
    pub(super) labels: BTreeMap<String, String>,
    /// Since 1970.
    pub(super) time: Duration,
    /// The day in UTC: `2026-01-31`.
    pub(super) day: String,
    process_id: u32,
    is_at_exit: bool,
}

impl Origin {
    /// The origin by the options, else by the snapshot's metadata, else by what is known of the
    /// process.
    ///
    /// # Errors
    ///
    /// The snapshot has no time, or neither it nor an option names the service or the instance.
    pub(super) fn of(snapshot: &Snapshot, options: &OriginOptions) -> Result<Origin> {
        let mut labels = snapshot.metadata().clone();
        labels.extend(options.labels.iter().cloned());
        let service = options.service_of(snapshot)?;
        labels.remove("service");
        let mut named = |option: &Option<String>, key: &str| {
            let label = labels.remove(key).filter(|it| !it.is_empty());
            option.clone().or(label)
        };
        let version = named(&options.version, "version");
        let instance = named(&options.instance, "instance");
        let build_id = snapshot.build_id().map(|it| {
            let digits = it.trim_start_matches("fingerprint-").chars();
            digits.take(BUILD_ID_DIGITS).collect()
        });
        let process_id = snapshot.process_id();
        let process = (process_id != 0).then(|| format!("pid {process_id}"));
        let Some(instance) = instance.or(process) else {
            bail!("expected the name of its instance, found none; --instance gives it");
        };
        let time = snapshot.taken_at().duration_since(SystemTime::UNIX_EPOCH);
        let (Ok(time), Some(moment)) = (time, snapshot.taken_at_utc()) else {
            bail!("expected the time when it was taken, found none");
        };
        let day = moment.split(' ').next().unwrap_or_default().to_owned();
        Ok(Origin {
            service,
            version: version.or(build_id).unwrap_or_else(|| "unknown".to_owned()),
            instance,
            labels,
            time,
            day,
            process_id,
            is_at_exit: snapshot.is_at_exit(),
        })
    }

    /// The time as engines count it.
    pub(super) fn micros(&self) -> i64 {
        self.time.as_micros().try_into().unwrap_or(i64::MAX)
    }

    /// The folder of the partition, and the file's name without its extension.
    ///
    /// The name is the same for each export of a snapshot, and another one for each other process
    /// and moment.
    pub(super) fn place(&self) -> (PathBuf, String) {
        let service = encoded(&self.service);
        let folder = PathBuf::from(format!("service={service}")).join(format!("day={}", self.day));
        let mut hash = XxHash64::with_seed(0);
        self.service.hash(&mut hash);
        self.instance.hash(&mut hash);
        let numbers = [self.micros() as u64, self.process_id.into()];
        let numbers = numbers.iter().flat_map(|it| it.to_le_bytes());
        numbers.for_each(|it| hash.write(&[it]));
        hash.write(&[u8::from(self.is_at_exit)]);
        let name = format!("{}-{:016x}", utc::to_text(self.time), hash.finish());
        (folder, name)
    }
}

/// The value of a partition in a path, as Hive writes it: `%2F` for a slash.
///
/// NOTE: only ASCII is encoded. Engines decode each `%` to one character, not to a byte of UTF-8.
fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '-' | '_' | '.' => encoded.push(letter),
            _ if letter.is_ascii_alphanumeric() || !letter.is_ascii() => encoded.push(letter),
            _ => encoded += &format!("%{:02X}", u32::from(letter)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_encoded_as_hive_does() {
        assert_eq!(encoded("shop-2_b.c"), "shop-2_b.c");
        assert_eq!(encoded("../a b=%'*é"), "..%2Fa%20b%3D%25%27%2Aé");
    }

    #[test]
    fn a_place_differs_by_process_and_moment_only() {
        let origin = |instance: &str, version: &str, micros: u64, process_id: u32| Origin {
            service: "shop".to_owned(),
            version: version.to_owned(),
            instance: instance.to_owned(),
            labels: BTreeMap::new(),
            time: Duration::from_micros(micros),
            day: "1970-01-01".to_owned(),
            process_id,
            is_at_exit: false,
        };
        let first = origin("a", "1", 1, 7).place();
        assert_eq!(first.0, PathBuf::from("service=shop/day=1970-01-01"));
        // A known value, so that a later version replaces the files of this one.
        assert_eq!(first.1, "19700101T000000Z-a7dcd0059a96202f");
        assert_eq!(origin("a", "2", 1, 7).place(), first);
        for other in [
            origin("b", "1", 1, 7),
            origin("a", "1", 2, 7),
            origin("a", "1", 1, 8),
        ] {
            assert_ne!(other.place(), first);
        }
    }
}
