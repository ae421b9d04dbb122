//! The steady programs, each with churn of another kind.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::STEPS;
use crate::random::Random;

/// A program: it calls the closure at the end of each step.
pub(crate) type Program = fn(&mut Random, &mut dyn FnMut());

pub(crate) const PROGRAMS: &[(&str, Program)] = &[
    ("cache with eviction", cache_with_eviction),
    ("ring", ring),
    ("strings", strings),
    ("threads", threads),
    ("map of constant size", map_of_constant_size),
    ("interner", interner),
    ("least recently used", least_recently_used),
    ("channel", channel),
    ("batch buffers", batch_buffers),
    ("log rotation", log_rotation),
];

/// Calls `work` for each request of each step.
fn steps(requests: usize, step: &mut dyn FnMut(), mut work: impl FnMut(usize)) {
    for number in 0..STEPS {
        (number * requests..(number + 1) * requests).for_each(&mut work);
        step();
    }
}

/// A new entry for each request, up to a limit.
pub(crate) fn filling_cache(_: &mut Random, step: &mut dyn FnMut()) {
    let mut entries = VecDeque::with_capacity(4_000);
    steps(1_000, step, |request| {
        entries.push_back(vec![request as u8; 300]);
        if entries.len() > 3_200 {
            entries.pop_front();
        }
    });
}

/// Entries of many sizes; a full cache evicts one at random.
fn cache_with_eviction(random: &mut Random, step: &mut dyn FnMut()) {
    let mut entries: HashMap<usize, Vec<u8>> = HashMap::new();
    let mut keys: Vec<usize> = Vec::new();
    steps(800, step, |request| {
        if keys.len() == 1_000 {
            let evicted = keys.swap_remove(random.below(1_000));
            entries.remove(&evicted);
        }
        entries.insert(request, vec![1; random.size(16, 2_000)]);
        keys.push(request);
    });
}

/// The last 500 messages.
fn ring(random: &mut Random, step: &mut dyn FnMut()) {
    let mut messages: Vec<String> = vec![String::new(); 500];
    steps(1_000, step, |request| {
        messages[request % 500] = "m".repeat(random.size(1, 400));
    });
}

/// Texts that are built, joined and dropped; a few are kept for a while.
fn strings(random: &mut Random, step: &mut dyn FnMut()) {
    let mut kept: VecDeque<String> = VecDeque::new();
    steps(1_000, step, |request| {
        let words: Vec<String> = (0..random.below(20))
            .map(|it| format!("word {it}"))
            .collect();
        let mut text = words.join(", ");
        text.push_str(&request.to_string());
        if random.below(10) == 0 {
            kept.push_back(text);
        }
        if random.below(10) == 0 {
            kept.pop_front();
        }
        if kept.len() > 40 {
            kept.clear();
        }
    });
}

/// Four threads with work in flight whenever a snapshot is taken.
///
/// A step takes until each has done enough that what is in flight has nothing to do with what was: on a busy
/// machine a thread may do nothing for milliseconds, or only fill what it had given up.
fn threads(random: &mut Random, step: &mut dyn FnMut()) {
    const ENOUGH: u64 = 1_000;
    let has_ended = Arc::new(AtomicBool::new(false));
    let done: Vec<_> = (0..4).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let workers: Vec<_> = done
        .iter()
        .map(|done| {
            let (has_ended, done, seed) = (has_ended.clone(), done.clone(), random.next());
            thread::spawn(move || {
                let mut random = Random(seed);
                let mut in_flight: Vec<Vec<u8>> = Vec::with_capacity(64);
                while !has_ended.load(Ordering::Relaxed) {
                    let at = random.below(64);
                    let work = vec![1; random.size(16, 4_000)];
                    match in_flight.len() <= at {
                        true => in_flight.push(work),
                        false => in_flight[at] = work,
                    }
                    if random.below(200) == 0 {
                        in_flight.truncate(random.below(64));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut until = vec![0; done.len()];
    steps(1, step, |_| {
        for (done, until) in done.iter().zip(&mut until) {
            while done.load(Ordering::Relaxed) < *until {
                thread::sleep(std::time::Duration::from_millis(1));
            }
            *until = done.load(Ordering::Relaxed) + ENOUGH;
        }
    });
    has_ended.store(true, Ordering::Relaxed);
    workers.into_iter().for_each(|it| it.join().unwrap());
}

/// A key is there or not by chance, so the number of entries varies around a thousand.
fn map_of_constant_size(random: &mut Random, step: &mut dyn FnMut()) {
    let mut entries: HashMap<usize, Box<[u64; 12]>> = HashMap::new();
    steps(4_000, step, |request| {
        let key = random.below(2_000);
        match random.below(2) {
            0 => drop(entries.remove(&key)),
            _ => drop(entries.insert(key, Box::new([request as u64; 12]))),
        }
    });
}

/// Words that are all known after the first steps.
fn interner(random: &mut Random, step: &mut dyn FnMut()) {
    let mut words: HashSet<Box<str>> = HashSet::new();
    steps(20_000, step, |_| {
        let word = format!("word {}", random.below(2_000));
        if !words.contains(word.as_str()) {
            words.insert(word.into());
        }
    });
}

/// Entries of many sizes in 300 kB; the ones that were not used for longest are evicted.
fn least_recently_used(random: &mut Random, step: &mut dyn FnMut()) {
    let mut by_age: BTreeMap<usize, (usize, Vec<u8>)> = BTreeMap::new();
    let mut ages: HashMap<usize, usize> = HashMap::new();
    let mut bytes = 0;
    steps(2_000, step, |request| {
        let key = random.size(0, 3_000);
        let used = ages
            .insert(key, request)
            .and_then(|age| by_age.remove(&age));
        let (_, entry) = used.unwrap_or_else(|| {
            let entry = vec![1; random.size(100, 1_000)];
            bytes += entry.len();
            (key, entry)
        });
        by_age.insert(request, (key, entry));
        while bytes > 300_000 {
            let (_, (key, entry)) = by_age.pop_first().expect("it holds bytes");
            ages.remove(&key);
            bytes -= entry.len();
        }
    });
}

/// A queue whose length varies by chance: jobs come in bursts, and are done in bursts.
fn channel(random: &mut Random, step: &mut dyn FnMut()) {
    let (sender, receiver) = mpsc::channel();
    steps(300, step, |_| {
        for _ in 0..random.below(40) {
            sender.send(vec![1_u8; random.size(10, 1_000)]).unwrap();
        }
        for _ in 0..random.below(48) {
            let _ = black_box(receiver.try_recv());
        }
    });
}

/// A batch of a random size is there when the snapshot is taken, and a buffer that is used again.
fn batch_buffers(random: &mut Random, step: &mut dyn FnMut()) {
    let mut line = String::new();
    let mut batch: Vec<u64> = Vec::new();
    steps(200, step, |request| {
        batch = Vec::with_capacity(random.size(10, 20_000));
        batch.push(request as u64);
        line.clear();
        (0..random.below(300)).for_each(|_| line.push('x'));
        black_box((&batch, &line));
    });
}

/// A log that grows for some steps, and then becomes the old log.
fn log_rotation(random: &mut Random, step: &mut dyn FnMut()) {
    let (mut log, mut old): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    steps(1_000, step, |request| {
        log.push(format!("{request}: {}", "x".repeat(random.below(60))));
        if log.len() == 1_700 {
            old = std::mem::take(&mut log);
        }
        black_box(&old);
    });
}
