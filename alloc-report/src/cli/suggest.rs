//! Suggestions for a name that was not found.

use alloc_core_snapshot::Escaped;

/// The maximum number of suggestions.
const MAX_SUGGESTIONS: usize = 5;

/// The minimum similarity of a suggestion: six of ten letters match.
const MIN_SIMILARITY: f64 = 0.6;

/// A phrase with suggestions for `word`, to follow a semicolon.
///
/// The suggestions are similar names, or else the first names. The known names are sorted: the
/// largest allocator comes first.
pub(crate) fn phrase(known: &[String], word: &str) -> String {
    let similar = similar(known, word);
    let (what, names) = match similar.is_empty() {
        true => (
            "the largest allocators are",
            known.iter().take(MAX_SUGGESTIONS).collect(),
        ),
        false => ("did you mean", similar),
    };
    let names: Vec<String> = names
        .into_iter()
        .map(|name| Escaped(name).to_string())
        .collect();
    match names.is_empty() {
        true => "there are none".to_owned(),
        false => format!("{what}: {}", names.join(", ")),
    }
}

/// The names that contain the word, ignoring case, or else names with a similar last part.
pub(crate) fn similar<'a>(known: &'a [String], word: &str) -> Vec<&'a String> {
    let word = word.replace(['*', '?'], "").to_lowercase();
    if word.is_empty() {
        return Vec::new();
    }
    let has_it = |name: &&String| name.to_lowercase().contains(&word);
    let names: Vec<&String> = known.iter().filter(has_it).take(MAX_SUGGESTIONS).collect();
    if !names.is_empty() {
        return names;
    }
    let similarity = |name: &str| {
        let name = last_part(name).to_lowercase();
        strsim::normalized_damerau_levenshtein(&name, last_part(&word))
    };
    let mut similar_names: Vec<(&String, f64)> = known
        .iter()
        .map(|name| (name, similarity(name)))
        .filter(|(_, similarity)| *similarity >= MIN_SIMILARITY)
        .collect();
    similar_names.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    similar_names
        .into_iter()
        .map(|(name, _)| name)
        .take(MAX_SUGGESTIONS)
        .collect()
}

/// The part of a path or of a function's name after the last separator.
fn last_part(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_contain_the_word_or_are_spelled_similarly() {
        let known = [
            "demo::load",
            "demo::Cache::fill",
            "serde_json::de::from_str",
        ];
        let known = known.map(str::to_owned);
        assert_eq!(phrase(&known, "FILL"), "did you mean: demo::Cache::fill");
        assert_eq!(phrase(&known, "*::lod"), "did you mean: demo::load");
        assert_eq!(
            phrase(&known, "serde_jsn::de::from_st"),
            "did you mean: serde_json::de::from_str"
        );
        assert_eq!(
            phrase(&known[..2], "xyzzy"),
            "the largest allocators are: demo::load, demo::Cache::fill"
        );
        assert_eq!(phrase(&[], "fill"), "there are none");
    }
}
