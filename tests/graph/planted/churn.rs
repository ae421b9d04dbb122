//! Threads that allocate and free all the time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use alloc_tests::Random;

/// How much a thread does without a rest, and how long that is. The clone that writes a graph runs at
/// the lowest priority, and would never come to run.
pub(crate) const BURST: usize = 300;
pub(crate) const REST: Duration = Duration::from_millis(1);

/// What the threads hand to each other.
type Shared = Mutex<VecDeque<Arc<(u64, String)>>>;

/// Runs `work` while four threads allocate and free.
pub(crate) fn beside(work: impl FnOnce()) {
    let ends = AtomicBool::new(false);
    let shared = Shared::default();
    thread::scope(|scope| {
        for number in 0..4 {
            let (ends, shared) = (&ends, &shared);
            let thread = thread::Builder::new().name(format!("churn-{number}"));
            let run = move || churn(number, ends, shared);
            thread.spawn_scoped(scope, run).unwrap();
        }
        work();
        ends.store(true, Relaxed);
    });
}

fn churn(number: u64, ends: &AtomicBool, shared: &Shared) {
    let mut random = Random::new(number);
    let mut slices: Vec<Box<[u8]>> = Vec::new();
    let mut table: HashMap<u64, Arc<(u64, String)>> = HashMap::new();
    let mut sorted: BTreeMap<u64, Vec<Box<u64>>> = BTreeMap::new();
    let mut steps = 0;
    while !ends.load(Relaxed) {
        steps += 1;
        if steps % BURST == 0 {
            thread::sleep(REST);
        }
        let key = random.below(200) as u64;
        match random.below(4) {
            0 if slices.len() < 100 => slices.push(vec![0; 16 + key as usize].into()),
            0 => slices[key as usize / 2] = vec![1; 16 + key as usize].into(),
            1 => {
                let value = Arc::new((key, format!("the value of {key}")));
                shared.lock().unwrap().push_back(value.clone());
                table.insert(key, value);
            }
            2 => {
                sorted.insert(key, (0..key % 7).map(Box::new).collect());
                sorted.remove(&(random.below(200) as u64));
            }
            _ => {
                let taken = shared.lock().unwrap().pop_front();
                table.remove(&key);
                black_box(&taken);
            }
        }
    }
    black_box((&slices, &table, &sorted));
}
