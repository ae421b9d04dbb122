//! jemalloc with `jemalloc_pprof`, which makes a profile with addresses in the process. The
//! environment turns profiling on. The argument is a number of callsites.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: Jemalloc = Jemalloc;

fn main() {
    let callsites = std::env::args().nth(1).and_then(|it| it.parse().ok());
    let control = jemalloc_pprof::PROF_CTL.as_ref().expect("profiling is on");
    let scrape = || {
        let profile = control.blocking_lock().dump_pprof();
        profile.expect("a profile").len()
    };
    alloc_benches::serving::run("jemalloc_pprof", callsites.expect("a number"), scrape);
}
