use super::records::*;
use super::*;

/// A walker of this thread limited to `limit` frames, and whether it follows frame pointers.
fn walker(limit: usize) -> (Box<Walker>, bool) {
    let method = prepare();
    // SAFETY: all zero is valid: numbers, and an enum with a zero variant.
    let mut walker = unsafe { Box::<Walker>::new_zeroed().assume_init() };
    walker.begin(stack_bounds());
    walker.set_limit(limit);
    (walker, method == CaptureMethod::FramePointers)
}

/// The stack as captured, and the truth from the platform's own unwinder, from the caller on.
/// `None` if the program keeps no frame pointers.
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
        // Not every platform's unwinder reports the outermost frame's zero return address.
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
        // The C library, in which threads start, keeps no frame pointers on x86-64.
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

/// Walks from any address through memory that is mostly frame pointers with some random words. The
/// walk must read only that memory, and must match a slow walk by the same rules.
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
    // SAFETY: `paciasp` changes one register; it does nothing on processors without pointer
    // authentication.
    unsafe { std::arch::asm!("hint #25", inout("x30") signed) };
    assert_eq!(without_signature(signed), address);
    assert_eq!(without_signature(address), address);
    assert_eq!(without_signature(0), 0);
}
