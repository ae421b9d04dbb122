//! The example `heap`: what its graphs say of each case.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

/// Runs a case, and checks that its output has these lines, in order, each as a part of one.
#[track_caller]
fn check(case: &str, expected: &[&str]) -> String {
    let output = support::example("heap")
        .arg(case)
        .output()
        .expect("cargo runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {error}");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text.lines();
    for part in expected {
        assert!(
            lines.any(|line| line.contains(part)),
            "expected {part:?} in order in\n{text}"
        );
    }
    text
}

#[test]
fn counts_go_up_and_down_with_handles() {
    check(
        "counts",
        &[
            "one handle: 1 strong, 0 weak",
            "two clones: 3 strong, 0 weak",
            "dropped: 1 strong, 0 weak",
            "watched by a Weak: 1 strong, 1 weak",
            "only the Weak is left: 0 strong, 1 weak",
            "only Weak is left: ",
        ],
    );
}

#[test]
fn a_cycle_of_two_is_certain_and_drawn() {
    check(
        "cycle",
        &[
            "1 cycles",
            "certain: Rc<Node> -> Rc<Node> -> Rc<Node>",
            "Node> at examples/heap/counted.rs:",
        ],
    );
}

#[test]
fn a_child_that_owns_its_parent_is_a_cycle() {
    check(
        "parent_and_child",
        &["certain: Rc<Parent> -> Vec<Rc<Child>> -> Rc<Child> -> Rc<Parent>"],
    );
}

#[test]
fn with_a_weak_parent_nothing_is_said() {
    let text = check("weak_parent", &["0 cycles", "0 leaks"]);
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn a_cache_without_a_bound_is_found_by_its_static() {
    check(
        "cache",
        &[
            "1000 blocks of Box<holders::Answer>, 1000000 B: static heap::holders::CACHE",
            "the first root: static heap::holders::CACHE, ",
        ],
    );
}

#[test]
fn handlers_hold_their_windows() {
    check(
        "handlers",
        &[
            "10 blocks of Arc<holders::Window>, 500160 B: static heap::holders::HANDLERS",
            "the first root: static heap::holders::HANDLERS, ",
        ],
    );
}

#[test]
fn a_global_that_grows_is_in_the_difference() {
    check(
        "global",
        &[
            "static heap::holders::LOG",
            "+3,000  grown  String",
            "static heap::holders::LOG",
        ],
    );
}

#[test]
fn a_closure_that_holds_a_large_buffer_is_found() {
    check(
        "closure",
        &["1 blocks of Vec<u64>, 1048576 B: static heap::holders::JOB"],
    );
}

#[test]
fn a_value_held_to_the_end_of_a_function_is_on_its_stack() {
    check(
        "long_function",
        &["1 blocks of Vec<u8>, 1048576 B: the stack of long_function in holders::long_function"],
    );
}

#[test]
fn equal_strings_are_counted() {
    check(
        "equal_strings",
        &[
            "1000 copies of 48 B: 47952 B would be saved",
            "1000 copies of 44 B",
            "1000 copies of 40 B",
        ],
    );
}

#[test]
fn a_value_is_small_alone_and_large_with_what_it_holds() {
    let text = check("deep_size", &["alone 24 B, with all that it holds 40"]);
    // Five vectors of 8000 bytes, the box, and one leaf of the tree.
    let deep: u64 = text
        .split_whitespace()
        .rev()
        .nth(1)
        .and_then(|it| it.parse().ok())
        .expect("a number");
    assert!((40_024..41_000).contains(&deep), "{text}");
}

#[test]
fn most_objects_die_young() {
    check(
        "young",
        &["9990 of 10000 strings were freed before 64 KiB more were allocated, 10 live"],
    );
}
