//! Tests that nothing is left behind, by heap graphs of the own process.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::cell::RefCell;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex};

use alloc_core::TraceAlloc;
use alloc_report::assert_no_leaks;
use alloc_report::graph::{left_behind, without_leaks};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

struct Node {
    others: RefCell<Vec<Rc<Node>>>,
    _content: [u64; 10],
}

struct Parent {
    children: RefCell<Vec<Rc<Child>>>,
    _content: [u64; 5],
}

struct Child {
    parent: RefCell<Weak<Parent>>,
    _content: [u64; 7],
}

fn node() -> Rc<Node> {
    Rc::new(Node {
        others: RefCell::default(),
        _content: [7; 10],
    })
}

/// Runs a test in a process of its own: in memory that other tests freed there may be words that
/// look like references to what this one leaves behind.
#[track_caller]
fn alone(name: &str, test: fn()) {
    const IS_ALONE: &str = "NO_LEAKS_IS_ALONE";
    if std::env::var_os(IS_ALONE).is_some() {
        return test();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(IS_ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// The text that a piece of work leaves behind.
#[track_caller]
fn left_by(work: impl FnOnce() + Send) -> String {
    left_behind(work).unwrap().1.to_string()
}

/// Checks that the text has lines that begin so.
#[track_caller]
fn check(left: &str, lines: &[&str]) {
    assert_eq!(left.lines().count(), lines.len(), "{left}");
    for (line, start) in left.lines().zip(lines) {
        assert!(
            line.starts_with(start),
            "expected {start:?}, found {line:?}"
        );
    }
}

#[test]
fn what_is_dropped_or_held_is_not_left_behind() {
    alone("what_is_dropped_or_held_is_not_left_behind", || {
        static HELD: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let left = left_by(|| {
            drop(black_box(vec![1_u8; 1000]));
            HELD.lock()
                .unwrap()
                .push("held by a static, and reached".to_owned());
            let parent = Rc::new(Parent {
                children: RefCell::default(),
                _content: [1; 5],
            });
            let child = Rc::new(Child {
                parent: RefCell::new(Rc::downgrade(&parent)),
                _content: [2; 7],
            });
            parent.children.borrow_mut().push(child);
            assert!(
                parent.children.borrow()[0]
                    .parent
                    .borrow()
                    .upgrade()
                    .is_some()
            );
        });
        check(&left, &[]);
    });
}

#[test]
fn a_forgotten_vector_is_a_leak() {
    alone("a_forgotten_vector_is_a_leak", || {
        let left = left_by(|| std::mem::forget(black_box(vec![7_u64; 100])));
        check(&left, &["1 leak of 800 B: Vec<u64> at "]);
        assert!(left.contains("no_leaks.rs:"), "{left}");
    });
}

#[test]
fn a_cycle_is_shown_as_a_person_draws_it() {
    alone("a_cycle_is_shown_as_a_person_draws_it", || {
        let left = left_by(|| {
            let (a, b) = (node(), node());
            a.others.borrow_mut().push(b.clone());
            b.others.borrow_mut().push(a.clone());
        });
        let drawn = "Rc<Node> -> Vec<Rc<Node>> -> Rc<Node>";
        check(
            &left,
            &[
                "1 cycle of 320 B: ",
                "    Rc<no_leaks::Node> at alloc-report/tests/no_leaks.rs:",
                "    Vec<Rc<no_leaks::Node>> at ",
                "    Rc<no_leaks::Node> at ",
                "    Vec<Rc<no_leaks::Node>> at ",
            ],
        );
        assert!(left.contains(drawn), "{left}");
    });
}

#[test]
fn a_value_that_owns_itself_is_a_cycle_after_other_work() {
    struct Own(RefCell<Option<Rc<Own>>>);
    alone(
        "a_value_that_owns_itself_is_a_cycle_after_other_work",
        || {
            assert_eq!(assert_no_leaks!(1 + 2), 3);
            let left = left_by(|| {
                let own = Rc::new(Own(RefCell::new(None)));
                *own.0.borrow_mut() = Some(own.clone());
            });
            check(&left, &["1 cycle of 32 B: Rc<Own> -> Rc<Own>", "    Rc<"]);
        },
    );
}

#[test]
fn a_forgotten_clone_is_found_while_the_value_is_held() {
    alone("a_forgotten_clone_is_found_while_the_value_is_held", || {
        static HELD: Mutex<Option<Arc<[u64; 9]>>> = Mutex::new(None);
        let left = left_by(|| {
            let counted = Arc::new([3_u64; 9]);
            std::mem::forget(black_box(counted.clone()));
            *HELD.lock().unwrap() = Some(counted);
        });
        check(&left, &["1 forgotten clone of Arc<[u64; 9]> at "]);
    });
}

#[test]
fn what_was_left_before_counts_for_nothing() {
    alone("what_was_left_before_counts_for_nothing", || {
        let leaks = || std::mem::forget(black_box(vec![7_u64; 50]));
        leaks();
        check(&left_by(leaks), &["1 leak of 400 B: Vec<u64> at "]);
        check(&left_by(|| ()), &[]);
    });
}

#[test]
fn a_failure_says_what_is_left_and_a_success_returns_the_value() {
    alone(
        "a_failure_says_what_is_left_and_a_success_returns_the_value",
        || {
            assert_eq!(without_leaks(|| 6 * 7), 42);
            let work = || std::mem::forget(black_box(Box::new([1_u64; 20])));
            let panic = catch_unwind(AssertUnwindSafe(|| without_leaks(work))).unwrap_err();
            let message = panic.downcast_ref::<String>().unwrap();
            assert!(
                message
                    .starts_with("expected that nothing is left behind, found:\n1 leak of 160 B: "),
                "{message}"
            );
        },
    );
}

mod attribute {
    use super::*;

    #[alloc_core::memory_test(graph = true)]
    fn nothing_is_left_behind() {
        drop(black_box(vec![1_u8; 100]));
    }

    #[alloc_core::memory_test(graph = true, leaked = 0)]
    fn with_a_limit_too() -> Result<(), std::num::ParseIntError> {
        let number: u32 = "7".parse()?;
        assert_eq!(number, 7);
        Ok(())
    }

    #[alloc_core::memory_test(graph = true)]
    #[should_panic(expected = "1 cycle of ")]
    fn a_cycle_fails() {
        let a = node();
        a.others.borrow_mut().push(a.clone());
    }
}
