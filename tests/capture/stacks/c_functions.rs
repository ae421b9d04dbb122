//! Shapes of calls through C functions, in libraries that are compiled for these tests.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::ptr::with_exposed_provenance_mut;
use std::sync::LazyLock;

use alloc_core::{Config, start_with};
use alloc_tests::Tool;

use crate::compare::check;
use crate::shapes::Shapes;
use crate::{ALL, check_health};

impl Shapes<'_> {
    #[inline(never)]
    pub(crate) fn own_c(&mut self, depth: usize) {
        if self.libraries.is_empty() {
            return self.plain::<4>(depth);
        }
        let at = self.below(self.libraries.len());
        let function = self.below(Library::FUNCTIONS.len());
        let size = 1 + self.below(9000);
        self.through_own_c(depth, at, function, size);
    }

    pub(crate) fn through_own_c(
        &mut self,
        depth: usize,
        library: usize,
        function: usize,
        size: usize,
    ) {
        let call = self.libraries[library].functions[function];
        let mut called = (self, depth);
        // SAFETY: the function is one of `functions.c`. It passes the pointer on, which outlives
        // the call.
        unsafe { call(call_back, (&raw mut called).cast(), size) };
    }
}

pub(crate) fn each_c_function_at_each_optimization() {
    start_with(Config::default().frames(ALL)).unwrap();
    let libraries = Library::all();
    let mut shapes = Shapes::new(41, usize::MAX, &libraries);
    for at in 0..libraries.len() {
        for function in 0..Library::FUNCTIONS.len() {
            for size in [16, 100, 5000, 70_000] {
                shapes.through_own_c(1, at, function, size);
                shapes.through_own_c(2, at, function, size);
            }
        }
    }
    for leaf in &shapes.leaves {
        check(leaf, ALL);
    }
    check_health();
}

/// A library is unloaded, and the next one, with other frames, is loaded at its addresses.
pub(crate) fn libraries_that_come_and_go() {
    start_with(Config::default().frames(ALL)).unwrap();
    let Some(files) = &*FILES else { return };
    let mut places = HashMap::new();
    for round in 0..3 {
        for file in files {
            let library = Library::open(file);
            let place = library.functions[0] as usize & !0xFFF;
            *places.entry(place).or_insert(0) += 1;
            let libraries = [library];
            let mut shapes = Shapes::new(51 + round, usize::MAX, &libraries);
            for function in 0..Library::FUNCTIONS.len() {
                shapes.through_own_c(2, 0, function, 100);
            }
            for leaf in &shapes.leaves {
                check(leaf, ALL);
            }
            drop(shapes);
            let [library] = libraries;
            library.close();
        }
    }
    // Otherwise the test would prove nothing.
    assert!(places.values().any(|&times| times > 1), "{places:?}");
    check_health();
}

unsafe extern "C-unwind" fn call_back(called: *mut c_void) {
    // SAFETY: `through_own_c` passes the pointer, and waits for this call.
    let (shapes, depth) = unsafe { &mut *called.cast::<(&mut Shapes<'_>, usize)>() };
    shapes.call(*depth - 1);
    black_box(());
}

pub(crate) type CallBack = unsafe extern "C-unwind" fn(*mut c_void);

pub(crate) type CFunction = unsafe extern "C-unwind" fn(CallBack, *mut c_void, usize);

const SOURCE: &str = include_str!("functions.c");

/// A library of [`SOURCE`], loaded into this process.
pub(crate) struct Library {
    /// The loader's handle, as a number.
    handle: usize,
    pub(crate) functions: [CFunction; Library::FUNCTIONS.len()],
}

impl Library {
    pub(crate) const FUNCTIONS: [&str; 6] = [
        "plain",
        "with_alloca",
        "with_array",
        "with_arguments_on_the_stack",
        "in_the_end",
        "aligned",
    ];

    /// One library for each optimization, or none where there is no C compiler.
    pub(crate) fn all() -> Vec<Library> {
        let files = FILES.as_deref().unwrap_or_default();
        files.iter().map(Library::open).collect()
    }

    pub(crate) fn open(file: &CString) -> Library {
        // SAFETY: the library has no initializers.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{file:?} cannot be loaded");
        let handle = handle.expose_provenance();
        let functions = Library::FUNCTIONS.map(|name| symbol(handle, name));
        Library { handle, functions }
    }

    pub(crate) fn close(self) {
        // SAFETY: from `dlopen`, and none of its functions is running.
        let failed = unsafe { libc::dlclose(with_exposed_provenance_mut(self.handle)) };
        assert_eq!(failed, 0);
    }
}

pub(crate) fn symbol(handle: usize, name: &str) -> CFunction {
    let name = CString::new(name).unwrap();
    // SAFETY: the library is open, and the name ends in a zero.
    let address = unsafe { libc::dlsym(with_exposed_provenance_mut(handle), name.as_ptr()) };
    assert!(!address.is_null(), "{name:?} is missing");
    // SAFETY: all functions of the source have this type.
    unsafe { std::mem::transmute::<*mut c_void, CFunction>(address) }
}

/// The libraries, one for each set of flags. `None` without a C compiler, and on other processors:
/// there the tests may run under emulation, and the compiler is the host's.
pub(crate) static FILES: LazyLock<Option<Vec<CString>>> = LazyLock::new(|| {
    if !cfg!(target_arch = "x86_64") {
        alloc_tests::skip("the C functions are compiled for x86-64 only");
        return None;
    }
    let flags: [&[&str]; 4] = [
        &["-O0"],
        &["-O2", "-fomit-frame-pointer"],
        &["-O2", "-fno-omit-frame-pointer"],
        &["-Os", "-fno-stack-protector", "-mno-red-zone"],
    ];
    let files = flags.iter().enumerate();
    files
        .map(|(at, flags)| compile(&format!("stacks-{at}"), flags))
        .collect()
});

/// Compiles [`SOURCE`] to a library.
fn compile(name: &str, flags: &[&str]) -> Option<CString> {
    let mut compiler = Tool("cc").command("--version")?;
    // The process id keeps the file apart from those of tests that run at the same time.
    let base = format!(
        "{}/{name}-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let (source, library) = (format!("{base}.c"), format!("{base}.so"));
    std::fs::write(&source, SOURCE).unwrap();
    compiler
        .args(flags)
        .args(["-g1", "-shared", "-fPIC", "-o", &library, &source]);
    let status = compiler.status().unwrap();
    assert!(status.success(), "{compiler:?}: {status}");
    Some(CString::new(library).unwrap())
}
