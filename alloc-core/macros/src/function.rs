//! A function item, as far as the attributes need it.
//!
//! In: the tokens of a function. Out: the function with another body, made of its own. Never: a
//! parse of the body or of the returned type, which keep their tokens and spans.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Abi, Attribute, Error, Generics, Ident, Result, Token, Visibility, token};

pub(crate) struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    asyncness: Option<Token![async]>,
    unsafety: Option<Token![unsafe]>,
    abi: Option<Abi>,
    fn_token: Token![fn],
    pub(crate) name: Ident,
    generics: Generics,
    arguments: Group,
    returned: Option<Returned>,
    /// The `where` clause.
    bounds: TokenStream,
    body: Group,
}

/// `-> T`.
struct Returned {
    arrow: Token![->],
    ty: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Function> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if let Some(token) = input.parse::<Option<Token![const]>>()? {
            let message = "a const function cannot be looked at when it is run";
            return Err(Error::new_spanned(token, message));
        }
        let (asyncness, unsafety, abi) = (input.parse()?, input.parse()?, input.parse()?);
        let fn_token = input
            .parse()
            .map_err(|error| Error::new(error.span(), "expected a function"))?;
        let (name, generics) = (input.parse()?, input.parse()?);
        let arguments = group(input, Delimiter::Parenthesis)?;
        let arrow: Option<Token![->]> = input.parse()?;
        let ty = tokens_until(input, |ahead| ahead.peek(Token![where]))?;
        Ok(Function {
            attributes,
            visibility,
            asyncness,
            unsafety,
            abi,
            fn_token,
            name,
            generics,
            arguments,
            returned: arrow.map(|arrow| Returned { arrow, ty }),
            bounds: tokens_until(input, |_| false)?,
            body: group(input, Delimiter::Brace)
                .map_err(|error| Error::new(error.span(), "expected a function with a body"))?,
        })
    }
}

/// The tokens up to `end`, or up to the braces at the very end: other braces belong to a type, as
/// in `Buffer<{ SIZE * 2 }>`.
fn tokens_until(
    input: ParseStream<'_>,
    end: impl Fn(ParseStream<'_>) -> bool,
) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !end(input) && !is_body(input) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}

fn is_body(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    input.peek(token::Brace) && ahead.parse::<TokenTree>().is_ok() && ahead.is_empty()
}

fn group(input: ParseStream<'_>, delimiter: Delimiter) -> Result<Group> {
    match input.fork().parse()? {
        TokenTree::Group(group) if group.delimiter() == delimiter => input.parse(),
        other => Err(Error::new_spanned(other, "expected a function")),
    }
}

impl Function {
    pub(crate) fn is_async(&self) -> bool {
        self.asyncness.is_some()
    }

    /// The span of the closing brace.
    pub(crate) fn end(&self) -> Span {
        self.body.span_close()
    }

    /// Whether another attribute makes a test of it.
    pub(crate) fn has_test_attribute(&self) -> bool {
        self.attributes.iter().any(is_test_attribute)
    }

    /// Whether a test attribute asks for a runtime with threads.
    pub(crate) fn has_runtime_with_threads(&self) -> bool {
        let mut attributes = self.attributes.iter().filter(|it| is_test_attribute(it));
        attributes.any(|it| {
            it.to_token_stream()
                .to_string()
                .contains("\"multi_thread\"")
        })
    }

    /// The body as a block within a block.
    ///
    /// NOTE: its braces keep their place but are not the user's. A lint would tell the user to
    /// remove them.
    pub(crate) fn block(&self) -> TokenTree {
        let mut body = self.body.clone();
        body.set_span(body.span().resolved_at(Span::call_site()));
        TokenTree::Group(body)
    }

