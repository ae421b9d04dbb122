//! [`Fields`]: which field of a type a word of a block is.
//!
//! In: the types of blocks, and the layouts of their elements from debug information. Out: for a
//! word, the names of the fields around it, and which types a pointer there can have. Without
//! debug information of types, as with `debug = 1`, nothing is known.

mod path;
mod words;

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use alloc_core_snapshot::seam::layouts::{Layout, Layouts, Shape};

use super::pointees::{Listing, array_of, slice_of, split};
use path::{joined, paths_to};
use words::{Leads, Word, words_of};

const WORD: u64 = 8;

/// The most types within types that are looked at for one question.
const MOST_STEPS: usize = 1 << 16;

/// The depth to which fields are followed.
const MOST_DEPTH: usize = 64;

/// The fields of the types of all blocks, as far as they are known.
#[derive(Default)]
pub(in crate::graph) struct Fields {
    by_type: HashMap<Arc<str>, Content>,
    /// Where pointers of words lead. Equal words have one number.
    leads: Vec<Leads>,
    numbers: HashMap<Word, u32>,
}

/// What the blocks of a type consist of.
struct Content {
    form: Form,
    /// The lengths of the arrays that the elements are in, the outermost first.
    lengths: Vec<u64>,
    /// Candidates of one name, from which the size of the block chooses.
    elements: Vec<Element>,
}

/// How elements are placed in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One value.
    Once,
    /// Values from this place on.
    Repeated(u64),
    /// The places of a hash table, which end at its control bytes.
    Table,
    /// A node of a tree.
    Node,
}

/// A value in a block.
struct Element {
    module: usize,
    layout: u32,
    size: u64,
    /// The number of what each word may be.
    words: Vec<u32>,
}

/// The names of the types whose layouts tell the fields of blocks of a type.
#[cfg(feature = "process")]
pub(in crate::graph) fn elements_of(type_name: &str) -> Vec<String> {
    described(type_name).map_or_else(Vec::new, |it| it.names)
}

/// What the name of a type says about the blocks of the type.
struct Described {
    form: Form,
    lengths: Vec<u64>,
    names: Vec<String>,
}

fn described(type_name: &str) -> Option<Described> {
    const COUNTS: u64 = 2 * WORD;
    let (owner, arguments) = split(type_name)?;
    let one = |form, name: String| {
        Some(Described {
            form,
            lengths: Vec::new(),
            names: vec![name],
        })
    };
    let repeated = |start, mut element| {
        let mut lengths = Vec::new();
        while let Some((inner, length)) = array_of(element) {
            lengths.push(length);
            element = inner;
        }
        Some(Described {
            form: Form::Repeated(start),
            lengths,
            names: vec![element.to_owned()],
        })
    };
    match owner {
        "Vec" | "VecDeque" | "BinaryHeap" => repeated(0, arguments),
        "Box" => match slice_of(arguments).or_else(|| Some(array_of(arguments)?.0)) {
            Some(element) => repeated(0, element),
            None => one(Form::Once, arguments.to_owned()),
        },
        "Rc" | "Arc" => match slice_of(arguments) {
            Some(element) => repeated(COUNTS, element),
            None => one(Form::Once, format!("{owner}Inner<{arguments}>")),
        },
        "HashMap" => one(Form::Table, format!("({arguments})")),
        "HashSet" => one(Form::Table, format!("({arguments}, ())")),
        "HashTable" => one(Form::Table, arguments.to_owned()),
        "LinkedList" => one(Form::Node, format!("Node<{arguments}>")),
        "BTreeMap" | "BTreeSet" => {
            let value = match owner {
                "BTreeSet" => ", SetValZST",
                _ => "",
            };
            let node = |name| format!("{name}<{arguments}{value}>");
            let names = vec![node("LeafNode"), node("InternalNode")];
            Some(Described {
                form: Form::Node,
                lengths: Vec::new(),
                names,
            })
        }
        _ => None,
    }
}

