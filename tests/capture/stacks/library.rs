//! Shapes of calls through the standard library and the C library.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::fmt;
use std::hint::black_box;
use std::ptr::null_mut;

use crate::panics::OnDrop;
use crate::shapes::{COMPARED, Shapes, call_compared, compare};

impl<'l> Shapes<'l> {
    /// A call through the C library and back.
    #[inline(never)]
    pub(crate) fn searching(&mut self, depth: usize) {
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        let numbers = [7_i32];
        // SAFETY: the array has one element of that size, and the function compares two.
        unsafe {
            libc::bsearch(
                numbers.as_ptr().cast(),
                numbers.as_ptr().cast(),
                1,
                size_of::<i32>(),
                Some(compare),
            )
        };
    }

    /// Recursion in the C library, which allocates for large elements.
    #[inline(never)]
    pub(crate) fn sorting(&mut self, depth: usize) {
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        let mut numbers = [[3_i32; 12], [1; 12], [2; 12]];
        // SAFETY: the array has three elements of that size, and the function compares two.
        unsafe {
            libc::qsort(
                numbers.as_mut_ptr().cast(),
                3,
                size_of_val(&numbers[0]),
                Some(compare),
            );
        };
    }

    /// A closure that the standard library calls from functions that are not inlined.
    #[inline(never)]
    pub(crate) fn comparing(&mut self, depth: usize) {
        let mut numbers = [3, 1, 2];
        let mut once = true;
        numbers.sort_by(|a, b| {
            if std::mem::take(&mut once) {
                self.call(depth - 1);
            }
            i32::cmp(a, b)
        });
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[inline(never)]
    pub(crate) fn formatting(&mut self, depth: usize) {
        struct Calls<'s, 'l>(RefCell<&'s mut Shapes<'l>>, usize);
        impl fmt::Display for Calls<'_, '_> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.borrow_mut().call(self.1 - 1);
                formatter.write_str("called")
            }
        }
        let text = format!("{:?} {}", [1], Calls(RefCell::new(self), depth));
        assert_eq!(text, "[1] called");
    }

    #[inline(never)]
    pub(crate) fn dropping(&mut self, depth: usize) {
        let shapes = RefCell::new(self);
        let boxed: Box<dyn Any> = Box::new(1);
        let guards: [Box<dyn Held + '_>; 1] = [Box::new((boxed, OnDrop(&shapes, depth)))];
        drop(black_box(guards));
    }

    #[inline(never)]
    pub(crate) fn once(&mut self, depth: usize) {
        unsafe extern "C" {
            fn pthread_once(once: *mut libc::c_int, run: extern "C" fn()) -> libc::c_int;
        }
        extern "C" fn run() {
            call_compared();
            black_box(());
        }
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        let mut once = 0;
        // SAFETY: `once` is zero, the value of `PTHREAD_ONCE_INIT`.
        assert_eq!(unsafe { pthread_once(&mut once, run) }, 0);
    }

    #[inline(never)]
    pub(crate) fn walking_a_tree(&mut self, depth: usize) {
        type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> i32;
        type Visit = unsafe extern "C" fn(*const c_void, libc::c_int, libc::c_int);
        unsafe extern "C" {
            fn tsearch(key: *const c_void, root: *mut *mut c_void, compare: Compare)
            -> *mut c_void;
            fn tdelete(key: *const c_void, root: *mut *mut c_void, compare: Compare)
            -> *mut c_void;
            fn twalk(root: *const c_void, visit: Visit);
        }
        unsafe extern "C" fn visit(_: *const c_void, _: libc::c_int, _: libc::c_int) {
            call_compared();
        }
        let numbers = [2_i32, 1, 3];
        let mut root = null_mut();
        for number in &numbers {
            // SAFETY: each element is a number, and outlives the tree.
            unsafe { tsearch((&raw const *number).cast(), &mut root, compare) };
        }
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        // SAFETY: `root` is the tree that was built above.
        unsafe { twalk(root, visit) };
        for number in &numbers {
            // SAFETY: each element is a number, and in the tree.
            unsafe { tdelete((&raw const *number).cast(), &mut root, compare) };
        }
        assert!(root.is_null());
    }
}

/// Something that is dropped behind a pointer.
trait Held {}

impl<T> Held for T {}
