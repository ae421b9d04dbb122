//! [`Shapes`]: calls of many shapes, at random.

use std::cell::Cell;
use std::collections::HashMap;
use std::hint::black_box;

use super::super::light::LIGHT_FRAMES;
use super::{Walker, walker};
use crate::capture::hash_of;
use crate::capture::unwind::registers::Registers;
use crate::snapshot::recorded::StackEnd;
use crate::tables::callsite_tag::CallsiteTag;
use crate::tables::callsites::{CallsiteId, Callsites, MAX_CALLSITES};

impl Drop for Shapes {
    fn drop(&mut self) {
        // SAFETY: nobody else knows of them.
        unsafe { self.kept.clear() };
    }
}

/// A tree of calls of many shapes, at random. Each leaf is captured by a walker that remembers the
/// leaf before, by one that recalls whole stacks, and by one that remembers nothing, and the
/// platform's unwinder tells the truth.
pub(super) struct Shapes {
    pub(super) random: u64,
    limit: usize,
    remembering: Box<Walker>,
    recalling: Box<Walker>,
    forgetful: Box<Walker>,
    /// Each walk is its first.
    light: Box<Walker>,
    /// The callsites of all stacks that were seen.
    callsites: HashMap<Vec<usize>, CallsiteId>,
    /// The same, as a tracer keeps them.
    kept: Box<Callsites>,
    pub(super) recalled: usize,
    pub(super) leaves: usize,
}

