//! Extracts paths and generic arguments from function names.

use super::Named;

/// The parts of a function's name.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The path without generic arguments: `alloc::vec::Vec::push`.
    path: String,
    is_of_slice: bool,
    arguments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    pub(super) fn of(Named { function, generic }: Named<'a>) -> Call<'a> {
        let (path, of_self) = path_of(function);
        let arguments = match generic {
            Some(generic) => head(generic).1,
            // A v0 mangled name has the arguments of the type itself.
            None => of_self
                .into_iter()
                .filter(|it| !is_placeholder(it))
                .collect(),
        };
        Call {
            path,
            is_of_slice: function.contains("Rc<[") || function.contains("Arc<["),
            arguments,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is a method of a shared slice, where the generic argument is the element type.
    pub(super) fn is_of_slice(&self) -> bool {
        self.is_of_slice
    }

    pub(super) fn krate(&self) -> &str {
        self.path.split("::").next().unwrap_or_default()
    }

    /// Whether it is a method of a built-in type or of a built-in type's trait, as in
    /// `<u8 as <[_]>::to_vec_in::ConvertVec>::to_vec`. Only the standard library has such methods.
    pub(super) fn is_of_the_language(&self) -> bool {
        self.krate().is_empty() || self.krate().starts_with("__r")
    }

    pub(super) fn argument(&self, at: usize) -> Option<&'a str> {
        self.arguments.get(at).copied()
    }
}

/// The type of a value that is written after it was allocated, as in `Rc::new_cyclic`.
pub(super) fn initialized(of: &str) -> &str {
    match head(of) {
        ("core::mem::maybe_uninit::MaybeUninit", arguments) if arguments.len() == 1 => arguments[0],
        _ => of,
    }
}

/// Whether a generic argument is only a parameter name: legacy mangled names have `T` in place of
/// types.
fn is_placeholder(argument: &str) -> bool {
    let mut letters = argument.trim_start_matches('&').bytes();
    letters.next().is_none_or(|it| it.is_ascii_uppercase()) && letters.all(|it| it.is_ascii_digit())
}

/// A function's path without generic arguments, and the generic arguments of its type.
///
/// A method of a trait has the path of its type, unless that type is a placeholder or built in. A
/// method of a slice or a string has the path of the standard library module that implements it.
fn path_of(function: &str) -> (String, Vec<&str>) {
    let Some(inner) = function.strip_prefix('<') else {
        // `alloc::slice::<impl [T]>::to_vec`
        let of_self = function
            .find("::<impl ")
            .is_none()
            .then(|| of_type(function));
        return (without_arguments(function), of_self.unwrap_or_default());
    };
    let end = closing(inner);
    let (of, method) = inner.split_at(end.unwrap_or(inner.len()));
    let method = method.trim_start_matches('>');
    let (this, of_trait) = match split_as(of) {
        Some((this, of_trait)) => (this, Some(of_trait)),
        None => (of, None),
    };
    let of_language = ["[", "&", "(", "*", "dyn ", "fn("]
        .iter()
        .any(|it| this.starts_with(it))
        || is_placeholder(this)
        || !this.contains("::");
    if !of_language {
        return (
            without_arguments(this) + &without_arguments(method),
            head(this).1,
        );
    }
    let path = |module: &str| module.to_owned() + &without_arguments(method);
    match of_trait {
        _ if this == "str" => (path("alloc::str"), Vec::new()),
        Some(of_trait) => (path(&without_arguments(of_trait)), Vec::new()),
        None if this.starts_with('[') => {
            let element = this.trim_start_matches('[').trim_end_matches(']');
            (path("alloc::slice"), vec![element])
        }
        None => (path(""), Vec::new()),
    }
}

/// The generic arguments of the last generic type in a path: of `Vec` in
/// `alloc::vec::Vec<u8>::push`.
fn of_type(path: &str) -> Vec<&str> {
    let Some(start) = path.find('<') else {
        return Vec::new();
    };
    let end = closing(&path[start + 1..]).map_or(path.len(), |end| start + 1 + end);
    split(&path[start + 1..end])
}

/// The position of the bracket that closes the one before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '-' => {}
            '>' if depth == 0 => return Some(at),
            '>' | ')' | ']' => depth -= 1,
            _ => {}
        }
        before = letter;
    }
    None
}

/// Splits `Type as Trait` at the ` as ` outside all brackets.
pub(super) fn split_as(text: &str) -> Option<(&str, &str)> {
    top_level(text, " as ").map(|at| (&text[..at], &text[at + 4..]))
}

/// The first position of `pattern` outside all brackets.
fn top_level(text: &str, pattern: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        if depth == 0 && text[at..].starts_with(pattern) {
            return Some(at);
        }
        match letter {
            '<' | '(' | '[' | '{' => depth += 1,
            '>' if before == '-' => {}
            '>' | ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        before = letter;
    }
    None
}

/// Splits at the commas outside all brackets.
pub(super) fn split(text: &str) -> Vec<&str> {
    split_at_all(text, ",")
}

/// Splits at a separator outside all brackets.
pub(super) fn split_at_all<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let end = top_level(rest, separator).unwrap_or(rest.len());
        parts.push(rest[..end].trim());
        rest = rest[end..].trim_start_matches(separator).trim_start();
    }
    parts
}

/// A type's path and its generic arguments, for example of `alloc::rc::RcInner<demo::Node>`.
pub(super) fn head(of: &str) -> (&str, Vec<&str>) {
    match (of.find('<'), of.strip_suffix('>')) {
        (Some(start), Some(inner)) if !of.starts_with('<') => (
            of[..start].trim_end_matches("::"),
            split(&inner[start + 1..]),
        ),
        _ => (of, Vec::new()),
    }
}

/// Both elements of a tuple of two.
pub(super) fn pair(of: &str) -> Option<(&str, &str)> {
    let inner = of.strip_prefix('(')?.strip_suffix(')')?;
    match split(inner)[..] {
        [first, second] => Some((first, second)),
        _ => None,
    }
}

/// A path without its generic arguments.
fn without_arguments(path: &str) -> String {
    let (mut text, mut depth, mut before) = (String::with_capacity(path.len()), 0_u32, ' ');
    for letter in path.chars() {
        match letter {
            '<' => depth += 1,
            '>' if before == '-' => {}
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => text.push(letter),
            _ => {}
        }
        before = letter;
    }
    text.replace("::::", "::")
}
