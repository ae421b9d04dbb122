//! [`CallsiteTag`]: distinguishes callsites with the same stack, by domain, label, thread name and
//! size class.

use super::labels::LabelId;
use super::thread_name::ThreadName;

/// The domain of a block's memory, the label and the name of the thread that allocated it, and its
/// size class; names and sizes only if the session distinguishes them.
///
/// The tag is part of a callsite's identity: one stack that allocates in two labels is two
/// callsites. A record mixes the tag into the hash of the stack as one number, the salt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallsiteTag {
    /// 0 is the heap of the program.
    pub(crate) domain: u32,
    pub(crate) label: LabelId,
    pub(crate) thread: ThreadName,
    pub(crate) size: SizeClass,
}

impl CallsiteTag {
    /// Packs the tag into a word: 32 bits of domain, 14 of label, 7 of size class and 11 of thread.
    /// Zero for heap blocks in no label, if neither threads nor sizes are distinguished.
    pub(crate) fn word(self) -> u64 {
        u64::from(self.domain) << 32
            | u64::from(self.label.get()) << 18
            | u64::from(self.size.0) << 11
            | u64::from(self.thread.get())
    }

    pub(crate) fn from_word(word: u64) -> CallsiteTag {
        CallsiteTag {
            domain: (word >> 32) as u32,
            label: LabelId::new((word >> 18) as u32 & 0x3FFF),
            size: SizeClass((word >> 11) as u8 & 0x7F),
            thread: ThreadName::new(word as u32 & 0x7FF),
        }
    }

    /// The salt, which is XORed into the hash of a stack. Zero for a zero word. The uppermost bit
    /// is always clear, since it is set in every hash.
    pub(crate) fn salt(self) -> u64 {
        // The finalizer of MurmurHash3, which maps zero to zero.
        let mut salt = self.word();
        salt = (salt ^ salt >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        salt = (salt ^ salt >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        (salt ^ salt >> 33) & !(1 << 63)
    }
}

/// The class of a block's size, a power of two. The default means that sizes are not distinguished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SizeClass(u8);

impl SizeClass {
    /// The class of blocks of `size` bytes.
    pub(crate) fn of(size: usize) -> SizeClass {
        let bits = usize::BITS - size.saturating_sub(1).leading_zeros();
        SizeClass(bits as u8 + 1)
    }

    /// The largest size in the class, in bytes; `None` if sizes are not distinguished.
    pub(crate) fn largest(self) -> Option<u64> {
        let bits = self.0.checked_sub(1)?;
        Some(1_u64.checked_shl(bits.into()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tags_come_back_from_their_words_and_have_salts_of_their_own() {
        let mut salts = HashSet::new();
        let others = [
            (0, 0, 0),
            (1, 0, 1),
            (2, 1, 2),
            (3, 64, 3),
            (1024, 65, 16_383),
            (1025, 65, 4),
        ];
        for domain in [0, 1, 2, 389_047, u32::MAX] {
            for (thread, size, label) in others {
                let tag = CallsiteTag {
                    domain,
                    label: LabelId::new(label),
                    thread: ThreadName::new(thread),
                    size: SizeClass(size),
                };
                assert_eq!(CallsiteTag::from_word(tag.word()), tag);
                assert_eq!(tag.salt() >> 63, 0);
                // The bits of a hash that the index stores.
                salts.insert(tag.salt() >> 24);
            }
        }
        assert_eq!(salts.len(), 30);
        assert_eq!(CallsiteTag::default().salt(), 0);
    }

    #[test]
    fn a_size_class_ends_at_a_power_of_two() {
        let largest = |size| SizeClass::of(size).largest();
        for (size, expected) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (512, 512),
            (513, 1024),
            (1568 << 10, 2 << 20),
            (usize::MAX, u64::MAX),
        ] {
            assert_eq!(largest(size), Some(expected), "{size}");
        }
        assert_eq!(SizeClass::default().largest(), None);
    }
}
