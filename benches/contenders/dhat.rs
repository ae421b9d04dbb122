//! dhat-rs: every allocation, with 32 frames.

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

fn main() {
    let begin = || {
        let profiler = dhat::Profiler::builder().trim_backtraces(Some(32)).build();
        // Its drop would write a file.
        std::mem::forget(profiler);
    };
    alloc_benches::contender::run(begin, |_| ());
}
