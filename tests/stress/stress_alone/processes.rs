//! Steps that fork, and that start a thread.

use std::alloc::dealloc;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use alloc_core::untraced;

use crate::checks::check;
use crate::{Alive, Block, MOST_BLOCKS, Run, SITES, layout};

impl Run {
    /// Forks a child, which continues for some steps and agrees with the model.
    pub(crate) fn fork(&mut self) {
        // SAFETY: this process has no other thread.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: `alarm` takes any number. The signal ends a process that hangs.
            unsafe { libc::alarm(60) };
            self.is_child = true;
            for (_, alive) in &self.alive {
                let usage = || match alive {
                    Alive::Guard(it) => it.usage(),
                    Alive::Handle(it) => it.usage(),
                };
                untraced(|| assert!(usage().is_err_and(|it| it.is_forked())));
            }
            for _ in 0..20 {
                match self.random.below(4) {
                    0 => self.free_some(),
                    1 => self.grow_some(false),
                    _ if self.live.len() < MOST_BLOCKS => self.make_some(false),
                    _ => {}
                }
                self.check();
            }
            self.read();
            // SAFETY: the function takes any number.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: the process is a child of this one, and `status` is a valid place.
        unsafe { libc::waitpid(child, &mut status, 0) };
        check("the status of a child", status, 0);
    }

    /// Another thread allocates and frees while this one waits, and frees one block at its end.
    pub(crate) fn thread(&mut self) {
        static KEY: AtomicUsize = AtomicUsize::new(usize::MAX);
        static LAST: AtomicPtr<Block> = AtomicPtr::new(std::ptr::null_mut());
        unsafe extern "C" fn at_end(_: *mut c_void) {
            // SAFETY: the pointer is null, or to `kept`, which lives until the thread is joined.
            if let Some(block) = unsafe { LAST.load(Relaxed).as_ref() } {
                // SAFETY: it is live and has that layout.
                unsafe { dealloc(block.address, layout(block.size)) };
            }
        }
        extern "C" fn work(run: *mut c_void) -> *mut c_void {
            // SAFETY: the pointer is to the run, which the waiting thread does not use.
            let run = unsafe { &mut *run.cast::<Run>() };
            for _ in 0..run.random.below(30) {
                if run.random.one_in(2) && !run.live.is_empty() {
                    let at = run.random.below(run.live.len());
                    let block = run.live.swap_remove(at);
                    // SAFETY: it is live and has that layout.
                    unsafe { dealloc(block.address, layout(block.size)) };
                    run.freed(block, None);
                } else if run.live.len() < MOST_BLOCKS {
                    let (size, site) = (run.size(), run.random.below(SITES));
                    run.make_in(None, size, site, false, false);
                }
                run.check();
            }
            // SAFETY: the key was created.
            unsafe {
                let key = KEY.load(Relaxed) as libc::pthread_key_t;
                libc::pthread_setspecific(key, std::ptr::without_provenance(1));
            }
            std::ptr::null_mut()
        }
        if KEY.load(Relaxed) == usize::MAX {
            let mut key = 0;
            // SAFETY: `key` is a valid place, and the function has the right type.
            unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
            KEY.store(key as usize, Relaxed);
        }
        self.is_alone = false;
        let last = self.live.pop();
        self.has_last = last.is_some();
        let mut kept = last;
        let place = kept
            .as_mut()
            .map_or(std::ptr::null_mut(), std::ptr::from_mut);
        LAST.store(place, Relaxed);
        let mut thread = std::mem::MaybeUninit::uninit();
        let (at, run) = (thread.as_mut_ptr(), std::ptr::from_mut(self).cast());
        // SAFETY: `at` is a valid place, the function has the right type, and the run outlives the
        // thread.
        let failed = unsafe { libc::pthread_create(at, std::ptr::null(), work, run) };
        check("a thread", failed, 0);
        // SAFETY: `pthread_create` succeeded and wrote it.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: the thread is joinable, and no other thread joins it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
        self.has_last = false;
        if let Some(block) = last {
            self.freed(block, None);
        }
    }
}
