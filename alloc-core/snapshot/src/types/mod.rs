//! Derives the type that a block was allocated for from the names of the allocating functions.
//!
//! In: the functions of a stack, innermost first. Out: the name of a type in short form. It never
//! guesses.
//!
//! A block has no type at run time. The allocating functions of the standard library are generic,
//! and debug information has their arguments: `alloc::vec::Vec<T>::push` was compiled as
//! `push<demo::Node>`. So the innermost frames of a stack, up to the first one outside the standard
//! library, show the type. [`RULES`] lists which functions allocate which types. If no rule
//! applies, or its arguments are unknown, the type is unknown.

mod parse;
mod shown;

use std::collections::HashMap;
use std::sync::Arc;

use crate::stack::traceback::Traceback;
use parse::Call;
pub use shown::{is_of_std, shown, shown_vtable};

/// The names of a function in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// Its path, demangled.
    pub(crate) function: &'a str,
    /// Its bare name with its generic arguments, if debug information has it.
    pub(crate) generic: Option<&'a str>,
}

/// The types that the functions of one module or type allocate.
struct Rule {
    /// The prefix of the functions' paths.
    path: &'static str,
    allocates: Allocates,
}

/// The type that a function allocates, given its generic arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allocates {
    /// The content of a box: the first argument. A node of a collection is shown as the collection.
    Boxed,
    /// A collection of its first argument.
    Of(&'static str),
    /// The table of a map or set: the first argument is the type of a slot.
    Table,
    /// A map of its first argument to its second.
    Map(&'static str),
    /// This fixed type.
    Exactly(&'static str),
}

/// Maps paths to allocated types. The longest matching path takes precedence.
const RULES: &[Rule] = {
    use Allocates::{Boxed, Exactly, Map, Of, Table};
    const fn rule(path: &'static str, allocates: Allocates) -> Rule {
        Rule { path, allocates }
    }
    &[
        rule("alloc::boxed::Box", Boxed),
        rule("alloc::boxed::iter", Boxed),
        rule("alloc::rc::Rc", Of("Rc")),
        rule("alloc::sync::Arc", Of("Arc")),
        rule("alloc::vec", Of("Vec")),
        rule("alloc::slice", Of("Vec")),
        rule("alloc::raw_vec::RawVec", Of("Vec")),
        rule("alloc::collections::vec_deque", Of("VecDeque")),
        rule("alloc::collections::binary_heap", Of("BinaryHeap")),
        rule("hashbrown::raw::RawTable", Table),
        rule("hashbrown::map::HashMap", Map("HashMap")),
        rule("hashbrown::set::HashSet", Of("HashSet")),
        rule("hashbrown::table::HashTable", Table),
        rule("alloc::string", Exactly("String")),
        rule("alloc::str", Exactly("String")),
        rule("alloc::fmt", Exactly("String")),
        rule("alloc::ffi::c_str", Exactly("CString")),
        rule("std::ffi::os_str", Exactly("OsString")),
        rule("std::sys::os_str", Exactly("OsString")),
        rule("std::path", Exactly("PathBuf")),
    ]
};

/// The node types that collections put into boxes, and the collections.
const NODES: &[(&str, &str)] = &[
    ("alloc::rc::RcInner", "Rc"),
    ("alloc::rc::RcBox", "Rc"),
    ("alloc::sync::ArcInner", "Arc"),
    ("alloc::collections::btree::node::LeafNode", "BTreeMap"),
    ("alloc::collections::btree::node::InternalNode", "BTreeMap"),
    ("alloc::collections::linked_list::Node", "LinkedList"),
    ("std::sync::mpmc::list::Block", "Channel"),
];

/// Crates whose functions have rules, or call functions that have.
const TRANSPARENT: &[&str] = &["alloc", "core", "std", "hashbrown", "allocator_api2"];

/// The types of tracebacks. Equal names share memory.
#[derive(Default)]
pub(crate) struct Types(HashMap<String, Arc<str>>);

impl Types {
    pub(crate) fn of(&mut self, traceback: &Traceback) -> Option<Arc<str>> {
        let name = type_of(traceback.iter().filter_map(|frame| {
            Some(Named {
                function: frame.function()?,
                generic: frame.generic(),
            })
        }))?;
        if let Some(known) = self.0.get(&name) {
            return Some(Arc::clone(known));
        }
        let shared: Arc<str> = name.as_str().into();
        self.0.insert(name, Arc::clone(&shared));
        Some(shared)
    }
}

/// The type, in short form, that the stack of these functions, innermost first, allocated for.
pub(crate) fn type_of<'a>(functions: impl IntoIterator<Item = Named<'a>>) -> Option<String> {
    let mut found: Option<Found> = None;
    for named in functions {
        let call = Call::of(named);
        if !TRANSPARENT.contains(&call.krate()) && !call.is_of_the_language() {
            break;
        }
        let Some(rule) = rule_of(&call) else { continue };
        match &mut found {
            // The innermost function decides. An outer one may allocate something else.
            None => {
                let mut first = Found::of(rule.allocates, &call)?;
                first.may_be_merged = MERGED.iter().any(|it| call.path().ends_with(it));
                found = Some(first);
            }
            Some(known) => {
                if !known.refine(rule.allocates, &call) {
                    break;
                }
            }
        }
    }
    found.map(|it| shown(&it.whole()))
}

fn rule_of(call: &Call<'_>) -> Option<&'static Rule> {
    let fits = |rule: &&Rule| {
        let rest = call.path().strip_prefix(rule.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    RULES.iter().filter(fits).max_by_key(|it| it.path.len())
}

/// The type of an allocation, as far as the frames so far show it.
struct Found {
    /// The collection; empty if there is none.
    owner: &'static str,
    arguments: Vec<String>,
    /// Whether the arguments are those of one of [`MERGED`] or `VecDeque::grow`, which are never
    /// inlined. The compiler merges their instances of elements of one layout, and the one that is
    /// left has the arguments of any of them. Their callers, which are inlined, have their own.
    may_be_merged: bool,
}

/// The functions that are merged, by the ends of their paths.
const MERGED: &[&str] = &["::grow_one", TABLE_GROWS];

/// The function by which a table grows. A method of the same table calls it.
const TABLE_GROWS: &str = "::reserve_rehash";

/// The function that is merged, and calls another that is.
const GROWS_DEQUE: &str = "VecDeque::grow";

/// The functions that call a merged one, by the ends of their paths.
const GROWERS: &[&str] = &[
    "Vec::push",
    "Vec::push_mut",
    "Vec::insert",
    "Vec::insert_mut",
    GROWS_DEQUE,
    "VecDeque::push_back",
    "VecDeque::push_back_mut",
    "VecDeque::push_front",
    "VecDeque::push_front_mut",
    "VecDeque::insert",
    "VecDeque::insert_mut",
];

impl Found {
    fn of(allocates: Allocates, call: &Call<'_>) -> Option<Found> {
        let argument = |at: usize| {
            call.argument(at)
                .map(|it| parse::initialized(it).to_owned())
        };
        let found = |owner, arguments| {
            Some(Found {
                owner,
                arguments,
                may_be_merged: false,
            })
        };
        match allocates {
            Allocates::Exactly(name) => found(name, Vec::new()),
            Allocates::Of(owner @ ("Rc" | "Arc")) if call.is_of_slice() => {
                found(owner, vec![format!("[{}]", argument(0)?)])
            }
            Allocates::Of(owner) => found(owner, vec![argument(0)?]),
            Allocates::Map(owner) => match (argument(0)?, argument(1)?) {
                (key, value) if value == "()" => found("HashSet", vec![key]),
                (key, value) => found(owner, vec![key, value]),
            },
            Allocates::Table => {
                let place = argument(0)?;
                match parse::pair(&place) {
                    Some((key, "()")) => found("HashSet", vec![key.to_owned()]),
                    Some((key, value)) => found("HashMap", vec![key.to_owned(), value.to_owned()]),
                    None => found("HashTable", vec![place]),
                }
            }
            Allocates::Boxed => {
                let content = argument(0)?;
                let (path, arguments) = parse::head(&content);
                let Some((_, owner)) = NODES.iter().find(|(node, _)| *node == path) else {
                    return found("Box", vec![content]);
                };
                let arguments = arguments.iter().map(|it| parse::initialized(it).to_owned());
                let arguments: Vec<String> = arguments.collect();
                match (*owner, &arguments[..]) {
                    ("BTreeMap", [key, value, ..]) if value.ends_with("::SetValZST") => {
                        found("BTreeSet", vec![key.clone()])
                    }
                    ("BTreeMap", [key, value, ..]) => {
                        found(owner, vec![key.clone(), value.clone()])
                    }
                    (_, [content, ..]) => found(owner, vec![content.clone()]),
                    (_, []) => found("Box", vec![content]),
                }
            }
        }
    }

    /// Refines the type with an outer frame, and returns whether further frames may refine it: a
    /// string grows by a vector of bytes, a ring buffer by a vector of its elements.
    fn refine(&mut self, allocates: Allocates, call: &Call<'_>) -> bool {
        if self.may_be_merged
            && matches!(self.owner, "HashMap" | "HashSet" | "HashTable")
            && matches!(allocates, Allocates::Table | Allocates::Map(_))
        {
            match Found::of(allocates, call) {
                Some(caller) => *self = caller,
                // The next caller may show it.
                None => return true,
            }
            return false;
        }
        if std::mem::take(&mut self.may_be_merged)
            && GROWERS.iter().any(|it| call.path().ends_with(it))
            && let (Allocates::Of(owner), Some(element)) = (allocates, call.argument(0))
        {
            (self.owner, self.arguments) = (owner, vec![element.to_owned()]);
            self.may_be_merged = call.path().ends_with(GROWS_DEQUE);
            return owner == "Vec" || self.may_be_merged;
        }
        // A path is built from a system string.
        if let ("OsString", Allocates::Exactly(name @ ("OsString" | "PathBuf"))) =
            (self.owner, allocates)
        {
            self.owner = name;
            return name == "OsString";
        }
        let element = self.arguments.first().map(String::as_str);
        // A shared string is allocated as a slice of bytes.
        if matches!(self.owner, "Rc" | "Arc") && element == Some("[u8]") {
            let is_string = call.argument(0) == Some("str");
            if is_string {
                self.arguments = vec!["str".to_owned()];
            }
            return !is_string && allocates == Allocates::Of(self.owner);
        }
        let is_buffer = self.owner == "Vec" || self.owner == "Box" && element == Some("[u8]");
        if !is_buffer {
            return false;
        }
        match allocates {
            Allocates::Exactly(name) if matches!(element, Some("u8" | "[u8]")) => {
                (self.owner, self.arguments) = (name, Vec::new());
                name == "OsString"
            }
            Allocates::Of(owner @ ("VecDeque" | "BinaryHeap")) if call.argument(0) == element => {
                self.owner = owner;
                false
            }
            Allocates::Of("Vec") => call.argument(0).is_none_or(|it| Some(it) == element),
            Allocates::Boxed | Allocates::Of(_) | Allocates::Map(_) => false,
            Allocates::Table | Allocates::Exactly(_) => false,
        }
    }

    /// The type in Rust syntax, with full paths.
    fn whole(&self) -> String {
        match self.arguments.is_empty() {
            true => self.owner.to_owned(),
            false => format!("{}<{}>", self.owner, self.arguments.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type for functions in lines, innermost first, each with its generic name after a bar.
    #[track_caller]
    fn check(functions: &str, expected: &str) {
        let functions = functions.trim().lines().map(|line| {
            let (function, generic) = line.trim().split_once(" | ").expect("a bar");
            Named {
                function,
                generic: Some(generic).filter(|it| *it != "-"),
            }
        });
        let found = type_of(functions);
        assert_eq!(found.as_deref().unwrap_or("<unknown>"), expected);
    }

    #[test]
    fn boxes_show_their_content_and_nodes_show_their_collection() {
        check(
            "alloc::alloc::alloc | -
             alloc::boxed::box_new_uninit | -
             alloc::boxed::Box<T>::new | new<demo::Node>
             demo::main | -",
            "Box<demo::Node>",
        );
        check(
            "alloc::boxed::Box<T>::new | new<alloc::rc::RcInner<demo::Node>>
             alloc::rc::Rc<T>::new | new<demo::Node>
             demo::main | -",
            "Rc<demo::Node>",
        );
        // `Rc::new_cyclic` fills the block afterwards.
        check(
            "alloc::rc::Rc<T>::new | new<core::mem::maybe_uninit::MaybeUninit<demo::Node>>
             demo::main | -",
            "Rc<demo::Node>",
        );
        check(
            "alloc::sync::Arc<[T]>::allocate_for_slice | allocate_for_slice<u8>",
            "Arc<[u8]>",
        );
        check(
            "alloc::boxed::Box<T>::new | new<alloc::collections::btree::node::LeafNode<u64, alloc::string::String>>
             alloc::collections::btree::map::BTreeMap<K,V,A>::insert | insert<u64, alloc::string::String, alloc::alloc::Global>",
            "BTreeMap<u64, String>",
        );
        check(
            "<alloc::boxed::Box<alloc::collections::btree::node::LeafNode<usize, alloc::collections::btree::set_val::SetValZST>>>::new_uninit_in | -",
            "BTreeSet<usize>",
        );
        check(
            "alloc::boxed::Box<T>::new | new<demo::load::{async_fn_env#0}>
             demo::main | -",
            "Box<future of demo::load>",
        );
    }

    #[test]
    fn vectors_show_the_collection_that_grows_them() {
        check(
            "alloc::raw_vec::RawVec<T,A>::grow_one | grow_one<demo::Node, alloc::alloc::Global>
             alloc::vec::Vec<T,A>::push | push<demo::Node, alloc::alloc::Global>
             demo::main | -",
            "Vec<demo::Node>",
        );
        check(
            "alloc::raw_vec::RawVec<T,A>::grow_one | grow_one<demo::Node, alloc::alloc::Global>
             alloc::collections::vec_deque::VecDeque<T,A>::grow | grow<demo::Node, alloc::alloc::Global>
             demo::main | -",
            "VecDeque<demo::Node>",
        );
        // Instances that the compiler merged, since their elements have one size.
        check(
            "alloc::raw_vec::RawVecInner<A>::grow_one | grow_one<alloc::alloc::Global>
             alloc::raw_vec::RawVec<T,A>::grow_one | grow_one<other::Iter<other::Tree>, alloc::alloc::Global>
             alloc::vec::Vec<T,A>::push_mut | push_mut<demo::Node, alloc::alloc::Global>
             alloc::vec::Vec<T,A>::push | push<demo::Node, alloc::alloc::Global>
             demo::main | -",
            "Vec<demo::Node>",
        );
        check(
            "alloc::raw_vec::RawVec<T,A>::grow_one | grow_one<other::Iter<other::Tree>, alloc::alloc::Global>
             alloc::collections::vec_deque::VecDeque<T,A>::grow | grow<demo::Node, alloc::alloc::Global>
             demo::main | -",
            "VecDeque<demo::Node>",
        );
        check(
            "alloc::raw_vec::RawVec<T,A>::grow_one | grow_one<other::Iter<other::Tree>, alloc::alloc::Global>
             alloc::collections::vec_deque::VecDeque<T,A>::grow | grow<other::Leaf, alloc::alloc::Global>
             alloc::collections::vec_deque::VecDeque<T,A>::push_back | push_back<demo::Node, alloc::alloc::Global>
             demo::main | -",
            "VecDeque<demo::Node>",
        );
        check(
            "<alloc::vec::Vec<u8>>::with_capacity | with_capacity<u8>
             alloc::string::String::with_capacity | -
             alloc::fmt::format::format_inner | -
             demo::main | -",
            "String",
        );
        check(
            "<[u8]>::to_vec | -
             <std::sys::os_str::bytes::Slice>::to_owned | -
             <std::path::Path>::to_path_buf | -
             demo::main | -",
            "PathBuf",
        );
        check(
            "alloc::slice::<impl [T]>::to_vec | to_vec<u8>
             alloc::slice::<impl alloc::borrow::ToOwned for [T]>::to_owned | to_owned<u8>
             <str as alloc::borrow::ToOwned>::to_owned | -
             demo::main | -",
            "String",
        );
        check(
            "<alloc::vec::Vec<u8>>::with_capacity_in | -
             <u8 as <[_]>::to_vec_in::ConvertVec>::to_vec::<alloc::alloc::Global> | -
             <[u8]>::to_vec_in::<alloc::alloc::Global> | -
             <alloc::vec::Vec<u8> as core::clone::Clone>::clone | -
             <alloc::string::String as core::clone::Clone>::clone | -
             demo::main | -",
            "String",
        );
        // Cloning a vector of strings clones each string.
        check(
            "<[u8]>::to_vec | -
             <alloc::string::String as core::clone::Clone>::clone | -
             <alloc::vec::Vec<T> as core::clone::Clone>::clone | clone<alloc::string::String, alloc::alloc::Global>
             demo::main | -",
            "String",
        );
        check(
            "alloc::vec::Vec<T>::with_capacity | with_capacity<alloc::vec::Vec<u8, alloc::alloc::Global>>
             alloc::string::String::new | -",
            "Vec<Vec<u8>>",
        );
    }

    #[test]
    fn tables_are_shown_as_maps_and_sets() {
        let table = |place: &str| {
            format!(
                "hashbrown::raw::RawTableInner::new_uninitialized | new_uninitialized<hashbrown::alloc::inner::Global>
                 hashbrown::raw::RawTable<T,A>::reserve_rehash | reserve_rehash<{place}, alloc::alloc::Global, hashbrown::map::make_hasher::{{closure_env#0}}<u64, demo::Node>>
                 demo::main | -"
            )
        };
        check(&table("(u64, demo::Node)"), "HashMap<u64, demo::Node>");
        check(&table("(alloc::string::String, ())"), "HashSet<String>");
        check(&table("usize"), "HashTable<usize>");
    }

    /// The compiler merges instances of elements of one layout, and keeps the names of one of them.
    #[test]
    fn tables_have_the_elements_of_their_callers() {
        let merged = "hashbrown::raw::RawTable<T,A>::reserve_rehash | reserve_rehash<(u64, ()), alloc::alloc::Global>";
        let check = |callers: &str, expected: &str| {
            check(&format!("{merged}\n{callers}\ndemo::main | -"), expected);
        };
        check(
            "hashbrown::raw::RawTable<T,A>::reserve | reserve<(demo::Node, ()), alloc::alloc::Global>",
            "HashSet<demo::Node>",
        );
        check(
            "hashbrown::raw::RawTable<T,A>::reserve | -
             hashbrown::map::HashMap<K,V,S,A>::insert | insert<demo::Node, (), std::hash::random::RandomState>",
            "HashSet<demo::Node>",
        );
        check(
            "hashbrown::map::HashMap<K,V,S,A>::reserve | reserve<demo::Node, u8, std::hash::random::RandomState>",
            "HashMap<demo::Node, u8>",
        );
        check(
            "std::collections::hash::set::HashSet<T,S>::insert | -",
            "HashSet<u64>",
        );
    }

    #[test]
    fn unknown_types_are_not_guessed() {
        check("", "<unknown>");
        check(
            "alloc::boxed::box_new_uninit | -\n demo::main | -",
            "<unknown>",
        );
        // Legacy mangling without debug information.
        check(
            "alloc::vec::Vec<T,A>::push | -\n demo::main | -",
            "<unknown>",
        );
        // A string in a vector of strings, where only the outer function has its arguments.
        check(
            "alloc::raw_vec::RawVec<T,A>::grow_one | -
             <alloc::vec::Vec<alloc::string::String> as core::clone::Clone>::clone | -
             demo::main | -",
            "<unknown>",
        );
        // The program's own allocation, called by the standard library.
        check(
            "demo::Pool::grow | -
             alloc::vec::Vec<T,A>::retain | retain<demo::Node, alloc::alloc::Global>",
            "<unknown>",
        );
        check("smallvec::SmallVec<A>::try_grow | -", "<unknown>");
    }

    #[test]
    fn v0_mangling_needs_no_debug_information() {
        check(
            "<alloc::raw_vec::RawVec<demo::Node>>::grow_one | -
             <alloc::vec::Vec<demo::Node>>::push | -
             demo::main | -",
            "Vec<demo::Node>",
        );
        check(
            "<alloc::boxed::Box<[alloc::string::String; 2]>>::new | -",
            "Box<[String; 2]>",
        );
    }
}
