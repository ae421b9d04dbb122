//! Libraries that may be unloaded: which of them was at an address when a callsite was new.
//!
//! An address does not identify code for good: after `dlclose` another library may be mapped there.
//! So a stack through such libraries has an [era](era_of): the number of libraries recorded when
//! its callsite was new, its own included. The library that was at one of its addresses at that
//! time is the last one recorded up to that era that contains the address.
//!
//! If that library is still loaded, its code is found by the address. If it is unloaded, the
//! address belongs to another library or to none. So readers get a [separate address](then)
//! instead, and a [module](for_each_gone) at that address, with the path and the build id by which
//! its file is found.

use std::cell::UnsafeCell;

use super::objects::{self, Object};
use super::spare_stack;
use crate::capture::modules::{self, Listed};
use crate::system::arena::{LazyTable, Zeroed};
use crate::system::sync::{AtomicBool, AtomicU32, Ordering};

/// The most libraries that are recorded. A library that returns to an address where another was
/// meanwhile is recorded again. Later libraries have no era, and their addresses resolve to what is
/// loaded.
const MOST: usize = 512;

/// Start of the address range of unloaded libraries, and their distance: no process has memory
/// there.
const GONE: usize = 1 << 62;
const APART: usize = 1 << 40;

static LIBRARIES: LazyTable<Library, MOST> = LazyTable::new();
static NOTED: AtomicU32 = AtomicU32::new(0);

/// A library, as it was when it was recorded.
struct Library {
    /// Whether `details` is written; it does not change after that.
    is_written: AtomicBool,
    /// Whether it is still loaded, as of the last [look].
    is_here: AtomicBool,
    details: UnsafeCell<Details>,
}

// SAFETY: `details` is written before the flag publishes it, by the only thread that has claimed
// this place.
unsafe impl Sync for Library {}

// SAFETY: all zero is valid: numbers, bytes, and flags that mean "not written".
unsafe impl Zeroed for Library {}

struct Details {
    identity: u64,
    /// The lowest and one past the highest address of its segments.
    start: usize,
    end: usize,
    /// The fields of [`Listed`].
    code_start: u64,
    code_end: u64,
    file_offset: u64,
    fingerprint: u64,
    path: Bytes<1024>,
    build_id: Bytes<64>,
}

struct Bytes<const MOST: usize> {
    bytes: [u8; MOST],
    len: usize,
}

