//! [`Kind`]: what the type of a block says about pointers in it and to it.

use super::pointees;

/// What the type of a block says about pointers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::graph) struct Kind {
    /// Whether it has no pointers, so that what looks like one was left behind.
    pub(in crate::graph) has_no_pointers: bool,
    /// Whether it starts with the two counts of an `Rc` or `Arc`.
    pub(in crate::graph) is_counted: bool,
    /// Whether it is the table of a hash map, or may be one.
    pub(in crate::graph) table: IsTable,
    /// Whether it is a part of a collection, which has one owner.
    pub(in crate::graph) is_collection: bool,
    /// Whether what is behind the length of its owner is not initialized.
    pub(in crate::graph) is_vector: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::graph) enum IsTable {
    Yes,
    No,
    /// The type is not known.
    #[default]
    Maybe,
}

impl Kind {
    pub(in crate::graph) fn of(type_name: Option<&str>) -> Kind {
        let Some(name) = type_name else {
            return Kind::default();
        };
        let (owner, arguments) = match name.split_once('<') {
            Some((owner, rest)) => (owner, rest.strip_suffix('>').unwrap_or(rest)),
            None => (name, ""),
        };
        let table = match owner {
            "HashMap" | "HashSet" | "HashTable" => IsTable::Yes,
            _ => IsTable::No,
        };
        let has_no_pointers = match owner {
            "String" | "CString" | "OsString" | "PathBuf" => true,
            "Vec" | "Box" | "Rc" | "Arc" | "VecDeque" | "BinaryHeap" | "HashMap" | "HashSet"
            | "HashTable" => are_plain(arguments),
            _ => false,
        };
        Kind {
            has_no_pointers,
            is_counted: matches!(owner, "Rc" | "Arc"),
            table,
            is_collection: !matches!(owner, "Box" | "Rc" | "Arc") && is_known(owner),
            is_vector: matches!(
                owner,
                "Vec" | "BinaryHeap" | "String" | "OsString" | "PathBuf"
            ),
        }
    }
}

/// Whether an owner is one of the standard library's.
fn is_known(owner: &str) -> bool {
    matches!(
        owner,
        "Vec"
            | "VecDeque"
            | "BinaryHeap"
            | "HashMap"
            | "HashSet"
            | "HashTable"
            | "BTreeMap"
            | "BTreeSet"
            | "LinkedList"
    )
}

/// Whether a type, or a list of types, consists of numbers and text only.
fn are_plain(types: &str) -> bool {
    // NOTE: brackets and commas of tuples, slices and arrays; the length of an array.
    let parts = types.split([',', '(', ')', '[', ']', ';']);
    let mut parts = parts.map(str::trim).filter(|it| !it.is_empty());
    let is_number = |it: &str| it.bytes().all(|it| it.is_ascii_digit() || it == b'_');
    !types.trim().is_empty() && parts.all(|it| pointees::is_plain(it) || is_number(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_have_no_pointers() {
        for name in [
            "String",
            "PathBuf",
            "Vec<u8>",
            "Box<[u64]>",
            "Arc<str>",
            "Rc<[(u32, f64); 16]>",
            "HashMap<u64, (u8, [i16; 3])>",
            "HashSet<()>",
            "VecDeque<usize>",
        ] {
            assert!(Kind::of(Some(name)).has_no_pointers, "{name}");
        }
        for name in [
            "Vec<String>",
            "Box<Node>",
            "Box<dyn Fn()>",
            "Box<fn(u8) -> u8>",
            "Vec<&str>",
            "Vec<*const u8>",
            "BTreeMap<u8, u8>",
            "LinkedList<u8>",
            "HashMap<u64, String>",
            "Vec<[u8; N]>",
            "Channel<u8>",
            "Vec<>",
            "Vec",
        ] {
            assert!(!Kind::of(Some(name)).has_no_pointers, "{name}");
        }
        assert!(!Kind::of(None).has_no_pointers);
    }

    #[test]
    fn owners_are_known_by_their_names() {
        let kind = |name| Kind::of(Some(name));
        assert!(kind("Rc<Node>").is_counted && kind("Arc<[u8]>").is_counted);
        assert!(!kind("Vec<Rc<Node>>").is_counted && !kind("Rcs<u8>").is_counted);
        assert!(kind("Vec<u8>").is_vector && !kind("VecDeque<u8>").is_vector);
        assert!(kind("BTreeMap<u8, u8>").is_collection && !kind("Box<u8>").is_collection);
        assert_eq!(kind("HashSet<u8>").table, IsTable::Yes);
        assert_eq!(kind("Vec<HashSet<u8>>").table, IsTable::No);
        assert_eq!(Kind::of(None).table, IsTable::Maybe);
    }
}