impl Fields {
    /// The fields of these types, from the layouts of each module.
    pub(in crate::graph) fn of<'a>(
        types: impl Iterator<Item = &'a Arc<str>>,
        layouts: &[Layouts],
    ) -> Fields {
        let mut fields = Fields::default();
        if layouts.iter().all(Layouts::is_empty) {
            return fields;
        }
        let types: HashSet<&Arc<str>> = types.collect();
        let mut types: Vec<&Arc<str>> = types.into_iter().collect();
        types.sort_unstable();
        for type_name in types {
            let Some(Described {
                form,
                lengths,
                names,
            }) = described(type_name)
            else {
                continue;
            };
            let mut elements = Vec::new();
            for (module, layouts) in layouts.iter().enumerate() {
                for name in &names {
                    let found = layouts.named(name).iter();
                    elements.extend(found.filter_map(|it| fields.element(module, layouts, *it)));
                }
            }
            if !elements.is_empty() {
                let content = Content {
                    form,
                    lengths,
                    elements,
                };
                fields.by_type.insert(Arc::clone(type_name), content);
            }
        }
        fields
    }

    fn element(&mut self, module: usize, layouts: &Layouts, layout: u32) -> Option<Element> {
        let words = words_of(layouts, layout)?.into_iter().map(|it| {
            if let Some(known) = self.numbers.get(&it) {
                return *known;
            }
            self.leads.push(Leads::of(&it));
            let number = self.leads.len() as u32 - 1;
            self.numbers.insert(it, number);
            number
        });
        Some(Element {
            module,
            layout,
            size: layouts.size(layout),
            words: words.collect(),
        })
    }

    /// The fields of a type; `None` if nothing is known of them.
    pub(in crate::graph) fn of_type(&self, type_name: &str) -> Option<FieldsOf<'_>> {
        let content = self.by_type.get(type_name)?;
        let leads = &self.leads;
        Some(FieldsOf { content, leads })
    }
}

/// The fields of blocks of one type.
#[derive(Clone, Copy)]
pub(in crate::graph) struct FieldsOf<'a> {
    content: &'a Content,
    leads: &'a [Leads],
}

/// A word of a block, as a word of an element.
pub(in crate::graph) struct Spot<'a> {
    fields: FieldsOf<'a>,
    element: &'a Element,
    /// The number of the element, if it has one.
    index: Option<u64>,
    /// The place within the element.
    at: u64,
}

impl<'a> FieldsOf<'a> {
    /// Finds the word at a place of a block that has one of these sizes; `None` if that is not known.
    pub(in crate::graph) fn at(self, sizes: &RangeInclusive<u64>, place: u64) -> Option<Spot<'a>> {
        let Content { form, elements, .. } = self.content;
        let spot = |element, index, at| {
            Some(Spot {
                fields: self,
                element,
                index,
                at,
            })
        };
        let only = || match &elements[..] {
            [only] => Some(only),
            _ => None,
        };
        match form {
            Form::Once | Form::Node => {
                let mut fitting = elements.iter().filter(|it| sizes.contains(&it.size));
                match (fitting.next(), fitting.next()) {
                    (Some(element), None) if place < element.size => spot(element, None, place),
                    _ => None,
                }
            }
            Form::Repeated(start) => {
                let element = only()?;
                let within = place.checked_sub(*start)?;
                let (index, at) = (within / element.size, within % element.size);
                spot(element, Some(index), at)
            }
            Form::Table => {
                let element = only()?;
                let end = end_of_places(sizes, element.size)?;
                let behind = end.checked_sub(place + 1)?;
                let at = element.size - 1 - behind % element.size;
                spot(element, None, at)
            }
        }
    }
}

/// Where the control bytes of a hash table start, by the size of its block and of a place.
///
/// They are read in groups, as many at once as the processor compares: sixteen on x86-64, and eight
/// on aarch64. One more group follows them.
fn end_of_places(sizes: &RangeInclusive<u64>, place: u64) -> Option<u64> {
    const GROUPS: [u64; 2] = [16, 8];
    let mut places = 4_u64;
    loop {
        let mut least = u64::MAX;
        for group in GROUPS {
            let end = places.checked_mul(place)?.checked_next_multiple_of(group)?;
            let whole = end.checked_add(places)?.checked_add(group)?;
            if sizes.contains(&whole) {
                return Some(end);
            }
            least = least.min(whole);
        }
        if least > *sizes.end() {
            return None;
        }
        places *= 2;
    }
}

