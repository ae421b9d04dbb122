//! [`Fields`]: the fields of a protobuf message in order, without copies.
//!
//! A profile is not decoded as a whole, since even an empty message of two bytes takes up a hundred
//! bytes when decoded.

use crate::error::Error;

/// An iterator over the fields of a message, by number.
///
/// It ends after the first error. Groups, which no profile has, are errors.
#[derive(Clone)]
pub(in crate::file) struct Fields<'a>(&'a [u8]);

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::file) enum Value<'a> {
    Number(u64),
    /// A string, a message, or a packed list of numbers.
    Bytes(&'a [u8]),
    /// A number of 32 or 64 bits, which profiles do not use.
    Fixed,
}

impl<'a> Fields<'a> {
    pub(in crate::file) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields(message)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Error> {
        let key = varint(&mut self.0)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut self.0)?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint(&mut self.0)?;
                self.bytes(length).map(Value::Bytes)?
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            wrong => {
                return Err(Error::invalid_file(format!(
                    "found a field of the wire type {wrong}, which profiles do not have"
                )));
            }
        };
        match key >> 3 {
            0 => Err(Error::invalid_file("found a field of the number 0")),
            number => Ok((number, value)),
        }
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], Error> {
        let at = usize::try_from(length).ok();
        let (bytes, rest) = at
            .and_then(|at| self.0.split_at_checked(at))
            .ok_or_else(|| {
                Error::invalid_file(format!(
                    "found one that is cut off: a field of {length} bytes has {}",
                    self.0.len()
                ))
            })?;
        self.0 = rest;
        Ok(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(in crate::file) fn number(self) -> Result<u64, Error> {
        match self {
            Value::Number(number) => Ok(number),
            _ => Err(Error::invalid_file("found bytes where a number belongs")),
        }
    }

    pub(in crate::file) fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::invalid_file(
                "found a number where a string or a message belongs",
            )),
        }
    }

    pub(in crate::file) fn fields(self) -> Result<Fields<'a>, Error> {
        self.bytes().map(Fields::of)
    }

    /// The numbers of a repeated field: this single number, or a packed list.
    pub(in crate::file) fn numbers(self) -> Numbers<'a> {
        match self {
            Value::Number(number) => Numbers {
                single: Some(number),
                packed: &[],
            },
            Value::Bytes(packed) => Numbers {
                single: None,
                packed,
            },
            Value::Fixed => Numbers {
                single: None,
                packed: &[],
            },
        }
    }
}

/// See [`Value::numbers`].
pub(in crate::file) struct Numbers<'a> {
    single: Option<u64>,
    packed: &'a [u8],
}

impl Iterator for Numbers<'_> {
    type Item = Result<u64, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(number) = self.single.take() {
            return Some(Ok(number));
        }
        if self.packed.is_empty() {
            return None;
        }
        let number = varint(&mut self.packed);
        if number.is_err() {
            self.packed = &[];
        }
        Some(number)
    }
}

#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err(Error::invalid_file(
                "found one that is cut off: it ends within a number",
            ));
        };
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Error::invalid_file("found a number of more than 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order() {
        let message = [8, 1, 16, 0xAC, 2, 26, 2, 3, 4, 37, 0, 0, 0, 0];
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        let expected = [
            (1, Value::Number(1)),
            (2, Value::Number(300)),
            (3, Value::Bytes(&[3, 4])),
            (4, Value::Fixed),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn numbers_may_be_packed_or_not() {
        let of = |value: Value<'_>| value.numbers().collect::<Result<Vec<_>, _>>();
        assert_eq!(of(Value::Number(7)).unwrap(), [7]);
        assert_eq!(of(Value::Bytes(&[7, 0xAC, 2])).unwrap(), [7, 300]);
        assert_eq!(of(Value::Bytes(&[])).unwrap(), [0_u64; 0]);
        assert!(of(Value::Bytes(&[0xAC])).is_err());
    }

    #[track_caller]
    fn ends_with(message: &[u8], found: &str) {
        let error = Fields::of(message).last().unwrap().unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
        // The error occurs once, and the iterator ends.
        assert_eq!(Fields::of(message).filter(Result::is_err).count(), 1);
    }

    #[test]
    fn invalid_messages_are_errors() {
        ends_with(&[8, 1, 8], "cut off: it ends within a number");
        ends_with(&[10, 5, 1], "cut off: a field of 5 bytes has 1");
        ends_with(&[9, 0, 0], "cut off: a field of 8 bytes has 2");
        ends_with(&[11], "a field of the wire type 3");
        ends_with(&[0, 1], "a field of the number 0");
        ends_with(&[0xFF; 12], "a number of more than 64 bits");
    }
}
