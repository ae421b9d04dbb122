//! The limits of `#[memory_test]`.
//!
//! In: the arguments of the attribute, and a function. Out: the function as a test with the limits
//! around its body. Never: a limit that `assert_memory!` does not have.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Lit, Result, Token};

use crate::function::Function;

/// The arguments of the attribute.
pub(crate) struct Limits {
    /// Each limit as an expression.
    limits: Vec<TokenStream>,
    threads: Option<Threads>,
    /// Whether a heap graph shows that nothing is left behind.
    graph: bool,
}

/// Which threads count, besides the test's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    Own,
    All,
}

/// `peak = "64 KiB"`.
struct Argument {
    name: Ident,
    value: Lit,
}

const EXPECTED: &str = "expected a limit such as peak = \"64 KiB\"";

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Argument> {
        let ahead = input.fork();
        let parts = || -> Result<Argument> {
            let name = input.parse()?;
            input.parse::<Token![=]>()?;
            let value = input.parse()?;
            Ok(Argument { name, value })
        };
        parts().map_err(|error| {
            let mut found = Vec::new();
            while !ahead.is_empty() && !ahead.peek(Token![,]) {
                found.extend(ahead.parse::<proc_macro2::TokenTree>());
            }
            let found = TokenStream::from_iter(found);
            Error::new(error.span(), format!("{EXPECTED}, found {found}"))
        })
    }
}

impl Parse for Limits {
    fn parse(input: ParseStream<'_>) -> Result<Limits> {
        let mut parsed = Limits {
            limits: Vec::new(),
            threads: None,
            graph: false,
        };
        for argument in Punctuated::<Argument, Token![,]>::parse_terminated(input)? {
            parsed.add(&argument)?;
        }
        if parsed.limits.is_empty() && !parsed.graph {
            return Err(Error::new(
                Span::call_site(),
                format!("{EXPECTED}, found none"),
            ));
        }
        Ok(parsed)
    }
}

