//! Shows types in short form.

use super::parse::{head, split, split_as, split_at_all};

/// Crates whose paths are omitted.
const CRATES_OF_STD: &[&str] = &["alloc", "core", "std", "hashbrown"];

/// Default arguments, which are omitted.
const DEFAULTS: &[&str] = &["Global", "RandomState", "DefaultHashBuilder"];

/// A type without the paths of the standard library: `Vec<String>` for
/// `alloc::vec::Vec<alloc::string::String, alloc::alloc::Global>`.
pub fn shown(of: &str) -> String {
    let of = of.trim();
    // Debug information has parentheses around a trait with more bounds.
    let bounds = of.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    if let Some(bounds) = bounds.unwrap_or(of).strip_prefix("dyn ") {
        let bounds: Vec<String> = split_at_all(bounds, " + ").into_iter().map(bound).collect();
        return format!("dyn {}", bounds.join(" + "));
    }
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(inner) = of.strip_prefix(open).and_then(|it| it.strip_suffix(close)) {
            let (inner, len) = match inner.rsplit_once("; ") {
                Some((inner, len)) if open == '[' => (inner, format!("; {len}")),
                _ => (inner, String::new()),
            };
            let parts: Vec<String> = split(inner).into_iter().map(shown).collect();
            return format!("{open}{}{len}{close}", parts.join(", "));
        }
    }
    for prefix in ["&mut ", "&", "*const ", "*mut "] {
        if let Some(rest) = of.strip_prefix(prefix) {
            let rest = shown(rest);
            return match rest.starts_with("dyn ") && rest.contains(" + ") {
                true => format!("{prefix}({rest})"),
                false => format!("{prefix}{rest}"),
            };
        }
    }
    let (path, arguments) = head(of);
    let arguments: Vec<String> = arguments.into_iter().map(shown).collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|it| !DEFAULTS.contains(it))
        .collect();
    let path = shown_path(path);
    match arguments.is_empty() {
        true => path,
        false => format!("{path}<{}>", arguments.join(", ")),
    }
}

/// A trait as people write it: `Fn(u8) -> String` for `core::ops::function::Fn<(u8), Output=alloc::string::String>`.
fn bound(of: &str) -> String {
    let (path, arguments) = head(of);
    let path = shown_path(path);
    if matches!(&*path, "Fn" | "FnMut" | "FnOnce")
        && let [taken, returned @ ..] = &arguments[..]
    {
        // A tuple of one has a comma.
        let taken = shown(taken).replace(",)", ")");
        let returned = returned.iter().find_map(|it| it.strip_prefix("Output="));
        return match returned.map(shown).filter(|it| it != "()") {
            Some(returned) => format!("{path}{taken} -> {returned}"),
            None => format!("{path}{taken}"),
        };
    }
    let argument = |it: &str| match it.split_once('=') {
        Some((name, of)) if !name.contains(['<', '(', '[']) => format!("{name} = {}", shown(of)),
        _ => shown(it),
    };
    match arguments.is_empty() {
        true => path,
        false => {
            let arguments: Vec<String> = arguments.into_iter().map(argument).collect();
            format!("{path}<{}>", arguments.join(", "))
        }
    }
}

/// The type and the trait of a vtable, in short form: of `<app::Click as app::Handler>::{vtable}`.
pub fn shown_vtable(path: &str) -> Option<(String, String)> {
    let inner = path.strip_prefix('<')?.strip_suffix(">::{vtable}")?;
    let (of, as_trait) = split_as(inner)?;
    Some((shown(of), bound(as_trait)))
}

/// Whether the standard library declares the type with this path.
pub fn is_of_std(path: &str) -> bool {
    CRATES_OF_STD.contains(&path.split("::").next().unwrap_or(path))
}

fn shown_path(path: &str) -> String {
    // `demo::load::{async_fn_env#0}`: a type that the compiler makes from a function's body.
    if let Some((within, made)) = path.rsplit_once("::{") {
        let what = [
            ("async_fn", "future of"),
            ("async_block", "async block in"),
            ("closure", "closure in"),
            ("gen", "generator in"),
        ];
        if let Some((_, what)) = what.iter().find(|(it, _)| made.starts_with(it)) {
            let within = within.split("::{").next().unwrap_or(within);
            return format!("{what} {within}");
        }
    }
    match path.rsplit_once("::") {
        Some((_, name)) if is_of_std(path) => name.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vtables_have_a_type_and_a_trait() {
        let shown = |path| shown_vtable(path);
        let pair = |of: &str, as_trait: &str| Some((of.to_owned(), as_trait.to_owned()));
        assert_eq!(
            shown("<alloc::vec::Vec<app::Click, alloc::alloc::Global> as app::Handler>::{vtable}"),
            pair("Vec<app::Click>", "app::Handler")
        );
        assert_eq!(
            shown("<app::main::{closure_env#0} as core::ops::function::Fn<()>>::{vtable}"),
            pair("closure in app::main", "Fn()")
        );
        assert_eq!(shown("<u8 as _>::{vtable}"), pair("u8", "_"));
        assert_eq!(shown("app::CACHE"), None);
    }

    #[test]
    fn traits_are_shown_as_people_write_them() {
        for (of, expected) in [
            ("dyn app::Draw", "dyn app::Draw"),
            (
                "(dyn app::Draw + core::marker::Send)",
                "dyn app::Draw + Send",
            ),
            (
                "alloc::boxed::Box<(dyn core::any::Any + core::marker::Send), alloc::alloc::Global>",
                "Box<dyn Any + Send>",
            ),
            (
                "alloc::boxed::Box<dyn core::ops::function::Fn<(), Output=()>, alloc::alloc::Global>",
                "Box<dyn Fn()>",
            ),
            (
                "(dyn core::ops::function::FnMut<(u8, &alloc::string::String), Output=usize> + core::marker::Send + core::marker::Sync)",
                "dyn FnMut(u8, &String) -> usize + Send + Sync",
            ),
            (
                "dyn core::ops::function::FnOnce<(app::Event,), Output=alloc::vec::Vec<u8, alloc::alloc::Global>>",
                "dyn FnOnce(app::Event) -> Vec<u8>",
            ),
            (
                "(dyn core::iter::traits::iterator::Iterator<Item=alloc::string::String> + core::marker::Send)",
                "dyn Iterator<Item = String> + Send",
            ),
            (
                "&(dyn app::Draw + core::marker::Send)",
                "&(dyn app::Draw + Send)",
            ),
            ("&dyn app::Draw", "&dyn app::Draw"),
        ] {
            assert_eq!(shown(of), expected);
        }
    }
}
