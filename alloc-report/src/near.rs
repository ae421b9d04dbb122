//! Names that may have been meant where one was found nowhere.

use alloc_core::Escaped;

/// How many names are told.
const MOST: usize = 5;

/// How much of a name has to agree for it to be near: of ten letters, six.
const ALIKE: f64 = 0.6;

/// What there is instead of `word`, to follow a semicolon: the names that are near to it, or else
/// the first ones. Known names are those first of which the most was allocated.
pub(crate) fn phrase(known: &[String], word: &str) -> String {
    let near = near(known, word);
    let (what, names) = match near.is_empty() {
        true => (
            "those of which the most was allocated",
            known.iter().take(MOST).collect(),
        ),
        false => ("near it", near),
    };
    let names: Vec<String> = names
        .into_iter()
        .map(|name| Escaped(name).to_string())
        .collect();
    match names.is_empty() {
        true => "there is none".to_owned(),
        false => format!("{what}: {}", names.join(", ")),
    }
}

/// The names that have the word in them, in whatever case, or else those whose last part is spelled
/// alike.
fn near<'a>(known: &'a [String], word: &str) -> Vec<&'a String> {
    let word = word.replace(['*', '?'], "").to_lowercase();
    if word.is_empty() {
        return Vec::new();
    }
    let has_it = |name: &&String| name.to_lowercase().contains(&word);
    let names: Vec<&String> = known.iter().filter(has_it).take(MOST).collect();
    if !names.is_empty() {
        return names;
    }
    let likeness = |name: &str| {
        let name = last_part(name).to_lowercase();
        strsim::normalized_damerau_levenshtein(&name, last_part(&word))
    };
    let mut alike: Vec<(&String, f64)> = known
        .iter()
        .map(|name| (name, likeness(name)))
        .filter(|(_, likeness)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    alike.into_iter().map(|(name, _)| name).take(MOST).collect()
}

/// What stands behind the last separator of a path or a function's name.
fn last_part(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_near_that_have_the_word_or_are_spelled_alike() {
        let known = [
            "demo::load",
            "demo::Cache::fill",
            "serde_json::de::from_str",
        ];
        let known = known.map(str::to_owned);
        assert_eq!(phrase(&known, "FILL"), "near it: demo::Cache::fill");
        assert_eq!(phrase(&known, "*::lod"), "near it: demo::load");
        assert_eq!(
            phrase(&known, "serde_jsn::de::from_st"),
            "near it: serde_json::de::from_str"
        );
        assert_eq!(
            phrase(&known[..2], "xyzzy"),
            "those of which the most was allocated: demo::load, demo::Cache::fill"
        );
        assert_eq!(phrase(&[], "fill"), "there is none");
    }
}
