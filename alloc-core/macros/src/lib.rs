//! The attributes of the crate `alloc-core`, which documents and re-exports them.
//!
//! In: the tokens of a function. Out: the same function with another body, or `compile_error!` and
//! the function unchanged. Never: a parse of the function's body.

use proc_macro2::{Literal, Span, TokenStream};
use quote::quote;
use syn::{Error, Result};

mod above;
mod function;
mod limits;

use function::Function;
use limits::Limits;

/// Prints, each time the function returns, what the call allocated.
#[proc_macro_attribute]
pub fn profile(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let output = match options.to_string().as_str() {
        "" => quote!(Print),
        "event" => quote!(Event),
        other => {
            let message = format!("expected #[profile] or #[profile(event)], found {other}");
            let span = TokenStream::from(options);
            return with_error(&Error::new_spanned(span, message), item);
        }
    };
    match syn::parse(item.clone()) {
        Ok(function) => profiled(&function, &output).into(),
        Err(error) => with_error(&within("#[profile]", &error), item),
    }
}

fn profiled(function: &Function, output: &TokenStream) -> TokenStream {
    let name = function.name.to_string();
    let last_line = Literal::usize_unsuffixed(function.end().unwrap().end().line());
    let private = quote!(::alloc_core::__private);
    let site = quote! {
        #private::Site {
            name: ::core::concat!(::core::module_path!(), "::", #name),
            file: ::core::file!(),
            line: ::core::line!(),
            last_line: #last_line,
            output: #private::Output::#output,
            calls: {
                static CALLS: ::core::sync::atomic::AtomicU64 =
                    ::core::sync::atomic::AtomicU64::new(0);
                &CALLS
            },
        }
    };
    if function.is_async() {
        let future = function.future();
        return function.with_body(quote!(#private::profile_future(#site, #future).await));
    }
    // The block's locals are dropped before `__profile`.
    let block = function.block();
    function.with_body(quote!(let __profile = #private::Profile::begin(#site); #block))
}

/// A test that keeps to limits on memory.
#[proc_macro_attribute]
pub fn memory_test(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    match tested(options, item.clone()) {
        Ok(test) => test.into(),
        Err(error) => with_error(&within("#[alloc_core::memory_test]", &error), item),
    }
}

fn tested(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> Result<TokenStream> {
    above::expect_no_test(Span::call_site())?;
    let limits: Limits = syn::parse(options)?;
    limits.test(&syn::parse(item)?)
}

fn within(attribute: &str, error: &Error) -> Error {
    Error::new(error.span(), format!("{attribute}: {error}"))
}

/// The error, and the item unchanged, so that its uses bring no further errors.
fn with_error(error: &Error, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let mut tokens = proc_macro::TokenStream::from(error.to_compile_error());
    tokens.extend(item);
    tokens
}