impl<const MOST: usize> Bytes<MOST> {
    /// Copies `bytes`, if there is room.
    fn set(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.len = bytes.len();
        }
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Details {
    fn is_valid(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    fn is(&self, listed: &Listed<'_>) -> bool {
        (self.code_start, self.code_end) == (listed.start, listed.end)
            && self.build_id.get() == listed.build_id
            && self.fingerprint == listed.fingerprint
            && self.path.get() == listed.path
    }
}

impl Library {
    fn details(&self) -> Option<&Details> {
        // The acquire pairs with the release in `write`.
        let is_written = self.is_written.load(Ordering::Acquire);
        // SAFETY: the flag is set, so `details` is written and does not change any more.
        is_written.then(|| unsafe { &*self.details.get() })
    }

    /// NOTE: only by the thread that has claimed this place.
    fn write(&self, object: &Object, identity: u64) {
        // SAFETY: no other thread accesses `details` until the flag is set.
        let details = unsafe { &mut *self.details.get() };
        details.identity = identity;
        (details.start, details.end) = (object.start, object.end);
        (details.code_start, details.code_end) = (object.start as u64, object.end as u64);
        object.describe(|listed| {
            (details.code_start, details.code_end) = (listed.start, listed.end);
            details.file_offset = listed.file_offset;
            details.fingerprint = listed.fingerprint;
            details.path.set(listed.path);
            details.build_id.set(listed.build_id);
        });
        self.is_here.store(true, Ordering::Relaxed);
        self.is_written.store(true, Ordering::Release);
    }
}

/// The libraries recorded up to this era, with their numbers, newest first.
fn until(era: u32) -> impl Iterator<Item = (usize, &'static Library)> {
    let all = LIBRARIES.get().map_or(&[][..], |it| it);
    all[..MOST.min(era as usize)].iter().enumerate().rev()
}

fn noted() -> u32 {
    NOTED.load(Ordering::Acquire)
}

/// The era of a stack with these addresses, whose code is loaded. Zero if all of its code stays
/// loaded, or is in no known object.
pub(in crate::capture) fn era_of(addresses: impl Iterator<Item = usize>) -> u16 {
    let mut last: Option<Object> = None;
    let mut all_noted = true;
    let mut any = false;
    for address in addresses {
        if last.is_some_and(|it| (it.start..it.end).contains(&address)) {
            continue;
        }
        last = objects::find(address);
        if let Some(object) = last.filter(|it| !it.stays()) {
            all_noted &= note(&object);
            any = true;
        }
    }
    let era = noted().min(MOST as u32) as u16;
    if any && all_noted { era } else { 0 }
}

/// Records a loaded library, unless it was the last one recorded at its address. Returns whether
/// there was room.
fn note(object: &Object) -> bool {
    let identity = object.identity();
    let overlaps = |it: &&Details| it.start < object.end && object.start < it.end;
    let mut there = until(noted()).filter_map(|(_, it)| it.details());
    if there
        .find(overlaps)
        .is_some_and(|it| it.identity == identity)
    {
        return true;
    }
    let Some(libraries) = LIBRARIES.get_or_reserve() else {
        return false;
    };
    if noted() >= MOST as u32 {
        return false;
    }
    // The counter publishes nothing; the flag of the place publishes the details.
    let number = NOTED.fetch_add(1, Ordering::AcqRel) as usize;
    let Some(place) = libraries.get(number) else {
        return false;
    };
    spare_stack::run(|| place.write(object, identity));
    true
}

/// The address by which readers find the code that was at a return address in an era, as of the
/// last [look].
pub(in crate::capture) fn then(address: usize, era: u16) -> usize {
    let call = address.wrapping_sub(1);
    let is_valid = |(number, it): (usize, &Library)| {
        let details = it.details().filter(|details| details.is_valid(call))?;
        let is_here = it.is_here.load(Ordering::Relaxed);
        Some(if is_here {
            address
        } else {
            address - details.start + base_of(number)
        })
    };
    until(era.into()).find_map(is_valid).unwrap_or(address)
}

fn base_of(number: usize) -> usize {
    GONE + number * APART
}

/// Records which libraries are still loaded. NOTE: it enters the loader.
pub(in crate::capture) fn look() {
    if noted() == 0 {
        return;
    }
    let (mut here, mut any) = ([false; MOST], false);
    modules::list(&mut |listed| {
        any = true;
        let mut there = until(noted()).filter_map(|(number, it)| Some((number, it.details()?)));
        if let Some((number, _)) = there.find(|(_, details)| details.is(&listed)) {
            here[number] = true;
        }
    });
    if !any {
        // The list failed: keep the result of the last look.
        return;
    }
    // A library that left and returned counts under its last number only; its code is the same.
    for (number, library) in until(noted()) {
        let is_again = || {
            let again = |(other, it): (usize, &Library)| {
                here[other]
                    && it.details().is_some_and(|it| {
                        library.details().is_some_and(|library| {
                            library.identity == it.identity && library.start == it.start
                        })
                    })
            };
            until(noted()).any(again)
        };
        let is_here = here[number] || is_again();
        library.is_here.store(is_here, Ordering::Relaxed);
    }
}

/// Passes the libraries that are unloaded, as of the last [look], at the addresses that
/// [`then`] returns.
pub(in crate::capture) fn for_each_gone(each: &mut dyn FnMut(Listed<'_>)) {
    for (number, library) in until(noted()) {
        let Some(details) = library
            .details()
            .filter(|_| !library.is_here.load(Ordering::Relaxed))
        else {
            continue;
        };
        let moved = (base_of(number) as u64).wrapping_sub(details.start as u64);
        each(Listed {
            start: details.code_start.wrapping_add(moved),
            end: details.code_end.wrapping_add(moved),
            file_offset: details.file_offset,
            path: details.path.get(),
            build_id: details.build_id.get(),
            fingerprint: details.fingerprint,
        });
    }
}

/// Physical memory of the records, in bytes.
pub(in crate::capture) fn resident() -> usize {
    LIBRARIES.resident()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::arena;

    #[test]
    fn code_that_stays_and_what_is_no_code_have_no_era() {
        objects::prepare();
        let addresses = [
            libc::qsort as *const () as usize,
            note as *const () as usize,
        ];
        assert_eq!(era_of(addresses.into_iter()), 0);
        assert_eq!(era_of([0x1000].into_iter()), 0);
        assert_eq!(then(0x1234, 0), 0x1234);
    }

    /// Uses made-up objects, of which only the addresses are known.
    #[test]
    fn an_era_tells_what_lay_at_an_address_last() {
        spare_stack::prepare();
        let pages = arena::reserve(4 * 4096).unwrap().as_ptr().addr();
        let object = |start: usize, end: usize, index: usize| Object {
            start: pages + start,
            end: pages + end,
            index: pages + index,
            tables: (pages + start, pages + end),
        };
        let (first, second) = (object(0, 8192, 1), object(4096, 12_288, 2));
        let mut eras = Vec::new();
        for object in [&first, &first, &second, &first] {
            assert!(note(object));
            eras.push(noted());
        }
        assert_eq!(eras, [eras[0], eras[0], eras[0] + 1, eras[0] + 2]);
        // None of these objects is loaded.
        look();
        let lies_at = |address: usize, era: u32| then(pages + address, era as u16);
        let places = [eras[0], eras[2], eras[3]].map(|era| lies_at(5_000, era));
        let numbers = places.map(|place| (place - GONE) / APART);
        assert_eq!(
            numbers,
            [eras[0], eras[2], eras[3]].map(|era| era as usize - 1)
        );
        assert_eq!(places.map(|place| place % APART), [5_000, 904, 5_000]);
        assert_eq!(
            lies_at(20_000, eras[3]),
            pages + 20_000,
            "where nothing was"
        );
        let mut gone = Vec::new();
        for_each_gone(&mut |listed| gone.push(listed.start as usize));
        assert!(
            numbers
                .iter()
                .all(|number| gone.contains(&base_of(*number)))
        );
    }
}
