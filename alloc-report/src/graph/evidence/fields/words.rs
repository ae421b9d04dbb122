//! [`words_of`]: what each word of a value may be.

use alloc_core_snapshot::seam::layouts::{Field, Layouts, Shape};

use super::{MOST_DEPTH, MOST_STEPS, WORD, is_owner};
use crate::graph::evidence::pointees::{Listing, Pointees};

/// The most words of a value whose fields are known.
const MOST_WORDS: u64 = 8192;

/// What a word of a value may be: in an enum or a union it may be several things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Types whose pointer it may be.
    owners: Vec<String>,
    pointees: Vec<Pointees>,
    /// Whether it may be any other pointer.
    is_other: bool,
}

impl Word {
    /// Whether a pointer there may lead to a block of a type.
    pub(super) fn listing(&self, target: Option<&str>) -> Listing {
        let other = match self.is_other {
            true => Listing::Possible,
            false => Listing::Excluded,
        };
        let of_owners = self.pointees.iter().map(|it| match target {
            Some(target) => it.listing(target),
            None => Listing::Possible,
        });
        of_owners.chain([other]).min().unwrap_or(other)
    }
}

/// What each word of a value of a type may be; `None` if the type is empty or too large.
pub(super) fn words_of(layouts: &Layouts, layout: u32) -> Option<Vec<Word>> {
    let words = layouts.size(layout).div_ceil(WORD);
    if words == 0 || words > MOST_WORDS {
        return None;
    }
    let mut filler = Filler {
        layouts,
        words: vec![Word::default(); words as usize],
        steps: 0,
    };
    filler.fill(layout, 0, 0)?;
    Some(filler.words)
}

/// Fills in the words of a value.
struct Filler<'a> {
    layouts: &'a Layouts,
    words: Vec<Word>,
    steps: usize,
}

impl Filler<'_> {
    /// `None` if the type is too large to look at.
    fn fill(&mut self, layout: u32, at: u64, depth: usize) -> Option<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > MOST_DEPTH {
            return None;
        }
        let of = self.layouts.get(layout);
        if is_owner(of) {
            let pointees = Pointees::of_value(&of.name);
            self.fill_owner(layout, at, &of.name, pointees.as_ref(), depth);
            return Some(());
        }
        match &of.shape {
            Shape::Data => {}
            Shape::Pointer => self.add(at, |word| word.is_other = true),
            Shape::Integer => {
                for at in (at..at.saturating_add(of.size)).step_by(WORD as usize) {
                    self.add(at, |word| word.is_other = true);
                }
            }
            Shape::Fields(fields) => {
                for Field { at: of, layout, .. } in fields {
                    self.fill(*layout, at.checked_add(*of)?, depth + 1)?;
                }
            }
            Shape::Array { of, count } => {
                let size = self.layouts.size(*of);
                for index in 0..*count {
                    let place = index.checked_mul(size)?.checked_add(at)?;
                    self.fill(*of, place, depth + 1)?;
                }
            }
        }
        Some(())
    }

    /// Fills in the pointers of a value that owns what they lead to.
    fn fill_owner(
        &mut self,
        layout: u32,
        at: u64,
        name: &str,
        pointees: Option<&Pointees>,
        depth: usize,
    ) {
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > MOST_DEPTH {
            return;
        }
        match &self.layouts.get(layout).shape {
            Shape::Pointer => self.add(at, |word| match pointees {
                Some(_) if word.owners.iter().any(|it| it == name) => {}
                Some(pointees) => {
                    word.owners.push(name.to_owned());
                    word.pointees.push(pointees.clone());
                }
                None => word.is_other = true,
            }),
            Shape::Fields(fields) => {
                for Field { at: of, layout, .. } in fields {
                    let place = at.saturating_add(*of);
                    self.fill_owner(*layout, place, name, pointees, depth + 1);
                }
            }
            Shape::Data | Shape::Integer | Shape::Array { .. } => {}
        }
    }

    fn add(&mut self, at: u64, change: impl FnOnce(&mut Word)) {
        let word = usize::try_from(at / WORD).ok();
        let word = word.and_then(|it| self.words.get_mut(it));
        if let (Some(word), true) = (word, at.is_multiple_of(WORD)) {
            change(word);
        }
    }
}