impl Shapes {
    pub(super) fn new(random: u64, limit: usize) -> Shapes {
        let [remembering, recalling, forgetful, mut light] = [(); 4].map(|()| {
            let mut walker = walker();
            walker.set_limit(limit);
            walker
        });
        light.keeps = false;
        let kept = Box::new(Callsites::new());
        kept.prepare(MAX_CALLSITES).unwrap();
        Shapes {
            random,
            limit,
            remembering,
            recalling,
            forgetful,
            light,
            callsites: HashMap::new(),
            kept,
            recalled: 0,
            leaves: 0,
        }
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        // xorshift64*, by Vigna.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    #[inline(never)]
    pub(super) fn leaf(&mut self) {
        let hash = self.remembering.walk_here();
        self.forgetful.begin(self.forgetful.bounds);
        let expected = self.forgetful.walk_here();
        assert_eq!(
            self.remembering.stack().addresses,
            self.forgetful.stack().addresses
        );
        assert_eq!(self.remembering.stack().end, self.forgetful.stack().end);
        assert_eq!(hash, expected);
        let shown = self.remembering.stack().addresses.to_vec();
        assert_eq!(hash, hash_of(&shown));
        let end = self.remembering.stack().end;
        let light = self.light.walk_lightly(Registers::here(), false);
        assert_eq!(light.is_some(), shown.len() <= LIGHT_FRAMES);
        if light.is_some() {
            assert_eq!(light, Some(hash));
            let light = self.light.stack();
            assert_eq!(
                (light.addresses, light.end, light.hash),
                (&shown[..], end, hash)
            );
        }
        for inner in [1, 16, shown.len() - 1, shown.len()] {
            let hash = self.remembering.hash_of_innermost(inner);
            let stack = self.remembering.innermost(inner);
            if light.is_some() {
                assert_eq!(self.light.hash_of_innermost(inner), hash);
                let light = self.light.innermost(inner);
                assert_eq!((light.addresses, light.end), (stack.addresses, stack.end));
            }
            assert_eq!(stack.addresses, &shown[..inner.min(shown.len())]);
            assert_eq!(stack.hash, hash_of(stack.addresses));
            let is_cut = inner < shown.len();
            assert_eq!(hash, is_cut.then_some(stack.hash));
            assert!(!is_cut || stack.end == StackEnd::Truncated);
        }
        if self.leaves.is_multiple_of(16) {
            let mut truth = Vec::new();
            backtrace::trace(|frame| {
                truth.push(frame.ip() as usize);
                true
            });
            let captured = self.remembering.stack();
            let first = captured.addresses[0];
            let at = truth.iter().position(|&ip| ip == first).unwrap();
            let truth: Vec<_> = truth[at..].iter().copied().filter(|&ip| ip != 0).collect();
            let len = truth.len().min(self.limit);
            assert_eq!(captured.addresses, &truth[..len]);
            let Registers { sp, .. } = Registers::here();
            self.forgetful.walk_with_every_register(sp, 0, false);
            let stack = self.forgetful.stack();
            assert_eq!(
                (stack.addresses, stack.end),
                (captured.addresses, captured.end)
            );
        }
        self.keep(hash);
        self.recall();
        self.leaves += 1;
    }

    /// What is kept must be the whole stack, whoever has its outer part.
    fn keep(&mut self, hash: u64) {
        let callsite = self.kept.find(hash).unwrap_or_else(|| {
            let label = CallsiteTag::default();
            self.kept.insert_last_of(&mut *self.remembering, label)
        });
        let mut addresses = Vec::new();
        let callsite = self.kept.get(callsite).unwrap();
        let end = self.kept.append_stack(callsite, &mut addresses);
        let stack = self.remembering.stack();
        assert_eq!(
            (addresses.as_slice(), end),
            (stack.addresses, Some(stack.end))
        );
    }

    /// What is recalled must be the callsite of the stack that is there.
    #[inline(never)]
    fn recall(&mut self) {
        let captured = self.recalling.capture();
        // A walk from the same place, so that the innermost address is the same too.
        self.forgetful.begin(self.forgetful.bounds);
        let Registers { sp, bp, .. } = Registers::here();
        self.forgetful.walk(self.recalling.site.from, sp, bp);
        let stack = self.forgetful.stack().addresses.to_vec();
        let next = CallsiteId::from_word(1 + self.callsites.len() as u32).unwrap();
        let callsite = *self.callsites.entry(stack).or_insert(next);
        match captured.known {
            Some(known) => {
                assert_eq!(known, callsite);
                self.recalled += 1;
            }
            None => self.recalling.remember(callsite),
        }
    }

    /// A call of a shape drawn at random, `depth` levels above the leaves.
    pub(super) fn call(&mut self, depth: usize) {
        if depth == 0 {
            return self.leaf();
        }
        match self.below(9) {
            0 => self.plain::<0>(depth),
            1 => self.plain::<1>(depth),
            2 => self.plain::<2>(depth),
            3 => self.aligned::<0>(depth),
            4 => self.aligned::<1>(depth),
            5 => self.large(depth),
            6 => self.dynamic(depth),
            7 => self.through_c(depth),
            _ => self.several(depth),
        }
    }

    #[inline(never)]
    fn plain<const N: usize>(&mut self, depth: usize) {
        self.call(depth - 1);
        black_box(N);
    }

    /// Its frame is found by rbp, wherever the stack pointer was.
    #[inline(never)]
    fn aligned<const N: usize>(&mut self, depth: usize) {
        #[repr(align(128))]
        struct Aligned([u8; 128]);
        let space = black_box(Aligned([N as u8; 128]));
        self.call(depth - 1);
        assert_eq!(space.0[N], N as u8);
    }

    #[inline(never)]
    fn large(&mut self, depth: usize) {
        let space = black_box([1_u8; 5_000]);
        self.call(depth - 1);
        assert_eq!(black_box(&space)[4_999], 1);
    }

    #[inline(never)]
    fn dynamic(&mut self, depth: usize) {
        let act = |shapes: &mut Shapes| {
            shapes.call(depth - 1);
            black_box(depth);
        };
        let act: &dyn Fn(&mut Shapes) = black_box(&act);
        act(self);
    }

    #[inline(never)]
    fn several(&mut self, depth: usize) {
        for _ in 0..2 {
            // Deep trees would have too many leaves.
            if depth < 9 || self.below(2) == 0 {
                self.call(depth - 1);
            }
        }
        self.call(depth.saturating_sub(3));
    }

    #[inline(never)]
    fn through_c(&mut self, depth: usize) {
        thread_local! {
            static SHAPES: Cell<(*mut Shapes, usize)> =
                const { Cell::new((std::ptr::null_mut(), 0)) };
        }
        unsafe extern "C" fn compare(_: *const libc::c_void, _: *const libc::c_void) -> i32 {
            let (shapes, depth) = SHAPES.get();
            // SAFETY: set just below, by the caller that waits for us.
            unsafe { &mut *shapes }.call(depth - 1);
            0
        }
        SHAPES.set((self, depth));
        let numbers = [7_i32];
        // SAFETY: one element of that size, and a function that compares two.
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
}
