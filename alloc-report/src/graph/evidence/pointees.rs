//! [`Pointees`]: which blocks the blocks of a type can point to.

use std::collections::HashSet;

/// What the blocks of a type can point to, if the type shows it.
///
/// `BTreeMap<u64, Box<Leaf>>` points to `Box<Leaf>` and to its own nodes. Any other pointer in it
/// was left behind, in places that are not in use. A type of the program, such as `Vec<Entry>`,
/// shows nothing: its fields are not known.
///
/// # What is taken as equal
///
/// Vectors, strings, boxed slices and boxed arrays become each other without being moved, so they are
/// one kind: `vec![1, 2]` is allocated as an array. So are all hash tables, and all trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::graph) struct Pointees {
    /// Types that are named: `Box<T>`, `Rc<T>`, `Arc<T>`, and hash tables.
    owners: HashSet<String>,
    buffers: bool,
    tables: bool,
    trees: bool,
    lists: bool,
}

/// Whether blocks of one type point to those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::graph) enum Listing {
    /// The one type names the other.
    Named,
    /// The types do not show it.
    Possible,
    /// The one type shows that it does not.
    Excluded,
}

impl Pointees {
    /// `None` if the type does not show what its blocks point to.
    pub(in crate::graph) fn of(type_name: &str) -> Option<Pointees> {
        let (owner, arguments) = split(type_name)?;
        let mut found = Pointees::default();
        match owner {
            "Vec" | "VecDeque" | "BinaryHeap" | "HashMap" | "HashSet" | "HashTable" | "Box"
            | "Rc" | "Arc" => {}
            "BTreeMap" | "BTreeSet" => found.trees = true,
            "LinkedList" => found.lists = true,
            _ => return None,
        }
        let parts = parts(arguments);
        parts.iter().all(|it| found.add(it)).then_some(found)
    }

    /// What a value of a type points to; `None` if the type does not show it.
    pub(in crate::graph) fn of_value(value: &str) -> Option<Pointees> {
        let mut found = Pointees::default();
        found.add(value).then_some(found)
    }

    /// Adds what a value of a type points to. Returns whether the type shows it.
    fn add(&mut self, value: &str) -> bool {
        if is_plain(value) {
            return true;
        }
        if let Some(inner) = between(value, '(', ')') {
            return parts(inner).iter().all(|it| self.add(it));
        }
        if let Some(inner) = between(value, '[', ']') {
            let element = inner.rsplit_once(';').map_or(inner, |(it, _)| it);
            return self.add(element.trim());
        }
        if matches!(value, "String" | "CString" | "OsString" | "PathBuf") {
            self.buffers = true;
            return true;
        }
        let Some((owner, arguments)) = split(value) else {
            return false;
        };
        match owner {
            "Vec" | "VecDeque" | "BinaryHeap" => self.buffers = true,
            "HashMap" | "HashSet" => {
                self.tables = true;
                self.owners.insert(value.to_owned());
            }
            "BTreeMap" | "BTreeSet" => self.trees = true,
            "LinkedList" => self.lists = true,
            "Box" | "Rc" | "Arc" if is_unsized(arguments) => {
                // NOTE: a trait object points to a block of some other type.
                if is_trait_object(arguments) {
                    return false;
                }
                self.buffers = true;
                self.owners.insert(value.to_owned());
            }
            "Box" | "Rc" | "Arc" => {
                self.owners.insert(value.to_owned());
            }
            "Weak" => {
                for owner in ["Rc", "Arc"] {
                    self.owners.insert(format!("{owner}<{arguments}>"));
                }
                return !is_trait_object(arguments);
            }
            "Option" | "Cell" | "RefCell" | "Mutex" | "RwLock" | "Pin" | "Reverse"
            | "ManuallyDrop" | "MaybeUninit" => return self.add(arguments),
            _ => return false,
        }
        true
    }

    /// Whether a block of a type is among them.
    pub(in crate::graph) fn listing(&self, type_name: &str) -> Listing {
        if self.owners.contains(type_name) {
            return Listing::Named;
        }
        match self.may_contain(type_name) {
            true => Listing::Possible,
            false => Listing::Excluded,
        }
    }

    /// Whether a block of a type may be among them. A type of another kind may be.
    fn may_contain(&self, type_name: &str) -> bool {
        let (owner, arguments) = split(type_name).unwrap_or((type_name, ""));
        match owner {
            "Box" | "Rc" | "Arc" => {
                let inner = between_words(arguments, "MaybeUninit<", ">").unwrap_or(arguments);
                self.owners.contains(&format!("{owner}<{inner}>"))
                    || self.buffers && (is_unsized(arguments) || array_of(arguments).is_some())
            }
            "Vec" | "VecDeque" | "BinaryHeap" | "String" | "CString" | "OsString" | "PathBuf" => {
                self.buffers
            }
            "HashMap" | "HashSet" | "HashTable" => self.tables,
            "BTreeMap" | "BTreeSet" => self.trees,
            "LinkedList" => self.lists,
            _ => true,
        }
    }
}

/// `Vec` and `T` of `Vec<T>`.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let (owner, rest) = name.split_once('<')?;
    Some((owner, rest.strip_suffix('>')?))
}

