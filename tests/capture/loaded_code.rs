//! Stacks through libraries that are opened, closed and replaced at the same addresses, and on
//! stacks that are not the thread's own.

use std::alloc::Layout;
use std::ffi::{CString, c_void};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Config, TraceAlloc, start_with, traceback_of};
use alloc_tests::Tool;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
alloc_tests::tests![
    libraries_replaced_at_the_same_address,
    libraries_at_one_address_have_their_own_counters,
    libraries_at_one_address_have_their_own_names,
    a_library_that_is_gone_without_its_file_is_named_as_such,
    handlers_on_the_normal_and_on_an_alternate_stack,
    a_stack_that_was_switched,
];

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
alloc_tests::tests![];

/// `enter(call, argument)` calls back from a frame of `SIZE` bytes. The instructions have the same
/// length for every size, so the return address is the same in all libraries.
const SOURCE: &str = r#"
    .text
    .globl enter
    .type enter, @function
enter:
    .cfi_startproc
    .byte 0x48, 0x81, 0xec
    .long SIZE
    .cfi_def_cfa_offset SIZE + 8
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
    .byte 0x48, 0x81, 0xc4
    .long SIZE
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size enter, . - enter
    .section .note.GNU-stack, "", @progbits
"#;

type Call = unsafe extern "C" fn(*mut c_void);
type Enter = unsafe extern "C" fn(Call, *mut c_void);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
unsafe extern "C" {
    fn enter_below_0(enter: Enter, call: Call, argument: *mut c_void, below: usize);
    fn enter_below_1(enter: Enter, call: Call, argument: *mut c_void, below: usize);
    fn enter_below_2(enter: Enter, call: Call, argument: *mut c_void, below: usize);
    fn enter_below_3(enter: Enter, call: Call, argument: *mut c_void, below: usize);
    fn enter_below_4(enter: Enter, call: Call, argument: *mut c_void, below: usize);
}

/// Each calls `enter(call, argument)` with the stack pointer `below` bytes further down. There is
/// one for each library: a stale unwind rule leads to words that the last library left behind,
/// which only the address of its caller exposes.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const CALLERS: [unsafe extern "C" fn(Enter, Call, *mut c_void, usize); 5] = [
    enter_below_0,
    enter_below_1,
    enter_below_2,
    enter_below_3,
    enter_below_4,
];

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
std::arch::global_asm!(
    ".irp caller, 0, 1, 2, 3, 4",
    ".globl enter_below_\\caller",
    "enter_below_\\caller:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "sub rsp, rcx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "call rax",
    "mov rsp, rbp",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    ".endr",
);

/// A library whose frame has `size` bytes, with a build id or without.
struct Library {
    path: CString,
    size: usize,
}

impl Library {
    fn build(folder: &Path, size: usize, build_id: &str) -> Option<Library> {
        Library::build_of(SOURCE, folder, size, build_id)
    }

    fn build_of(text: &str, folder: &Path, size: usize, build_id: &str) -> Option<Library> {
        let source = folder.join("enter.S");
        std::fs::write(&source, text).unwrap();
        let path = folder.join(format!("enter-{size}-{build_id}.so"));
        let status = Tool("cc")
            .command("--version")?
            .args(["-shared", "-fPIC", "-nostdlib", "-o"])
            .arg(&path)
            .arg(format!("-DSIZE={size}"))
            .arg(format!("-Wl,--build-id={build_id}"))
            .arg(&source)
            .status()
            .unwrap();
        assert!(status.success());
        let path = CString::new(path.to_str().unwrap()).unwrap();
        Some(Library { path, size })
    }

