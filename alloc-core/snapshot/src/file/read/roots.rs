//! [`Roots`]: the folders that short paths are relative to.

use std::borrow::Cow;

/// Folders sorted by path, to find the folder that contains a path.
///
/// A lookup compares the path with some twenty roots even in a file with very many roots.
#[derive(Default)]
pub(super) struct Roots<'a>(Vec<Root<'a>>);

struct Root<'a> {
    path: Cow<'a, str>,
    /// The innermost root that contains this one.
    around: Option<u32>,
}

impl<'a> Roots<'a> {
    /// The memory of one root, without its path.
    pub(super) const EACH: usize = size_of::<Root<'_>>();

    /// Takes paths without trailing slashes.
    pub(super) fn of(paths: impl ExactSizeIterator<Item = Cow<'a, str>>) -> Roots<'a> {
        let mut roots: Vec<Root<'a>> = Vec::with_capacity(paths.len());
        roots.extend(paths.map(|path| Root { path, around: None }));
        roots.sort_unstable_by(|a, b| compare(&a.path, &b.path));
        let mut around: Option<u32> = None;
        for at in 0..roots.len() {
            while let Some(outer) = around
                && !is_below(&roots[at].path, &roots[outer as usize].path)
            {
                around = roots[outer as usize].around;
            }
            roots[at].around = around;
            around = Some(at as u32);
        }
        Roots(roots)
    }

    /// The innermost root that contains a path.
    pub(super) fn around(&self, path: &str) -> Option<&str> {
        // All paths between a root and a path below it are below the root as well. So the last
        // entry before the path is the root, or within it.
        let after = self
            .0
            .partition_point(|root| compare(&root.path, path).is_lt());
        let last = self.0.get(after.checked_sub(1)?)?;
        let common = common_prefix(&last.path, path);
        let mut candidate = Some(last);
        while let Some(root) = candidate {
            if root.path.len() <= common && is_below(path, &root.path) {
                return Some(&root.path);
            }
            candidate = root.around.and_then(|outer| self.0.get(outer as usize));
        }
        None
    }
}

/// Whether a path is in a folder, at any depth.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The order in which a folder's content comes directly after the folder: byte order, with the
/// slash before all other bytes.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    let common = common_prefix(a, b);
    let rank = |text: &str| {
        text.as_bytes()
            .get(common)
            .map(|&byte| (byte != b'/', byte))
    };
    rank(a).cmp(&rank(b))
}

fn common_prefix(a: &str, b: &str) -> usize {
    let mut pairs = a.bytes().zip(b.bytes());
    pairs
        .position(|(a, b)| a != b)
        .unwrap_or(a.len().min(b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(roots: &[&'a str]) -> Roots<'a> {
        Roots::of(roots.iter().map(|&it| it.into()))
    }

    #[test]
    fn the_innermost_root_is_found() {
        let roots = of(&["/w", "/w/demo", "/w/demo/deep/er", "/x-y", "/x", ""]);
        for (path, root) in [
            ("/w/demo/src/a.rs", Some("/w/demo")),
            ("/w/demo/deep/a.rs", Some("/w/demo")),
            ("/w/demo/deep/er/a.rs", Some("/w/demo/deep/er")),
            ("/w/demo/deep/er", Some("/w/demo")),
            ("/w/demonstration/a.rs", Some("/w")),
            ("/w/a", Some("/w")),
            ("/x/a", Some("/x")),
            ("/x-y/a", Some("/x-y")),
            ("/x-z/a", Some("")),
            ("/elsewhere/a.rs", Some("")),
            ("src/a.rs", None),
            ("", None),
        ] {
            assert_eq!(roots.around(path), root, "{path}");
        }
        assert_eq!(of(&[]).around("/a/b"), None);
    }

    #[test]
    fn a_linear_search_finds_the_same_root() {
        let mut random = 1_u64;
        let mut below = |n: u64| {
            // xorshift64*, by Vigna.
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
        };
        let mut found = 0;
        for _ in 0..2_000 {
            let mut text = |most| -> String {
                let letters = (0..below(most)).map(|_| ['/', 'a', '-', 'é'][below(4) as usize]);
                letters.collect()
            };
            let paths: Vec<String> = (0..12).map(|_| text(6)).collect();
            let roots = Roots::of(paths.iter().map(|it| it.as_str().into()));
            for _ in 0..20 {
                let path = text(10);
                let around = paths.iter().filter(|root| is_below(&path, root));
                let innermost = around.max_by_key(|root| root.len());
                assert_eq!(roots.around(&path), innermost.map(|it| it.as_str()));
                found += usize::from(innermost.is_some());
            }
        }
        assert!(found > 1_000, "{found}");
    }
}
