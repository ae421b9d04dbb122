//! The attributes of the crate `alloc-core`, which is where they are documented and used from.
//!
//! They look at no more of a function than its name, its body, whether it is `async` and what it returns. So
//! they need no parser of Rust, and what they add to a build is the time that this file takes.

use proc_macro::{Span, TokenStream};

mod above;
mod function;
mod limits;

use function::{Function, error};
use limits::Limits;

/// Prints, each time the function returns, what the call allocated.
#[proc_macro_attribute]
pub fn profile(options: TokenStream, item: TokenStream) -> TokenStream {
    let output = match options.to_string().as_str() {
        "" => "Print",
        "event" => "Event",
        other => {
            let message = format!("expected #[profile] or #[profile(event)], found {other}");
            return error(&message, item);
        }
    };
    let function = match Function::parse(item.clone()) {
        Ok(function) => function,
        Err(message) => return error(&format!("#[profile]: {message}"), item),
    };
    let site = format!(
        "::alloc_core::__private::Site {{ \
             name: ::core::concat!(::core::module_path!(), \"::\", {:?}), \
             file: ::core::file!(), \
             line: ::core::line!(), \
             last_line: {}, \
             output: ::alloc_core::__private::Output::{output}, \
             calls: {{ \
                 static CALLS: ::core::sync::atomic::AtomicU64 = \
                     ::core::sync::atomic::AtomicU64::new(0); \
                 &CALLS \
             }}, \
         }}",
        function.name,
        function.last_line()
    );
    if function.is_async {
        function.with_async_body(
            &format!("::alloc_core::__private::profile_future({site}, "),
            ").await",
        )
    } else {
        function.with_body(&format!(
            "let __profile = ::alloc_core::__private::Profile::begin({site});"
        ))
    }
}

/// A test that keeps to limits on memory.
#[proc_macro_attribute]
pub fn memory_test(options: TokenStream, item: TokenStream) -> TokenStream {
    let tested = above::expect_no_test(Span::call_site())
        .and_then(|()| Limits::parse(options))
        .and_then(|limits| limits.test(Function::parse(item.clone())?));
    tested.unwrap_or_else(|message| error(&format!("#[alloc_core::memory_test]: {message}"), item))
}
