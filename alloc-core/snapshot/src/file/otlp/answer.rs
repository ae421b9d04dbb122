//! [`rejected`]: what a receiver of OTLP says of a request that it accepted.

use super::field::{partial_success, response};
use super::known;
use crate::error::Error;
use crate::file::read::wire::Fields;

/// How many profiles of a request the receiver left out, and why. `None` if it left out none.
///
/// An answer that is not of the protocol says nothing.
pub fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let (profiles, why) = partial_success(answer).ok()?;
    // NOTE: a message without a number is advice. A number below zero has no meaning.
    let profiles = u64::try_from(profiles).ok().filter(|&it| it > 0)?;
    Some((profiles, why))
}

fn partial_success(answer: &[u8]) -> Result<(i64, String), Error> {
    let (mut profiles, mut why) = (0, String::new());
    for field in Fields::of(answer) {
        let (number, value) = field?;
        if known(number) != response::PARTIAL_SUCCESS {
            continue;
        }
        for field in value.fields()? {
            let (number, value) = field?;
            match known(number) {
                partial_success::REJECTED => profiles = value.number()?.cast_signed(),
                partial_success::MESSAGE => {
                    why = String::from_utf8_lossy(value.bytes()?).into_owned();
                }
                _ => {}
            }
        }
    }
    Ok((profiles, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &[u8], expected: Option<(u64, &str)>) {
        let found = rejected(answer);
        let found = found.as_ref().map(|(profiles, why)| (*profiles, &**why));
        assert_eq!(found, expected, "{answer:?}");
    }

    #[test]
    fn an_answer_says_how_many_are_left_out() {
        check(b"\x0A\x06\x08\x02\x12\x02no", Some((2, "no")));
        check(b"\x0A\x02\x08\x04", Some((4, "")));
        // In another order, and with fields of a later version.
        check(
            b"\x12\x01?\x0A\x09\x12\x02no\x18\x01\x08\xAC\x02",
            Some((300, "no")),
        );
    }

    #[test]
    fn an_answer_that_is_whole_or_unknown_leaves_out_nothing() {
        for answer in [
            &b""[..],
            b"\x0A\x00",
            // Advice only.
            b"\x0A\x06\x08\x00\x12\x02no",
            b"\x0A\x04\x12\x02no",
            // A negative number.
            b"\x0A\x0B\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
            // Cut off, and of another kind.
            b"\x0A\x06\x08\x02\x12",
            b"\x08\x02",
            b"{\"partialSuccess\": {}}",
            b"<html>",
        ] {
            check(answer, None);
        }
    }
}
