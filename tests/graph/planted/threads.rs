//! Blocks that stacks and threads hold.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::{Rc, Weak};
use std::sync::Barrier;
use std::thread;

use crate::truth::{self, Expected, scrub};

#[allow(dead_code, reason = "it is only held")]
struct Tree {
    parent: RefCell<Weak<Tree>>,
    children: RefCell<Vec<Rc<Tree>>>,
    label: String,
}

fn tree(parent: Weak<Tree>, label: String) -> Rc<Tree> {
    Rc::new(Tree {
        parent: RefCell::new(parent),
        children: RefCell::default(),
        label,
    })
}

thread_local! {
    static LOCAL: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Plants eight truths, and runs `work` while they hold.
#[inline(never)]
pub(crate) fn with_stacks(work: impl FnOnce()) {
    let here = "threads::with_stacks";
    let root = tree(Weak::new(), "the root of the tree".to_owned());
    let children = (0..30).map(|at| tree(Rc::downgrade(&root), format!("a child, {at}")));
    root.children.borrow_mut().extend(children);
    let child = root.children.borrow()[11].label.as_ptr();
    truth::plant("child of a tree", child, Expected::Held(here));

    let dropped = Rc::new([8_u64; 20]);
    truth::plant(
        "only Weak is left",
        Rc::as_ptr(&dropped),
        Expected::OnlyWeak(here),
    );
    let only_weak = Rc::downgrade(&dropped);
    drop(dropped);

    #[allow(clippy::vec_box, reason = "the boxes are blocks to find")]
    let boxes: Vec<Box<u64>> = (0..100).map(Box::new).collect();
    truth::plant(
        "Box in a vector",
        &raw const *boxes[50],
        Expected::Held(here),
    );

    let (ready, end) = (Barrier::new(3), Barrier::new(3));
    thread::scope(|scope| {
        for number in 0..2 {
            let (ready, end) = (&ready, &end);
            let worker = thread::Builder::new().name(format!("worker-{number}"));
            let run = move || on_worker(number, ready, end);
            worker.spawn_scoped(scope, run).unwrap();
        }
        ready.wait();
        scrub();
        work();
        end.wait();
    });
    black_box((&root, &only_weak, &boxes));
}

/// What each of two threads holds while it waits.
#[inline(never)]
fn on_worker(number: u64, ready: &Barrier, end: &Barrier) {
    let names = ["string in a thread-local", "string in another thread's"];
    LOCAL.with_borrow_mut(|local| {
        local.extend((0..20).map(|at| format!("a string of thread {number}, {at}")));
        let held = Expected::Held("thread-local planted::threads::LOCAL");
        truth::plant(names[number as usize], local[3].as_ptr(), held);
    });
    if number == 0 {
        hold_by_key();
    }
    let own = black_box(vec![number; 1000]);
    let names = ["vector of a waiting thread", "vector of another"];
    let held = Expected::Held("the stack of worker-");
    truth::plant(names[number as usize], own.as_ptr(), held);
    scrub();
    ready.wait();
    end.wait();
    black_box(&own);
}

/// A key beyond the thirty-two whose values are in the thread's control block: C's `malloc` has the
/// table of the others.
#[inline(never)]
fn hold_by_key() {
    let held = Box::into_raw(Box::new([6_u8; 170]));
    truth::plant("held by a key of pthreads", held, Expected::UnknownMemory);
    let mut keys: [libc::pthread_key_t; 40] = [0; 40];
    for key in &mut keys {
        // SAFETY: the key is written, and no function runs at a thread's end.
        let result = unsafe { libc::pthread_key_create(key, None) };
        assert_eq!(result, 0);
    }
    // SAFETY: the key was just made.
    let result = unsafe { libc::pthread_setspecific(keys[39], held.cast_const().cast()) };
    assert_eq!(result, 0);
}
