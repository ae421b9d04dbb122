//! [`Reservations`]: where the tracer's own memory is.

use crate::system::sync::{AtomicUsize, Ordering::Relaxed};

/// The tracer's own memory: the ranges that were reserved and not released.
///
/// A heap graph does not take what is in them for the program's. Lock-free: a thread may reserve
/// memory within a record. Beyond [`PLACES`] ranges the others are not listed.
pub(super) struct Reservations {
    places: [Place; PLACES],
    /// No place from here on was ever used.
    end: AtomicUsize,
}

/// Enough for the index of a heap of 256 GiB.
const PLACES: usize = 1 << 15;

struct Place {
    /// Zero if the place is free.
    start: AtomicUsize,
    len: AtomicUsize,
}

impl Reservations {
    pub(super) const fn new() -> Reservations {
        Reservations {
            places: [const {
                Place {
                    start: AtomicUsize::new(0),
                    len: AtomicUsize::new(0),
                }
            }; PLACES],
            end: AtomicUsize::new(0),
        }
    }

    pub(super) fn add(&self, start: usize, len: usize) {
        let free = self.places.iter().position(|place| {
            place.start.load(Relaxed) == 0
                && place
                    .start
                    .compare_exchange(0, start, Relaxed, Relaxed)
                    .is_ok()
        });
        if let Some(at) = free {
            self.places[at].len.store(len, Relaxed);
            self.end.fetch_max(at + 1, Relaxed);
        }
    }

    pub(super) fn remove(&self, start: usize) {
        let found = self.used().find(|it| it.start.load(Relaxed) == start);
        if let Some(place) = found {
            place.len.store(0, Relaxed);
            place.start.store(0, Relaxed);
        }
    }

    pub(super) fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        for place in self.used() {
            let (start, len) = (place.start.load(Relaxed), place.len.load(Relaxed));
            if start != 0 {
                each(start, len);
            }
        }
    }

    fn used(&self) -> impl Iterator<Item = &Place> {
        self.places[..self.end.load(Relaxed)].iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_and_not_removed_is_listed() {
        let reservations = Box::new(Reservations::new());
        let listed = || {
            let mut all = Vec::new();
            reservations.for_each(|start, len| all.push((start, len)));
            all
        };
        for at in 1..=5 {
            reservations.add(at * 4096, at);
        }
        reservations.remove(2 * 4096);
        reservations.remove(77 * 4096);
        assert_eq!(listed(), [1, 3, 4, 5].map(|at| (at * 4096, at)));
        reservations.add(9 * 4096, 9);
        assert_eq!(listed(), [1, 9, 3, 4, 5].map(|at| (at * 4096, at)));
    }
}
