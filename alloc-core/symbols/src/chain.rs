//! [`Chain`]: a list whose values stay in place while others are added.

use std::cell::OnceCell;

/// A list that grows behind a shared reference.
///
/// It suits some hundreds of values: adding one walks the whole list, and dropping is recursive.
pub(crate) struct Chain<T>(OnceCell<Box<Link<T>>>);

struct Link<T> {
    value: T,
    next: Chain<T>,
}

impl<T> Chain<T> {
    pub(crate) const fn new() -> Chain<T> {
        Chain(OnceCell::new())
    }

    /// Appends a value, and returns a reference to it.
    pub(crate) fn add(&self, value: T) -> &T {
        let mut end = self;
        while let Some(link) = end.0.get() {
            end = &link.next;
        }
        let next = Chain::new();
        &end.0.get_or_init(|| Box::new(Link { value, next })).value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_in_place() {
        let chain = Chain::new();
        let first = chain.add(String::from("first"));
        for _ in 0..1_000 {
            chain.add(String::new());
        }
        assert_eq!(first, "first");
    }
}
