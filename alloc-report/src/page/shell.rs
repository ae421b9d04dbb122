//! [`Shell`]: what all pages have, around the data and the scripts of one.

use std::fmt::{self, Write};
use std::io::BufWriter;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

/// A page without its data.
pub(crate) struct Shell<'a> {
    pub(crate) title: &'a str,
    /// HTML within the page's `main`.
    pub(crate) body: &'a str,
    /// Style in addition to that of all pages.
    pub(crate) style: &'a str,
    /// Scripts in addition to those of all pages, in the order in which they use each other.
    pub(crate) scripts: &'a [&'a str],
}

/// The scripts of all pages, in the order in which they use each other.
const SCRIPTS: &[&str] = &[
    include_str!("format.js"),
    include_str!("start.js"),
    include_str!("controls.js"),
    include_str!("state.js"),
    include_str!("ordered.js"),
    include_str!("flame.js"),
    include_str!("rows.js"),
];

impl Shell<'_> {
    /// Writes the page with its data, which the scripts read as JSON.
    pub(crate) fn write(&self, out: &mut impl Write, data: &impl Serialize) -> fmt::Result {
        let packed = packed(data).map_err(|_| fmt::Error)?;
        for part in parts(include_str!("shell.html")) {
            match part {
                Part::Text(text) => out.write_str(text)?,
                Part::Hole("title") => out.write_str(&escape(self.title))?,
                Part::Hole("style") => {
                    out.write_str(include_str!("page.css"))?;
                    out.write_str(self.style)?;
                }
                Part::Hole("body") => out.write_str(self.body)?,
                Part::Hole("data") => out.write_str(&packed)?,
                Part::Hole(_) => {
                    let scripts = SCRIPTS.iter().chain(self.scripts);
                    scripts.into_iter().try_for_each(|it| out.write_str(it))?;
                }
            }
        }
        Ok(())
    }
}

enum Part<'a> {
    Text(&'a str),
    Hole(&'a str),
}

/// Splits a template at its holes, `{{name}}`.
fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let texts = template.split("{{").enumerate();
    texts
        .flat_map(|(at, text)| match text.split_once("}}") {
            Some((name, text)) if at > 0 => [Some(Part::Hole(name)), Some(Part::Text(text))],
            _ => [Some(Part::Text(text)), None],
        })
        .flatten()
}

/// The data as text of letters and digits, which no name in it can leave: gzip, then base64.
///
/// PERF: serde writes a few bytes at a time, and the packer clears its buffer at each write: without
/// the other buffer, packing takes six times as long.
fn packed(data: &impl Serialize) -> serde_json::Result<String> {
    let packer = GzEncoder::new(Vec::new(), Compression::default());
    let mut buffer = BufWriter::with_capacity(1 << 16, packer);
    serde_json::to_writer(&mut buffer, data)?;
    let packer = buffer
        .into_inner()
        .map_err(|error| serde_json::Error::io(error.into_error()))?;
    let bytes = packer.finish().map_err(serde_json::Error::io)?;
    Ok(BASE64_STANDARD.encode(bytes))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
