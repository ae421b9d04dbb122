//! The limits of a test.

use proc_macro::{TokenStream, TokenTree};

use crate::function::Function;

/// The arguments of the attribute as expressions, each a limit.
pub(crate) fn parse(options: TokenStream) -> Result<Vec<String>, String> {
    let tokens: Vec<TokenTree> = options.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
    let mut limits = Vec::new();
    for option in tokens.split(is_comma).filter(|it| !it.is_empty()) {
        let [
            TokenTree::Ident(name),
            TokenTree::Punct(equals),
            TokenTree::Literal(value),
        ] = option
        else {
            let found: TokenStream = option.iter().cloned().collect();
            return Err(format!(
                "expected a limit such as peak = \"64 KiB\", found {found}"
            ));
        };
        if equals.as_char() != '=' {
            return Err(format!("expected = after {name}, found {equals}"));
        }
        let value = value.to_string();
        let limit = match name.to_string().as_str() {
            "peak" => format!("peak <= {} B", bytes(&value)?),
            "allocated" => format!("allocated <= {} B", bytes(&value)?),
            "leaks" => format!("leaked <= {} B", bytes(&value)?),
            "allocations" => format!("allocations <= {}", number(&value)?),
            other => {
                return Err(format!(
                    "expected peak, allocated, leaks or allocations, found {other}"
                ));
            }
        };
        limits.push(format!("::alloc_core::__limit!({limit})"));
    }
    if limits.is_empty() {
        return Err("expected a limit such as peak = \"64 KiB\", found none".to_owned());
    }
    Ok(limits)
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

/// The function as a test, with the limits around its body.
pub(crate) fn test(limits: &[String], function: Function) -> Result<TokenStream, String> {
    let limits = format!("&[{}]", limits.join(", "));
    let is_test = function.has_test_attribute();
    if function.is_async {
        if !is_test {
            return Err(
                "expected the attribute of a runtime below it, such as #[tokio::test]".to_owned(),
            );
        }
        let call = "::alloc_core::__private::assert_memory_future(";
        return Ok(function.with_async_body(call, &format!(", {limits})")));
    }
    let call = "::alloc_core::__private::assert_memory(";
    let tested = function.with_closure(call, &format!(", {limits})"));
    if is_test {
        return Ok(tested);
    }
    let attribute: TokenStream = "#[::core::prelude::v1::test]"
        .parse()
        .expect("an attribute");
    Ok(attribute.into_iter().chain(tested).collect())
}
