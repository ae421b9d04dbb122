//! [`Query`]: the parameters of a request.

use std::borrow::Cow;
use std::str::FromStr;

/// The text after the question mark of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(pub(super) &'a str);

impl<'a> Query<'a> {
    /// The value of a parameter; the first one if it is there twice.
    pub(super) fn get(self, name: &str) -> Option<Cow<'a, str>> {
        let pairs = self.0.split('&');
        let value = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        });
        value.map(decoded).next()
    }

    /// The value of a parameter, or a message that says what was expected.
    pub(super) fn parse<T: FromStr>(self, name: &str, expected: &str) -> Result<Option<T>, String> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("{name}: expected {expected}, found {value:?}")),
        }
    }

    /// Whether a parameter is on: `1` or `true`; `0` and `false` are off.
    pub(super) fn switch(self, name: &str) -> Result<Option<bool>, String> {
        match self.get(name).as_deref() {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(other) => Err(format!("{name}: expected 0 or 1, found {other:?}")),
        }
    }
}

/// Decodes `%41` and `+`.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let hex = |digit: u8| (digit as char).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    (high << 4 | low) as u8
                }
                _ => b'%',
            },
            _ => *first,
        };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let query = Query("a=1&name=caf%C3%A9+x&b&c=%zz%4");
        assert_eq!(query.get("a").as_deref(), Some("1"));
        assert_eq!(query.get("name").as_deref(), Some("café x"));
        assert_eq!(query.get("b").as_deref(), Some(""));
        assert_eq!(query.get("c").as_deref(), Some("%zz%4"));
        assert_eq!(query.get("d"), None);
        assert_eq!(query.parse::<u32>("a", "a number"), Ok(Some(1)));
        let wrong = query.parse::<u32>("name", "a number").unwrap_err();
        assert_eq!(wrong, "name: expected a number, found \"café x\"");
        assert_eq!(query.switch("a"), Ok(Some(true)));
        assert!(query.switch("b").is_err());
    }
}
