//! [`Selected`]: blocks by an address, a line or a type.

use alloc_core_snapshot::Escaped;

use crate::graph::{BlockId, Graph};
use crate::names::without_paths;

/// The blocks that a text names.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// assert_eq!(graph.select("Rc<Node>").unwrap().blocks.len(), 2);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selected {
    /// The blocks, those that retain the most first. There is at least one.
    pub blocks: Vec<BlockId>,
    /// Whether the text was an address.
    pub by_address: bool,
}

impl Graph {
    /// The blocks that a text names: by an address in one (`0x7f12a0`), by the line that is charged
    /// with them (`src/cache.rs:41`, `cache.rs:41`), or by their type (`Rc<Node>`, `Node`).
    ///
    /// # Errors
    ///
    /// A message that says what was expected, if no block is found.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// for text in ["0x10000008", "src/cache.rs:41", "cache.rs:41", "HashMap<u64, Rc<Node>>"] {
    ///     assert_eq!(graph.select(text).unwrap().blocks, [graph.blocks().next().unwrap()]);
    /// }
    /// assert!(graph.select("0x1").unwrap_err().starts_with("no live block contains 0x1"));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn select(&self, text: &str) -> Result<Selected, String> {
        if let Some(digits) = text.strip_prefix("0x") {
            let address = u64::from_str_radix(digits, 16).map_err(|_| {
                format!(
                    "expected an address such as 0x7f12a0, found {}",
                    Escaped(text)
                )
            })?;
            let block = self
                .find(address)
                .ok_or_else(|| format!("no live block contains {}", Escaped(text)))?;
            return Ok(Selected {
                blocks: vec![block],
                by_address: true,
            });
        }
        let wanted = comparable(text);
        let callsites = self.names().callsites.iter();
        let fits: Vec<Fit> = callsites
            .map(|it| match is_place(&it.place, text) {
                true => Fit::Exact,
                false => fit(it.type_name.as_deref(), &wanted),
            })
            .collect();
        // The owners of a type are meant only if no block is of the type itself.
        let best = fits
            .iter()
            .copied()
            .max()
            .unwrap_or(Fit::No)
            .max(Fit::Owner);
        let of = |it: &BlockId| self.data.nodes.callsites[it.0 as usize] as usize;
        let mut blocks: Vec<BlockId> = self.blocks().filter(|it| fits[of(it)] == best).collect();
        if blocks.is_empty() {
            return Err(format!(
                "no live block is of {}: expected an address such as 0x7f12a0, a line such as \
                 src/cache.rs:41, or a type such as Rc<Node>",
                Escaped(text)
            ));
        }
        blocks.sort_by_key(|it| (std::cmp::Reverse(self.retained(*it)), *it));
        Ok(Selected {
            blocks,
            by_address: false,
        })
    }
}

/// Whether a line is the one meant: the whole path, or its last parts.
fn is_place(place: &str, text: &str) -> bool {
    let rest = place.strip_suffix(text);
    rest.is_some_and(|it| it.is_empty() || it.ends_with('/'))
}

/// A type without the paths of modules and without spaces.
fn comparable(name: &str) -> String {
    let mut name = without_paths(name);
    name.retain(|it| it != ' ');
    name
}

/// How well a type fits the one meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// It owns the type: `Rc<Node>` for `Node`.
    Owner,
    Exact,
}

fn fit(name: Option<&str>, wanted: &str) -> Fit {
    let Some(name) = name.map(comparable) else {
        return Fit::No;
    };
    let inner = name
        .split_once('<')
        .and_then(|(_, it)| it.strip_suffix('>'));
    match name {
        it if it == wanted => Fit::Exact,
        _ if inner == Some(wanted) => Fit::Owner,
        _ => Fit::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_types_are_found_by_their_ends() {
        assert!(is_place("src/cache.rs:41", "src/cache.rs:41"));
        assert!(is_place("src/cache.rs:41", "cache.rs:41"));
        assert!(!is_place("src/cache.rs:41", "ache.rs:41"));
        assert!(!is_place("src/cache.rs:41", "src/cache.rs:4"));
        assert_eq!(comparable("(a::B, c::D<e::F>)"), "(B,D<F>)");
        for (name, wanted, expected) in [
            ("Rc<app::Node>", "Rc<Node>", Fit::Exact),
            ("Rc<app::Node>", "Node", Fit::Owner),
            ("Vec<Rc<app::Node>>", "Node", Fit::No),
            ("Vec<Rc<app::Node>>", "Rc<Node>", Fit::Owner),
        ] {
            assert_eq!(fit(Some(name), wanted), expected, "{name} {wanted}");
        }
        assert_eq!(fit(None, "Node"), Fit::No);
    }
}
