//! The walk on x86-64 Linux: by proven frame pointers, and by unwind tables elsewhere.

use std::arch::asm;

use super::frame_pointers::ProvenText;
use super::rules::{Base, Packed, Rule, Rules};
use super::{Buffer, CaptureMethod, StackBounds, StackHash, objects};
use crate::callsites::Stack;
use crate::recorded::StackEnd;

static RULES: Rules = Rules::new();
static PROVEN: ProvenText = ProvenText::new();

pub(super) fn prepare() -> CaptureMethod {
    objects::prepare();
    if PROVEN.prove(Registers::here().pc) {
        CaptureMethod::FramePointers
    } else {
        CaptureMethod::UnwindTables
    }
}

pub(super) fn resident() -> usize {
    RULES.resident() + PROVEN.resident()
}

/// The registers that a walk starts from, read at one place of one function.
#[derive(Clone, Copy)]
struct Registers {
    pc: usize,
    sp: usize,
    bp: usize,
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    fn here() -> Registers {
        let (pc, sp, bp);
        // SAFETY: reads three registers and changes none but the outputs. The address is that of
        // the instruction after the first, so the one before it lies in this function too.
        unsafe {
            asm!(
                "lea {pc}, [rip]",
                "mov {sp}, rsp",
                "mov {bp}, rbp",
                pc = out(reg) pc,
                sp = out(reg) sp,
                bp = out(reg) bp,
                options(nostack, nomem, preserves_flags),
            );
        }
        Registers { pc, sp, bp }
    }
}

#[inline(always)]
pub(super) fn capture<'b>(buffer: &'b mut Buffer, limit: usize, bounds: StackBounds) -> Stack<'b> {
    walk(Registers::here(), buffer, limit, bounds)
}

/// Walks from `registers` outwards.
///
/// The function's own frame and what it calls must be alive, as they are when a caller passes its
/// own registers. Every address is checked against the stack's bounds before it is read; the frame
/// addresses must rise, so a walk ends.
#[inline(never)]
fn walk<'b>(
    registers: Registers,
    buffer: &'b mut Buffer,
    limit: usize,
    bounds: StackBounds,
) -> Stack<'b> {
    let Registers {
        mut pc,
        mut sp,
        mut bp,
    } = registers;
    let high = upper_bound(sp, bounds);
    let limit = limit.min(buffer.len());
    let mut hash = StackHash::START;
    let mut len = 0;
    let end = loop {
        let cfa = if PROVEN.covers(pc) {
            let cfa = bp.wrapping_add(16);
            if !is_frame(sp, cfa, high) || bp < sp {
                break StackEnd::Broken;
            }
            // SAFETY: `sp <= bp < cfa <= high`, all aligned.
            bp = unsafe { read_stack(bp) };
            cfa
        } else {
            match step(pc, sp, &mut bp, high) {
                Ok(cfa) => cfa,
                Err(end) => break end,
            }
        };
        // SAFETY: `sp < cfa <= high`, both aligned, so the word below the CFA is in the stack.
        pc = unsafe { read_stack(cfa - 8) };
        sp = cfa;
        if pc == 0 {
            break StackEnd::Complete;
        }
        if len == limit {
            break StackEnd::Truncated;
        }
        buffer[len] = pc;
        hash.push(pc);
        len += 1;
    };
    Stack {
        addresses: &buffer[..len],
        end,
        hash: hash.finish(),
    }
}

/// One step by the tables: the CFA, with rbp as it was in the caller.
#[inline(always)]
fn step(pc: usize, sp: usize, bp: &mut usize, high: usize) -> Result<usize, StackEnd> {
    let rule = RULES.get(pc);
    if rule.is_long() {
        return step_long(rule, sp, bp, high);
    }
    let base = if rule.counts_from_rbp() { *bp } else { sp };
    let cfa = base.wrapping_add(rule.offset());
    let saved_at = cfa.wrapping_sub(rule.saved_bp());
    if !is_frame(sp, cfa, high) || saved_at < sp {
        return Err(StackEnd::Broken);
    }
    if saved_at != cfa {
        // SAFETY: `sp <= saved_at < cfa <= high`, all aligned.
        *bp = unsafe { read_stack(saved_at) };
    }
    Ok(cfa)
}

