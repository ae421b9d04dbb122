//! The index for people, and the command line.

use std::fmt::Write as _;

use super::response::{Body, Response};
use crate::capture::modules::{LONGEST_PATH, program};
use crate::snapshot::file::NoMemory;
use crate::write::{Packed, arguments};
use crate::{control, is_tracing};

const LINKS: [(&str, &str); 9] = [
    (
        "heap",
        "a profile in pprof's format; shows what is live first",
    ),
    ("allocs", "the same, shows what was allocated first"),
    ("heap?seconds=10", "what changes within ten seconds"),
    (
        "delta_heap",
        "what is live, and what was allocated since the last request for it",
    ),
    ("heap?debug=1", "text with addresses"),
    ("../../metrics", "numbers for Prometheus"),
    ("../../snapshot", "a snapshot file for alloc-report"),
    (
        "../../graph",
        "a heap graph for alloc-report graph: who keeps what alive",
    ),
    ("../../report", "flame graph and tables as one page"),
];

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;\
    color-scheme:light dark}td{padding:.15rem 1rem .15rem 0;vertical-align:top}code{font-size:.9em}";

pub(super) fn response() -> Response {
    let mut place = [0; LONGEST_PATH];
    let path = String::from_utf8_lossy(program(&mut place)).into_owned();
    let name = escaped(path.rsplit('/').next().unwrap_or_default());
    let state = match is_tracing() {
        true => {
            let heap = control::traced_memory();
            format!("{} are live, {} at the peak", heap.current, heap.peak)
        }
        false => "tracing is off: <code>curl -X POST .../start</code> starts it".to_owned(),
    };
    let mut page = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Memory of {name}</title><style>{STYLE}</style>\
         <h1>Memory of {name}</h1><p>Process {}: {state}.</p><table>",
        std::process::id()
    );
    for (link, about) in LINKS {
        let shown = link.trim_start_matches("../../");
        // NOTE: writing to a string cannot fail.
        let _ = write!(
            page,
            "<tr><td><a href=\"{link}\"><code>{shown}</code></a><td>{about}"
        );
    }
    page.push_str("</table></html>\n");
    Response::new(
        200,
        "text/html; charset=utf-8",
        Body::Text(page.into_bytes()),
    )
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// The arguments of this process, with a zero byte between two, as Go's.
pub(super) fn command_line() -> Result<Response, NoMemory> {
    let mut arguments = arguments()?;
    if arguments.last() == Some(&0) {
        arguments.truncate(arguments.len() - 1);
    }
    let body = Body::Packed(Packed::of(arguments));
    Ok(Response::new(200, "text/plain; charset=utf-8", body))
}

impl From<NoMemory> for Response {
    fn from(error: NoMemory) -> Response {
        crate::Error::from(error).into()
    }
}
