//! [`Callsites`]: the names of the callsites that hold the most, kept between scrapes.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ServeOptions;
use super::helper::{Helper, SYMBOLIZE};
use super::response::Response;
use crate::environment::background;
use crate::write::profile;
use crate::{Bytes, ChargeTo, Error, Snapshot, control};

/// The row of all callsites that have none of their own.
const OTHERS: &str = "<others>";

/// The most names that are kept, beyond those of the last scrape.
const MOST_NAMES: usize = 1000;
/// How long the command may take before it is started again.
const LONGEST: Duration = Duration::from_secs(150);
/// The pauses before the command is started again, after a success and after a failure.
const AFTER_NAMES: Duration = Duration::from_secs(10);
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Names the callsites that hold the most.
///
/// A callsite keeps its name, so each is looked up once, by a command in a process of its own. No
/// scrape waits for that: until a callsite has a name, its bytes are among the others.
#[derive(Clone, Debug)]
pub(super) struct Callsites {
    most: usize,
    command: OsString,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The session that the ids belong to.
    session: u64,
    names: HashMap<u32, Arc<str>>,
    /// When the command may be started again.
    again_at: Option<Instant>,
}

impl Callsites {
    pub(super) fn new(options: &ServeOptions) -> Callsites {
        Callsites {
            most: options.callsites,
            command: options.command.clone(),
            known: Arc::default(),
        }
    }

    /// How many callsites have a row of their own.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The live bytes of each callsite that has a name, by name, and of all others together: `whole`
    /// less those.
    pub(super) fn rows(&self, top: &[(u64, u32)], whole: &mut Bytes) -> Vec<(String, Bytes)> {
        if self.most == 0 {
            return Vec::new();
        }
        let names = self.names(top);
        let mut rows = BTreeMap::new();
        let mut sum = Bytes::ZERO;
        for &(bytes, id) in top {
            if let Some(name) = names.get(&id) {
                let bytes = Bytes::new(bytes);
                *rows.entry(name.to_string()).or_insert(Bytes::ZERO) += bytes;
                sum += bytes;
            }
        }
        // NOTE: callsites are read after the whole, and more may be live by then.
        *whole = (*whole).max(sum);
        *rows.entry(OTHERS.to_owned()).or_insert(Bytes::ZERO) += *whole - sum;
        rows.into_iter().collect()
    }

    /// The names that are known. Has the others looked up.
    fn names(&self, top: &[(u64, u32)]) -> HashMap<u32, Arc<str>> {
        // NOTE: not locked while the command runs. A child after a fork may find it locked for good.
        let Ok(mut known) = self.known.try_lock() else {
            return HashMap::new();
        };
        let session = control::session();
        if known.session != session {
            *known = Known {
                session,
                ..Known::default()
            };
        }
        let ids = || top.iter().map(|it| it.1);
        if known.names.len() > MOST_NAMES {
            known.names.retain(|id, _| ids().any(|it| it == *id));
        }
        let unknown: Vec<u32> = ids().filter(|id| !known.names.contains_key(id)).collect();
        if !unknown.is_empty() && known.again_at.is_none_or(|at| Instant::now() >= at) {
            let this = self.clone();
            known.again_at = Some(Instant::now() + LONGEST);
            // NOTE: where the system refuses a thread, it is asked again.
            background::run(move || this.look_up(session, unknown));
        }
        let known = ids().filter_map(|id| Some((id, Arc::clone(known.names.get(&id)?))));
        known.collect()
    }

    fn look_up(&self, session: u64, mut ids: Vec<u32>) {
        ids.sort_unstable();
        let found = named(&self.command, &ids);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match found {
            Ok(_) => AFTER_NAMES,
            Err(_) => AFTER_FAILURE,
        };
        if known.session == session {
            known.again_at = Some(Instant::now() + pause);
            known.names.extend(found.unwrap_or_default());
        }
    }
}

/// Has a command name callsites.
fn named(command: &OsString, ids: &[u32]) -> Result<HashMap<u32, Arc<str>>, Response> {
    let packed = profile::of_callsites(ids)?;
    let helper = Helper::start_with(command, &SYMBOLIZE, packed.bytes())?;
    drop(packed);
    let (mut file, _) = helper.finish()?;
    io::Seek::rewind(&mut file).map_err(Error::from)?;
    let snapshot = Snapshot::read_from(io::BufReader::new(file))?;
    let names = snapshot.traces().iter().map(|trace| {
        let frame = trace.traceback.charged(ChargeTo::Caller);
        let name = match frame.function() {
            Some(function) if frame.line() > 0 => format!("{frame} {function}"),
            _ => frame.to_string(),
        };
        // That is where `of_callsites` puts the id.
        (trace.counters.current.bytes.get() as u32, name.into())
    });
    Ok(names.collect())
}
