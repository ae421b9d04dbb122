//! [`Layouts`]: where the fields of types are, as debug information describes them.

use std::collections::HashMap;

/// The layouts of types, and of the types that they consist of.
///
/// ```
/// use alloc_core_snapshot::seam::layouts::{Field, Layout, Layouts, Shape};
///
/// let mut layouts = Layouts::default();
/// let pointer = layouts.add(Layout { name: "*const u8".into(), size: 8, is_of_std: false, shape: Shape::Pointer });
/// let next = Field { name: "next".into(), at: 8, layout: pointer };
/// let node = layouts.add(Layout { name: "app::Node".into(), size: 16, is_of_std: false, shape: Shape::Fields(vec![next]) });
/// layouts.name(node);
/// assert_eq!(layouts.named("app::Node"), [node]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Layouts {
    list: Vec<Layout>,
    by_name: HashMap<String, Vec<u32>>,
    /// The types of statics, by their addresses in the file.
    pub statics: HashMap<u64, u32>,
    /// The vtables, by their addresses in the file.
    pub vtables: HashMap<u64, Vtable>,
}

/// A vtable: what a trait object points to next to its value.
///
/// ```
/// use alloc_core_snapshot::seam::layouts::Vtable;
///
/// let vtable = Vtable { of: "app::Click".into(), as_trait: "app::Handler".into() };
/// assert_eq!(vtable.of, "app::Click");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vtable {
    /// The type of the value, in short form.
    pub of: String,
    /// The trait, in short form; `_` if there are only traits without methods, such as `Send`.
    pub as_trait: String,
}

/// One type.
///
/// ```
/// use alloc_core_snapshot::seam::layouts::{Layout, Shape};
///
/// let layout = Layout { name: "u32".into(), size: 4, is_of_std: false, shape: Shape::Data };
/// assert_eq!(layout.size, 4);
/// ```
#[derive(Clone, Debug)]
pub struct Layout {
    /// The name in short form: `Vec<app::Node>`.
    pub name: String,
    /// The size in bytes; 0 for an array.
    pub size: u64,
    /// Whether the standard library declares it.
    pub is_of_std: bool,
    /// What it consists of.
    pub shape: Shape,
}

/// What a type consists of.
///
/// ```
/// use alloc_core_snapshot::seam::layouts::Shape;
///
/// assert!(!matches!(Shape::Pointer, Shape::Data));
/// ```
#[derive(Clone, Debug)]
pub enum Shape {
    /// A pointer to a value of known size.
    Pointer,
    /// An integer that is large enough to have a pointer in it.
    Integer,
    /// Anything else without fields. It has no pointer.
    Data,
    /// Fields, in any order. Those of an enum's variants and of a union overlap.
    Fields(Vec<Field>),
    /// Equal elements, one after the other.
    Array {
        /// The number of the element's layout.
        of: u32,
        /// How many there are.
        count: u64,
    },
}

/// A field of a type, or a variant of an enum.
///
/// ```
/// use alloc_core_snapshot::seam::layouts::Field;
///
/// assert_eq!(Field { name: "next".into(), at: 8, layout: 0 }.at, 8);
/// ```
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name; `0` for the first field of a tuple.
    pub name: String,
    /// Its place in bytes.
    pub at: u64,
    /// The number of its layout.
    pub layout: u32,
}

impl Layouts {
    /// Adds a type, and returns its number.
    pub fn add(&mut self, layout: Layout) -> u32 {
        self.list.push(layout);
        self.list.len() as u32 - 1
    }

    /// Lets [`named`](Self::named) find a type.
    pub fn name(&mut self, layout: u32) {
        let name = self.list[layout as usize].name.clone();
        self.by_name.entry(name).or_default().push(layout);
    }

    /// The type with a number.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn get(&self, layout: u32) -> &Layout {
        &self.list[layout as usize]
    }

    /// The size of the type with a number, in bytes. Debug information does not have that of an array.
    pub fn size(&self, layout: u32) -> u64 {
        // NOTE: a damaged file may have an array of itself.
        const MOST_DEPTH: usize = 16;
        let (mut at, mut count) = (layout, 1_u64);
        for _ in 0..MOST_DEPTH {
            match self.get(at) {
                Layout {
                    shape: Shape::Array { of, count: length },
                    ..
                } => {
                    count = count.saturating_mul(*length);
                    at = *of;
                }
                other => return count.saturating_mul(other.size),
            }
        }
        0
    }

    /// The type with a number, to fill in.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn get_mut(&mut self, layout: u32) -> &mut Layout {
        &mut self.list[layout as usize]
    }

    /// The types with a name. Closures of one function share theirs.
    pub fn named(&self, name: &str) -> &[u32] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// How many types there are, with those of their fields.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none: the debug information describes no types.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
