//! Shapes of calls that panic and unwind.

use std::cell::RefCell;
use std::ffi::c_void;
use std::hint::black_box;
use std::panic::{self, AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::ptr::null_mut;
use std::sync::LazyLock;

use crate::c_functions::Library;
use crate::shapes::{HOOKED, Shapes};

impl Shapes<'_> {
    /// Destructors call while the stack is unwound, one after another.
    #[inline(never)]
    pub(crate) fn panicking(&mut self, depth: usize) {
        #[inline(never)]
        fn throw(guard: &OnDrop<'_, '_, '_>, levels: usize) {
            let OnDrop(shapes, depth) = *guard;
            let _guard = (levels == 1).then(|| OnDrop(shapes, depth / 2 + 1));
            match levels {
                0 if depth.is_multiple_of(2) => panic_any(Thrown),
                0 => resume_unwind(Box::new(Thrown)),
                _ => throw(guard, levels - 1),
            }
            black_box(levels);
        }
        let shapes = RefCell::new(self);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let guard = OnDrop(&shapes, depth);
            throw(&guard, 3);
        }));
        assert!(result.unwrap_err().is::<Thrown>());
    }

    #[inline(never)]
    pub(crate) fn panicking_through_c(&mut self, depth: usize) {
        unsafe extern "C-unwind" fn throw(_: *mut c_void) {
            panic_any(Thrown);
        }
        if self.libraries.is_empty() {
            return self.panicking(depth);
        }
        let at = self.below(self.libraries.len());
        let function = self.below(Library::FUNCTIONS.len());
        let call = self.libraries[at].functions[function];
        let shapes = RefCell::new(self);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _guard = OnDrop(&shapes, depth);
            // SAFETY: the function is one of `functions.c`, which is compiled with unwind tables.
            unsafe { call(throw, null_mut(), 100) };
        }));
        assert!(result.unwrap_err().is::<Thrown>());
    }

    /// A leaf in the hook that a panic calls before it unwinds.
    #[inline(never)]
    pub(crate) fn hooking(&mut self, depth: usize) {
        HOOKED.set(Some(std::ptr::from_mut(self).cast()));
        let result = catch_unwind(|| panic_any(Thrown));
        assert!(result.unwrap_err().is::<Thrown>());
        HOOKED.set(None);
        self.call(depth - 1);
    }

    /// The inner panic is caught inside, and the outer one passes through.
    #[inline(never)]
    pub(crate) fn catching(&mut self, depth: usize) {
        let shapes = RefCell::new(self);
        let outer = catch_unwind(AssertUnwindSafe(|| {
            let _guard = OnDrop(&shapes, depth);
            let inner = catch_unwind(AssertUnwindSafe(|| {
                let _guard = OnDrop(&shapes, depth.saturating_sub(2).max(1));
                panic_any(Thrown);
            }));
            resume_unwind(inner.unwrap_err());
        }));
        assert!(outer.unwrap_err().is::<Thrown>());
    }
}

/// The payload of the panics of these tests, which are not printed.
pub(crate) struct Thrown;

pub(crate) static QUIET: LazyLock<()> = LazyLock::new(|| {
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if let Some(shapes) = HOOKED.take() {
            // SAFETY: the pointer was set by a caller that waits for this call.
            unsafe { &mut *shapes.cast::<Shapes<'_>>() }.leaf();
        }
        if !panic.payload().is::<Thrown>() {
            say(panic);
        }
    }));
});

pub(crate) struct OnDrop<'r, 's, 'l>(pub(crate) &'r RefCell<&'s mut Shapes<'l>>, pub(crate) usize);

impl Drop for OnDrop<'_, '_, '_> {
    fn drop(&mut self) {
        self.0.borrow_mut().call(self.1 - 1);
        black_box(());
    }
}
