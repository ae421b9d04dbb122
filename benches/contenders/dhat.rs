//! dhat-rs: every allocation, with 32 frames.

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

fn main() {
    let begin = || {
        let profiler = dhat::Profiler::builder().trim_backtraces(Some(32)).build();
        // Dropping it would write its file, which is neither measured nor wanted here.
        std::mem::forget(profiler);
    };
    alloc_benches::contender::run(begin, |_| ());
}
