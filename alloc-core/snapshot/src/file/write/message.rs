//! [`Message`]: a message of a profile, encoded piece by piece into reusable memory.

use super::pages::{NoMemory, Pages};

/// The bytes of a message. Fields can be in any order; zero fields are omitted.
pub(in crate::file) struct Message(Pages<u8>);

impl Message {
    pub(in crate::file) const fn new() -> Message {
        Message(Pages::new())
    }

    pub(in crate::file) fn clear(&mut self) {
        self.0.clear();
    }

    pub(in crate::file) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends a number without a field, as in a packed list.
    #[inline]
    pub(in crate::file) fn varint(&mut self, value: u64) -> Result<(), NoMemory> {
        let mut bytes = [0; 10];
        let len = varint(value, &mut bytes);
        self.0.extend(&bytes[..len])
    }

    /// Appends a field with a string, a message or a packed list.
    pub(in crate::file) fn field(&mut self, field: u32, content: &[u8]) -> Result<(), NoMemory> {
        self.begin(field, content.len())?;
        self.0.extend(content)
    }

    /// Appends a field with text. Invalid UTF-8 is replaced as in [`String::from_utf8_lossy`].
    pub(in crate::file) fn text(&mut self, field: u32, text: &[u8]) -> Result<(), NoMemory> {
        const REPLACEMENT: &str = "\u{FFFD}";
        let parts = || {
            text.utf8_chunks().flat_map(|chunk| {
                let wrong = if chunk.invalid().is_empty() {
                    ""
                } else {
                    REPLACEMENT
                };
                [chunk.valid(), wrong]
            })
        };
        self.begin(field, parts().map(str::len).sum())?;
        parts().try_for_each(|part| self.0.extend(part.as_bytes()))
    }

    /// Appends the fields of a small message that owns no heap memory.
    pub(in crate::file) fn fields(
        &mut self,
        message: &impl prost::Message,
    ) -> Result<(), NoMemory> {
        let mut buffer = [0_u8; 512];
        let mut rest = &mut buffer[..];
        // NOTE: no message reaches 512 bytes: it has at most 32 numbers of at most 12 bytes.
        message.encode(&mut rest).map_err(|_| NoMemory)?;
        let len = message.encoded_len();
        self.0.extend(&buffer[..len])
    }

    /// Appends a field with a number.
    #[cfg(feature = "otlp")]
    pub(in crate::file) fn number(&mut self, field: u32, value: u64) -> Result<(), NoMemory> {
        if value == 0 {
            return Ok(());
        }
        self.varint(u64::from(field) << 3)?;
        self.varint(value)
    }

    /// Appends a field with a number of eight bytes.
    #[cfg(feature = "otlp")]
    pub(in crate::file) fn fixed(&mut self, field: u32, value: u64) -> Result<(), NoMemory> {
        self.varint(u64::from(field) << 3 | 1)?;
        self.0.extend(&value.to_le_bytes())
    }

    fn begin(&mut self, field: u32, len: usize) -> Result<(), NoMemory> {
        let (head, head_len) = head(field, len);
        self.0.extend(&head[..head_len])
    }

    #[cfg(test)]
    pub(in crate::file) fn mapped(&self) -> usize {
        self.0.mapped()
    }
}

/// The bytes in front of a string, a message or a packed list of `len` bytes, and their number.
pub(in crate::file) fn head(field: u32, len: usize) -> ([u8; 20], usize) {
    const LENGTH_DELIMITED: u64 = 2;
    let mut bytes = [0; 20];
    let key = varint(u64::from(field) << 3 | LENGTH_DELIMITED, &mut bytes);
    let len = varint(len as u64, &mut bytes[key..]);
    (bytes, key + len)
}

/// Writes a number to the start of `bytes` and returns its length, at most ten bytes.
fn varint(mut value: u64, bytes: &mut [u8]) -> usize {
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        len += 1;
        value >>= 7;
    }
    bytes[len] = value as u8;
    len + 1
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::file::proto::{Extension, Label, Profile, field};

    #[test]
    fn prost_decodes_the_encoded_message() {
        let label = Label {
            key: 3,
            str: 0,
            num: i64::MAX,
        };
        let mut inner = Message::new();
        inner.fields(&label).unwrap();
        assert_eq!(inner.bytes(), label.encode_to_vec());

        let mut extension = Message::new();
        let numbers = Extension {
            heap_current: u64::MAX,
            unnamed: true,
            ..Extension::default()
        };
        extension.fields(&numbers).unwrap();
        extension.text(field::PROGRAM, b"caf\xC3\xA9\xFF!").unwrap();
        let decoded = Extension::decode(extension.bytes()).unwrap();
        assert_eq!(decoded.program, "café\u{FFFD}!");
        assert!(decoded.unnamed && decoded.heap_current == u64::MAX);

        let mut profile = Message::new();
        for text in ["", "a", &"b".repeat(300)] {
            profile.field(field::STRING, text.as_bytes()).unwrap();
        }
        let decoded = Profile::decode(profile.bytes()).unwrap();
        assert_eq!(decoded.string_table, ["", "a", &"b".repeat(300)]);

        profile.clear();
        for value in [0, 127, 128, 1 << 35, u64::MAX] {
            profile.clear();
            profile.varint(value).unwrap();
            assert_eq!(
                prost::encoding::decode_varint(&mut profile.bytes()),
                Ok(value)
            );
        }
    }
}
