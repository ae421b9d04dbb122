//! [`Walker`]: the walk on all platforms but x86-64 Linux: by frame pointers where they are kept.

use std::hint::black_box;

use super::{
    Buffer, CaptureMethod, Captured, MAX_FRAMES, StackBounds, fallback, hash_of, stack_bounds,
};
use crate::snapshot::recorded::StackEnd;
use crate::system::sync::{AtomicBool, Ordering::Relaxed};
use crate::tables::callsites::{CallsiteId, Stack};

/// Whether the program keeps frame pointers; not before [`prepare`] proved it.
static ARE_KEPT: AtomicBool = AtomicBool::new(false);

pub(super) fn prepare() -> CaptureMethod {
    let are_kept = finds_itself(stack_bounds(), CALLS);
    ARE_KEPT.store(are_kept, Relaxed);
    if are_kept {
        CaptureMethod::FramePointers
    } else {
        CaptureMethod::Backtrace
    }
}

pub(super) fn prepare_for_line() {}

/// NOTE: the program's symbols are read on x86-64 Linux only.
pub(super) fn is_of_printing(_: &[usize]) -> bool {
    false
}

/// Here nothing tells.
pub(super) fn is_for_the_test_harness() -> bool {
    false
}

pub(super) fn resident() -> usize {
    0
}

/// The stack of a thread's last walk.
///
/// # Implementation
///
/// Where code keeps frame pointers, each function saves its caller's beside its own return address, and
/// points to the pair: so a stack is a list of [`Records`], the same on aarch64 and on x86-64. Two
/// things differ, both in a line or two: which registers a walk [starts from](Registers::here), and
/// that aarch64 may [sign](without_signature) return addresses.
///
/// # Who keeps them
///
/// macOS does by its rules for calls; on aarch64 Linux rustc does since 1.90, and before if it is told to.
/// Nothing is taken for granted: when tracing starts, a function calls itself and must [find each of the
/// calls](finds_itself) by frame pointers. Else, and where the bounds of a thread's stack cannot be
/// asked for, stacks come from the `backtrace` crate.
///
/// # What it cannot see
///
/// Nothing proves that *all* code keeps them, as the unwind tables do on x86-64 Linux. A function
/// that does not and leaves the register alone, as a library in another language may, hides its caller; one
/// that uses the register for something else ends the stack. Of a function that a signal interrupted,
/// nobody saved a return address: its caller may be missing, or be there twice.
pub(crate) struct Walker {
    buffer: Buffer,
    bounds: StackBounds,
    limit: usize,
    len: usize,
    end: StackEnd,
}

impl Walker {
    /// Gets ready to walk the stack of another thread.
    pub(crate) fn begin(&mut self, bounds: StackBounds) {
        self.bounds = bounds;
        self.len = 0;
    }

    /// Shows `limit` frames of a stack from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_FRAMES);
    }

    /// Walks the caller's stack: the hash of its innermost return addresses.
    #[inline(always)]
    pub(crate) fn capture(&mut self) -> Captured {
        Captured::hashed(if ARE_KEPT.load(Relaxed) {
            // NOTE: nothing may come between the two, so that the frame pointer is already the caller's
            // own: a compiler may put that off until shortly before the first call.
            let registers = Registers::here();
            self.follow(registers)
        } else {
            self.ask_backtrace()
        })
    }

    /// The same: only the limit makes a walk for one line shorter.
    #[inline(always)]
    pub(crate) fn capture_line(&mut self) -> Captured {
        self.capture()
    }

    /// The stack itself.
    #[inline(never)]
    pub(crate) fn capture_anew(&mut self, _line: bool) -> Stack<'_> {
        self.capture();
        self.stack()
    }

    /// NOTE: not known here.
    pub(crate) fn context_of_signal(&mut self) -> Option<*const std::ffi::c_void> {
        None
    }

    /// Nothing is remembered.
    pub(crate) fn forget(&mut self) {}

    /// As above.
    pub(crate) fn remember(&mut self, _: CallsiteId) {}

    /// Nothing is remembered, so nothing is distinguished.
    pub(crate) fn set_tag(&mut self, _: u64) {}

    /// The stack of the last walk.
    pub(crate) fn stack(&mut self) -> Stack<'_> {
        let addresses = &self.buffer[..self.len];
        Stack {
            addresses,
            outer: None,
            end: self.end,
            hash: hash_of(addresses),
            era: 0,
        }
    }

    /// The same, cut to so many addresses.
    pub(crate) fn innermost(&mut self, addresses: usize) -> Stack<'_> {
        match self.hash_of_innermost(addresses) {
            Some(hash) => Stack {
                addresses: &self.buffer[..addresses],
                outer: None,
                end: StackEnd::Truncated,
                hash,
                era: 0,
            },
            None => self.stack(),
        }
    }

    /// The hash of the innermost addresses of the last stack, if there are more than so many.
    pub(crate) fn hash_of_innermost(&self, addresses: usize) -> Option<u64> {
        (addresses < self.len).then(|| hash_of(&self.buffer[..addresses]))
    }

    /// The same as [`stack`](Self::stack): nothing is known of other callsites.
    pub(crate) fn newcomer(&mut self) -> Stack<'_> {
        self.stack()
    }

    /// As above.
    pub(crate) fn becomes(&mut self, _: CallsiteId) {}

    #[inline(never)]
    fn follow(&mut self, registers: Registers) -> u64 {
        let mut records = Records::new(registers, self.bounds);
        self.len = 0;
        self.end = loop {
            match records.next() {
                Some(address) if self.keep(address) => {}
                Some(_) => break StackEnd::Truncated,
                None => break records.end,
            }
        };
        self.stack().hash
    }

    #[inline(never)]
    fn ask_backtrace(&mut self) -> u64 {
        let local = black_box(0_u8);
        self.len = 0;
        self.end = StackEnd::Complete;
        fallback::walk(&raw const local, |address| {
            let is_kept = self.keep(address);
            if !is_kept {
                self.end = StackEnd::Truncated;
            }
            is_kept
        });
        self.stack().hash
    }

    /// Puts an address at the outer end, if there is room.
    fn keep(&mut self, address: usize) -> bool {
        let has_room = self.len < self.limit;
        if has_room {
            self.buffer[self.len] = address;
            self.len += 1;
        }
        has_room
    }
}

