//! The picture of the README.

use std::fmt::Write;

use crate::lineup::{Contender, Records};
use crate::report::Measured;
use crate::summary::short_ratio;

/// The ratios of all that was measured as bars, an SVG.
///
/// A panel for each workload, a row for each contender, and the rows in groups of those that record
/// the same, because only they are comparable; in each this project's own come first. The scale is
/// logarithmic: a peer may take a hundred times as long. What is below 1 has no bar, only its number.
///
/// It is laid out by hand: what is needed of a drawing library is less than what is said here, and
/// the style sheet that follows the reader's light or dark mode is what they lack. It brings a
/// background of its own, for pages that are dark where the reader's system is not.
pub fn svg(all: &[Measured], caption: &str) -> String {
    let rows = rows(all);
    let height = TOP + rows.iter().map(Row::height).sum::<u32>() + BOTTOM;
    let ratios = rows.iter().flat_map(Row::ratios);
    let scale = Scale {
        longest: ratios.copied().fold(10.0, f64::max),
    };
    let mut svg = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>{TITLE}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n"
    ));
    svg.text(LEFT, 26, "title", TITLE);
    svg.legend();
    for (place, measured) in all.iter().enumerate() {
        svg.panel(
            panel(place),
            measured.workload.title(),
            scale,
            height - BOTTOM,
        );
    }
    let mut y = TOP;
    for row in &rows {
        svg.row(row, y, scale);
        y += row.height();
    }
    svg.text(LEFT, height - 14, "quiet", caption);
    svg.0 + "</svg>\n"
}

const TITLE: &str =
    "Wall time, as a multiple of the same program with nothing recorded (log scale)";
const WIDTH: u32 = 960;
const LEFT: u32 = 20;
const TOP: u32 = 84;
const BOTTOM: u32 = 36;
/// The first panel's left end, and from there to the next one's.
const PANELS: (u32, u32) = (262, 139);
/// The longest bar; its number has the rest of the panel.
const BAR: f64 = 100.0;

