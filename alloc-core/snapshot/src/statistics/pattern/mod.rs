//! [`Pattern`]: shell wildcards with the rules of Python's `fnmatch`.
//!
//! In: a pattern and a text. Out: whether the pattern matches the whole text. Never: an error,
//! since every pattern is valid.

/// A pattern with shell wildcards. It must match the whole text.
///
/// | in a pattern | matches |
/// | --- | --- |
/// | `*` | any characters, or none; slashes too |
/// | `?` | one character |
/// | `[abc]`, `[a-z]` | one of these; a `]` that comes first is one of them |
/// | `[!abc]` | one character that is none of these |
/// | anything else | itself; so does a `[` that is never closed |
///
/// These are the rules of Python's `fnmatch.fnmatchcase`, so every pattern is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

/// A function name as people write it: `fill`, `Cache::fill`, `demo::*`.
///
/// With `*` or `?` it is a [pattern](crate::Filter#patterns) for the whole name. Otherwise it
/// matches functions that have this name, or have it in their path between separators. Type
/// arguments do not matter: `Cache::fill` matches `demo::Cache<T>::fill` and its closures, but not
/// `demo::Cache<T>::refill`.
///
/// ```
/// use alloc_core::FunctionPattern;
///
/// let fill = FunctionPattern::new("Cache::fill");
/// assert!(fill.matches("demo::Cache<T>::fill::{closure#0}"));
/// assert!(!fill.matches("demo::Cache<T>::fill_all"));
/// assert!(FunctionPattern::new("demo::*").matches("demo::Cache<T>::fill"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionPattern(Pattern);

impl FunctionPattern {
    /// Parses a pattern. Every pattern is valid.
    ///
    /// ```
    /// assert!(alloc_core::FunctionPattern::new("[").matches("["));
    /// ```
    pub fn new(pattern: &str) -> FunctionPattern {
        FunctionPattern(Pattern::new(pattern))
    }

    /// Whether a function of this name matches.
    ///
    /// ```
    /// use alloc_core::FunctionPattern;
    ///
    /// assert!(FunctionPattern::new("fill").matches("demo::Cache<T>::fill"));
    /// assert!(!FunctionPattern::new("fill").matches("demo::Cache<T>::refill"));
    /// ```
    pub fn matches(&self, function: &str) -> bool {
        let part = self.text();
        if self.0.matches(function) || part.contains(['*', '?']) {
            return self.0.matches(function);
        }
        has_part(function, part) || has_part(&without_arguments(function), part)
    }

    /// The pattern as it was written.
    ///
    /// ```
    /// assert_eq!(alloc_core::FunctionPattern::new("demo::*").text(), "demo::*");
    /// ```
    pub fn text(&self) -> &str {
        self.0.text()
    }
}

/// Whether a name has this part, and the part starts and ends at word boundaries.
fn has_part(name: &str, part: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut places = name.match_indices(part);
    !part.is_empty()
        && places.any(|(at, _)| {
            let (before, after) = (&name[..at], &name[at + part.len()..]);
            let cuts_a_word = |left: &str, right: &str| {
                left.ends_with(is_of_word) && right.starts_with(is_of_word)
            };
            !cuts_a_word(before, part) && !cuts_a_word(part, after)
        })
}

/// A name without its generic arguments: `demo::Cache::fill` for `demo::Cache<T>::fill::<u8>`. A
/// name that begins with a bracket starts with the type of an implementation, which is kept.
fn without_arguments(name: &str) -> String {
    let (mut kept, mut depth) = (String::with_capacity(name.len()), 0_u32);
    let start = usize::from(name.starts_with('<'));
    kept.push_str(&name[..start]);
    for c in name[start..].chars() {
        match c {
            '<' => depth += 1,
            '>' if depth > 0 => depth -= 1,
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    // The colons in front of a function's arguments.
    kept.replace("::::", "::")
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Anything,
    OneOf {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    Any,
    Char(char),
}

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Pattern {
        let chars: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            tokens.push(match c {
                '*' => Token::Anything,
                '?' => Token::Any,
                '[' => match end_of_set(&chars, at) {
                    Some(end) => {
                        let set = &chars[at..end];
                        at = end + 1;
                        set_of(set)
                    }
                    None => Token::Char('['),
                },
                c => Token::Char(c),
            });
        }
        Pattern {
            text: pattern.to_owned(),
            tokens,
        }
    }

    /// The pattern as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let (mut tokens, mut rest) = (&self.tokens[..], text);
        // Where to resume if the rest after the last `*` does not match: the `*` takes one more
        // character.
        let mut again = None;
        loop {
            let next = match tokens.split_first() {
                Some((Token::Anything, others)) => {
                    again = Some((others, rest));
                    Some((others, rest))
                }
                Some((token, others)) => {
                    let mut chars = rest.chars();
                    let fits = chars.next().is_some_and(|c| token.matches(c));
                    fits.then_some((others, chars.as_str()))
                }
                None if rest.is_empty() => return true,
                None => None,
            };
            let Some((tokens_left, text_left)) = next.or_else(|| {
                let (others, from) = again?;
                let mut chars = from.chars();
                chars.next()?;
                again = Some((others, chars.as_str()));
                again
            }) else {
                return false;
            };
            (tokens, rest) = (tokens_left, text_left);
        }
    }
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Token::Any | Token::Anything => true,
            Token::Char(own) => *own == c,
            Token::OneOf { negated, ranges } => {
                let is_in = ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                is_in != *negated
            }
        }
    }
}

/// Where the `]` is that closes a set whose `[` is before `start`.
fn end_of_set(chars: &[char], start: usize) -> Option<usize> {
    let first = start + usize::from(chars.get(start) == Some(&'!'));
    // The first character is always part of the set.
    let rest = chars.get(first + 1..)?;
    Some(first + 1 + rest.iter().position(|c| *c == ']')?)
}

/// The contents of the brackets. A range whose end comes before its start is empty. A hyphen after
/// a range stands for itself.
fn set_of(set: &[char]) -> Token {
    let (negated, mut rest) = match set {
        ['!', others @ ..] => (true, others),
        others => (false, others),
    };
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [from, '-', to, others @ ..] => {
                ranges.push((*from, *to));
                others
            }
            [c, others @ ..] => {
                ranges.push((*c, *c));
                others
            }
            [] => return Token::OneOf { negated, ranges },
        };
    }
}

#[cfg(test)]
mod tests;
