//! [`Fields`]: the fields whose values are a part of the label.

use std::fmt::{self, Debug, Write};

use dashmap::DashMap;
use tracing::field::{Field, Visit};

use crate::record::thread;

/// Number of bytes of a value that are shown.
const LONGEST_VALUE: usize = 48;

/// Number of values of a field that are distinguished, unless set.
const MOST_VALUES: usize = 256;

/// The value that stands for those beyond the limit.
const OTHER: &str = "<other>";

/// What a value that is cut ends with.
const CUT: &str = "…";

/// The chosen fields, and all of their values seen so far.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Vec<Known>,
    pub(super) limit: usize,
}

#[derive(Debug)]
struct Known {
    name: Box<str>,
    values: DashMap<Box<str>, ()>,
}

impl Default for Fields {
    fn default() -> Fields {
        Fields {
            fields: Vec::new(),
            limit: MOST_VALUES,
        }
    }
}

/// The values of a span, by the number of their field. `None` for a field that it does not have.
#[derive(Default)]
pub(super) struct Values(Vec<Option<Box<str>>>);

impl Fields {
    pub(super) fn add(&mut self, name: &str) {
        self.fields.push(Known {
            name: name.into(),
            values: DashMap::new(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Reads the values of the chosen fields that `record` passes to a visitor.
    pub(super) fn read(&self, values: &mut Values, record: impl FnOnce(&mut dyn Visit)) {
        if !self.is_empty() {
            values.0.resize(self.fields.len(), None);
            record(&mut Reader {
                fields: self,
                values,
            });
        }
    }

    /// Writes the values in braces, if there are any.
    pub(super) fn write(&self, values: &Values, text: &mut Name) {
        let mut before = "{";
        for (field, value) in self.fields.iter().zip(&values.0) {
            if let Some(value) = value {
                // NOTE: a name that is too long is cut, which is no error.
                let _ = write!(text, "{before}{}={value}", field.name);
                before = " ";
            }
        }
        if before != "{" {
            let _ = text.write_str("}");
        }
    }
}

impl Known {
    /// Whether the value is one of those that are distinguished.
    fn distinguishes(&self, value: &str, limit: usize) -> bool {
        // PERF: a look is shared by all threads, an insertion is not.
        if self.values.contains_key(value) {
            return true;
        }
        // NOTE: threads that come at once may exceed the limit, by one each.
        let is_new = self.values.len() < limit;
        if is_new {
            // It lives as long as the layer.
            thread::untraced(|| self.values.insert(value.into(), ()));
        }
        is_new
    }
}

struct Reader<'a> {
    fields: &'a Fields,
    values: &'a mut Values,
}

impl Visit for Reader<'_> {
    /// Without the quotes and escapes that `Debug` adds.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, format_args!("{value:?}"));
    }
}

impl Reader<'_> {
    fn record(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let known = &self.fields.fields;
        let Some(at) = known.iter().position(|it| *it.name == *field.name()) else {
            return;
        };
        let mut text = Bounded::<LONGEST_VALUE>::default();
        let is_cut = text.write_fmt(value).is_err();
        let mut shown = text.as_str().to_owned();
        if is_cut {
            shown.push_str(CUT);
        }
        if !known[at].distinguishes(&shown, self.fields.limit) {
            OTHER.clone_into(&mut shown);
        }
        self.values.0[at] = Some(shown.into());
    }
}

/// The name of a span, built without allocating: longer than the longest name of a label.
pub(super) type Name = Bounded<256>;

/// A text of at most `N` bytes. Writing more is an error, and keeps what fits.
pub(super) struct Bounded<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Bounded<N> {
    fn default() -> Bounded<N> {
        Bounded {
            bytes: [0; N],
            len: 0,
        }
    }
}

impl<const N: usize> Bounded<N> {
    pub(super) fn as_str(&self) -> &str {
        // Only whole characters are written.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl<const N: usize> Write for Bounded<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let end = self.len + c.len_utf8();
            let Some(place) = self.bytes.get_mut(self.len..end) else {
                return Err(fmt::Error);
            };
            c.encode_utf8(place);
            self.len = end;
        }
        Ok(())
    }
}
