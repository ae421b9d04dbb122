//! A stack as the tracer captured it and as the unwinder of the platform sees it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;

use alloc_core::{Origin, Traceback, traceback_of};

/// Asserts that a stack is the true one, and returns whether it is truncated.
///
/// The addresses of the leaf's callers must be equal, down to the bottom of the stack. The two
/// stacks differ by their nature in this:
///
/// * Inside of the leaf one shows the way to the allocator, the other that into the unwinder. What
///   the traceback has there must be the standard library's.
/// * The leaf's own address is that of another call.
/// * The unwinder may report the zero return address that ends a stack; the traceback never does.
/// * What a signal interrupted differs by one: see [`check_inner_part`].
/// * Of a stack that is deeper than the configured number of frames, the traceback has exactly that
///   many addresses, counted from the leaf's own, and says so.
#[track_caller]
pub(crate) fn check(leaf: &Leaf, frames: u16) -> bool {
    let Compared {
        captured,
        truth,
        is_truncated,
        is_broken,
    } = Compared::new(leaf);
    // The leaf itself is one of the frames.
    let most = usize::from(frames) - 1;
    let shown = &truth[..truth.len().min(most)];
    assert!(!is_broken, "broken: {}", differ(&captured, &truth));
    assert_eq!(captured, shown, "{}", differ(&captured, shown));
    assert_eq!(is_truncated, truth.len() > most);
    is_truncated
}

/// Asserts that a stack is the true one, or its inner part where the walk follows frame pointers.
/// Returns whether the stack contains the function `whole`.
#[track_caller]
pub(crate) fn check_inner_part(leaf: &Leaf, whole: &str) -> bool {
    let traceback = traceback_of(leaf.block.address()).expect("the block is traced");
    let has = |traceback: &Traceback, name: &str| {
        let mut functions = traceback.iter().filter_map(|frame| frame.function());
        functions.any(|it| it.rsplit("::").next() == Some(name))
    };
    let Compared {
        mut captured,
        truth,
        is_truncated,
        ..
    } = Compared::new(leaf);
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        // The interrupted function is shown as if it had made a call.
        let pairs = captured.iter_mut().zip(&truth);
        let mut interrupted = pairs.filter(|(captured, truth)| **captured == **truth + 1);
        if let Some((captured, truth)) = interrupted.next() {
            *captured = *truth;
        }
        assert_eq!(captured, truth, "{}", differ(&captured, &truth));
    } else {
        // A walk by frame pointers continues beyond a signal's frame, but not exactly.
        let is_whole =
            |it: &usize| name(*it).is_some_and(|it| it.rsplit("::").next() == Some(whole));
        let at = captured.iter().position(is_whole);
        captured.truncate(at.map_or(captured.len(), |at| at + 1));
    }
    let shown = &truth[..truth.len().min(captured.len())];
    assert_eq!(captured, shown, "{}", differ(&captured, shown));
    assert!(!is_truncated);
    has(&traceback, whole)
}

/// The addresses of a leaf's callers: as captured by the tracer, and the truth.
pub(crate) struct Compared {
    captured: Vec<usize>,
    truth: Vec<usize>,
    is_truncated: bool,
    is_broken: bool,
}

impl Compared {
    #[track_caller]
    fn new(leaf: &Leaf) -> Compared {
        let traceback = traceback_of(leaf.block.address()).expect("the block is traced");
        let is_leaf = |name: &str| name.rsplit("::").next() == Some("leaf");
        let at = traceback
            .iter()
            .position(|frame| frame.function().is_some_and(is_leaf));
        let at = at.unwrap_or_else(|| panic!("no leaf in {traceback}"));
        assert!(
            traceback[..at].iter().all(|it| it.origin() == Origin::Std),
            "{traceback}"
        );
        assert!(!traceback[at].is_inlined());
        let captured = traceback[at + 1..]
            .iter()
            .filter(|frame| !frame.is_inlined())
            .map(|frame| frame.address() as usize)
            .collect();

        let mut truth = &leaf.truth[..];
        let at = truth
            .iter()
            .position(|&it| name(it).is_some_and(|it| is_leaf(&it)));
        truth = &truth[at.expect("the leaf is in the truth") + 1..];
        if let [callers @ .., 0] = truth {
            truth = callers;
        }
        Compared {
            captured,
            truth: truth.to_vec(),
            is_truncated: traceback.is_truncated(),
            is_broken: traceback.is_broken(),
        }
    }
}

/// The name of the function with this return address, without functions inlined into it.
pub(crate) fn name(address: usize) -> Option<String> {
    thread_local! {
        static KNOWN: RefCell<HashMap<usize, Option<String>>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let look_up = || {
            let mut outermost = None;
            backtrace::resolve(address as *mut c_void, |symbol| {
                outermost = symbol.name().map(|name| format!("{name:#}"));
            });
            outermost
        };
        known.entry(address).or_insert_with(look_up).clone()
    })
}

/// The place where two stacks differ, for the message of a failed test.
fn differ(captured: &[usize], truth: &[usize]) -> String {
    let equal = captured.iter().zip(truth).take_while(|(a, b)| a == b);
    let equal = equal.count();
    let print = |stack: &[usize]| {
        let end = stack.len().min(equal + 4);
        let lines = stack[equal.saturating_sub(4).min(end)..end].iter();
        let lines = lines.map(|&it| format!("\n  {it:#x} {}", name(it).unwrap_or_default()));
        lines.collect::<String>()
    };
    format!(
        "the first {equal} of {} and {} are equal\ncaptured:{}\ntruth:{}",
        captured.len(),
        truth.len(),
        print(captured),
        print(truth)
    )
}

/// A block and the stack of the function that allocated it.
pub(crate) struct Leaf {
    pub(crate) block: Block,
    /// The stack by the platform's unwinder, which starts inside of the unwinder.
    pub(crate) truth: Vec<usize>,
}

/// A block that is allocated in one of several ways.
pub(crate) enum Block {
    Boxed(Box<[u8; 48]>),
    Bytes(Vec<u8>),
    Text(String),
}

impl Block {
    fn address(&self) -> *const u8 {
        match self {
            Block::Boxed(boxed) => boxed.as_ptr(),
            Block::Bytes(bytes) => bytes.as_ptr(),
            Block::Text(text) => text.as_ptr(),
        }
    }
}
