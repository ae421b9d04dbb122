//! Draws the tree of stacks.

use std::fmt::Write as _;

use alloc_core_snapshot::{Amount, Bytes, Metric, Origin};

use super::Flamegraph;
use super::stacks::Node;
use crate::show::text;

/// Sizes in pixels.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const ROW: f64 = 18.0;
const HEAD: f64 = 48.0;
const FOOT: f64 = 30.0;
/// The width of a letter, about, in a font of 12 pixels.
const LETTER: f64 = 6.9;
/// A narrower box is left out.
const LEAST: f64 = 0.4;

/// A box: a node with its place.
struct Placed<'a> {
    node: &'a Node,
    x: f64,
    width: f64,
    depth: usize,
}

pub(super) fn draw(nodes: &[Node], graph: &Flamegraph<'_>) -> String {
    let boxes = place(nodes);
    let rows = boxes.iter().map(|it| it.depth + 1).max().unwrap_or(1);
    let height = HEAD + rows as f64 * ROW + FOOT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"22\">{0}</text>\n<text x=\"{MARGIN}\" y=\"40\">{1}</text>\n",
        escape(&title(graph)),
        escape(&heading(&nodes[0], graph)),
    );
    for it in &boxes {
        draw_box(&mut svg, it, nodes[0].width, graph);
    }
    legend(&mut svg, HEAD + rows as f64 * ROW + 18.0, graph);
    svg + "</svg>\n"
}

/// The places of all boxes that are wide enough.
fn place(nodes: &[Node]) -> Vec<Placed<'_>> {
    let mut boxes = Vec::new();
    let scale = (WIDTH - 2.0 * MARGIN) / nodes[0].width.max(1) as f64;
    let mut open = vec![(0, MARGIN, 0)];
    while let Some((at, x, depth)) = open.pop() {
        let node = &nodes[at];
        let width = match at {
            0 => WIDTH - 2.0 * MARGIN,
            _ => node.width as f64 * scale,
        };
        boxes.push(Placed {
            node,
            x,
            width,
            depth,
        });
        let mut x = x;
        for &child in &node.children {
            let width = nodes[child].width as f64 * scale;
            if width >= LEAST {
                open.push((child, x, depth + 1));
            }
            x += width;
        }
    }
    boxes
}

fn draw_box(svg: &mut String, placed: &Placed<'_>, whole: u64, graph: &Flamegraph<'_>) {
    let Placed {
        node,
        x,
        width,
        depth,
    } = *placed;
    let y = HEAD + depth as f64 * ROW;
    let change = change(node);
    let class = match (graph.old, depth) {
        (Some(_), _) if change > 0 => "grew",
        (Some(_), _) if change < 0 => "shrank",
        (Some(_), _) | (None, 0) => "same",
        _ => match node.origin {
            Origin::Workspace => "own",
            Origin::Dependency => "dep",
            Origin::Std | Origin::Tracer => "std",
            _ => "other",
        },
    };
    // A part of what is drawn; in a comparison, what changed one way and back shows as pale.
    let strength = match graph.old {
        Some(_) if node.width > 0 => 0.35 + 0.65 * change.unsigned_abs() as f64 / node.width as f64,
        _ => 1.0,
    };
    let numbers = match graph.old {
        Some(_) => format!(
            "{} ({} before, {} now)",
            signed(change),
            node.before.bytes,
            node.now.bytes
        ),
        None => format!("{}, {}", amount(node.now), share(node.width, whole)),
    };
    let label = match graph.old {
        Some(_) => format!("{} {}", signed(change), node.name),
        None if depth == 0 => format!("all {}", node.now.bytes),
        None => node.name.clone(),
    };
    _ = write!(
        svg,
        "<g><title>{}\n{}</title><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" \
         fill-opacity=\"{strength:.2}\"/>",
        escape(&node.whole),
        escape(&numbers),
        (width - 0.6).max(LEAST),
        ROW - 1.0,
    );
    if let Some(label) = fitted(&label, width) {
        _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 3.0,
            y + 13.0,
            escape(&label)
        );
    }
    svg.push_str("</g>\n");
}

fn legend(svg: &mut String, y: f64, graph: &Flamegraph<'_>) {
    let names: &[(&str, &str)] = match graph.old {
        Some(_) => &[
            ("grew", "grew (+)"),
            ("shrank", "shrank (−)"),
            ("same", "unchanged"),
        ],
        None => &[
            ("own", "my code"),
            ("dep", "dependencies"),
            ("std", "standard library"),
            ("other", "unknown"),
        ],
    };
    let mut x = MARGIN;
    for (class, name) in names {
        _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 9.0,
            x + 14.0,
        );
        x += 34.0 + name.chars().count() as f64 * LETTER;
    }
}

fn title(graph: &Flamegraph<'_>) -> String {
    let program = text::name(graph.snapshot.program());
    let program = program.rsplit('/').next().unwrap_or_default();
    match (&graph.title, program) {
        (Some(title), _) => text::name(title),
        (None, "") => "Memory by stack".to_owned(),
        (None, program) => format!("Memory of {program} by stack"),
    }
}

fn heading(root: &Node, graph: &Flamegraph<'_>) -> String {
    let what = match graph.metric {
        Metric::AtPeak => "at the peak",
        Metric::Peak => "at the peak of each callsite",
        Metric::Total => "ever allocated",
        Metric::Freed => "freed",
        _ => "live",
    };
    match graph.old {
        Some(_) => format!(
            "change of what is {what}: {}, from {} to {}",
            signed(change(root)),
            root.before.bytes,
            root.now.bytes
        ),
        None => format!("{} {what}", amount(root.now)),
    }
}

fn amount(amount: Amount) -> String {
    format!(
        "{} in {}",
        amount.bytes,
        text::plural(amount.blocks, "block")
    )
}

fn change(node: &Node) -> i64 {
    node.now.bytes.get() as i64 - node.before.bytes.get() as i64
}

fn signed(change: i64) -> String {
    let bytes = Bytes::new(change.unsigned_abs());
    match change {
        0 => "±0 B".to_owned(),
        1.. => format!("+{bytes}"),
        _ => format!("−{bytes}"),
    }
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.1}%", 100.0 * part as f64 / whole.max(1) as f64)
}

/// The beginning of a name that fits into a width, if that is three letters at least.
fn fitted(name: &str, width: f64) -> Option<String> {
    let room = ((width - 6.0) / LETTER) as usize;
    let letters = name.chars().count();
    match (letters <= room, room) {
        (true, _) => Some(name.to_owned()),
        (false, ..3) => None,
        (false, _) => Some(name.chars().take(room - 1).chain(['…']).collect()),
    }
}

/// Text within an element or an attribute. Control characters are escaped before.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "\
text{font:12px ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;fill:#1d1f21;pointer-events:none}\
.title{font-size:15px;font-weight:600}.page{fill:#fff}g:hover rect{stroke:#1d1f21}\
.own{fill:#f2a27a}.dep{fill:#93d0c3}.std{fill:#d0d3d9}.other{fill:#cfbfe0}.same{fill:#dcdcd8}\
.grew{fill:#ee7b70}.shrank{fill:#7fb0ee}";