/// The frame records of a stack, innermost first, as their return addresses.
///
/// A record is two words: the frame pointer of the caller, which is the place of the next record, and
/// the address that the function returns to. The outermost record says zero, one or the other.
///
/// Each record must lie outside of the last one, within the stack, and be aligned, or the stack is
/// broken there: so every read is of the thread's own stack, and the walk ends.
struct Records {
    next: usize,
    /// Where the next record may lie.
    low: usize,
    high: usize,
    end: StackEnd,
}

/// How long a record is.
const RECORD: usize = 2 * size_of::<usize>();

impl Records {
    fn new(Registers { sp, fp }: Registers, bounds: StackBounds) -> Records {
        let high = if bounds.hold(sp) {
            bounds.high
        } else {
            end_of_page(sp)
        };
        Records {
            next: fp,
            low: sp,
            high,
            end: StackEnd::Complete,
        }
    }
}

impl Iterator for Records {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let record = self.next;
        if record == 0 {
            return None;
        }
        let room = self.high.saturating_sub(record);
        if record < self.low || room < RECORD || !record.is_multiple_of(align_of::<usize>()) {
            self.end = StackEnd::Broken;
            self.next = 0;
            return None;
        }
        // SAFETY: two aligned words between the stack pointer and the end of the stack, or of the
        // page that holds the stack pointer.
        let [next, address] = unsafe { (record as *const [usize; 2]).read_volatile() };
        let address = without_signature(address);
        self.low = record + RECORD;
        self.next = if address == 0 { 0 } else { next };
        (address != 0).then_some(address)
    }
}

/// Up to where a walk may read that starts outside of the thread's own stack: see the other walk.
#[cold]
fn end_of_page(sp: usize) -> usize {
    const PAGE: usize = 4096;
    (sp | (PAGE - 1)).saturating_add(1)
}

/// The registers that a walk starts from.
#[derive(Clone, Copy)]
struct Registers {
    sp: usize,
    fp: usize,
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    fn here() -> Registers {
        let (sp, fp);
        // SAFETY: reads two registers and changes none but the outputs.
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        unsafe {
            std::arch::asm!("mov {}, sp", "mov {}, x29", out(reg) sp, out(reg) fp, options(nostack, nomem, preserves_flags));
        }
        // SAFETY: as above.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            std::arch::asm!("mov {}, rsp", "mov {}, rbp", out(reg) sp, out(reg) fp, options(nostack, nomem, preserves_flags));
        }
        // A stack of which nothing is known is never walked.
        #[cfg(not(all(any(target_arch = "aarch64", target_arch = "x86_64"), not(miri))))]
        {
            (sp, fp) = (0, 0);
        }
        Registers { sp, fp }
    }
}

/// A return address, whatever a processor with pointer authentication put into its upper bits.
///
/// By the instruction that is made for it, since how many bits an address has depends on the system: it
/// takes the address in the link register, and does nothing on processors without.
#[inline(always)]
fn without_signature(address: usize) -> usize {
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    let address = {
        let mut address = address;
        // SAFETY: `xpaclri`, by its number so that every assembler knows it, changes one register.
        unsafe {
            std::arch::asm!("hint #7", inout("x30") address, options(nostack, nomem, preserves_flags));
        }
        address
    };
    address
}

