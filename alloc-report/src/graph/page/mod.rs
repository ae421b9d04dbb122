//! [`GraphPage`]: a heap graph as one HTML file that a browser opens from disk.
//!
//! A graph goes in, text comes out; only files of source are read. The page has the [`Shell`] of
//! all pages, the files of this folder that are not Rust, and the data: the tree of who retains
//! what ([`fold`], [`labels`]), the rows of its tables ([`rows`]), why their largest blocks are
//! alive ([`why`]), and what is wrong ([`lists`]).

mod data;
mod fold;
mod labels;
mod lists;
mod rows;
mod why;

use std::fmt;

use alloc_core_snapshot::seam::untraced;

use super::Graph;
use crate::page::{Shell, program_name};
use data::Data;

impl Graph {
    /// Makes a page: what retains what as a graph that zooms, tables by type, line and root, why
    /// the largest blocks are alive, leaks, cycles, counts and equal contents.
    ///
    /// The page is one file of HTML. It needs no network and no other file, runs no script but its
    /// own, and shows whatever names the graph has as text. Its size depends on how many types,
    /// lines and roots there are, and stays below a few MiB.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let page = graph.page().title("the cache, full").to_string();
    /// assert!(page.starts_with("<!doctype html>"));
    /// assert!(page.contains("<title>the cache, full"));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn page(&self) -> GraphPage<'_> {
        GraphPage {
            graph: self,
            title: None,
        }
    }
}

/// A page of a graph, made by [`Graph::page`]. It prints as HTML.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// assert!(graph.page().to_string().contains("<title>a program"));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a page does nothing until it is printed"]
pub struct GraphPage<'a> {
    graph: &'a Graph,
    title: Option<String>,
}

impl GraphPage<'_> {
    /// Sets the title. The default is the name of the program.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let page = graph.page().title("before the fix");
    /// assert!(page.to_string().contains("<title>before the fix"));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }
}

/// The scripts of the page, in the order in which they use each other.
const SCRIPTS: &[&str] = &[
    include_str!("heap.js"),
    include_str!("table.js"),
    include_str!("why.js"),
    include_str!("lists.js"),
    include_str!("main.js"),
];

impl fmt::Display for GraphPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        untraced(|| {
            let of_program = || program_name(self.graph.snapshot());
            let shell = Shell {
                title: self.title.as_deref().unwrap_or_else(of_program),
                body: include_str!("body.html"),
                style: include_str!("graph.css"),
                scripts: SCRIPTS,
            };
            shell.write(f, &Data::of(self.graph))
        })
    }
}
