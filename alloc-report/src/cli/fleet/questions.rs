//! [`Question`]: the questions that are shipped, each a file of SQL.

use anyhow::{Result, bail};

use alloc_core_snapshot::Escaped;

use crate::suggest;

/// A question about the table `heap`, in the SQL that DuckDB, Spark and ClickHouse have in common.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) name: &'static str,
    /// Comments, whose first line says what is asked, and one statement without a semicolon.
    pub(super) sql: &'static str,
}

macro_rules! questions {
    ($($name:literal),* $(,)?) => {
        &[$(Question {
            name: $name,
            sql: include_str!(concat!("../../../fleet/", $name, ".sql")),
        }),*]
    };
}

/// All questions.
pub(super) const QUESTIONS: &[Question] = questions![
    "top-lines",
    "top-types",
    "growth-by-version",
    "worse-release",
    "growth-by-day",
    "outlier-instances",
];

impl Question {
    /// The question of this name.
    ///
    /// # Errors
    ///
    /// A message with the names that are alike, or with all names.
    pub(super) fn named(name: &str) -> Result<&'static Question> {
        if let Some(question) = QUESTIONS.iter().find(|it| it.name == name) {
            return Ok(question);
        }
        let known: Vec<String> = QUESTIONS.iter().map(|it| it.name.to_owned()).collect();
        let similar = suggest::similar(&known, name);
        let (what, names) = match similar.is_empty() {
            true => ("expected one of", known.join(", ")),
            false => {
                let names: Vec<&str> = similar.into_iter().map(String::as_str).collect();
                ("did you mean", names.join(", "))
            }
        };
        bail!("no question is named {}; {what}: {names}", Escaped(name))
    }

    /// What is asked, in one sentence.
    pub(super) fn title(&self) -> &'static str {
        let first = self.sql.lines().next().unwrap_or_default();
        first.trim_start_matches("-- ")
    }
}

/// The names of the questions, and what each asks.
pub(super) fn list() -> String {
    let width = QUESTIONS.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let lines = QUESTIONS
        .iter()
        .map(|it| format!("{:<width$}  {}\n", it.name, it.title()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_is_one_statement_with_a_title() {
        for question in QUESTIONS {
            let title = question.title();
            assert!(title.ends_with('.') && title.len() < 100, "{title}");
            assert!(!question.sql.contains(';'), "{}", question.name);
            assert!(question.sql.contains("\nORDER BY "), "{}", question.name);
        }
    }

    #[test]
    fn an_unknown_question_gets_similar_names() {
        let message = |name| Question::named(name).unwrap_err().to_string();
        assert_eq!(
            message("toplines"),
            "no question is named toplines; did you mean: top-lines"
        );
        assert_eq!(
            message("growth"),
            "no question is named growth; did you mean: growth-by-version, growth-by-day"
        );
        let all = message("';--");
        assert!(all.starts_with("no question is named ';--; expected one of: top-lines, "));
    }
}
