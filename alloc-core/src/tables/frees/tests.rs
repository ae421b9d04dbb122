use std::collections::BTreeMap;

use super::*;

/// A table that gives its memory back.
struct Own(Frees);

impl Own {
    fn new() -> Own {
        let frees = Frees::new();
        frees.prepare().unwrap();
        Own(frees)
    }

    /// What was freed of a callsite: label, thread, bytes and blocks.
    fn of(&self, callsite: u32) -> BTreeMap<(u32, u32), (u64, u64)> {
        let pairs = self.0.of(CallsiteId::from_word(callsite).unwrap());
        let plain = pairs.map(|(by, it)| {
            let by = (by.label.get(), by.thread.get());
            (by, (it.bytes.get(), it.blocks))
        });
        plain.collect()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // SAFETY: this thread is the only user.
        unsafe { self.0.clear() };
    }
}

fn callsite(number: u32) -> CallsiteId {
    CallsiteId::from_word(number).unwrap()
}

fn freer(label: u32, thread: u32) -> Freer {
    Freer {
        label: LabelId::new(label),
        thread: ThreadName::new(thread),
    }
}

#[test]
fn a_key_is_a_callsite_and_a_freer() {
    for number in [1, 4711, CallsiteId::MOST] {
        for by in [freer(0, 0), freer(16_383, 0), freer(0, 1026), freer(7, 9)] {
            let key = Key::new(callsite(number), by);
            assert_eq!((key.callsite(), key.freer()), (number as usize, by));
        }
    }
}

#[test]
fn what_threads_add_is_the_sum_by_callsite_and_freer() {
    let table = Own::new();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let frees = &table.0;
            threads.spawn(move || {
                let pending = Pending {
                    places: LazyTable::new(),
                };
                // More pairs than a thread holds back.
                for round in 0..10 {
                    for number in 1..=1000 {
                        let by = freer(number % 3, thread % 2);
                        pending.add(callsite(number), by, 8 * round, frees);
                    }
                }
                pending.flush(frees);
                pending.flush(frees);
                // SAFETY: this thread is the only user.
                unsafe { pending.places.clear() };
            });
        }
    });
    // Two threads of each name, 10 rounds each.
    for number in 1..=1000 {
        let expected = [0, 1].map(|thread| ((number % 3, thread), (2 * 8 * 45, 20)));
        assert_eq!(table.of(number), BTreeMap::from(expected), "{number}");
    }
    assert_eq!(table.of(1001), BTreeMap::new());
}

#[test]
fn what_is_subtracted_was_never_added() {
    let table = Own::new();
    table
        .0
        .subtract(callsite(3), freer(1, 1), Amount::new(100, 1));
    table.0.add(callsite(3), freer(1, 1), Amount::new(130, 3));
    assert_eq!(table.of(3), BTreeMap::from([((1, 1), (30, 2))]));
}

#[test]
fn beyond_the_last_pair_nothing_is_added_and_known_pairs_go_on() {
    let table = Own::new();
    let one = Amount::new(10, 1);
    let all = (1 << BITS) + 1000;
    (0..all).for_each(|at| table.0.add(callsite(1 + at % 100), freer(at / 100, 0), one));
    let pairs: usize = (1..=100).map(|it| table.of(it).len()).sum();
    assert!(pairs < 1 << BITS && pairs > 200_000, "{pairs}");
    table.0.add(callsite(1), freer(0, 0), one);
    assert_eq!(table.of(1)[&(0, 0)], (20, 2));
}