/// How many calls must find themselves.
const CALLS: usize = 4;

/// Whether the program's code keeps frame pointers.
///
/// A call from a call of this function returns to always the same address. So the innermost must
/// find that address once for each call but the outermost. Without frame pointers the register holds
/// anything, or the record of a function of the standard library far outside.
#[inline(never)]
fn finds_itself(bounds: StackBounds, calls: usize) -> bool {
    if calls > 0 {
        // NOTE: what is done with the result keeps the call from becoming a jump.
        return black_box(finds_itself(bounds, calls - 1));
    }
    // NOTE: as in `Walker::capture`, nothing may come between.
    let registers = Registers::here();
    black_box(are_calls(registers, bounds))
}

#[inline(never)]
fn are_calls(registers: Registers, bounds: StackBounds) -> bool {
    let mut records = Records::new(registers, bounds);
    let innermost = records.next();
    let same = 1 + records.take_while(|&it| Some(it) == innermost).count();
    bounds.hold(registers.sp) && same == CALLS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A walker of this thread that shows `limit` frames, and whether it follows frame pointers.
    fn walker(limit: usize) -> (Box<Walker>, bool) {
        let method = prepare();
        // SAFETY: numbers, and an enum for which zero is a value.
        let mut walker = unsafe { Box::<Walker>::new_zeroed().assume_init() };
        walker.begin(stack_bounds());
        walker.set_limit(limit);
        (walker, method == CaptureMethod::FramePointers)
    }

    /// The stack as captured, and the truth from the platform's own unwinder, from the caller on; `None`
    /// where the program keeps no frame pointers.
    #[inline(never)]
    fn both(limit: usize) -> Option<(Vec<usize>, StackEnd, Vec<usize>)> {
        let mut truth = Vec::with_capacity(MAX_FRAMES);
        let (mut walker, follows) = walker(limit);
        let Captured { known: None, hash } = walker.capture() else {
            panic!("nothing is remembered")
        };
        let stack = walker.stack();
        assert_eq!((stack.hash, hash_of(stack.addresses)), (hash, hash));
        let (addresses, end) = (stack.addresses.to_vec(), stack.end);
        backtrace::trace(|frame| {
            truth.push(frame.ip() as usize);
            true
        });
        let first = truth.iter().position(|it| addresses.first() == Some(it));
        follows.then(|| {
            let first = first.expect("the innermost address is in the truth");
            truth.drain(..first);
            // The platform's unwinder reports the outermost frame's zero return address, or not.
            truth.retain(|&address| address != 0);
            (addresses, end, truth)
        })
    }

    #[track_caller]
    fn check(both: Option<(Vec<usize>, StackEnd, Vec<usize>)>) {
        let Some((captured, end, truth)) = both else {
            return;
        };
        assert!(captured.len() > 5);
        if cfg!(target_arch = "aarch64") {
            assert_eq!((captured, end), (truth, StackEnd::Complete));
        } else {
            // The C library, where threads begin, keeps no frame pointers on x86-64.
            assert_eq!(captured, truth[..captured.len()]);
            assert!(truth.len() - captured.len() <= 2);
        }
    }

    /// On x86-64 Linux the unwind tables know whether the program was built with frame pointers.
    #[test]
    fn what_is_found_at_the_start_is_true() {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        assert_eq!(
            prepare() == CaptureMethod::FramePointers,
            crate::capture::prepare() == CaptureMethod::FramePointers
        );
        assert_eq!(prepare(), prepare());
        assert_eq!(resident(), 0);
        assert!(!finds_itself(StackBounds::default(), CALLS));
    }

    #[test]
    fn a_plain_stack_equals_the_truth() {
        check(black_box(both(MAX_FRAMES)));
    }

    #[test]
    fn recursion_and_closures_equal_the_truth() {
        #[inline(never)]
        fn recurse(depth: usize, act: &dyn Fn()) -> usize {
            if depth == 0 {
                act();
                return 1;
            }
            black_box(recurse(depth - 1, act) + 1)
        }
        for depth in [1, 2, 17, 100] {
            let act = || check(black_box(both(MAX_FRAMES)));
            assert_eq!(recurse(depth, &act), depth + 1);
        }
    }

    #[test]
    fn large_and_over_aligned_frames_equal_the_truth() {
        #[repr(align(128))]
        struct Aligned([u8; 128]);

        #[inline(never)]
        fn large() -> u8 {
            let space = black_box([7_u8; 70_000]);
            check(black_box(both(MAX_FRAMES)));
            space[69_999]
        }

        #[inline(never)]
        fn aligned() -> u8 {
            let space = black_box(Aligned([3; 128]));
            black_box(large()) + space.0[127]
        }

        assert_eq!(aligned(), 10);
    }

    #[test]
    fn a_panic_s_destructors_see_the_whole_stack() {
        struct OnDrop;
        impl Drop for OnDrop {
            fn drop(&mut self) {
                check(black_box(both(MAX_FRAMES)));
            }
        }
        #[inline(never)]
        fn throw() {
            let _guard = OnDrop;
            std::panic::resume_unwind(Box::new(()));
        }
        assert!(std::panic::catch_unwind(throw).is_err());
    }

    #[test]
    fn a_limit_cuts_the_outer_end_either_way() {
        let (mut walker, _) = walker(3);
        for kept in [ARE_KEPT.load(Relaxed), false] {
            let hash = if kept {
                walker.follow(Registers::here())
            } else {
                walker.ask_backtrace()
            };
            let stack = walker.stack();
            assert_eq!((stack.addresses.len(), stack.end), (3, StackEnd::Truncated));
            assert_eq!((stack.hash, hash_of(stack.addresses)), (hash, hash));
        }
    }

    #[test]
    fn without_frame_pointers_the_stack_is_the_same_from_here_on() {
        let (mut walker, follows) = walker(MAX_FRAMES);
        walker.ask_backtrace();
        let stack = walker.stack();
        assert_eq!(stack.end, StackEnd::Complete);
        let [here, callers @ ..] = stack.addresses else {
            panic!("a stack is never empty");
        };
        let mut own = None;
        backtrace::resolve(*here as *mut _, |symbol| {
            own = own.take().or(symbol.name().map(|name| name.to_string()));
        });
        assert!(own.is_some_and(|name| name.contains("from_here_on")));
        let callers = callers.to_vec();
        if follows {
            walker.follow(Registers::here());
            let followed = walker.stack().addresses;
            assert_eq!(followed, &callers[..followed.len()]);
        }
    }

    #[test]
    fn a_stack_that_is_not_the_threads_own_is_short() {
        let (mut walker, _) = walker(MAX_FRAMES);
        walker.begin(StackBounds {
            low: 0x1000,
            high: 0x2000,
        });
        walker.follow(Registers::here());
        assert!(walker.stack().addresses.len() < 4096 / RECORD);
    }

    /// Memory full of words that are mostly frame pointers and sometimes anything, walked from anywhere.
    /// Only what lies in it may be read, and a slow walk by the same rules finds the same.
    #[test]
    fn no_record_leads_out_of_the_stack_or_round_in_circles() {
        const WORDS: usize = 64;
        let mut random = 1_u64;
        let mut below = |n: usize| {
            // xorshift64*, by Vigna.
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
        };
        let mut longest = 0;
        for _ in 0..20_000 {
            let mut words = [0_usize; WORDS];
            let base = words.as_ptr().expose_provenance();
            let any = [
                0,
                1,
                base - 8,
                base + 8 * WORDS - 8,
                base + 8 * WORDS,
                !0,
                !7,
            ];
            for (at, word) in words.iter_mut().enumerate() {
                *word = match below(12) {
                    0 => any[below(any.len())],
                    1 => base + below(8 * WORDS),
                    _ => base + 8 * (at + below(6)),
                };
            }
            let words = black_box(&words);
            let (sp, fp) = (base + 8 * below(8), base + 8 * below(12));
            let bounds = StackBounds {
                low: base,
                high: base + 8 * (WORDS - below(2)),
            };
            let mut records = Records::new(Registers { sp, fp }, bounds);
            let found: Vec<usize> = records.by_ref().collect();

            let (mut expected, mut next, mut low) = (Vec::new(), fp, sp);
            let end = loop {
                if next == 0 {
                    break StackEnd::Complete;
                }
                let places = low..=bounds.high - RECORD;
                if !places.contains(&next) || next % 8 != 0 {
                    break StackEnd::Broken;
                }
                let at = (next - base) / 8;
                if words[at + 1] == 0 {
                    break StackEnd::Complete;
                }
                expected.push(words[at + 1]);
                (low, next) = (next + RECORD, words[at]);
            };
            assert_eq!((&found, records.end), (&expected, end));
            longest = longest.max(found.len());
        }
        assert!(longest > 8, "{longest}");
    }

    #[test]
    #[cfg(target_arch = "aarch64")]
    fn a_signed_address_loses_its_signature() {
        let address = finds_itself as *const () as usize;
        let mut signed = address;
        // SAFETY: `paciasp` changes one register; it does nothing where there is no such thing.
        unsafe { std::arch::asm!("hint #25", inout("x30") signed) };
        assert_eq!(without_signature(signed), address);
        assert_eq!(without_signature(address), address);
        assert_eq!(without_signature(0), 0);
    }
}
