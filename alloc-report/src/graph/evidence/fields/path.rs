//! [`paths_to`]: the fields that lead to a place.

use alloc_core_snapshot::seam::layouts::{Field, Layouts, Shape};

use super::{MOST_DEPTH, MOST_STEPS, is_owner};
use crate::graph::evidence::pointees::{Listing, Pointees};

/// How many fields are named that share a place.
const MOST_ALTERNATIVES: usize = 2;

/// The fields that lead to a pointer at a place of a value, each as the program writes it: those
/// that fit the type of the target best.
pub(super) fn paths_to(
    layouts: &Layouts,
    layout: u32,
    at: u64,
    target: Option<&str>,
) -> Vec<String> {
    let mut found = Paths {
        layouts,
        target,
        steps: 0,
        all: Vec::new(),
    };
    found.follow(layout, at, String::new(), 0);
    let best = found.all.iter().map(|(fit, _)| *fit).min();
    let mut paths = Vec::new();
    for (fit, path) in found.all {
        if Some(fit) == best && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// Alternatives in one text, each behind a prefix: `[3].left or [3].right`.
pub(super) fn joined(prefix: &str, paths: &[String]) -> String {
    let shown = paths.iter().take(MOST_ALTERNATIVES).map(|path| {
        let is_next = prefix.is_empty() || path.is_empty() || path.starts_with('[');
        let separator = if is_next { "" } else { "." };
        format!("{prefix}{separator}{path}")
    });
    let mut shown: Vec<String> = shown.collect();
    if paths.len() > MOST_ALTERNATIVES {
        shown.push("others".to_owned());
    }
    shown.join(" or ")
}

/// All fields that lead to a pointer at a place.
struct Paths<'a> {
    layouts: &'a Layouts,
    /// The type of the block that it leads to.
    target: Option<&'a str>,
    steps: usize,
    all: Vec<(Fit, String)>,
}

/// How well a field fits the type of the block that a pointer leads to, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The field's type names it.
    Named,
    Possible,
    Pointer,
    Integer,
    Excluded,
}

impl Paths<'_> {
    fn follow(&mut self, layout: u32, at: u64, path: String, depth: usize) {
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > MOST_DEPTH {
            return;
        }
        let of = self.layouts.get(layout);
        if is_owner(of) {
            if self.has_pointer(layout, at, depth) {
                let pointees = Pointees::of_value(&of.name);
                let listing = match (pointees, self.target) {
                    (Some(pointees), Some(target)) => pointees.listing(target),
                    _ => Listing::Possible,
                };
                let fit = match listing {
                    Listing::Named => Fit::Named,
                    Listing::Possible => Fit::Possible,
                    Listing::Excluded => Fit::Excluded,
                };
                self.all.push((fit, path));
            }
            return;
        }
        match &of.shape {
            Shape::Data => {}
            Shape::Pointer | Shape::Integer => {
                if at < of.size {
                    let fit = match of.shape {
                        Shape::Integer => Fit::Integer,
                        _ => Fit::Pointer,
                    };
                    self.all.push((fit, path));
                }
            }
            Shape::Fields(fields) => {
                for field in fields {
                    let Some(within) = self.within(field, at) else {
                        continue;
                    };
                    // What the standard library calls its fields says nothing, but in its nodes.
                    let is_shown =
                        !field.name.is_empty() && (!of.is_of_std || is_of_node(&of.name));
                    let path = match is_shown {
                        true if path.is_empty() => field.name.clone(),
                        true => format!("{path}.{}", field.name),
                        false => path.clone(),
                    };
                    self.follow(field.layout, within, path, depth + 1);
                }
            }
            Shape::Array { of, .. } => {
                let size = self.layouts.size(*of);
                if let Some(index) = at.checked_div(size) {
                    let path = format!("{path}[{index}]");
                    self.follow(*of, at % size, path, depth + 1);
                }
            }
        }
    }

    /// A place within a field, if it is in there.
    fn within(&self, field: &Field, at: u64) -> Option<u64> {
        let size = self.layouts.size(field.layout);
        at.checked_sub(field.at).filter(|it| *it < size)
    }

    /// Whether a type of the standard library has a pointer at a place.
    fn has_pointer(&mut self, layout: u32, at: u64, depth: usize) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > MOST_DEPTH {
            return false;
        }
        match &self.layouts.get(layout).shape {
            Shape::Pointer => at == 0,
            Shape::Fields(fields) => fields.iter().any(|field| {
                let within = self.within(field, at);
                within.is_some_and(|at| self.has_pointer(field.layout, at, depth + 1))
            }),
            Shape::Data | Shape::Integer | Shape::Array { .. } => false,
        }
    }
}

/// Whether a type of the standard library is a node of a tree or list, whose fields have a meaning.
fn is_of_node(name: &str) -> bool {
    let owner = name.split('<').next().unwrap_or_default();
    matches!(owner, "LeafNode" | "InternalNode" | "Node")
}
