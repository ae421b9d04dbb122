//! [`Conditions`]: the values of `--include` and `--exclude`.

use std::str::FromStr;

use alloc_core_snapshot::{Filter, GroupBy, Grouping, Metric, Snapshot, Trace};

use crate::suggest;

/// Conditions on a callsite, all of which must match: `cache.rs:41,thread=worker-*`.
///
/// A comma separates two conditions only in front of a key, since names of functions may contain
/// commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// The conditions as written.
    pub(crate) text: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Path(String),
    FileName(String),
    Line(u32),
    Function(String),
    Crate(String),
    Thread(String),
    Label(String),
    Domain(u32),
}

impl Condition {
    fn of_file(pattern: String) -> Condition {
        match pattern.contains(['/', '\\']) {
            true => Condition::Path(pattern),
            false => Condition::FileName(pattern),
        }
    }
}

const KEYS: [&str; 7] = [
    "file", "line", "function", "crate", "thread", "label", "domain",
];

impl Conditions {
    /// The filter that keeps matching callsites.
    pub(crate) fn include(&self) -> Filter {
        self.filter(Filter::include)
    }

    /// Suggestions for the first condition that no callsite of the snapshot matches.
    pub(crate) fn suggestions(&self, snapshot: &Snapshot, all_frames: bool) -> Option<String> {
        let is_met_nowhere = |condition: &&Condition| {
            let alone = Conditions {
                text: String::new(),
                conditions: vec![(*condition).clone()],
            };
            let filter = alone.include().all_frames(all_frames);
            snapshot.filter_traces(&[filter]).traces().is_empty()
        };
        let condition = self.conditions.iter().find(is_met_nowhere)?;
        let (key, word) = match condition {
            Condition::Path(word) | Condition::FileName(word) => (GroupBy::File, word),
            Condition::Function(word) => (GroupBy::Function, word),
            Condition::Crate(word) => (GroupBy::Crate, word),
            Condition::Thread(word) => (GroupBy::Thread, word),
            Condition::Label(word) => (GroupBy::Label, word),
            Condition::Line(_) | Condition::Domain(_) => return None,
        };
        let has_name = |trace: &Trace| trace.thread.is_some();
        if key == GroupBy::Thread && !snapshot.traces().iter().any(has_name) {
            return Some(
                "threads were not recorded: trace with ALLOC_TRACE_THREADS=1 or \
                 Config::threads(true)"
                    .to_owned(),
            );
        }
        let by = Grouping::by(key).with_metric(Metric::Total);
        let by = match all_frames {
            true => by.clone().cumulative().unwrap_or(by),
            false => by,
        };
        let known = snapshot.statistics(by).into_iter();
        let known: Vec<String> = known.map(|it| it.key.to_string()).collect();
        Some(suggest::phrase(&known, word))
    }

    /// The filter that drops matching callsites.
    pub(crate) fn exclude(&self) -> Filter {
        self.filter(Filter::exclude)
    }

    fn filter(&self, new: fn(&str) -> Filter) -> Filter {
        let path = self
            .conditions
            .iter()
            .find_map(|condition| match condition {
                Condition::Path(pattern) => Some(pattern.as_str()),
                _ => None,
            });
        let filter = new(path.unwrap_or("*"));
        self.conditions
            .iter()
            .fold(filter, |filter, condition| match condition {
                Condition::Path(_) => filter,
                Condition::FileName(pattern) => filter.file_name(pattern),
                Condition::Line(line) => filter.line(*line),
                Condition::Function(pattern) => filter.function(pattern),
                Condition::Crate(pattern) => filter.in_crate(pattern),
                Condition::Thread(pattern) => filter.thread(pattern),
                Condition::Label(pattern) => filter.label(pattern),
                Condition::Domain(domain) => filter.domain(*domain),
            })
    }
}

impl FromStr for Conditions {
    type Err = String;

    fn from_str(text: &str) -> Result<Conditions, String> {
        let mut conditions = Vec::new();
        for part in parts(text) {
            let found = match key_of(part) {
                Some((key, value)) => vec![condition(key, value)?],
                None => file_and_line(part)?,
            };
            for condition in found {
                let same = |it: &Condition| {
                    std::mem::discriminant(it) == std::mem::discriminant(&condition)
                };
                if conditions.iter().any(same) {
                    return Err(format!(
                        "expected each condition once, found a second one in {part:?}; repeat \
                         the option to match either"
                    ));
                }
                conditions.push(condition);
            }
        }
        Ok(Conditions {
            text: text.to_owned(),
            conditions,
        })
    }
}