    /// The body as a closure.
    pub(crate) fn closure(&self) -> TokenStream {
        let (returned, block) = (self.named_type().map(|ty| quote!(-> #ty)), self.block());
        quote!(move || #returned { #block })
    }

    /// The body as a future.
    pub(crate) fn future(&self) -> TokenStream {
        // It never runs. It names the type of the body for `?` within.
        let returned = self.named_type().map(|ty| {
            quote! {
                #[allow(unreachable_code, clippy::diverging_sub_expression, clippy::unreachable)]
                if false { let returned: #ty = ::core::unreachable!(); return returned; }
            }
        });
        let block = self.block();
        quote!(async move { #returned #block })
    }

    /// The function with another body.
    pub(crate) fn with_body(&self, body: TokenStream) -> TokenStream {
        let (attributes, signature) = (&self.attributes, self.signature(true));
        quote!(#(#attributes)* #signature { #body })
    }

    /// An async test as a plain test. It holds the async one, with its test attributes, and calls
    /// it through `call`, so that the runtime is made within.
    pub(crate) fn with_inner_test(
        &self,
        call: impl FnOnce(TokenStream) -> TokenStream,
    ) -> Result<TokenStream> {
        if !self.arguments.stream().is_empty() {
            let message = "expected an async test without arguments";
            return Err(Error::new_spanned(&self.arguments, message));
        }
        let (inner, outer): (Vec<_>, Vec<_>) =
            self.attributes.iter().partition(|it| is_test_attribute(it));
        let (name, body) = (&self.name, self.body.stream());
        let (inner_signature, outer_signature) = (self.signature(true), self.signature(false));
        let call = call(quote!(|| #name()));
        // The lint warns that no harness runs the inner test. The closure does.
        Ok(quote! {
            #[allow(unnameable_test_items)]
            #(#outer)*
            #outer_signature {
                #(#inner)* #inner_signature { #body }
                #call
            }
        })
    }

    /// All between the attributes and the body, with or without `async`.
    fn signature(&self, with_async: bool) -> TokenStream {
        let Function {
            visibility,
            unsafety,
            abi,
            fn_token,
            name,
            generics,
            arguments,
            bounds,
            ..
        } = self;
        let asyncness = self.asyncness.filter(|_| with_async);
        let returned = self
            .returned
            .as_ref()
            .map(|Returned { arrow, ty }| quote!(#arrow #ty));
        quote! {
            #visibility #asyncness #unsafety #abi #fn_token #name #generics #arguments #returned #bounds
        }
    }

    /// The returned type, unless it is `!` or has an `impl` in it.
    fn named_type(&self) -> Option<&TokenStream> {
        let ty = &self.returned.as_ref()?.ty;
        let is_never = syn::parse2::<Token![!]>(ty.clone()).is_ok();
        (!is_never && !has_impl(ty.clone())).then_some(ty)
    }
}

fn has_impl(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "impl",
        TokenTree::Group(group) => has_impl(group.stream()),
        _ => false,
    })
}

/// Whether the last word of an attribute's path has `test` in it.
fn is_test_attribute(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| segment.ident.to_string().contains("test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Function> {
        syn::parse_str(text)
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = parse(text).err().expect("it is not such a function");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_function_keeps_its_signature() {
        for text in [
            "fn f() { }",
            "pub (crate) async fn f () { 1 ; }",
            "/// Text.\n#[must_use] pub unsafe extern \"C\" fn f (a : u8) -> u8 { a }",
            "fn f < 'a , const N : usize , T : Fn (u8) -> u8 > (self , t : & 'a T) -> [u8 ; N] where T : 'a { }",
            "fn f () -> Buffer < { SIZE * 2 } > { }",
            "fn f () -> [u8 ; { let n = 2 ; n }] where [u8 ; { 2 }] : Copy { }",
        ] {
            let function = parse(text).expect(text);
            let body = function.body.stream();
            let expected: TokenStream = text.parse().expect("tokens");
            assert_eq!(function.with_body(body).to_string(), expected.to_string());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        check_error(
            "const fn f() {}",
            "a const function cannot be looked at when it is run",
        );
        check_error("struct S {}", "expected a function");
        check_error("fn f();", "expected a function with a body");
        check_error("fn f {}", "expected a function");
    }

    #[test]
    fn a_type_without_a_name_is_not_written_again() {
        let named = |returned: &str| {
            let function = parse(&format!("fn f() {returned} {{ }}")).expect("a function");
            function
                .named_type()
                .map(|ty| ty.to_string().replace(' ', ""))
        };
        assert_eq!(named("-> Vec<u8>").as_deref(), Some("Vec<u8>"));
        assert_eq!(named("-> Option<!>").as_deref(), Some("Option<!>"));
        for unnamed in [
            "",
            "-> !",
            "-> impl Copy",
            "-> Vec<impl Copy>",
            "-> (impl Copy, u8)",
        ] {
            assert_eq!(named(unnamed), None, "{unnamed}");
        }
    }

    #[test]
    fn a_test_attribute_has_test_in_its_last_word() {
        let function = |attribute| parse(&format!("{attribute} async fn f() {{}}")).expect("one");
        let has = |attribute| {
            let function = function(attribute);
            (
                function.has_test_attribute(),
                function.has_runtime_with_threads(),
            )
        };
        assert_eq!(has("#[tokio::test]"), (true, false));
        assert_eq!(
            has("#[tokio::test(flavor = \"multi_thread\")]"),
            (true, true)
        );
        assert_eq!(has("#[rstest]"), (true, false));
        assert_eq!(
            has("#[test::case(flavor = \"multi_thread\")]"),
            (false, false)
        );
    }
}
