//! Blocks that nothing holds, or nothing that is seen.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::truth::{self, Expected, apart};

struct Node {
    next: RefCell<Option<Rc<Node>>>,
    payload: Vec<u8>,
}

fn node(byte: u8, bytes: usize) -> Rc<Node> {
    Rc::new(Node {
        next: RefCell::default(),
        payload: vec![byte; bytes],
    })
}

static HIGH: AtomicUsize = AtomicUsize::new(0);
static SHORT: AtomicU32 = AtomicU32::new(0);
static OF_C: AtomicUsize = AtomicUsize::new(0);

/// Plants eleven truths.
pub(crate) fn plant() {
    apart(cycles);
    apart(leaks);
    apart(hidden);
    apart(in_memory_of_c);
}

fn cycles() {
    let (first, second) = (node(1, 500), node(2, 500));
    *first.next.borrow_mut() = Some(second.clone());
    *second.next.borrow_mut() = Some(first.clone());
    truth::plant("Rc in a cycle", Rc::as_ptr(&first), Expected::Cycle);
    let below = Expected::Below("Rc in a cycle");
    truth::plant("payload of a cycle", first.payload.as_ptr(), below);

    let own = node(3, 100);
    *own.next.borrow_mut() = Some(own.clone());
    truth::plant(
        "Rc that refers to itself",
        Rc::as_ptr(&own),
        Expected::Cycle,
    );
}

fn leaks() {
    let forgotten = Box::new([7_u8; 1000]);
    truth::plant("forgotten Box", &raw const *forgotten, Expected::Leaked);
    std::mem::forget(forgotten);

    let forgotten: Vec<String> = (0..10).map(|at| format!("in a vector, {at}")).collect();
    truth::plant("forgotten vector", forgotten.as_ptr(), Expected::Leaked);
    let below = Expected::Below("forgotten vector");
    truth::plant("string in it", forgotten[4].as_ptr(), below);
    std::mem::forget(forgotten);

    let leaked: &'static mut [u64] = Box::leak(vec![9; 64].into_boxed_slice());
    truth::plant("Box::leak, unused", leaked.as_ptr(), Expected::Leaked);
}

/// The stated limit: no word shows the address of what these hold.
fn hidden() {
    let tagged = Box::into_raw(Box::new([2_u8; 128]));
    HIGH.store(tagged.expose_provenance() | 1 << 63, Relaxed);
    truth::plant("tagged in its high bits", tagged, Expected::Hidden);

    let short = Box::into_raw(Box::new([3_u8; 128]));
    SHORT.store((short.expose_provenance() >> 4) as u32, Relaxed);
    truth::plant("compressed to 32 bits", short, Expected::Hidden);
    black_box((&HIGH, &SHORT));
}

fn in_memory_of_c() {
    const WORDS: usize = 8;
    let held = Box::into_raw(Box::new([6_u8; 160]));
    truth::plant("held by memory of malloc", held, Expected::UnknownMemory);
    // SAFETY: any size may be asked for.
    let block = unsafe { libc::malloc(WORDS * size_of::<usize>()) }.cast::<*mut [u8; 160]>();
    assert!(!block.is_null());
    // SAFETY: the block has as many words, and is aligned for them.
    unsafe { block.wrapping_add(3).write(held) };
    OF_C.store(!block.addr(), Relaxed);
    // NOTE: the optimizer removes memory that nobody reads.
    black_box((block, &OF_C));

    let held = Box::into_raw(Box::new([6_u8; 160]));
    truth::plant("held by a mapping", held, Expected::UnknownMemory);
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping disturbs nothing.
    let mapping = unsafe { libc::mmap(std::ptr::null_mut(), 8192, access, kind, -1, 0) };
    assert_ne!(mapping, libc::MAP_FAILED);
    let mapping = mapping.cast::<*mut [u8; 160]>();
    // SAFETY: the mapping has a thousand words.
    unsafe { mapping.wrapping_add(100).write(held) };
}