#[cold]
fn step_long(rule: Packed, sp: usize, bp: &mut usize, high: usize) -> Result<usize, StackEnd> {
    let (base, offset, saved_bp) = match RULES.long(rule) {
        Rule::Step {
            base,
            offset,
            saved_bp,
        } => (base, offset, saved_bp),
        Rule::Bottom => return Err(StackEnd::Complete),
        Rule::Unknown => return Err(StackEnd::Broken),
    };
    let base = if base == Base::Rbp { *bp } else { sp };
    let cfa = base.wrapping_add_signed(offset as isize);
    if !is_frame(sp, cfa, high) {
        return Err(StackEnd::Broken);
    }
    if let Some(below) = saved_bp {
        let saved_at = cfa.wrapping_add_signed(below as isize);
        if saved_at < sp || saved_at > high - 8 || saved_at % 8 != 0 {
            return Err(StackEnd::Broken);
        }
        // SAFETY: checked just above.
        *bp = unsafe { read_stack(saved_at) };
    }
    Ok(cfa)
}

/// Whether a frame may end at `cfa`: above where it began, in the stack, and aligned.
#[inline(always)]
fn is_frame(sp: usize, cfa: usize, high: usize) -> bool {
    sp < cfa && cfa <= high && cfa % 8 == 0
}

/// Up to where the walk may read.
///
/// A stack pointer outside of the thread's own stack belongs to a coroutine or a signal handler.
/// Of its stack only the page that is in use is surely there: a short stack.
#[inline(always)]
fn upper_bound(sp: usize, bounds: StackBounds) -> usize {
    const PAGE: usize = 4096;
    if (bounds.low..bounds.high).contains(&sp) {
        bounds.high
    } else {
        (sp | (PAGE - 1)) + 1
    }
}

/// Reads a word of the stack.
///
/// # Safety
///
/// `address` is aligned and lies between the stack pointer of a live frame of this thread and the
/// upper end of its stack, or of the page that holds the stack pointer.
#[inline(always)]
unsafe fn read_stack(address: usize) -> usize {
    // SAFETY: the memory is mapped and aligned, by the caller's promise. That other frames' words
    // are read is outside of what Rust's memory model describes; the read is volatile, so it is
    // what the machine has there, and any word is a value.
    unsafe { (address as *const usize).read_volatile() }
}

