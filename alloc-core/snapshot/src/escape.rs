//! [`Escaped`]: untrusted names, safe to print.

use std::fmt::{self, Write as _};

/// Text from a file or from debug information, printed so that it cannot move the cursor, change
/// colours or reverse the line: control characters and bidirectional overrides become `\u{..}`.
///
/// ```
/// use alloc_core::Escaped;
///
/// assert_eq!(Escaped("src/\u{1b}[31mred.rs").to_string(), "src/\\u{1b}[31mred.rs");
/// assert_eq!(Escaped("src/größe.rs").to_string(), "src/größe.rs");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_unsafe_to_print) {
            let (fine, bad) = rest.split_at(at);
            f.write_str(fine)?;
            let mut chars = bad.chars();
            for escaped in chars.next().into_iter().flat_map(char::escape_unicode) {
                f.write_char(escaped)?;
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// Control characters, and characters that set the direction of text: Unicode's Bidi_Control, and
/// the line and paragraph separators.
fn is_unsafe_to_print(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
