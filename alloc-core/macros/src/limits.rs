//! The limits of a test.

use proc_macro::{TokenStream, TokenTree};

use crate::function::Function;

/// The arguments of the attribute.
pub(crate) struct Limits {
    /// Each limit as an expression.
    limits: Vec<String>,
    /// What becomes of threads that the test starts, if it is said.
    threads: Option<Threads>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    Own,
    All,
}

const EXPECTED: &str = "expected a limit such as peak = \"64 KiB\"";

impl Limits {
    pub(crate) fn parse(options: TokenStream) -> Result<Limits, String> {
        let tokens: Vec<TokenTree> = options.into_iter().collect();
        let is_comma =
            |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
        let mut parsed = Limits {
            limits: Vec::new(),
            threads: None,
        };
        for option in tokens.split(is_comma).filter(|it| !it.is_empty()) {
            let [
                TokenTree::Ident(name),
                TokenTree::Punct(equals),
                TokenTree::Literal(value),
            ] = option
            else {
                let found: TokenStream = option.iter().cloned().collect();
                return Err(format!("{EXPECTED}, found {found}"));
            };
            if equals.as_char() != '=' {
                return Err(format!("expected = after {name}, found {equals}"));
            }
            parsed.add(&name.to_string(), &value.to_string())?;
        }
        if parsed.limits.is_empty() {
            return Err(format!("{EXPECTED}, found none"));
        }
        Ok(parsed)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        let limit = match name {
            "peak" => format!("peak <= {} B", bytes(value)?),
            "allocated" => format!("allocated <= {} B", bytes(value)?),
            "leaked" => format!("leaked <= {} B", bytes(value)?),
            "allocations" => format!("allocations <= {}", number(value)?),
            "threads" => {
                self.threads = match value {
                    r#""all""# => Some(Threads::All),
                    r#""own""# => Some(Threads::Own),
                    other => return Err(format!("expected \"all\" or \"own\", found {other}")),
                };
                return Ok(());
            }
            other => {
                return Err(format!(
                    "expected peak, allocated, leaked, allocations or threads, found {other}"
                ));
            }
        };
        self.limits.push(format!("::alloc_core::__term!({limit})"));
        Ok(())
    }

    /// The function as a test, with the limits around its body.
    pub(crate) fn test(&self, function: Function) -> Result<TokenStream, String> {
        let mut terms = self.limits.clone();
        if self.threads == Some(Threads::All) {
            terms.push("::alloc_core::__term!(threads = \"all\")".to_owned());
        } else if self.threads == Some(Threads::Own) {
            terms.push("::alloc_core::__term!(threads = \"own\")".to_owned());
        }
        let terms = terms.join(", ");
        let (is_test, is_async) = (function.has_test_attribute(), function.is_async);
        if is_async && !is_test {
            return Err(
                "expected the attribute of a runtime below it, such as #[tokio::test]".to_owned(),
            );
        }
        if is_async && self.threads.is_none() && function.has_runtime_with_threads() {
            return Err(
                "this test's runtime starts threads; use `threads = \"all\"` to count what they do, or \
                 `threads = \"own\"` to leave it out"
                    .to_owned(),
            );
        }
        let before = |called: &str| format!("::alloc_core::__private::{called}(");
        let tested = match (self.threads, is_async) {
            (Some(Threads::Own), true) => {
                let after = format!(
                    ", &[{terms}], &::alloc_core::__private::Value::new()).await.or_panic()"
                );
                return Ok(function.with_async_body(&before("assert_memory_async"), &after));
            }
            (None, true) => {
                let after = format!(", &[{terms}]).await.or_panic()");
                return Ok(function.with_async_body(&before("assert_memory_on_thread"), &after));
            }
            // NOTE: a runtime's threads are older than its futures, so it is made inside.
            (Some(Threads::All), true) => {
                let after = format!(", &[{terms}], &::alloc_core::__private::Value::new())");
                function.called_in_closure(&before("assert_memory"), &after)?
            }
            (_, false) => {
                let after = format!(", &[{terms}], &::alloc_core::__private::Value::new())");
                function.with_closure(&before("assert_memory"), &after)
            }
        };
        if is_test && !is_async {
            return Ok(tested);
        }
        let attribute: TokenStream = "#[::core::prelude::v1::test]"
            .parse()
            .expect("an attribute");
        Ok(attribute.into_iter().chain(tested).collect())
    }
}

fn number(value: &str) -> Result<u64, String> {
    let digits = value.replace('_', "");
    digits
        .parse()
        .map_err(|_| format!("expected a number of blocks, found {value}"))
}

/// A number, or text of one with a unit.
fn bytes(value: &str) -> Result<u64, String> {
    let wrong = || format!("expected a number of bytes, or text such as \"64 KiB\", found {value}");
    let Some(text) = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')) else {
        return value.replace('_', "").parse().map_err(|_| wrong());
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits
        .trim_end()
        .replace('_', "")
        .parse()
        .map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}
