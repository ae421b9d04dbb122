//! [`Strings`]: the names in the data of a page, each once.

use std::borrow::Cow;
use std::collections::HashMap;

/// A number in the table of strings.
pub(crate) type Name = u32;

/// Strings, each once.
#[derive(Default)]
pub(crate) struct Strings<'a> {
    numbers: HashMap<Cow<'a, str>, Name>,
}

impl<'a> Strings<'a> {
    pub(crate) fn add(&mut self, text: impl Into<Cow<'a, str>>) -> Name {
        let next = self.numbers.len() as Name;
        *self.numbers.entry(text.into()).or_insert(next)
    }

    pub(crate) fn into_list(self) -> Vec<Cow<'a, str>> {
        let mut list = vec![Cow::Borrowed(""); self.numbers.len()];
        for (text, at) in self.numbers {
            list[at as usize] = text;
        }
        list
    }
}
