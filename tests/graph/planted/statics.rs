//! Blocks that statics hold.

use std::collections::{BTreeMap, HashMap, LinkedList, VecDeque};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use crate::truth::{self, Expected, apart};

#[allow(dead_code, reason = "it is only held")]
struct Session {
    user: String,
    data: Vec<u64>,
}

#[allow(dead_code, reason = "it is only held")]
struct Settings {
    name: String,
    limits: Vec<u32>,
}

trait Handler: Send {
    fn call(&self) -> usize;
}

struct Logger {
    prefix: String,
}

impl Handler for Logger {
    fn call(&self) -> usize {
        self.prefix.len()
    }
}

struct Counter {
    seen: Vec<u64>,
}

impl Handler for Counter {
    fn call(&self) -> usize {
        self.seen.len()
    }
}

type Callback = Box<dyn Fn() -> usize + Send>;

static CACHE: Mutex<Option<HashMap<String, Session>>> = Mutex::new(None);
static SETTINGS: OnceLock<Arc<Settings>> = OnceLock::new();
static HANDLERS: Mutex<Vec<Box<dyn Handler>>> = Mutex::new(Vec::new());
static CALLBACK: Mutex<Option<Callback>> = Mutex::new(None);
static TREE: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());
static LIST: Mutex<LinkedList<Vec<u8>>> = Mutex::new(LinkedList::new());
static QUEUE: Mutex<VecDeque<Box<[u8]>>> = Mutex::new(VecDeque::new());
static TEXT: RwLock<Option<Arc<str>>> = RwLock::new(None);
static EQUAL: Mutex<Vec<String>> = Mutex::new(Vec::new());
static COUNTED: Mutex<Option<Arc<Vec<u8>>>> = Mutex::new(None);
static TAGGED: AtomicUsize = AtomicUsize::new(0);
static PART: Mutex<&'static [u8]> = Mutex::new(&[]);

/// Plants fifteen truths.
pub(crate) fn plant() {
    apart(collections);
    apart(handlers);
    apart(shared);
    apart(odd_pointers);
}

fn collections() {
    let mut map = HashMap::new();
    for at in 0..1000 {
        let session = Session {
            user: format!("user number {at}"),
            data: vec![at; 10],
        };
        map.insert(format!("session-{at:06}"), session);
    }
    let some = &map["session-000500"];
    let held = Expected::Held("static planted::statics::CACHE");
    truth::plant("string in a HashMap's value", some.user.as_ptr(), held);
    truth::plant("vector in a HashMap's value", some.data.as_ptr(), held);
    let key = map.keys().next().unwrap();
    truth::plant("key of a HashMap", key.as_ptr(), held);
    *CACHE.lock().unwrap() = Some(map);

    let mut tree = TREE.lock().unwrap();
    tree.extend((0..500).map(|at| (at, format!("a value of the tree, {at}"))));
    let held = Expected::Held("static planted::statics::TREE");
    truth::plant("value of a BTreeMap", tree[&333].as_ptr(), held);

    let mut list = LIST.lock().unwrap();
    list.extend((0..50).map(|at| vec![at; 77]));
    let held = Expected::Held("static planted::statics::LIST");
    let some = list.iter().nth(25).unwrap();
    truth::plant("value of a LinkedList", some.as_ptr(), held);

    let mut queue = QUEUE.lock().unwrap();
    queue.extend((0..50).map(|at| vec![at; 99].into_boxed_slice()));
    let held = Expected::Held("static planted::statics::QUEUE");
    truth::plant("value of a VecDeque", queue[20].as_ptr(), held);

    let mut equal = EQUAL.lock().unwrap();
    equal.extend((0..100).map(|_| "the same text, held a hundred times".to_owned()));
    let copies = Expected::Copies("static planted::statics::EQUAL", 100);
    truth::plant("one of equal strings", equal[0].as_ptr(), copies);
}

fn handlers() {
    let held = Expected::Held("static planted::statics::HANDLERS");
    for at in 0..20 {
        let prefix = format!("logger {at} has a prefix");
        let logger = Box::new(Logger { prefix });
        let seen = vec![at; 30];
        if at == 7 {
            truth::plant("Box of a trait object", &raw const *logger, held);
            truth::plant("vector behind a trait object", seen.as_ptr(), held);
        }
        let mut handlers = HANDLERS.lock().unwrap();
        handlers.push(logger);
        handlers.push(Box::new(Counter { seen }));
    }
    let sum: usize = HANDLERS.lock().unwrap().iter().map(|it| it.call()).sum();
    assert_eq!(sum, 10 * 21 + 10 * 22 + 20 * 30);

    let large = vec![1_u64; 1 << 17];
    let held = Expected::Held("static planted::statics::CALLBACK");
    truth::plant("vector in a closure", large.as_ptr(), held);
    *CALLBACK.lock().unwrap() = Some(Box::new(move || large.len()));
}

fn shared() {
    let settings = Arc::new(Settings {
        name: "the name of the settings".to_owned(),
        limits: vec![1; 50],
    });
    let held = Expected::Held("static planted::statics::SETTINGS");
    truth::plant("Arc", Arc::as_ptr(&settings), held);
    truth::plant("vector in an Arc", settings.limits.as_ptr(), held);
    assert!(SETTINGS.set(settings).is_ok());

    let text: Arc<str> = "a text that is shared".into();
    let held = Expected::Held("static planted::statics::TEXT");
    truth::plant("Arc<str>", text.as_ptr(), held);
    *TEXT.write().unwrap() = Some(text);

    let counted = Arc::new(vec![5_u8; 200]);
    std::mem::forget(counted.clone());
    std::mem::forget(counted.clone());
    let forgotten = Expected::Forgotten("static planted::statics::COUNTED", 2);
    truth::plant(
        "Arc with forgotten clones",
        Arc::as_ptr(&counted),
        forgotten,
    );
    *COUNTED.lock().unwrap() = Some(counted);
}

fn odd_pointers() {
    let tagged = Box::into_raw(Box::new([1_u8; 128]));
    TAGGED.store(tagged.expose_provenance() | 3, Relaxed);
    // NOTE: the optimizer removes a static that nobody reads.
    black_box(&TAGGED);
    let held = Expected::Held("static planted::statics::TAGGED");
    truth::plant("tagged in its low bits", tagged, held);

    let whole: &'static mut [u8] = Box::leak(vec![4_u8; 300].into_boxed_slice());
    let middle = Expected::ByTheMiddle("static planted::statics::PART");
    truth::plant("slice of a block", whole.as_ptr(), middle);
    *PART.lock().unwrap() = &whole[100..200];
}