/// Splits the text at commas in front of a key.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest.take()?;
        let commas = now.match_indices(',').map(|(at, _)| at);
        let at = commas
            .into_iter()
            .find(|at| key_of(&now[at + 1..]).is_some_and(|(key, _)| KEYS.contains(&key)));
        let Some(at) = at else { return Some(now) };
        rest = Some(&now[at + 1..]);
        Some(&now[..at])
    })
}

/// Splits a part into the key before its equals sign and the value after it.
fn key_of(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    let is_word = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word.then_some((key, value))
}

fn condition(key: &str, value: &str) -> Result<Condition, String> {
    let pattern = || match value {
        "" => Err(format!("expected a pattern after {key}=, found nothing")),
        pattern => Ok(pattern.to_owned()),
    };
    let number = || {
        value
            .parse()
            .map_err(|_| format!("expected a number after {key}=, found {value:?}"))
    };
    match key {
        "file" => pattern().map(Condition::of_file),
        "line" => number().map(Condition::Line),
        "function" => pattern().map(Condition::Function),
        "crate" => pattern().map(Condition::Crate),
        "thread" => pattern().map(Condition::Thread),
        "label" => pattern().map(Condition::Label),
        "domain" => number().map(Condition::Domain),
        _ => Err(format!(
            "expected a file, or one of {}=, found {key}=",
            KEYS.join("=, ")
        )),
    }
}

/// Parses a file, with an optional line after a colon.
fn file_and_line(part: &str) -> Result<Vec<Condition>, String> {
    if part.is_empty() {
        return Err("expected a condition, found nothing".to_owned());
    }
    let Some((file, line)) = part.rsplit_once(':') else {
        return Ok(vec![Condition::of_file(part.to_owned())]);
    };
    let number = line.parse().map_err(|_| {
        format!(
            "expected a line number after the last colon, found {line:?}; for a function, use \
             function={part}"
        )
    })?;
    let line = Condition::Line(number);
    Ok(match file {
        "" => vec![line],
        file => vec![Condition::of_file(file.to_owned()), line],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Filter) {
        let conditions: Conditions = text.parse().unwrap();
        assert_eq!(conditions.include(), expected, "{text}");
    }

    #[test]
    fn files_and_lines_are_written_as_in_tables() {
        let any = || Filter::include("*");
        check("cache.rs", any().file_name("cache.rs"));
        check("src/cache.rs:41", Filter::include("src/cache.rs").line(41));
        check("[a-c]*.rs:0", any().file_name("[a-c]*.rs").line(0));
        check(":41", any().line(41));
        check("file=a=b:c.rs", any().file_name("a=b:c.rs"));
        check("<unknown>", any().file_name("<unknown>"));
    }

    #[test]
    fn a_comma_before_a_key_separates_conditions() {
        let any = || Filter::include("*");
        let function = "<alloc::vec::Vec<T,A> as a, b>::f";
        check(&format!("function={function}"), any().function(function));
        check(
            &format!("function={function},domain=3"),
            any().function(function).domain(3),
        );
        check(
            "src/*.rs:3,crate=serde_json 1.*,thread=worker-*,label=GET /users > *",
            Filter::include("src/*.rs")
                .line(3)
                .in_crate("serde_json 1.*")
                .thread("worker-*")
                .label("GET /users > *"),
        );
        let excluded: Conditions = "line=7".parse().unwrap();
        assert_eq!(excluded.exclude(), Filter::exclude("*").line(7));
    }

    #[test]
    fn errors_name_what_was_expected_and_found() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(text.parse::<Conditions>().unwrap_err(), expected);
        }
        check("", "expected a condition, found nothing");
        check(
            "fuction=main",
            "expected a file, or one of file=, line=, function=, crate=, thread=, label=, domain=, found fuction=",
        );
        check("crate=", "expected a pattern after crate=, found nothing");
        check(
            "line=forty",
            "expected a number after line=, found \"forty\"",
        );
        check("domain=-1", "expected a number after domain=, found \"-1\"");
        check(
            "demo::fill",
            "expected a line number after the last colon, found \"fill\"; for a function, use \
             function=demo::fill",
        );
        check(
            "a.rs:3,line=4",
            "expected each condition once, found a second one in \"line=4\"; repeat the option to \
             match either",
        );
    }
}