impl Limits {
    fn add(&mut self, Argument { name, value }: &Argument) -> Result<()> {
        let limit = match name.to_string().as_str() {
            "peak" | "allocated" | "leaked" => {
                let bytes = bytes(value)?;
                quote!(#name <= #bytes B)
            }
            "allocations" => {
                let blocks = blocks(value)?;
                quote!(#name <= #blocks)
            }
            "threads" => {
                self.threads = Some(threads(value)?);
                return Ok(());
            }
            "graph" => {
                self.graph = matches!(value, Lit::Bool(it) if it.value);
                return match self.graph {
                    true => Ok(()),
                    false => Err(unexpected("true", value)),
                };
            }
            other => {
                let expected = "expected peak, allocated, leaked, allocations, threads or graph";
                return Err(Error::new_spanned(
                    name,
                    format!("{expected}, found {other}"),
                ));
            }
        };
        self.limits.push(quote!(::alloc_core::__term!(#limit)));
        Ok(())
    }

    /// The function as a test, with the limits around its body.
    pub(crate) fn test(&self, function: &Function) -> Result<TokenStream> {
        let (is_test, is_async) = (function.has_test_attribute(), function.is_async());
        let error = |message| Err(Error::new(Span::call_site(), message));
        if is_async && !is_test {
            return error("expected the attribute of a runtime below it, such as #[tokio::test]");
        }
        if is_async && self.threads.is_none() && function.has_runtime_with_threads() {
            return error(
                "this test's runtime starts threads; use `threads = \"all\"` to count what they do, or \
                 `threads = \"own\"` to leave it out",
            );
        }
        if is_async && self.graph {
            return error(
                "expected a function that is not async: a heap graph is of the whole process",
            );
        }
        let limits = &self.limits;
        let threads = self.threads.map(|threads| match threads {
            Threads::All => quote!(::alloc_core::__term!(threads = "all")),
            Threads::Own => quote!(::alloc_core::__term!(threads = "own")),
        });
        let terms = limits.iter().chain(&threads);
        let terms = quote!(&[#(#terms),*]);
        let private = quote!(::alloc_core::__private);
        let assert = |work: TokenStream| quote!(#private::assert_memory(#work, #terms, &#private::Value::new()));
        let tested = match (self.threads, is_async) {
            (Some(Threads::Own), true) => {
                let future = function.future();
                return Ok(function.with_body(quote! {
                    #private::assert_memory_async(#future, #terms, &#private::Value::new())
                        .await
                        .or_panic()
                }));
            }
            (None, true) => {
                let future = function.future();
                return Ok(function.with_body(quote! {
                    #private::assert_memory_on_thread(#future, #terms).await.or_panic()
                }));
            }
            // NOTE: the threads of a runtime are older than its futures, so it is made inside.
            (Some(Threads::All), true) => function.with_inner_test(assert)?,
            (_, false) => {
                let limited = match limits.is_empty() {
                    true => function.closure(),
                    false => assert(function.closure()),
                };
                function.with_body(match (self.graph, limits.is_empty()) {
                    (true, true) => quote!(::alloc_report::graph::without_leaks(#limited)),
                    (true, false) => quote!(::alloc_report::graph::without_leaks(|| #limited)),
                    (false, _) => limited,
                })
            }
        };
        let is_run_by_another = is_test && !is_async;
        let attribute = (!is_run_by_another).then(|| quote!(#[::core::prelude::v1::test]));
        Ok(quote!(#attribute #tested))
    }
}

fn threads(value: &Lit) -> Result<Threads> {
    match text(value).as_deref() {
        Some("all") => Ok(Threads::All),
        Some("own") => Ok(Threads::Own),
        _ => Err(unexpected("\"all\" or \"own\"", value)),
    }
}

fn blocks(value: &Lit) -> Result<Literal> {
    number(value).ok_or_else(|| unexpected("a number of blocks", value))
}

/// Bytes: a number, or text of a number with a unit.
fn bytes(value: &Lit) -> Result<Literal> {
    let bytes = match text(value) {
        Some(text) => with_unit(&text),
        None => number(value),
    };
    bytes.ok_or_else(|| unexpected("a number of bytes, or text such as \"64 KiB\"", value))
}

/// The rules of `alloc_core::Bytes::parse`. A macro that depended on that crate would build it twice.
fn with_unit(text: &str) -> Option<Literal> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let number: u64 = digits.trim_end().replace('_', "").parse().ok()?;
    Some(Literal::u64_unsuffixed(number.checked_mul(unit)?))
}

fn number(value: &Lit) -> Option<Literal> {
    match value {
        Lit::Int(number) if number.suffix().is_empty() => {
            Some(Literal::u64_unsuffixed(number.base10_parse().ok()?))
        }
        _ => None,
    }
}

fn text(value: &Lit) -> Option<String> {
    match value {
        Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

fn unexpected(expected: &str, value: &Lit) -> Error {
    let found = value.to_token_stream();
    Error::new_spanned(value, format!("expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits as written into the test, or the error.
    fn parse(arguments: &str) -> String {
        match syn::parse_str::<Limits>(arguments) {
            Ok(parsed) => {
                let term = |limit: &TokenStream| {
                    let limit = limit.to_string();
                    limit
                        .replace(":: alloc_core :: __term ! ", "")
                        .replace(' ', "")
                };
                let terms: Vec<_> = parsed.limits.iter().map(term).collect();
                let threads = parsed
                    .threads
                    .map(|it| format!(" {it:?}"))
                    .unwrap_or_default();
                terms.join(" ") + &threads
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn limits_are_parsed() {
        for (arguments, expected) in [
            ("peak = 1_024", "(peak<=1024B)"),
            ("peak = \"64 KiB\",", "(peak<=65536B)"),
            (
                "leaked = 0x10, allocated = \"1_0MiB\"",
                "(leaked<=16B) (allocated<=10485760B)",
            ),
            ("allocations = 3, threads = \"all\"", "(allocations<=3) All"),
            (
                "threads = \"own\", peak = \"2GiB\"",
                "(peak<=2147483648B) Own",
            ),
        ] {
            assert_eq!(parse(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        const BYTES: &str = "expected a number of bytes, or text such as \"64 KiB\", found";
        for (arguments, expected) in [
            ("", format!("{EXPECTED}, found none")),
            ("threads = \"all\"", format!("{EXPECTED}, found none")),
            ("peak", format!("{EXPECTED}, found peak")),
            (
                "peak <= 3, leaked = 0",
                format!("{EXPECTED}, found peak <= 3"),
            ),
            ("peak = 64 KiB", "expected `,`".to_owned()),
            ("peak = 1u64", format!("{BYTES} 1u64")),
            ("peak = -1", format!("{BYTES} - 1")),
            ("peak = \"64 KB\"", format!("{BYTES} \"64 KB\"")),
            (
                "peak = \"99999999999 GiB\"",
                format!("{BYTES} \"99999999999 GiB\""),
            ),
            (
                "allocations = \"3 B\"",
                "expected a number of blocks, found \"3 B\"".to_owned(),
            ),
            (
                "threads = \"some\"",
                "expected \"all\" or \"own\", found \"some\"".to_owned(),
            ),
            (
                "leaks = 0",
                "expected peak, allocated, leaked, allocations, threads or graph, found leaks"
                    .to_owned(),
            ),
        ] {
            assert_eq!(parse(arguments), expected, "{arguments}");
        }
    }
}
