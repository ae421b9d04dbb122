//! A function, as far as an attribute has to know it.

use std::iter;

use proc_macro::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};

pub(crate) struct Function {
    /// All but the body.
    head: Vec<TokenTree>,
    body: Group,
    pub(crate) name: String,
    pub(crate) is_async: bool,
}

impl Function {
    /// An error says what is not as it must be.
    pub(crate) fn parse(item: TokenStream) -> Result<Function, String> {
        let mut head: Vec<TokenTree> = item.into_iter().collect();
        let body = match head.pop() {
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
            _ => return Err("expected a function with a body".to_owned()),
        };
        let ident = |token: &TokenTree| match token {
            TokenTree::Ident(ident) => Some(ident.to_string()),
            _ => None,
        };
        let at = head
            .iter()
            .position(|it| ident(it).is_some_and(|it| it == "fn"));
        let at = at.ok_or("expected a function")?;
        let name = head.get(at + 1).and_then(ident);
        let name = name.ok_or("expected a function with a name")?;
        let has = |word: &str| head[..at].iter().filter_map(ident).any(|it| it == word);
        if has("const") {
            return Err("a const function cannot be looked at when it is run".to_owned());
        }
        Ok(Function {
            is_async: has("async"),
            name,
            head,
            body,
        })
    }

    /// The line where it ends.
    pub(crate) fn last_line(&self) -> usize {
        self.body.span_close().end().line()
    }

    /// The function with `first` before its body, whose locals are dropped before what `first` made.
    pub(crate) fn with_body(self, first: &str) -> TokenStream {
        let first: TokenStream = first.parse().expect("statements");
        let body = TokenTree::Group(within(&self.body));
        let block = first.into_iter().chain(iter::once(body)).collect();
        finish(self.head, block)
    }

    /// The function with its body as a future between `before` and `after`.
    pub(crate) fn with_async_body(self, before: &str, after: &str) -> TokenStream {
        // Never run: it tells the compiler what the body returns, which `?` in it must know.
        let returned = self.returned().map_or(String::new(), |returned| {
            format!(
                "#[allow(unreachable_code, clippy::diverging_sub_expression, clippy::unreachable)] \
                 if false {{ let returned: {returned} = ::core::unreachable!(); return returned; }}"
            )
        });
        // NOTE: the body is put in as it is, so that it keeps its places in the source.
        let block = format!("{before} async move {{ {returned} {{ __BODY }} }} {after}");
        let block: TokenStream = block.parse().expect("an expression");
        finish(self.head, put(block, &self.body))
    }

    /// The function with its body as a closure between `before` and `after`.
    pub(crate) fn with_closure(self, before: &str, after: &str) -> TokenStream {
        let arrow = self
            .returned()
            .map_or(String::new(), |returned| format!("-> {returned}"));
        let block = format!("{before} move || {arrow} {{ {{ __BODY }} }} {after}");
        let block: TokenStream = block.parse().expect("an expression");
        finish(self.head, put(block, &self.body))
    }

    /// An async test as a plain one, which calls it, with all that its runtime does, between `before` and
    /// `after`.
    pub(crate) fn called_in_closure(
        self,
        before: &str,
        after: &str,
    ) -> Result<TokenStream, String> {
        // The first parentheses after the name; what stands before may have some, and what is returned.
        let is_fn = |it: &&TokenTree| matches!(it, TokenTree::Ident(it) if it.to_string() == "fn");
        let after_fn = self.head.iter().skip_while(|it| !is_fn(it));
        let mut arguments = after_fn.filter_map(|it| match it {
            TokenTree::Group(it) if it.delimiter() == Delimiter::Parenthesis => Some(it.stream()),
            _ => None,
        });
        if arguments.next().is_some_and(|it| !it.is_empty()) {
            return Err("expected an async test without arguments".to_owned());
        }
        let (mut outer, mut inner) = (Vec::new(), Vec::new());
        let mut tokens = self.head.into_iter().peekable();
        while let Some(TokenTree::Punct(hash)) = tokens.next_if(is_hash) {
            let pair = iter::once(TokenTree::Punct(hash)).chain(tokens.next());
            let pair: Vec<TokenTree> = pair.collect();
            if is_test_attribute(&pair) {
                inner.extend(pair);
            } else {
                outer.extend(pair);
            }
        }
        for token in tokens {
            inner.push(token.clone());
            if !matches!(&token, TokenTree::Ident(it) if it.to_string() == "async") {
                outer.push(token);
            }
        }
        // Nobody but the closure runs the inner one, which is what is wanted.
        let allow: TokenStream = "#[allow(unnameable_test_items)]"
            .parse()
            .expect("an attribute");
        let outer = allow.into_iter().chain(outer).collect();
        let call: TokenStream = format!("{before} || {}() {after}", self.name)
            .parse()
            .expect("an expression");
        let test = finish(inner, self.body.stream());
        Ok(finish(outer, test.into_iter().chain(call).collect()))
    }

