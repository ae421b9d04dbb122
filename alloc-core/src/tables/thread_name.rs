//! [`ThreadName`]: the names of threads, as numbers.

use std::sync::{Mutex, PoisonError};

use crate::system::hooks;

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

    pub(super) fn new(number: u32) -> ThreadName {
        ThreadName(number)
    }

    pub(super) fn get(self) -> u32 {
        self.0
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
    use super::*;

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
