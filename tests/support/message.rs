//! [`Message`]: a protobuf message, field by field, as wrong as one likes.

/// A message that is being written.
#[derive(Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// One without fields.
    pub fn new() -> Message {
        Message::default()
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a number.
    pub fn number(&mut self, field: u64, number: u64) -> &mut Message {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    /// Adds a string, or whatever else is bytes.
    pub fn bytes_of(&mut self, field: u64, bytes: &[u8]) -> &mut Message {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a message.
    pub fn message(&mut self, field: u64, message: &Message) -> &mut Message {
        self.bytes_of(field, &message.0)
    }

    /// Adds a number without the number of a field, as they are packed.
    pub fn varint(&mut self, mut number: u64) {
        while number >= 128 {
            self.0.push(number as u8 | 128);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}
