//! [`Label`]: distinguishes callsites with the same stack, by domain, thread name and size class.

use std::sync::{Mutex, PoisonError};

use crate::system::hooks;

/// The domain of a block's memory, the name of the thread that allocated it and its size class, as
/// far as the session distinguishes threads and sizes.
///
/// The label is part of a callsite's identity: one stack that allocates in two domains, on two
/// threads of different names or in two size classes is two callsites. A record mixes the label
/// into the hash of the stack as one number, the salt. On one thread it changes only with the size
/// class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Label {
    /// 0 is the heap of the program.
    pub(crate) domain: u32,
    pub(crate) thread: ThreadName,
    pub(crate) size: SizeClass,
}

impl Label {
    /// Packs the label into a word; zero for heap blocks if neither threads nor sizes are
    /// distinguished.
    pub(crate) fn word(self) -> u64 {
        u64::from(self.domain) << 32 | u64::from(self.size.0) << 24 | u64::from(self.thread.0)
    }

    pub(crate) fn from_word(word: u64) -> Label {
        Label {
            domain: (word >> 32) as u32,
            thread: ThreadName(word as u32 & 0xFF_FFFF),
            size: SizeClass((word >> 24) as u8),
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

/// The name of a thread. The default means that threads are not distinguished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ThreadName(u32);

/// A name as the system stores it: at most fifteen bytes, then zeros.
pub(crate) use crate::system::hooks::SystemName;

/// Number of names that are distinguished. Threads with further names share one more.
const MOST_NAMES: usize = 1024;
const OTHERS: SystemName = *b"<other threads>\0";

/// All thread names seen so far, in order of first use.
///
/// NOTE: never holds memory of the program's heap, since a thread is named in the middle of a
/// record.
struct Names {
    len: usize,
    names: [SystemName; MOST_NAMES],
}

static NAMES: Mutex<Names> = Mutex::new(Names {
    len: 0,
    names: [[0; 16]; MOST_NAMES],
});

impl ThreadName {
    /// The calling thread's name. Call it once for each thread and session: it takes a lock and
    /// makes system calls.
    pub(crate) fn of_this_thread() -> ThreadName {
        ThreadName::of(hooks::thread_name())
    }

    fn of(name: SystemName) -> ThreadName {
        let mut known = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let Names { len, names } = &mut *known;
        let at = match names[..*len].iter().position(|it| *it == name) {
            Some(at) => at,
            None if *len < MOST_NAMES => {
                names[*len] = name;
                *len += 1;
                *len - 1
            }
            None => MOST_NAMES,
        };
        ThreadName(at as u32 + 1)
    }

    /// The number of distinct [numbers](Self::number).
    pub(crate) const NUMBERS: usize = MOST_NAMES + 2;

    /// The number of the name; zero if threads are not distinguished.
    pub(crate) fn number(self) -> usize {
        self.0 as usize
    }

    /// The name as text; `None` if threads are not distinguished.
    pub(crate) fn text(self) -> Option<String> {
        let name = self.name()?;
        Some(String::from_utf8_lossy(bytes_of(&name)).into_owned())
    }

    /// The name as the system stores it, without allocating; `None` if threads are not
    /// distinguished.
    pub(crate) fn name(self) -> Option<SystemName> {
        let at = self.number().checked_sub(1)?;
        let known = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        Some(known.names.get(at).copied().unwrap_or(OTHERS))
    }
}

/// The bytes of a name, without the zeros.
pub(crate) fn bytes_of(name: &SystemName) -> &[u8] {
    let end = name.iter().position(|&byte| byte == 0);
    &name[..end.unwrap_or(name.len())]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn labels_come_back_from_their_words_and_have_salts_of_their_own() {
        let mut salts = HashSet::new();
        for domain in [0, 1, 2, 389_047, u32::MAX] {
            for (thread, size) in [0, 1, 2, 3, 1024, 1025]
                .into_iter()
                .zip([0, 1, 2, 64, 65, 65])
            {
                let (thread, size) = (ThreadName(thread), SizeClass(size));
                let label = Label {
                    domain,
                    thread,
                    size,
                };
                assert_eq!(Label::from_word(label.word()), label);
                assert_eq!(label.salt() >> 63, 0);
                // The bits of a hash that the index stores.
                salts.insert(label.salt() >> 24);
            }
        }
        assert_eq!(salts.len(), 30);
        assert_eq!(Label::default().salt(), 0);
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

    #[test]
    fn equal_names_are_one_and_beyond_the_last_all_are() {
        let name = |i: usize| {
            let mut name = SystemName::default();
            let text = format!("worker-{i}");
            name[..text.len()].copy_from_slice(text.as_bytes());
            ThreadName::of(name)
        };
        let (one, two) = (name(1), name(2));
        assert_eq!(one, name(1));
        assert_ne!(one, two);
        assert_eq!(two.text().as_deref(), Some("worker-2"));
        assert_eq!(ThreadName::default().text(), None);
        (0..2 * MOST_NAMES).for_each(|i| _ = name(i));
        let last = name(2 * MOST_NAMES);
        assert_eq!(last.text().as_deref(), Some("<other threads>"));
        assert_eq!(two, name(2));
    }
}
