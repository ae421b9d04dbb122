//! heapscope: every allocation with 32 frames, or a sample every 512 KiB. It needs frame pointers.

use std::env;

use alloc_benches::contender::{self, MODE};
use heapscope::{Alloc, Profiler};

#[global_allocator]
static ALLOC: Alloc = Alloc::system();

fn main() {
    let begin = || {
        let interval = match env::var(MODE) {
            Ok(_) => 512 << 10,
            Err(_) => 0,
        };
        let builder = Profiler::builder().no_output().max_depth(32);
        let profiler = builder.sampling(interval).build();
        // Its drop would read its tables.
        std::mem::forget(profiler.expect("it is installed, and built with frame pointers"));
    };
    contender::run(begin, |_| ());
}
