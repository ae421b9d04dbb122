//! [`StackBounds`]: the bounds of a thread's stack.

/// The lowest and the highest address of a thread's stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StackBounds {
    pub(crate) low: usize,
    pub(crate) high: usize,
}

impl StackBounds {
    /// Whether a stack pointer is inside the stack.
    #[inline(always)]
    pub(super) fn hold(self, sp: usize) -> bool {
        sp.wrapping_sub(self.low) < self.high.wrapping_sub(self.low)
    }
}

/// The stack bounds of the calling thread, from the C library.
#[cfg(target_os = "linux")]
pub(super) fn stack_bounds() -> StackBounds {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the call has no preconditions.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: the thread is alive, and the second argument is room for the attributes.
    let failed = unsafe { libc::pthread_getattr_np(own, attributes.as_mut_ptr()) };
    if failed != 0 {
        return StackBounds::default();
    }
    let (mut low, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the call above filled the attributes in.
    let failed = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut size) };
    // SAFETY: the attributes were filled in above, and are destroyed once.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if failed != 0 {
        return StackBounds::default();
    }
    StackBounds {
        low: low as usize,
        high: low as usize + size,
    }
}

/// The stack bounds of the calling thread. The system's stack address is the upper end.
#[cfg(target_os = "macos")]
pub(super) fn stack_bounds() -> StackBounds {
    // SAFETY: the call has no preconditions.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: the thread is alive.
    let high = unsafe { libc::pthread_get_stackaddr_np(own) } as usize;
    // SAFETY: the thread is alive.
    let size = unsafe { libc::pthread_get_stacksize_np(own) };
    StackBounds {
        low: high.saturating_sub(size),
        high,
    }
}

/// Unknown, so that frame pointers are not followed.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn stack_bounds() -> StackBounds {
    StackBounds::default()
}
