//! Placeholder while the rooms are being built.
mod allocator;
mod arena;
mod blocks;
mod callsites;
mod capture;
mod control;
mod counters;
mod error;
mod hooks;
mod numbers;
mod recorded;
mod startup;
mod sync;
mod thread;
mod tracer;
mod words;

pub use allocator::TraceAlloc;
pub use capture::CaptureMethod;
pub use control::Config;
pub use error::Error;
pub use numbers::{Amount, Bytes, Counters, Health, TracedMemory};

#[cfg(test)]
#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn snapshot_at_exit(_path: &std::path::Path) -> Result<(), Error> {
    Ok(())
}

/// start
pub fn start() -> Result<(), Error> {
    start_with(Config::default())
}
/// start
pub fn start_with(config: Config) -> Result<(), Error> {
    control::start_with(config)
}
/// stop
pub fn stop() {
    control::stop()
}
/// on
pub fn is_tracing() -> bool {
    control::is_on()
}
/// clear
pub fn clear_traces() {
    control::clear_traces()
}
/// mem
pub fn traced_memory() -> TracedMemory {
    control::traced_memory()
}
/// reset
pub fn reset_peak() {
    control::reset_peak()
}
/// mem
pub fn tracer_memory() -> Bytes {
    control::tracer_memory()
}
/// limit
pub fn traceback_limit() -> Option<u16> {
    control::traceback_limit()
}
/// method
pub fn capture_method() -> Option<CaptureMethod> {
    control::capture_method()
}
/// dbg
#[doc(hidden)]
pub fn debug_dump() {
    let r = recorded::Recorded::read().unwrap();
    println!(
        "{:?} {:?} {} callsites",
        r.heap,
        r.health,
        r.callsites.len()
    );
    for c in r.callsites.iter().take(5) {
        println!("{:?} {:?}", c.counters, c.stack_end);
        for a in &r.addresses[c.stack.clone()] {
            backtrace::resolve(*a as *mut _, |s| {
                println!("   {:?} {:?}:{:?}", s.name(), s.filename(), s.lineno())
            });
        }
    }
    let _ = recorded::stack_of(0);
}
