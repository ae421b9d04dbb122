//! Checks its own stacks, with holes between the segments of the program: see `build.rs`.

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[inline(never)]
fn kept() -> Box<[u8; 24]> {
    Box::new(std::hint::black_box([1; 24]))
}

fn main() {
    alloc_core::start().expect("tracing starts");
    let block = kept();
    let traceback = alloc_core::traceback_of(&raw const *block).expect("it is traced");
    assert!(!traceback.is_broken(), "{traceback}");
    let functions: Vec<_> = traceback.iter().filter_map(|it| it.function()).collect();
    for function in ["holes::kept", "holes::main"] {
        assert!(functions.contains(&function), "{functions:?}");
    }
    println!("{traceback}");
}
