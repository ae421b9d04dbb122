//! A program without the allocator cannot be traced, and gets an error.

alloc_tests::tests![says_so, main_says_so, nothing_is_measured];

fn says_so() {
    let error = alloc_core::start().unwrap_err();
    assert!(error.is_not_installed(), "{error}");
    let message = error.to_string();
    assert!(message.contains("#[global_allocator]"), "{message}");
    assert!(!alloc_core::is_tracing());
    assert_eq!(alloc_core::traced_memory(), Default::default());
    assert_eq!(alloc_core::traceback_limit(), None);
    // Both errors are true: tracing is off, and cannot be on.
    let error = alloc_core::take_snapshot().unwrap_err();
    assert!(
        error.is_not_tracing() || error.is_not_installed(),
        "{error}"
    );
    alloc_core::clear_traces();
    alloc_core::reset_peak();
    alloc_core::stop();
    let block = Box::new(1);
    assert!(alloc_core::traceback_of(&*block).is_none());
}

/// A `main` that returns an error prints it by `Debug`.
fn main_says_so() {
    let output = alloc_tests::program(env!("CARGO_BIN_EXE_uninstalled"), &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Error: the global allocator of this program is not alloc_core::TraceAlloc: expected \
         `#[global_allocator] static ALLOC: TraceAlloc = TraceAlloc::system();` in the program; \
         each file in `tests/` is a program of its own, and so is each example and benchmark\n"
    );
}

fn nothing_is_measured() {
    let error = alloc_core::try_measure(|| Box::new(1)).unwrap_err();
    assert!(error.is_not_installed(), "{error}");
    assert!(alloc_core::Scope::enter_with_stacks().is_err());
    assert!(alloc_core::ScopeHandle::new().is_err());
    for budget in [alloc_core::Budget::new, alloc_core::Budget::with_stacks] {
        let error = budget(1 << 20).unwrap_err();
        assert!(error.is_not_installed(), "{error}");
    }
    std::panic::set_hook(Box::new(|_| {}));
    let work: [fn(); 2] = [
        || _ = alloc_core::assert_no_alloc!(1 + 1),
        || _ = alloc_core::assert_size_matches!(|it: &Vec<u8>| it.capacity(), || vec![0_u8; 9]),
    ];
    for work in work {
        let panic = std::panic::catch_unwind(work).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(
            message.starts_with("cannot measure: the global allocator"),
            "{message}"
        );
    }
    drop(std::panic::take_hook());
}
