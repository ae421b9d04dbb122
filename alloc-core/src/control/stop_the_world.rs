//! Stopping the world: no thread records while the tables change.

use super::Control;
use crate::record::gate::{
    ALONE, COUNTED, EXTENDED, FIRST_GENERATION, GENERATIONS, Mode, OFF, PAUSED, SAMPLED, STILL,
    ask, concurrency, is_broken, set_generation,
};
use crate::record::session::TABLES;
use crate::record::thread::{self, ThreadState};
use crate::system::sync::{Ordering, fence};

impl Control {
    /// Runs `change` while no other thread records. The generation is [`STILL`] afterwards; the
    /// caller must [`publish`](Self::publish) another.
    pub(super) fn stop_the_world<R>(&mut self, change: impl FnOnce(&mut Control) -> R) -> R {
        set_generation(PAUSED, Ordering::SeqCst);
        barrier();
        wait_for_others(ThreadState::is_recording);
        set_generation(STILL, Ordering::SeqCst);
        // The fence pairs with the one in `use_tables`.
        fence(Ordering::SeqCst);
        wait_for_others(ThreadState::uses_tables);
        change(self)
    }

    /// Lets threads record again, in a new generation that no thread has joined.
    pub(super) fn publish(&mut self) {
        TABLES.heap.set_threads(self.attached);
        self.serial += 1;
        let alone = if self.attached <= 1 { ALONE } else { 0 };
        let next = match &self.session {
            Some(config) => {
                let how = match config.how() {
                    Mode::Whole if config.is_extended() => EXTENDED,
                    Mode::Whole => 0,
                    Mode::Sampled => SAMPLED,
                    Mode::Counted | Mode::Off => COUNTED,
                };
                // NOTE: a thread would have to miss exactly as many generations as exist to mistake
                // a new one for an old one.
                (FIRST_GENERATION * (1 + self.serial % GENERATIONS)) | how | alone
            }
            None => OFF,
        };
        set_generation(next, Ordering::Release);
        if self.session.is_some() && (self.waits_for_an_answer)(concurrency(next)) {
            ask();
        }
        if is_broken() {
            set_generation(OFF, Ordering::Release);
        }
    }
}

/// Waits until `is_busy` is `false` for all other threads.
fn wait_for_others(is_busy: impl Fn(&ThreadState) -> bool) {
    let own = thread::current().map_or(std::ptr::null(), std::ptr::from_ref);
    let others = TABLES.threads.claimed();
    for state in others.filter(|state| !std::ptr::eq(*state, own)) {
        let mut spins = 0_u32;
        while is_busy(state) {
            spins += 1;
            if spins < 100 {
                std::hint::spin_loop()
            } else {
                std::thread::yield_now()
            }
        }
    }
}

/// Makes the change of the generation visible on every processor that runs a thread of this
/// process, and makes their earlier stores visible here. Because of it,
/// [`fence_after_enter`](crate::record::gate::fence_after_enter) need not be a real fence.
///
/// Uses `sys_membarrier` on Linux. If a sandbox forbids that, it revokes the rights to a page,
/// which interrupts the same processors. On other systems the hot path has the fence.
fn barrier() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    crate::system::hooks::interrupt_all_processors();
    fence(Ordering::SeqCst);
}
