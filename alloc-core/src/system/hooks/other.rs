//! Systems that are not Unix: the minimum, or nothing.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::{ForkHandlers, SystemName};

static THREAD_END: OnceLock<unsafe extern "C" fn(*mut c_void)> = OnceLock::new();

struct AtEnd(Cell<Option<NonNull<()>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let (Some(data), Some(thread_end)) = (self.0.get(), THREAD_END.get()) {
            // SAFETY: `thread_end` is the registered callback, and `data` is what the thread
            // passed.
            unsafe { thread_end(data.as_ptr().cast()) };
        }
    }
}

thread_local! {
    static AT_END: AtEnd = const { AtEnd(Cell::new(None)) };
}

pub(crate) fn prepare(
    thread_end: unsafe extern "C" fn(*mut c_void),
    _: &'static ForkHandlers,
) -> bool {
    let _ = THREAD_END.set(thread_end);
    true
}

pub(crate) fn call_at_thread_end(data: NonNull<()>) -> bool {
    AT_END.try_with(|end| end.0.set(Some(data))).is_ok()
}

pub(crate) fn register_barrier() {}

pub(crate) fn stay_loaded() {}

pub(crate) fn call_at_exit(_: extern "C" fn()) -> bool {
    false
}

pub(crate) fn environment(_: &std::ffi::CStr) -> Option<&'static std::ffi::CStr> {
    None
}

pub(crate) fn for_each_variable(_: impl FnMut(&std::ffi::CStr)) {}

pub(crate) fn working_directory(_: &mut [u8]) -> Option<usize> {
    None
}

/// NOTE: no variable can request it.
pub(crate) fn host_name() -> Vec<u8> {
    Vec::new()
}

pub(crate) fn monotonic_time() -> std::time::Duration {
    std::time::Duration::ZERO
}

pub(crate) fn errno() -> i32 {
    0
}

pub(crate) fn set_errno(_: i32) {}

/// NOTE: the name is unknown.
pub(crate) fn thread_name() -> SystemName {
    SystemName::default()
}

pub(crate) fn write_to_stderr(parts: &[&str]) {
    use std::io::Write;
    for part in parts {
        let _ = std::io::stderr().write_all(part.as_bytes());
    }
}

pub(crate) fn exit_at_once(status: i32) -> ! {
    std::process::exit(status)
}

pub(crate) fn granule_of_system() -> usize {
    8
}

pub(crate) const KNOWS_USABLE_SIZES: bool = false;

/// # Safety
///
/// None: nothing is known.
pub(crate) unsafe fn usable_size(_: *const u8) -> Option<usize> {
    None
}