const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.head { font-weight: 600 }
.quiet { font-size: 11px; fill: #59636e }
.page { fill: #ffffff }
.line { stroke: #d1d9e0 }
.ours { fill: #0969da }
.peer { fill: #a8b1bb }
.number { stroke: #ffffff; stroke-width: 4px; paint-order: stroke }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.quiet { fill: #9198a1 }
.page { fill: #0d1117 }
.line { stroke: #3d444d }
.ours { fill: #4493f8 }
.peer { fill: #656c76 }
.number { stroke: #0d1117 }
}
";

/// A line of the picture.
enum Row<'a> {
    /// What the rows below record.
    Group(&'static str),
    /// A contender's ratios, one for each panel.
    Bars(&'a Contender, Vec<f64>),
}

impl Row<'_> {
    fn height(&self) -> u32 {
        match self {
            Row::Group(_) => 28,
            Row::Bars(..) => 20,
        }
    }

    fn ratios(&self) -> &[f64] {
        match self {
            Row::Group(_) => &[],
            Row::Bars(_, ratios) => ratios,
        }
    }
}

/// Those that are compared with another, in groups.
fn rows(all: &[Measured]) -> Vec<Row<'_>> {
    let groups = [
        (Records::Nothing, "Recording nothing"),
        (Records::Counts, "Counting, no stacks"),
        (Records::Samples, "A stack for each 512 KiB"),
        (Records::Everything, "A stack for each allocation"),
    ];
    let entrants = all.first().map_or(&[][..], |measured| &measured.entrants);
    let mut rows = Vec::new();
    for (records, title) in groups {
        let start = rows.len();
        let contenders = entrants.iter().map(|entrant| &entrant.contender);
        let members = contenders.filter(|one| one.records == records && !one.is_base());
        let (ours, peers): (Vec<_>, Vec<_>) = members.partition(|contender| contender.ours);
        rows.extend(ours.into_iter().chain(peers).map(|contender| {
            let ratios = all.iter().map(|measured| measured.ratio_of(contender));
            Row::Bars(contender, ratios.collect())
        }));
        if rows.len() != start {
            rows.insert(start, Row::Group(title));
        }
    }
    rows
}

fn panel(place: usize) -> u32 {
    PANELS.0 + place as u32 * PANELS.1
}

/// From ratios to the lengths of bars.
#[derive(Clone, Copy)]
struct Scale {
    /// The ratio of the longest bar.
    longest: f64,
}

impl Scale {
    fn length(self, ratio: f64) -> f64 {
        BAR * ratio.max(1.0).ln() / self.longest.ln()
    }

    /// The ratios that have a line across the picture.
    fn lines(self) -> impl Iterator<Item = f64> {
        let powers = (0..).map(|power| 10f64.powi(power));
        powers.take_while(move |&ratio| ratio <= self.longest)
    }
}

/// A picture as it grows.
struct Svg(String);

impl Svg {
    fn text(&mut self, x: u32, y: u32, class: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
        ));
    }

    fn legend(&mut self) {
        for (x, class, text) in [(770, "ours", "alloc-core"), (866, "peer", "its peers")] {
            self.bar(x, 17, 10.0, class);
            self.text(x + 16, 26, "", text);
        }
    }

    /// A workload's title and scale, above its bars.
    fn panel(&mut self, x: u32, title: &str, scale: Scale, bottom: u32) {
        self.text(x, TOP - 28, "head", title);
        for ratio in scale.lines() {
            let x = f64::from(x) + scale.length(ratio);
            let y = TOP - 4;
            self.add(format_args!(
                "<path class=\"line\" d=\"M{x:.1} {y}V{bottom}\"/>\
                 <text class=\"quiet\" x=\"{x:.1}\" y=\"{}\">{ratio}x</text>",
                y - 6
            ));
        }
    }

    fn row(&mut self, row: &Row, y: u32, scale: Scale) {
        let base = y + row.height() - 6;
        let (contender, ratios) = match row {
            Row::Group(title) => return self.text(LEFT, base, "head", title),
            Row::Bars(contender, ratios) => (contender, ratios),
        };
        let (class, name) = match contender.ours {
            true => ("ours", "ours"),
            false => ("peer", ""),
        };
        self.text(LEFT, base, name, &contender.label);
        for (place, &ratio) in ratios.iter().enumerate() {
            let (x, length) = (panel(place), scale.length(ratio));
            self.bar(x, base - 9, length, class);
            let x = x + length as u32 + 5;
            self.text(x, base, &format!("number {name}"), &short_ratio(ratio));
        }
    }

    fn bar(&mut self, x: u32, y: u32, length: f64, class: &str) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"10\"/>"
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a string takes all");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::measured;
    use crate::workloads::Workload;

    #[test]
    fn a_bar_grows_by_as_much_for_each_time_as_much() {
        let scale = Scale { longest: 100.0 };
        let lengths = [0.5, 1.0, 10.0, 100.0].map(|ratio| scale.length(ratio));
        assert_eq!(lengths, [0.0, 0.0, BAR / 2.0, BAR]);
        assert_eq!(scale.lines().collect::<Vec<_>>(), [1.0, 10.0, 100.0]);
    }

    #[test]
    fn a_contender_has_a_row_in_the_group_of_those_that_record_the_same() {
        let all = [measured(Workload::Json, ""), measured(Workload::Churn, "")];
        let texts = rows(&all).into_iter().map(|row| match row {
            Row::Group(title) => title.to_owned(),
            Row::Bars(contender, ratios) => {
                let ratios: Vec<_> = ratios.into_iter().map(short_ratio).collect();
                format!("{}: {}", contender.name, ratios.join(" "))
            }
        });
        let expected = [
            "A stack for each allocation",
            "traced: 1.30 1.30",
            "traced, frame pointers: 1.10 1.10",
            "mimalloc, traced: 2.00 2.00",
        ];
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_markup_is_written_as_text() {
        let text = svg(&[measured(Workload::Json, "")], "a < b & c");
        assert!(text.contains("a &lt; b &amp; c</text>"), "{text}");
        assert_eq!(text.matches("class=\"peer\"").count(), 3 + 1, "{text}");
        assert!(svg(&[], "").ends_with("</svg>\n"));
    }
}