    /// Whether another attribute makes a test of it.
    pub(crate) fn has_test_attribute(&self) -> bool {
        self.head.windows(2).any(is_test_attribute)
    }

    /// Whether the attribute that makes a test of it asks for a runtime with threads.
    pub(crate) fn has_runtime_with_threads(&self) -> bool {
        let asks = |pair: &[TokenTree]| match pair {
            [_, TokenTree::Group(attribute)] => attribute.to_string().contains("\"multi_thread\""),
            _ => false,
        };
        let attributes = self.head.windows(2).filter(|pair| is_test_attribute(pair));
        attributes.into_iter().any(asks)
    }

    /// What stands between the arrow and the body, unless it has no name or is `!`.
    fn returned(&self) -> Option<TokenStream> {
        let is_arrow = |pair: &[TokenTree]| match pair {
            [TokenTree::Punct(dash), TokenTree::Punct(angle)] => {
                dash.as_char() == '-' && dash.spacing() == Spacing::Joint && angle.as_char() == '>'
            }
            _ => false,
        };
        let is_word = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word);
        // The last: those before are of closures and functions among the arguments' types.
        let arrow = self.head.windows(2).rposition(is_arrow)?;
        let rest = &self.head[arrow + 2..];
        let end = rest.iter().position(|it| is_word(it, "where"));
        let returned = &rest[..end.unwrap_or(rest.len())];
        let has_no_name = returned.iter().any(|it| is_word(it, "impl"));
        let is_never = matches!(returned, [TokenTree::Punct(it)] if it.as_char() == '!');
        (!has_no_name && !is_never).then(|| returned.iter().cloned().collect())
    }
}

fn is_hash(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(it) if it.as_char() == '#')
}

/// Whether it is an attribute whose path ends with a word that has `test` in it.
fn is_test_attribute(pair: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(attribute)] = pair else {
        return false;
    };
    let path = attribute.stream().into_iter().take_while(|it| {
        matches!(it, TokenTree::Ident(_)) || matches!(it, TokenTree::Punct(p) if p.as_char() == ':')
    });
    let last = path.filter(|it| matches!(it, TokenTree::Ident(_))).last();
    is_hash(hash) && last.is_some_and(|it| it.to_string().contains("test"))
}

fn finish(head: Vec<TokenTree>, block: TokenStream) -> TokenStream {
    let block = TokenTree::Group(Group::new(Delimiter::Brace, block));
    head.into_iter().chain(iter::once(block)).collect()
}

/// The body as a block within a block.
///
/// NOTE: its braces are where they were, but not the user's, whom a lint would tell to remove them.
fn within(body: &Group) -> Group {
    let mut body = body.clone();
    body.set_span(body.span().resolved_at(Span::call_site()));
    body
}

/// Puts the body where its mark is.
fn put(tokens: TokenStream, body: &Group) -> TokenStream {
    let put_into = |token: TokenTree| match token {
        TokenTree::Group(group) => {
            let inner = group.stream();
            let is_mark = inner.to_string().trim() == "__BODY";
            TokenTree::Group(if is_mark {
                within(body)
            } else {
                let mut all = Group::new(group.delimiter(), put(inner, body));
                all.set_span(group.span());
                all
            })
        }
        other => other,
    };
    tokens.into_iter().map(put_into).collect()
}

/// An error at compile time, beside the item as it was.
pub(crate) fn error(message: &str, item: TokenStream) -> TokenStream {
    let error: TokenStream = format!("::core::compile_error!({message:?});")
        .parse()
        .expect("a statement");
    error.into_iter().chain(item).collect()
}