impl Spot<'_> {
    /// The number of the element, as `[3]`, or `[3][1]` in arrays; empty if it has none.
    fn indices(&self) -> String {
        let Some(mut index) = self.index else {
            return String::new();
        };
        let mut text = String::new();
        for length in self.fields.content.lengths.iter().rev() {
            text = format!("[{}]{text}", index % length.max(&1));
            index /= length.max(&1);
        }
        format!("[{index}]{text}")
    }

    /// The number of what the word may be: equal ones have one number.
    pub(in crate::graph::evidence) fn word(&self) -> u32 {
        self.element.words[(self.at / WORD) as usize]
    }

    /// Whether a pointer there may lead to a block of a type.
    pub(in crate::graph::evidence) fn listing(&self, target: Option<&str>) -> Listing {
        self.fields.leads[self.word() as usize].listing(target)
    }

    /// The fields that lead to the word, as the program writes them: `[3].name`. Empty if the value has
    /// none, or they are not known.
    ///
    /// Where variants of an enum share the place, those that fit the type of the target are named.
    pub(in crate::graph) fn path(&self, layouts: &[Layouts], target: Option<&str>) -> String {
        let layouts = &layouts[self.element.module];
        let mut paths = paths_to(layouts, self.element.layout, self.at, target);
        if self.fields.content.form == Form::Table {
            paths.iter_mut().for_each(|it| *it = of_pair(it));
        }
        joined(&self.indices(), &paths)
    }
}

/// Where the fields of a type are, in the static at an address of the file; empty if its type is not known.
pub(in crate::graph) fn path_in_static(
    layouts: &Layouts,
    start: u64,
    at: u64,
    target: Option<&str>,
) -> String {
    let layout = layouts.statics.get(&start);
    let paths = layout.map_or_else(Vec::new, |it| paths_to(layouts, *it, at, target));
    joined("", &paths)
}

/// The two fields of a map's places are its key and its value.
fn of_pair(path: &str) -> String {
    let (first, rest) = match path.find(['.', '[']) {
        Some(at) => path.split_at(at),
        None => (path, ""),
    };
    match first {
        "0" => format!("key{rest}"),
        "1" => format!("value{rest}"),
        _ => path.to_owned(),
    }
}

/// Whether values of a type own what a pointer in them leads to, in a way that the type's name shows.
fn is_owner(layout: &Layout) -> bool {
    let owner = layout.name.split('<').next().unwrap_or_default();
    let is_known = matches!(
        owner,
        "Vec"
            | "VecDeque"
            | "BinaryHeap"
            | "String"
            | "CString"
            | "OsString"
            | "PathBuf"
            | "HashMap"
            | "HashSet"
            | "BTreeMap"
            | "BTreeSet"
            | "LinkedList"
            | "Box"
            | "Rc"
            | "Arc"
            | "Weak"
    );
    is_known && (layout.is_of_std || matches!(layout.shape, Shape::Pointer))
}

#[cfg(test)]
mod tests {
    use super::end_of_places;

    #[test]
    fn tables_of_both_kinds_of_processors_have_control_bytes() {
        #[track_caller]
        fn check(size: u64, place: u64, expected: Option<u64>) {
            assert_eq!(end_of_places(&(size..=size), place), expected);
        }
        // 32 pairs of a number and a pointer, on x86-64 and on aarch64.
        check(512 + 32 + 16, 16, Some(512));
        check(512 + 32 + 8, 16, Some(512));
        check(512 + 32, 16, None);
        // Four numbers of 16 bits, and four of 48.
        check(16 + 4 + 16, 2, Some(16));
        check(8 + 4 + 8, 2, Some(8));
        check(32 + 4 + 16, 6, Some(32));
        check(24 + 4 + 8, 6, Some(24));
        // A size that is rounded.
        assert_eq!(
            end_of_places(&(4096 + 256..=4096 + 256 + 32), 16),
            Some(4096)
        );
    }
}
