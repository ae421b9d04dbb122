//! [`words_of`]: what each word of a value may be.

use alloc_core_snapshot::seam::layouts::{Layouts, Shape};

use super::{MOST_DEPTH, MOST_STEPS, WORD, is_owner};
use crate::graph::evidence::pointees::{Listing, Pointees};

/// The most words of a value whose fields are known.
const MOST_WORDS: u64 = 8192;

/// What a word of a value may be: in an enum or a union it may be several things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Word {
    /// The types whose pointer it may be.
    owners: Vec<String>,
    /// Whether it may be any other pointer.
    is_other: bool,
}

/// Where pointers of words lead.
pub(super) struct Leads {
    pointees: Vec<Pointees>,
    is_other: bool,
}

impl Leads {
    pub(super) fn of(word: &Word) -> Leads {
        let owners = word.owners.iter();
        Leads {
            pointees: owners.filter_map(|it| Pointees::of_value(it)).collect(),
            is_other: word.is_other,
        }
    }

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
    filler.fill(layout, 0, Owner::None, 0)?;
    Some(filler.words)
}

/// Fills in the words of a value.
struct Filler<'a> {
    layouts: &'a Layouts,
    words: Vec<Word>,
    steps: usize,
}

/// Whose a field is.
#[derive(Clone, Copy)]
enum Owner<'a> {
    /// No owner's, as far as names show.
    None,
    /// That of a type whose name shows what it leads to.
    Named(&'a str),
    /// That of a type whose name does not show it, such as a box of a trait object.
    Unnamed,
}

impl<'a> Filler<'a> {
    /// `None` if the type is too large to look at.
    fn fill(&mut self, layout: u32, at: u64, owner: Owner<'a>, depth: usize) -> Option<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > MOST_DEPTH {
            return None;
        }
        let layouts = self.layouts;
        let of = layouts.get(layout);
        let owner = match owner {
            Owner::None if is_owner(of) => match Pointees::of_value(&of.name) {
                Some(_) => Owner::Named(&of.name),
                None => Owner::Unnamed,
            },
            owner => owner,
        };
        match (&of.shape, owner) {
            (Shape::Pointer, Owner::Named(name)) => self.change(at, |word| {
                if word.owners.iter().all(|it| it != name) {
                    word.owners.push(name.to_owned());
                }
            }),
            (Shape::Pointer, _) => self.change(at, |word| word.is_other = true),
            (Shape::Integer, Owner::None) => {
                for at in (at..at.saturating_add(of.size)).step_by(WORD as usize) {
                    self.change(at, |word| word.is_other = true);
                }
            }
            (Shape::Fields(fields), _) => {
                for field in fields {
                    let place = at.checked_add(field.at)?;
                    self.fill(field.layout, place, owner, depth + 1)?;
                }
            }
            (Shape::Array { of, count }, Owner::None) if !is_data(layouts, *of) => {
                let size = layouts.size(*of);
                for index in 0..*count {
                    let place = index.checked_mul(size)?.checked_add(at)?;
                    self.fill(*of, place, owner, depth + 1)?;
                }
            }
            (Shape::Data | Shape::Integer | Shape::Array { .. }, _) => {}
        }
        Some(())
    }

    fn change(&mut self, at: u64, change: impl FnOnce(&mut Word)) {
        let word = usize::try_from(at / WORD).ok();
        let word = word.and_then(|it| self.words.get_mut(it));
        if let (Some(word), true) = (word, at.is_multiple_of(WORD)) {
            change(word);
        }
    }
}

fn is_data(layouts: &Layouts, layout: u32) -> bool {
    matches!(layouts.get(layout).shape, Shape::Data)
}
