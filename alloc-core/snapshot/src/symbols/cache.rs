//! A cache of names for this process's code.
//!
//! With it, a caller that needs the traceback of one block repeatedly, such as `#[profile]`, opens
//! the program's file once. The cache is bounded, and counts as the tracer's own memory.
//!
//! The key is the address with the path and the build of the module, since another library at the
//! same address has other names.
//!
//! NOTE: the lock is never waited for, only tried. If a fork leaves it locked, the child merely
//! loses this cache.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use super::Location;
use crate::modules::Module;

/// The maximum size of all names, and their current size.
const MOST_BYTES: usize = 4 << 20;
static BYTES: AtomicUsize = AtomicUsize::new(0);

static NAMED: Mutex<Option<HashMap<Place, Location>>> = Mutex::new(None);

/// The bytes that cached names take up.
pub fn resident() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// A code address in one build of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    module: u64,
    address: usize,
}

impl Place {
    pub(super) fn new(module: Option<&Module>, address: usize) -> Place {
        let mut hasher = DefaultHasher::new();
        module
            .map(|it| (&it.build_id, &it.path, it.start))
            .hash(&mut hasher);
        Place {
            module: hasher.finish(),
            address,
        }
    }
}

fn lock() -> Option<MutexGuard<'static, Option<HashMap<Place, Location>>>> {
    match NAMED.try_lock() {
        Ok(named) => Some(named),
        Err(TryLockError::Poisoned(named)) => Some(named.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The cached location of each place.
pub(super) fn get(places: &[Place]) -> Vec<Option<Location>> {
    let named = lock();
    let named = named.as_ref().and_then(|it| it.as_ref());
    let get = |place| named.and_then(|it| it.get(place).cloned());
    places.iter().map(get).collect()
}

/// Caches locations. If the cache would be too large, the old content is dropped first.
pub(super) fn keep<'l>(found: impl Iterator<Item = (Place, &'l Location)>) {
    let Some(mut named) = lock() else { return };
    let named = named.get_or_insert_default();
    let mut bytes = BYTES.load(Ordering::Relaxed);
    for (place, location) in found {
        let more = size_of(location);
        if bytes + more > MOST_BYTES {
            *named = HashMap::new();
            bytes = 0;
        }
        if named.insert(place, location.clone()).is_none() {
            bytes += more;
        }
    }
    BYTES.store(bytes, Ordering::Relaxed);
}

/// The approximate memory of a location, including its table entry. Paths are shared.
fn size_of(location: &Location) -> usize {
    const FRAME: usize = 160;
    let names = location
        .iter()
        .flat_map(|it| [it.function(), it.mangled(), it.generic()]);
    let names: usize = names.flatten().map(str::len).sum();
    2 * std::mem::size_of::<(Place, Location)>() + FRAME * location.len() + names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frame;

    fn are_known(places: &[Place]) -> Vec<bool> {
        get(places).iter().map(Option::is_some).collect()
    }

    #[test]
    fn the_cache_distinguishes_modules_and_is_bounded() {
        let module = |build_id: &str| Module {
            build_id: build_id.to_owned(),
            ..Module::default()
        };
        let (first, second) = (module("ab"), module("cd"));
        let name = "n".repeat(1000);
        let location: Location = vec![Frame::new(Some(&name), None, 0, 0)].into();
        keep([(Place::new(Some(&first), 5), &location)].into_iter());
        let places = [Some(&first), Some(&second), None].map(|it| Place::new(it, 5));
        let known = are_known(&places);
        assert_eq!(known, [true, false, false]);

        keep((0..10_000).map(|address| (Place::new(Some(&second), address), &location)));
        assert!(BYTES.load(Ordering::Relaxed) <= MOST_BYTES);
        assert!(resident() > 1000);
        let last = [Place::new(Some(&second), 9_999)];
        assert_eq!(are_known(&last), [true]);

        // A caller that finds the lock taken does without the cache, and does not wait.
        let taken = NAMED.lock();
        assert_eq!(are_known(&last), [false]);
        keep([(last[0], &location)].into_iter());
        drop(taken);
    }
}
