//! Reference counts, and cycles that never end.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::{Rc, Weak};

use alloc_report::Graph;

use crate::Taker;

#[allow(dead_code, reason = "it is only held")]
struct Document {
    text: [u8; 100],
}

thread_local! {
    static DOCUMENTS: RefCell<Vec<Rc<Document>>> = const { RefCell::new(Vec::new()) };
    static WATCHED: RefCell<Weak<Document>> = const { RefCell::new(Weak::new()) };
}

/// `sys.getrefcount`: how many `Rc` there are of a value, and how many of them are found.
pub(crate) fn counts(taker: &Taker) {
    let first = || DOCUMENTS.with_borrow(|all| all[0].clone());
    let print = |when: &str| {
        let graph = taker.take();
        let block = graph
            .select("Rc<counted::Document>")
            .expect("the document")
            .blocks[0];
        let counts = graph.counts_of(block).expect("an Rc has counts");
        println!("{when}: {} strong, {} weak", counts.strong, counts.weak);
        for finding in graph.counts() {
            println!(
                "  {}: {} missing, {} B",
                finding.kind,
                finding.missing,
                finding.retained.get()
            );
        }
    };
    DOCUMENTS.with_borrow_mut(|all| all.push(Rc::new(Document { text: [7; 100] })));
    print("one handle");
    let clones = [first(), first()];
    print("two clones");
    drop(black_box(clones));
    print("dropped");
    WATCHED.set(Rc::downgrade(&first()));
    print("watched by a Weak");
    DOCUMENTS.set(Vec::new());
    print("only the Weak is left");
    WATCHED.set(Weak::new());
}

#[allow(dead_code, reason = "it is only held")]
struct Node {
    next: RefCell<Option<Rc<Node>>>,
    content: [u64; 8],
}

/// `gc.collect` frees such a cycle in Python. Here it stays for good.
pub(crate) fn cycle(taker: &Taker) {
    #[inline(never)]
    fn plant() {
        let node = || {
            Rc::new(Node {
                next: RefCell::default(),
                content: [3; 8],
            })
        };
        let (first, second) = (node(), node());
        *first.next.borrow_mut() = Some(second.clone());
        *second.next.borrow_mut() = Some(first.clone());
    }
    deeper(plant);
    print_cycles(&taker.take());
}

#[allow(dead_code, reason = "it is only held")]
struct Parent {
    children: RefCell<Vec<Rc<Child>>>,
}

#[allow(dead_code, reason = "it is only held")]
struct Child {
    parent: Rc<Parent>,
    content: [u64; 8],
}

/// A child that owns its parent.
pub(crate) fn parent_and_child(taker: &Taker) {
    #[inline(never)]
    fn plant() {
        let parent = Rc::new(Parent {
            children: RefCell::default(),
        });
        let child = Rc::new(Child {
            parent: parent.clone(),
            content: [4; 8],
        });
        parent.children.borrow_mut().push(child);
    }
    deeper(plant);
    print_cycles(&taker.take());
}

#[allow(dead_code, reason = "it is only held")]
struct Owner {
    children: RefCell<Vec<Rc<Owned>>>,
}

#[allow(dead_code, reason = "it is only held")]
struct Owned {
    owner: Weak<Owner>,
    content: [u64; 8],
}

/// The same with `Weak`: nothing is left, and nothing is said.
pub(crate) fn weak_parent(taker: &Taker) {
    #[inline(never)]
    fn plant() {
        let owner = Rc::new(Owner {
            children: RefCell::default(),
        });
        let child = Rc::new(Owned {
            owner: Rc::downgrade(&owner),
            content: [5; 8],
        });
        owner.children.borrow_mut().push(child);
    }
    deeper(plant);
    let graph = taker.take();
    print_cycles(&graph);
    println!("{} leaks", graph.leaks().len());
}

fn print_cycles(graph: &Graph) {
    let cycles = graph.cycles();
    println!("{} cycles", cycles.len());
    for cycle in &cycles {
        println!("{}: {cycle}", cycle.certainty);
        for (name, place) in cycle.types.iter().zip(&cycle.places) {
            println!("  {name} at {place}");
        }
    }
}

/// Calls a function so deep in the stack that nothing of it is left in a frame in use.
#[inline(never)]
pub(crate) fn deeper(plant: fn()) {
    let room = black_box([0_u8; 16 << 10]);
    plant();
    black_box(&room);
}
