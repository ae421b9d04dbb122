//! [`Message`]: a writer of protobuf messages, well-formed or not.

/// A protobuf message that is being written.
#[derive(Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    pub fn new() -> Message {
        Message::default()
    }

    /// The encoded message.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a field that is a number.
    pub fn number(&mut self, field: u64, number: u64) -> &mut Message {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    /// Adds a field that is a string or bytes.
    pub fn bytes_of(&mut self, field: u64, bytes: &[u8]) -> &mut Message {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a field that is a message.
    pub fn message(&mut self, field: u64, message: &Message) -> &mut Message {
        self.bytes_of(field, &message.0)
    }

    /// Adds a number without a field number, as in a packed field.
    pub fn varint(&mut self, mut number: u64) {
        while number >= 128 {
            self.0.push(number as u8 | 128);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}
