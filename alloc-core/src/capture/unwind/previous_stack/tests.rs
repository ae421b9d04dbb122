//! Which links hold after a word of the stack changed, against a model.

use super::*;

/// Links of a stack that is made up, and which of them should hold.
struct Model {
    links: Box<PreviousStack>,
    new_frames: Box<NewFrames>,
    stack: Vec<usize>,
    found: Vec<Found>,
}

const FRAMES: usize = 40;
/// A frame has two words that are read: the saved rbp, and the return address above it.
const WORDS: usize = 2;

impl Model {
    /// Frames that were found in ways drawn at random, outermost first.
    fn new(random: &mut impl FnMut(u64) -> u64) -> Model {
        // SAFETY: numbers, for which zero is a value.
        let mut links = unsafe { Box::<PreviousStack>::new_zeroed().assume_init() };
        // SAFETY: numbers, for which zero is a value.
        let mut new_frames = unsafe { Box::<NewFrames>::new_zeroed().assume_init() };
        let stack: Vec<usize> = (0..FRAMES * WORDS).map(|at| 1_000 + at).collect();
        let address = |at: usize| &raw const stack[at] as usize;
        let check = |at: usize| Check {
            address: address(at),
            word: stack[at],
        };
        let found: Vec<Found> = (0..FRAMES)
            .map(|link| {
                let at = (FRAMES - 1 - link) * WORDS;
                let (bp, way) = match random(4) {
                    0 => (check(at), Flags::BP_SAVED),
                    1 => (check(at), Flags::BP_SAVED.and(Flags::CFA_FROM_BP)),
                    2 => (Check::of_register(7), Flags::BP_KEPT),
                    _ => (check(at), Flags::BP_SAVED.and(Flags::UNLOADABLE)),
                };
                let pc = check(at + 1);
                let from = Origin { bp, way };
                Found { pc, from }
            })
            .collect();
        for (at, found) in found.iter().rev().enumerate() {
            new_frames.set(at, *found);
        }
        links.begin(0, false);
        links.push(0, FRAMES, &new_frames);
        Model {
            links,
            new_frames,
            stack,
            found,
        }
    }

    /// Whether the rbp is held that was saved at this link, by the definition: the first step
    /// further out that knows rbp takes it.
    fn holds_bp(&self, link: usize) -> bool {
        let is_saved = |it: &Found| it.from.bp.address != 0;
        let is_taken = |it: &Found| it.from.way.has(Flags::CFA_FROM_BP);
        let mut outer = self.found[..link].iter().rev();
        is_saved(&self.found[link])
            && outer
                .find(|it| is_taken(it) || is_saved(it))
                .is_some_and(is_taken)
    }

    /// Which link should be the innermost that holds, counted from 1, if this word of the stack
    /// changed.
    fn expected(&self, changed: usize) -> usize {
        let link = FRAMES - 1 - changed / WORDS;
        match changed % WORDS {
            0 if self.holds_bp(link) => link + 1,
            0 => FRAMES,
            _ => link,
        }
    }

    /// The same as it is said, if `dropped` links were dropped.
    fn said(&self, start: Start, dropped: usize) -> usize {
        let sp = self.stack.as_ptr().addr();
        // SAFETY: words of the vector are there from the first on.
        dropped + unsafe { self.links.innermost_valid(start, sp) }
    }
}

fn random() -> impl FnMut(u64) -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) % below
    }
}

#[test]
fn a_link_holds_if_all_that_it_was_found_by_is_there() {
    let mut random = random();
    for _ in 0..50 {
        let mut model = Model::new(&mut random);
        assert_eq!(model.said(Start::OUTERMOST, 0), FRAMES);
        assert_eq!(model.said(Start::NONE, 0), 0);
        for changed in 0..model.stack.len() {
            model.stack[changed] ^= 1;
            assert_eq!(
                model.said(Start::OUTERMOST, 0),
                model.expected(changed),
                "{changed}"
            );
            let from = random(FRAMES as u64) as usize;
            let seen = FRAMES - 1 - changed / WORDS >= from;
            let start = model.links.start_inside_of(from);
            let expected = if seen {
                model.expected(changed)
            } else {
                FRAMES
            };
            assert_eq!(model.said(start, 0), expected, "{changed} from {from}");
            // SAFETY: as in `said`.
            let outside = unsafe { model.links.are_valid_outside_of(start, 0, FRAMES) };
            assert_eq!(outside, seen || expected == model.expected(changed));
            model.stack[changed] ^= 1;
        }
    }
}

#[test]
fn links_hold_as_before_when_others_outside_of_them_are_dropped() {
    let mut random = random();
    for _ in 0..50 {
        let mut model = Model::new(&mut random);
        let dropped = 1 + random(FRAMES as u64 - 1) as usize;
        let held: Vec<Check> = model.links.held(dropped, FRAMES).collect();
        let (sum, outside) = (model.links.sum(FRAMES), model.links.sum(dropped));
        model.links.drop_outer(dropped + 1, FRAMES);
        let new = 0;
        model.links.push(FRAMES - dropped, new, &model.new_frames);
        let left = FRAMES - dropped;
        assert_eq!(model.links.sum(left), sum);
        assert_eq!(model.links.sum(0), outside);
        assert!(model.links.held(0, left).eq(held));
        for changed in 0..left * WORDS {
            model.stack[changed] ^= 1;
            let expected = model.expected(changed);
            assert_eq!(model.said(Start::OUTERMOST, dropped), expected, "{changed}");
            model.stack[changed] ^= 1;
        }
    }
}