/// The stack bounds of the calling thread, from the C library: once for each thread.
pub(super) fn stack_bounds() -> StackBounds {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the second argument is room for the attributes.
    let failed = unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) };
    if failed != 0 {
        return StackBounds::default();
    }
    let (mut low, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the call above filled the attributes in.
    let failed = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut size) };
    // SAFETY: filled in above, and destroyed once.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if failed != 0 {
        return StackBounds::default();
    }
    StackBounds {
        low: low as usize,
        high: low as usize + size,
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;
    use crate::capture::{MAX_FRAMES, hash_of};

    /// The stack as captured, and the truth from the platform's own unwinder.
    #[inline(never)]
    fn both() -> (Vec<usize>, StackEnd, Vec<usize>) {
        let mut buffer = Box::new([0; MAX_FRAMES]);
        let bounds = stack_bounds();
        let mut truth = Vec::with_capacity(MAX_FRAMES);
        let stack = capture(&mut buffer, MAX_FRAMES, bounds);
        assert_eq!(stack.hash, hash_of(stack.addresses));
        backtrace::trace(|frame| {
            truth.push(frame.ip() as usize);
            true
        });
        (stack.addresses.to_vec(), stack.end, truth)
    }

    /// Everything outside of `both` must be equal, down to the bottom of the stack.
    #[track_caller]
    fn check((captured, end, truth): (Vec<usize>, StackEnd, Vec<usize>)) {
        let first = captured[0];
        let at = truth
            .iter()
            .position(|&ip| ip == first)
            .expect("the caller is in the truth");
        let mut truth = &truth[at..];
        // The platform's unwinder reports the outermost frame's zero return address, or not.
        while truth.last() == Some(&0) {
            truth = &truth[..truth.len() - 1];
        }
        assert_eq!(captured, truth);
        assert_eq!(end, StackEnd::Complete);
        assert!(captured.len() > 5);
    }

    #[test]
    fn a_plain_stack_equals_the_truth() {
        check(black_box(both()));
    }

    #[test]
    fn recursion_and_closures_equal_the_truth() {
        #[inline(never)]
        fn recurse(depth: usize, act: &dyn Fn() -> (Vec<usize>, StackEnd, Vec<usize>)) -> usize {
            if depth == 0 {
                check(act());
                return 1;
            }
            black_box(recurse(depth - 1, act) + 1)
        }
        for depth in [1, 2, 17, 100] {
            assert_eq!(recurse(depth, &|| black_box(both())), depth + 1);
        }
    }

    #[test]
    fn large_and_over_aligned_frames_equal_the_truth() {
        #[repr(align(128))]
        struct Aligned([u8; 128]);

        #[inline(never)]
        fn large() -> u8 {
            let space = black_box([7_u8; 70_000]);
            check(black_box(both()));
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
    fn a_callback_through_c_equals_the_truth() {
        unsafe extern "C" fn compare(a: *const libc::c_void, b: *const libc::c_void) -> i32 {
            check(black_box(both()));
            // SAFETY: `qsort` passes pointers to two elements of the array below.
            let (a, b) = unsafe { (*a.cast::<i32>(), *b.cast::<i32>()) };
            a.cmp(&b) as i32
        }
        let mut numbers = [3, 1, 2];
        // SAFETY: three elements of that size, and a function that compares two.
        unsafe {
            libc::qsort(
                numbers.as_mut_ptr().cast(),
                3,
                size_of::<i32>(),
                Some(compare),
            )
        };
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_limit_cuts_the_outer_end() {
        let mut buffer = Box::new([0; MAX_FRAMES]);
        let stack = capture(&mut buffer, 3, stack_bounds());
        assert_eq!((stack.addresses.len(), stack.end), (3, StackEnd::Truncated));
    }

    #[test]
    fn a_stack_that_is_not_the_threads_own_is_short_and_broken() {
        let mut buffer = Box::new([0; MAX_FRAMES]);
        let elsewhere = StackBounds {
            low: 0x1000,
            high: 0x2000,
        };
        let stack = capture(&mut buffer, MAX_FRAMES, elsewhere);
        assert_ne!(stack.end, StackEnd::Truncated);
        assert!(stack.addresses.len() < 200);
    }

    #[test]
    fn addresses_that_are_not_code_break_the_walk() {
        let mut buffer = Box::new([0; MAX_FRAMES]);
        let Registers { sp, bp, .. } = Registers::here();
        for pc in [0x10, sp, usize::MAX] {
            let stack = walk(
                Registers { pc, sp, bp },
                &mut buffer,
                MAX_FRAMES,
                stack_bounds(),
            );
            assert_eq!((stack.addresses.len(), stack.end), (0, StackEnd::Broken));
        }
    }

    /// With frame pointers most of these break the walk, without them none is looked at: in either
    /// case nothing outside of the stack may be read.
    #[test]
    fn a_frame_pointer_that_is_not_one_is_never_followed_out_of_the_stack() {
        let mut buffer = Box::new([0; MAX_FRAMES]);
        prepare();
        let Registers { pc, sp, .. } = Registers::here();
        for bp in [
            0,
            1,
            8,
            sp - 8,
            sp + 1,
            stack_bounds().high - 8,
            stack_bounds().high,
            usize::MAX,
        ] {
            walk(
                Registers { pc, sp, bp },
                &mut buffer,
                MAX_FRAMES,
                stack_bounds(),
            );
        }
    }
}
