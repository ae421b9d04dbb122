//! [`Template`]: which files a traced process writes while it runs.
//!
//! The rules are those of `alloc-core/src/environment`: `%p` is the process id, `%n` the number, `%t`
//! the time, `%h` the host name. Without `%n`, the number goes before the extension.

use std::path::{Path, PathBuf};

/// The numbered snapshots of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) folder: PathBuf,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Number,
    /// What is not known from outside of the process.
    Any,
}

/// The path of numbered snapshots without `ALLOC_TRACE_OUT`.
const DEFAULT: &str = "alloc-trace-%p-%n.pb.gz";

impl Template {
    /// The files of a process that began in the folder `beginning`.
    pub(crate) fn of(
        path: Option<&str>,
        process: u32,
        beginning: &Path,
    ) -> Result<Template, String> {
        let path = beginning.join(path.unwrap_or(DEFAULT));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        let is_unknown = |part: &Part| !matches!(part, Part::Text(_));
        let folder = parts(&folder, process);
        if folder.iter().any(is_unknown) {
            return Err(
                "expected an ALLOC_TRACE_OUT without %n, %t and %h in its folder, found one with \
                 them"
                    .to_owned(),
            );
        }
        let folder = folder.iter().map(|it| match it {
            Part::Text(text) => text.as_str(),
            _ => "",
        });
        let mut of_name = parts(&name, process);
        if !of_name.contains(&Part::Number) {
            insert_number(&mut of_name);
        }
        Ok(Template {
            folder: PathBuf::from(folder.collect::<String>()),
            parts: of_name,
        })
    }

    /// The files of heap graphs beside those of snapshots: `heap.0001.pb.gz` becomes
    /// `heap.0001.heapgraph`.
    pub(crate) fn of_graphs(&self) -> Template {
        let mut template = self.clone();
        if let Some(Part::Text(last)) = template.parts.last_mut() {
            for extension in [".gz", ".pb"] {
                last.truncate(last.strip_suffix(extension).unwrap_or(last).len());
            }
        }
        let extension = ".heapgraph".to_owned();
        template.parts.push(Part::Text(extension));
        template
    }

    /// The newest file, and its number.
    pub(crate) fn newest(&self) -> Option<(u32, PathBuf)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let numbered = entries.flatten().filter_map(|it| {
            let number = self.number(it.file_name().to_str()?)?;
            Some((number, it.path()))
        });
        numbered.max()
    }

    /// The number of a file of this name; `None` if it is not one of these files.
    fn number(&self, name: &str) -> Option<u32> {
        number(&self.parts, name, None)
    }
}

fn number(parts: &[Part], name: &str, found: Option<u32>) -> Option<u32> {
    match parts.split_first() {
        None if name.is_empty() => found,
        None => None,
        Some((Part::Text(text), rest)) => number(rest, name.strip_prefix(text.as_str())?, found),
        Some((Part::Number, rest)) => {
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            // NOTE: a number has at least four digits, and more digits may follow it.
            let mut lengths = (4..=digits).rev();
            lengths.find_map(|it| number(rest, &name[it..], Some(name[..it].parse().ok()?)))
        }
        Some((Part::Any, rest)) => {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter()
                .find_map(|it| number(rest, &name[it..], found))
        }
    }
}

fn parts(text: &str, process: u32) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut known = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let unknown = match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('p')) => {
                known += &process.to_string();
                continue;
            }
            ('%', Some('n')) => Part::Number,
            ('%', Some('t' | 'h')) => Part::Any,
            _ => {
                known.push(c);
                continue;
            }
        };
        if !known.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut known)));
        }
        parts.push(unknown);
    }
    if !known.is_empty() {
        parts.push(Part::Text(known));
    }
    parts
}

/// Inserts the number before the extension, of which `.pb.gz` is one.
fn insert_number(parts: &mut Vec<Part>) {
    let is_first = parts.len() == 1;
    let number = |before: &str, after: &str| {
        let text = |it: &str| Some(Part::Text(it.to_owned())).filter(|_| !it.is_empty());
        [text(&format!("{before}.")), Some(Part::Number), text(after)]
    };
    let last = match parts.pop() {
        Some(Part::Text(last)) => last,
        other => {
            parts.extend(other);
            String::new()
        }
    };
    let start = last.strip_suffix(".gz").unwrap_or(&last);
    let at = start.rfind('.').filter(|at| *at > 0 || !is_first);
    let at = at.unwrap_or(last.len());
    parts.extend(number(&last[..at], &last[at..]).into_iter().flatten());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_process_writes() {
        #[track_caller]
        fn check(template: &str, name: &str, expected: Option<u32>) {
            let template = Template::of(Some(template), 42, Path::new("/w")).unwrap();
            assert_eq!(template.number(name), expected, "{template:?} {name}");
        }
        check("a-%p.pb.gz", "a-42.0007.pb.gz", Some(7));
        check("a-%p.pb.gz", "a-43.0007.pb.gz", None);
        check("a-%p.pb.gz", "a-42.pb.gz", None);
        check("a-%p.pb.gz", "a-42.007.pb.gz", None);
        check("a-%n.pb.gz", "a-12345.pb.gz", Some(12345));
        check("a%%n.pb.gz", "a%n.0007.pb.gz", Some(7));
        check("%p", "42.0007", Some(7));
        check("%t.pb.gz", "20000229T000000Z.0007.pb.gz", Some(7));
        check("/t.d/heap", "heap.0007", Some(7));
        check("/t.d/heap.gz", "heap.gz.0007", Some(7));
        check("/t.d/heap.pprof", "heap.0007.pprof", Some(7));
        check(".heap", ".heap.0007", Some(7));
        check("%n%p", "000742", Some(7));
        check(
            "heap-%h-%t-%p.pb.gz",
            "heap-db-1-20000229T000000Z-42.0002.pb.gz",
            Some(2),
        );
    }

    #[test]
    fn graphs_are_beside_snapshots() {
        #[track_caller]
        fn check(template: &str, name: &str, expected: Option<u32>) {
            let template = Template::of(Some(template), 42, Path::new("/w")).unwrap();
            assert_eq!(
                template.of_graphs().number(name),
                expected,
                "{template:?} {name}"
            );
        }
        check("a-%p.pb.gz", "a-42.0007.heapgraph", Some(7));
        check("a-%p.pb.gz", "a-42.0007.pb.gz", None);
        check("%n", "0007.heapgraph", Some(7));
        check("heap.gz.%n", "heap.gz.0007.heapgraph", Some(7));
        check("heap.pprof", "heap.0007.pprof.heapgraph", Some(7));
    }

    #[test]
    fn a_path_begins_where_the_process_began() {
        let folder = |path: Option<&str>| {
            let template = Template::of(path, 42, Path::new("/w"));
            template.map(|it| it.folder.display().to_string())
        };
        assert_eq!(folder(None).unwrap(), "/w");
        assert_eq!(folder(Some("/tmp/%p/a%%.pb.gz")).unwrap(), "/tmp/42");
        assert_eq!(folder(Some("x/a.pb.gz")).unwrap(), "/w/x");
        assert!(folder(Some("/tmp/%t/a")).unwrap_err().contains("%t"));
    }
}