fn between(name: &str, open: char, close: char) -> Option<&str> {
    name.strip_prefix(open)?.strip_suffix(close)
}

fn between_words<'a>(name: &'a str, start: &str, end: &str) -> Option<&'a str> {
    name.strip_prefix(start)?.strip_suffix(end)
}

/// Whether a type has no known size: text, a slice, a trait object.
fn is_unsized(name: &str) -> bool {
    name == "str" || is_trait_object(name) || slice_of(name).is_some()
}

/// The element of a slice; `None` for another type, such as an array.
pub(super) fn slice_of(name: &str) -> Option<&str> {
    let inner = between(name, '[', ']')?;
    semicolon(inner).is_none().then_some(inner)
}

/// The element of an array, and how many there are.
pub(super) fn array_of(name: &str) -> Option<(&str, u64)> {
    let inner = between(name, '[', ']')?;
    let at = semicolon(inner)?;
    let count = inner[at + 1..].trim().parse().ok()?;
    Some((inner[..at].trim(), count))
}

/// The place of the semicolon that is outside of all brackets.
fn semicolon(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.bytes().position(|it| {
        match it {
            b'[' | b'(' | b'<' => depth += 1,
            b']' | b')' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        it == b';' && depth == 0
    })
}

fn is_trait_object(name: &str) -> bool {
    name.starts_with("dyn ")
}

/// The parts of a list between commas outside of brackets.
fn parts(list: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let bytes = list.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // NOTE: the arrow of a function's type closes nothing.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(list[start..].trim());
    parts.retain(|it| !it.is_empty());
    parts
}

/// Whether a type is a number or the like.
pub(super) fn is_plain(name: &str) -> bool {
    matches!(
        name,
        "u8" | "i8"
            | "u16"
            | "i16"
            | "u32"
            | "i32"
            | "u64"
            | "i64"
            | "u128"
            | "i128"
            | "usize"
            | "isize"
            | "f32"
            | "f64"
            | "bool"
            | "char"
            | "str"
            | "()"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, to: &[&str], not_to: &[&str]) {
        let found = Pointees::of(from).expect(from);
        for name in to {
            assert_ne!(found.listing(name), Listing::Excluded, "{from} -> {name}");
        }
        for name in not_to {
            assert_eq!(found.listing(name), Listing::Excluded, "{from} -> {name}");
        }
    }

    #[test]
    fn collections_of_known_types_show_what_they_point_to() {
        check(
            "BTreeMap<u64, Box<app::Leaf>>",
            &[
                "Box<app::Leaf>",
                "BTreeMap<u64, Box<app::Leaf>>",
                "Channel<u8>",
            ],
            &[
                "Arc<app::Entry>",
                "Box<app::Tag>",
                "String",
                "HashMap<u8, u8>",
            ],
        );
        check(
            "Vec<(u64, Option<Rc<app::Node>>)>",
            &["Rc<app::Node>"],
            &["Vec<u8>", "Box<app::Node>", "LinkedList<u8>"],
        );
        check(
            "HashMap<String, Vec<app::Entry>>",
            &[
                "String",
                "Vec<u8>",
                "Box<[u8]>",
                "Box<[app::Entry; 3]>",
                "Arc<str>",
                "VecDeque<u8>",
            ],
            &["BTreeSet<u8>"],
        );
        check("Vec<Box<app::Big>>", &["Box<MaybeUninit<app::Big>>"], &[]);
        check(
            "Vec<Weak<app::Node>>",
            &["Rc<app::Node>", "Arc<app::Node>"],
            &[],
        );
        check(
            "LinkedList<[Box<app::A>; 4]>",
            &["LinkedList<x>", "Box<app::A>"],
            &["Box<u8>"],
        );
        check("Vec<Arc<[u8]>>", &["Arc<[u8]>"], &["Arc<u8>"]);
        check(
            "Rc<RefCell<Vec<Rc<app::Node>>>>",
            &["Vec<Rc<app::Node>>"],
            &["Rc<app::Node>"],
        );
    }

    #[test]
    fn boxes_and_tables_are_named() {
        let found = Pointees::of("HashMap<String, (Arc<app::A>, HashMap<u8, u8>)>").unwrap();
        for (name, expected) in [
            ("Arc<app::A>", Listing::Named),
            ("HashMap<u8, u8>", Listing::Named),
            ("HashMap<u8, u16>", Listing::Possible),
            ("String", Listing::Possible),
            ("Channel<u8>", Listing::Possible),
            ("Arc<app::B>", Listing::Excluded),
        ] {
            assert_eq!(found.listing(name), expected, "{name}");
        }
    }

    #[test]
    fn types_of_the_program_show_nothing() {
        for name in [
            "Vec<Box<dyn Fn() + Send>>",
            "Vec<Weak<dyn app::Draw + Send>>",
            "Vec<app::Entry>",
            "Rc<app::Node>",
            "Vec<Box<dyn app::Handler>>",
            "Vec<Weak<dyn app::Handler>>",
            "Vec<&str>",
            "Vec<*const u8>",
            "HashMap<u64, app::Entry>",
            "Box<fn() -> u8>",
            "Channel<u8>",
            "String",
            "Vec",
        ] {
            assert_eq!(Pointees::of(name), None, "{name}");
        }
    }
}
