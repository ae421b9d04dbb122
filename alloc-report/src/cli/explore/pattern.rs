//! [`Pattern`]: names of files with stars.

/// A name in which `*` is any characters and `?` is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<char>);

impl Pattern {
    pub(super) fn new(pattern: &str) -> Pattern {
        Pattern(pattern.chars().collect())
    }

    /// Whether a text is a pattern.
    pub(super) fn is_one(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut of_name) = (0, 0);
        // Where to go on if a star has to take one more character.
        let mut star: Option<(usize, usize)> = None;
        while of_name < name.len() {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, of_name));
                    at += 1;
                }
                Some(c) if *c == '?' || *c == name[of_name] => {
                    at += 1;
                    of_name += 1;
                }
                _ => match star {
                    Some((of_star, taken)) => {
                        star = Some((of_star, taken + 1));
                        at = of_star + 1;
                        of_name = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        self.0[at..].iter().all(|it| *it == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_any_characters() {
        #[track_caller]
        fn check(pattern: &str, name: &str, expected: bool) {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        }
        check("heap-*.pb.gz", "heap-12.0001.pb.gz", true);
        check("heap-*.pb.gz", "heap-12.0001.pb", false);
        check("heap-?.pb", "heap-1.pb", true);
        check("heap-?.pb", "heap-12.pb", false);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b", "xxaxxbx", false);
        check("*", "", true);
        check("?", "ß", true);
        check("", "a", false);
    }
}