    /// Runs `call` through the library while it is open, and returns the address of its function.
    fn with<R>(&self, call: impl FnOnce(Enter) -> R) -> (usize, R) {
        // SAFETY: the library has no constructors.
        let library = unsafe { libc::dlopen(self.path.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null());
        // SAFETY: the library is open, and the name ends in a zero.
        let enter = unsafe { libc::dlsym(library, c"enter".as_ptr()) };
        assert!(!enter.is_null());
        // SAFETY: the function has that type.
        let result = call(unsafe { std::mem::transmute::<*mut c_void, Enter>(enter) });
        // SAFETY: none of the library's functions is running.
        assert_eq!(unsafe { libc::dlclose(library) }, 0);
        (enter.addr(), result)
    }
}

/// A call through a library, or through two, which captures the stack twice at the end.
struct Visit {
    enter: [Enter; 2],
    left: usize,
    below: [usize; 2],
    /// An index into [`CALLERS`].
    caller: usize,
    checked: bool,
}

unsafe extern "C" fn call_back(visit: *mut c_void) {
    // SAFETY: the library passes `visit` on, and its owner waits.
    let visit = unsafe { &mut *visit.cast::<Visit>() };
    if visit.left > 0 {
        return go_in(visit);
    }
    check(visit.enter[0] as usize);
    check(visit.enter[1] as usize);
    visit.checked = true;
}

#[inline(never)]
fn go_in(visit: &mut Visit) {
    visit.left -= 1;
    let (enter, below) = (visit.enter[visit.left], visit.below[visit.left]);
    let enter_below = CALLERS[visit.caller];
    let argument: *mut Visit = visit;
    // SAFETY: the function has this type, and passes the argument on to the call.
    unsafe { enter_below(enter, call_back, argument.cast(), below) };
    black_box(());
}

/// The return addresses that the tracer captured for a new block here.
#[inline(always)]
fn captured() -> Vec<u64> {
    let block = Box::new(black_box([1_u8; 24]));
    let traceback = traceback_of(&raw const *block).expect("tracing is on");
    assert!(!traceback.is_broken() && !traceback.is_truncated());
    let own = traceback.iter().filter(|frame| !frame.is_inlined());
    own.map(|frame| frame.address()).collect()
}

/// Checks that the captured stack equals the truth from the library's innermost frame outwards.
#[inline(never)]
fn check(enter: usize) {
    let mut truth = Vec::new();
    backtrace::trace(|frame| {
        truth.push(frame.ip().addr() as u64);
        true
    });
    truth.retain(|&address| address != 0);
    let captured = captured();
    let in_library = |&address: &u64| (address as usize).wrapping_sub(enter) < 64;
    let from = |stack: &[u64]| stack.iter().position(in_library);
    let (in_truth, in_captured) = (from(&truth), from(&captured));
    let truth = &truth[in_truth.expect("the library is on the stack")..];
    assert!(truth.len() > 5);
    let captured = &captured[in_captured.expect("the library was captured")..];
    assert_eq!(captured, truth);
}

fn libraries_replaced_at_the_same_address() {
    let folder = std::env::temp_dir().join(format!("alloc-tests-loaded-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut libraries = Vec::new();
    for (size, build_id) in [
        (24, "sha1"),
        (4_104, "sha1"),
        (40, "none"),
        (1_032, "none"),
        (20_008, "sha1"),
    ] {
        let Some(library) = Library::build(&folder, size, build_id) else {
            std::fs::remove_dir_all(&folder).unwrap();
            return;
        };
        libraries.push(library);
    }
    start_with(Config::default().frames(1_000)).unwrap();

    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, Relaxed);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !STOP.load(Relaxed) {
                    let text: Vec<String> = (0..100).map(|n: u32| n.to_string()).collect();
                    black_box(text);
                }
            });
        }
        let (mut last, mut replaced, mut visits) = (0, 0, 0);
        // The callback has its frame at the same address in every round, so far down that nothing
        // overwrites what the last library left there, or the loader's frames. This thread
        // allocates nothing in between: a walk from further out would evict the previous stack.
        for (total, left) in [(400_000, 1), (400_000, 2), (30_000, 1), (30_000, 2)] {
            for round in 0..100 {
                let caller = (round * 7 + round / 5) % libraries.len();
                let library = &libraries[caller];
                let (place, ()) = library.with(|enter| {
                    let mut visit = Visit {
                        enter: [enter; 2],
                        left,
                        below: [(total - library.size) & !15; 2],
                        caller,
                        checked: false,
                    };
                    go_in(&mut visit);
                    assert!(visit.checked);
                });
                replaced += usize::from(place == last);
                last = place;
                visits += 1;
            }
        }
        STOP.store(true, Relaxed);
        assert!(
            replaced > visits / 8,
            "a library came to the place of the one before {replaced} times of {visits}"
        );
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A library at the address of an earlier one, with a frame of the same size, has its own counters.
/// A library that is loaded again gets its earlier counters back.
fn libraries_at_one_address_have_their_own_counters() {
    static BLOCK: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn make(_: *mut c_void) {
        BLOCK.store(
            Box::into_raw(black_box(Box::new([3_u8; 56]))) as usize,
            Relaxed,
        );
    }
    let folder = std::env::temp_dir().join(format!("alloc-tests-{}-apart", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Libraries without a build id are distinguished by their paths.
    for (size, ids) in [(72, ["0x11223344", "0x55667788"]), (56, ["none"; 2])] {
        let libraries = [0, 1].map(|at| {
            let folder = folder.join(at.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            Library::build(&folder, size, ids[at])
        });
        let [Some(first), Some(second)] = libraries else {
            return;
        };
        start_with(Config::default()).unwrap();
        let mut places = Vec::new();
        // The compiler does not know the number of turns, so all calls are from one place.
        for library in black_box(vec![&first, &second, &first, &first, &second]) {
            // SAFETY: the function has this type, and calls back.
            let (place, ()) = library.with(|enter| unsafe { enter(make, std::ptr::null_mut()) });
            places.push(place);
        }
        // If the system loads them elsewhere, there is nothing to compare.
        if places.iter().all(|place| *place == places[0]) {
            let snapshot = alloc_core::take_snapshot().unwrap();
            let is_one = |trace: &&alloc_core::Trace| {
                let names = trace.traceback.iter().filter_map(|frame| frame.function());
                names.into_iter().any(|name| name.ends_with("::make"))
            };
            let traces = snapshot.traces().iter().filter(is_one);
            let mut blocks: Vec<_> = traces.map(|it| it.counters.total.blocks).collect();
            blocks.sort();
            assert_eq!(blocks, [2, 3], "{ids:?}");
        }
        alloc_core::stop();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The names of one library are not used for another at the same address.
fn libraries_at_one_address_have_their_own_names() {
    static BLOCK: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn make(_: *mut c_void) {
        let block = Box::into_raw(black_box(Box::new([3_u8; 88])));
        BLOCK.store(block as usize, Relaxed);
    }
    let folder = std::env::temp_dir().join(format!("alloc-tests-{}-names", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    start_with(Config::default()).unwrap();
    let names = ["the_first", "another_one", "one_without"];
    // The function that is looked up jumps to one with its own name, which has the frame.
    for (name, build_id) in names.into_iter().zip(["0x1122", "0x3344", "none"]) {
        let source = SOURCE.replace("enter:", &format!("enter: jmp {name}\n{name}:"));
        let source = source.replace(".size enter", &format!(".size {name}"));
        let source = format!("{source}\n.text\n.type {name}, @function\n");
        let Some(library) = Library::build_of(&source, &folder, 72, build_id) else {
            return;
        };
        library.with(|enter| {
            // SAFETY: the function has this type, and calls back.
            unsafe { enter(make, std::ptr::null_mut()) };
            let block = std::ptr::without_provenance::<u8>(BLOCK.load(Relaxed));
            let traceback = traceback_of(block).unwrap();
            let names = traceback.iter().filter_map(|frame| frame.function());
            assert!(
                names.into_iter().any(|it| it == name),
                "{name}: {traceback}"
            );
        });
    }
    // All libraries are closed, and named by their files: in this process and from a snapshot file.
    let snapshot = alloc_core::take_snapshot().unwrap();
    let file = folder.join("snapshot.pb.gz");
    snapshot.dump(&file).unwrap();
    for snapshot in [snapshot, alloc_core::Snapshot::load(&file).unwrap()] {
        for name in names {
            let has = |trace: &alloc_core::Trace| {
                let mut functions = trace.traceback.iter().filter_map(|frame| frame.function());
                functions.any(|it| it == name)
            };
            let blocks = alloc_tests::sum_of(&snapshot, has).total.blocks;
            assert_eq!(blocks, 1, "{name}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A closed library whose file is deleted is named by the path of its file and the offset of the
/// code.
fn a_library_that_is_gone_without_its_file_is_named_as_such() {
    unsafe extern "C" fn make(_: *mut c_void) {
        drop(black_box(Box::new([3_u8; 104])));
    }
    let folder = std::env::temp_dir().join(format!("alloc-tests-{}-gone", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let Some(library) = Library::build(&folder, 88, "0x77") else {
        return;
    };
    start_with(Config::default()).unwrap();
    // SAFETY: the function has this type, and calls back.
    library.with(|enter| unsafe { enter(make, std::ptr::null_mut()) });
    std::fs::remove_dir_all(&folder).unwrap();
    let snapshot = alloc_core::take_snapshot().unwrap();
    let is_one = |trace: &alloc_core::Trace| {
        let mut frames = trace.traceback.iter().map(ToString::to_string);
        frames.any(|frame| frame.starts_with("enter-88-0x77.so+0x"))
    };
    let blocks = alloc_tests::sum_of(&snapshot, is_one).total.blocks;
    assert_eq!(blocks, 1, "{:?}", snapshot.traces());
}

/// The number of frames that a handler or a coroutine captured.
static FRAMES: AtomicUsize = AtomicUsize::new(0);
/// Whether the capture was on the thread's own stack.
static OWN_STACK: AtomicBool = AtomicBool::new(false);

#[inline(never)]
fn block_elsewhere() {
    for _ in 0..3 {
        let block = Box::new(black_box([2_u8; 40]));
        let traceback = traceback_of(&raw const *block).expect("it is recorded");
        // Only one page of a foreign stack is known to be mapped, so the captured stack may be too
        // short to contain a frame of the program.
        let is_ours = |name: &str| name.contains("block_elsewhere");
        let mut names = traceback.iter().filter_map(|frame| frame.function());
        assert!(
            !OWN_STACK.load(Relaxed) || names.any(is_ours),
            "{traceback}"
        );
        FRAMES.store(traceback.len(), Relaxed);
    }
}

extern "C" fn on_signal(_: libc::c_int) {
    block_elsewhere();
}

fn handlers_on_the_normal_and_on_an_alternate_stack() {
    start_with(Config::default().frames(1_000)).unwrap();
    // The handler finds symbols, which needs more than a page.
    const ROOM: usize = 1 << 20;
    let layout = Layout::from_size_align(ROOM, 4096).unwrap();
    // SAFETY: the size is not zero.
    let room = unsafe { std::alloc::alloc(layout) };
    let stack = libc::stack_t {
        ss_sp: room.cast(),
        ss_flags: 0,
        ss_size: ROOM,
    };
    // SAFETY: the memory is never freed.
    let failed = unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
    assert_eq!(failed, 0);
    for flags in [0, libc::SA_ONSTACK, 0, libc::SA_ONSTACK] {
        // SAFETY: all zeros are a valid `sigaction`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(libc::c_int) = on_signal;
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = flags;
        // SAFETY: only `raise` below runs the handler, at a point where it may allocate.
        let failed = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
        assert_eq!(failed, 0);
        FRAMES.store(0, Relaxed);
        OWN_STACK.store(flags == 0, Relaxed);
        for _ in 0..10 {
            // SAFETY: the function has no preconditions.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
            // The thread's own stack is whole afterwards.
            assert!(captured().len() > 5);
        }
        assert!(FRAMES.load(Relaxed) > 0);
    }
}

fn a_stack_that_was_switched() {
    start_with(Config::default().frames(1_000)).unwrap();
    const ROOM: usize = 1 << 20;
    // The other stack is on the heap, or within the thread's own stack.
    let mut on_heap = vec![0_u8; ROOM];
    let mut on_stack = [0_u8; ROOM];
    for room in [&mut on_heap[..], &mut on_stack[..]].map(|room| room.as_mut_ptr()) {
        for _ in 0..10 {
            FRAMES.store(0, Relaxed);
            OWN_STACK.store(false, Relaxed);
            switch_to(room, ROOM);
            assert!(FRAMES.load(Relaxed) > 0);
        }
    }
}

fn switch_to(room: *mut u8, size: usize) {
    extern "C" fn run() {
        block_elsewhere();
    }
    // SAFETY: all zeros are a valid `ucontext_t`, which is filled in below.
    let mut here: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: all zeros are a valid `ucontext_t`, which is filled in below.
    let mut there: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: `there` is a valid place for a context.
    assert_eq!(unsafe { libc::getcontext(&mut there) }, 0);
    there.uc_stack.ss_sp = room.cast();
    there.uc_stack.ss_size = size;
    there.uc_link = &mut here;
    // SAFETY: the context has its own stack, and the function has no arguments.
    unsafe { libc::makecontext(&mut there, run, 0) };
    // SAFETY: both contexts are valid, and the function returns to `here`.
    assert_eq!(unsafe { libc::swapcontext(&mut here, &there) }, 0);
}
