//! The timeline as a picture.

use std::fmt::Write as _;

use alloc_core::Bytes;

use super::Timeline;

/// Laid out by hand, as the style sheet that follows the reader's light or dark mode is what drawing
/// libraries lack. The picture brings a background of its own.
const WIDTH: f64 = 960.0;
const PLOT_HEIGHT: f64 = 340.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 72.0;
/// From the axis to the first row of the legend, and from row to row.
const LEGEND: (f64, f64) = (58.0, 20.0);
/// How many characters of a name there is room for beside its number; a longer one goes on below.
const NAME: usize = 100;

const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.quiet { font-size: 11px; fill: #59636e }
.strong { font-weight: 600 }
.page { fill: #ffffff }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.heap { stroke: #1f2328; stroke-width: 2; fill: none; stroke-linejoin: round }
.resident { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 3; fill: none }
.peak { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 2 3 }
.cursor { stroke: #59636e }
.tracer { fill: #d1d9e0 }
.chosen { stroke: #1f2328; stroke-width: 1.5 }
.dot { fill: #1f2328 }
.halo { stroke: #ffffff; stroke-width: 4px; paint-order: stroke }
.a0 { fill: #54aeff } .a1 { fill: #4ac26b } .a2 { fill: #eac54f } .a3 { fill: #fd8c73 }
.a4 { fill: #c297ff } .a5 { fill: #ff80c8 } .a6 { fill: #76d6e3 } .a7 { fill: #b08968 }
.a8 { fill: #afb8c1 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.quiet { fill: #9198a1 }
.page { fill: #0d1117 }
.grid { stroke: #3d444d }
.heap { stroke: #f0f6fc }
.resident { stroke: #ff7b72 }
.peak { stroke: #f0f6fc }
.cursor { stroke: #9198a1 }
.tracer { fill: #2d333b }
.chosen { stroke: #f0f6fc }
.dot { fill: #f0f6fc }
.halo { stroke: #0d1117 }
.a0 { fill: #1f6feb } .a1 { fill: #238636 } .a2 { fill: #9e6a03 } .a3 { fill: #bd561d }
.a4 { fill: #8957e5 } .a5 { fill: #bf4b8a } .a6 { fill: #1b7c83 } .a7 { fill: #7d5a3c }
.a8 { fill: #656c76 }
}
";

struct Scale {
    end: f64,
    top: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (seconds / self.end).clamp(0.0, 1.0)
    }

    fn y(&self, bytes: u64) -> f64 {
        TOP + PLOT_HEIGHT * (1.0 - bytes as f64 / self.top)
    }
}

/// A self-contained SVG.
pub(crate) fn svg(timeline: &Timeline) -> String {
    let axis = Axis::up_to(timeline.highest());
    let scale = Scale {
        end: timeline.end().max(1e-3),
        top: axis.top(),
    };
    let bottom = TOP + PLOT_HEIGHT;
    let entries = legend(timeline);
    let rows: usize = entries.iter().map(|it| it.name.len()).sum();
    let height = bottom + LEGEND.0 + rows as f64 * LEGEND.1;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Memory of {}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n",
        escape(&timeline.title)
    );
    text(&mut svg, 20.0, 28.0, "title", "Memory over time");
    text(&mut svg, 20.0, 46.0, "quiet", &cut(&timeline.title, 140));
    for number in 0..=axis.steps {
        let y = scale.y(axis.bytes(number));
        line(&mut svg, "grid", (LEFT, y), (WIDTH - RIGHT, y));
        end_text(&mut svg, LEFT - 8.0, y + 4.0, "quiet", &axis.label(number));
    }
    let step = round_seconds(scale.end);
    for number in 0..=(scale.end / step) as u64 {
        let seconds = number as f64 * step;
        let x = scale.x(seconds);
        line(&mut svg, "grid", (x, bottom), (x, bottom + 5.0));
        middle_text(
            &mut svg,
            x,
            bottom + 20.0,
            "quiet",
            &label_of(seconds, step),
        );
    }
    tracer(&mut svg, timeline, &scale);
    areas(&mut svg, timeline, &scale);
    stairs(&mut svg, "resident", &timeline.resident, &scale);
    stairs(&mut svg, "heap", &timeline.heap, &scale);
    peak(&mut svg, timeline, &scale);
    let mut y = bottom + LEGEND.0;
    for entry in &entries {
        entry.draw(&mut svg, y);
        y += LEGEND.1 * entry.name.len() as f64;
    }
    svg + "</svg>\n"
}

/// A page that draws the same for the width of the reader's screen, reads the numbers, zooms and
/// shows source.
pub(crate) fn page(timeline: &Timeline) -> String {
    let end = timeline.end().max(1e-3);
    let areas = timeline
        .areas
        .iter()
        .map(|it| serde_json::json!({ "name": it.name, "bytes": it.bytes, "source": it.source }));
    let moment = timeline.peak.and_then(|it| it.moment(end));
    let is_peak = moment.and_then(|(from, _)| timeline.times.iter().position(|&it| it == from));
    let data = serde_json::json!({
        "end": end,
        "heap": timeline.heap,
        "resident": timeline.resident,
        "tracer": timeline.above_heap(),
        "times": timeline.times,
        "snapshots": timeline.snapshots,
        "areas": areas.collect::<Vec<_>>(),
        "peak": timeline.peak,
        "peakWhen": timeline.peak.map(|it| it.when()),
        "isPeak": is_peak,
        "peakIsMoment": moment.is_some(),
    });
    // NOTE: within a script, only this could end it.
    let data = data.to_string().replace('<', "\\u003c");
    let title = escape(&timeline.title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Memory of {title}</title>\n<style>{STYLE}{PAGE_STYLE}</style>\n<main>\n\
         <h1>Memory over time</h1>\n<p>{title}</p>\n\
         <div id=\"chart\"><svg id=\"plot\" role=\"img\" aria-label=\"Memory over time\"></svg>\
         <div id=\"tip\" hidden></div></div>\n\
         <button id=\"reset\" hidden>Show all of the time</button>\n\
         <section id=\"source\" aria-live=\"polite\"></section>\n<ul id=\"legend\"></ul>\n<p>{HINT}</p>\n\
         <noscript>\n{}</noscript>\n</main>\n<script>const data = {data};\n{SCRIPT}</script>\n</html>\n",
        svg(timeline)
    )
}

const HINT: &str = "Point at the picture, or touch it, to read the numbers. Drag along it to zoom in, and double-click to \
    see all again. Click an area, or its name, to see its source.";

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Each value from its time on until the next one, as horizontal and vertical lines.
fn steps(points: impl IntoIterator<Item = (f64, u64)>, scale: &Scale) -> String {
    let mut path = String::new();
    for (seconds, bytes) in points {
        let (x, y) = (scale.x(seconds), scale.y(bytes));
        let _ = match path.is_empty() {
            true => write!(path, "M{x:.1} {y:.1}"),
            false => write!(path, "H{x:.1}V{y:.1}"),
        };
    }
    if !path.is_empty() {
        let _ = write!(path, "H{:.1}", scale.x(scale.end));
    }
    path
}

/// What lies between two such lines, which step at the same times.
fn band(points: &[(f64, u64, u64)], scale: &Scale) -> String {
    let mut path = steps(points.iter().map(|&(at, _, upper)| (at, upper)), scale);
    for &(seconds, lower, _) in points.iter().rev() {
        let _ = write!(path, "V{:.1}H{:.1}", scale.y(lower), scale.x(seconds));
    }
    if !path.is_empty() {
        path.push('Z');
    }
    path
}

/// Stacked: the largest at the bottom. Each holds what a snapshot found until the next.
fn areas(svg: &mut String, timeline: &Timeline, scale: &Scale) {
    let mut below = vec![0_u64; timeline.times.len()];
    for (number, area) in timeline.areas.iter().enumerate() {
        let edges = timeline.times.iter().zip(&below).zip(&area.bytes);
        let edges = edges.map(|((&at, &below), bytes)| (at, below, below + bytes));
        let edges: Vec<_> = edges.collect();
        let _ = writeln!(
            svg,
            "<path class=\"a{}\" d=\"{}\"><title>{}</title></path>",
            number.min(8),
            band(&edges, scale),
            escape(&area.name)
        );
        below = edges.into_iter().map(|(_, _, above)| above).collect();
    }
}

/// The tracer's own memory, above the heap.
fn tracer(svg: &mut String, timeline: &Timeline, scale: &Scale) {
    let above = timeline.above_heap();
    let columns = above.chunk_by(|a, b| scale.x(a.0) as u64 == scale.x(b.0) as u64);
    let edges: Vec<_> = columns
        .filter_map(|column| column.iter().max_by_key(|it| it.2).copied())
        .collect();
    if !edges.is_empty() {
        let path = band(&edges, scale);
        let _ = writeln!(svg, "<path class=\"tracer\" d=\"{path}\"/>");
    }
}

fn stairs(svg: &mut String, class: &str, points: &[(f64, u64)], scale: &Scale) {
    if points.is_empty() {
        return;
    }
    let path = steps(thin(points, scale), scale);
    let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
}

/// Of many points in one column of the picture, the lowest and the highest.
fn thin(points: &[(f64, u64)], scale: &Scale) -> Vec<(f64, u64)> {
    let mut kept = Vec::new();
    for column in points.chunk_by(|a, b| scale.x(a.0) as u64 == scale.x(b.0) as u64) {
        if column.len() <= 2 {
            kept.extend(column);
            continue;
        }
        let lowest = column.iter().min_by_key(|it| it.1);
        let highest = column.iter().max_by_key(|it| it.1);
        let mut both: Vec<_> = lowest.into_iter().chain(highest).copied().collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept.extend(both);
    }
    kept
}

/// A dot where the peak was measured, with a line over the time in which it was. Nothing where that
/// is not known.
fn peak(svg: &mut String, timeline: &Timeline, scale: &Scale) {
    let Some(peak) = timeline.peak else {
        return;
    };
    let Some((from, to)) = peak.between else {
        return;
    };
    let (left, x, y) = (scale.x(from), scale.x(to), scale.y(peak.bytes));
    if x - left > WIDTH / 100.0 {
        line(svg, "peak", (left, y), (x, y));
    }
    if peak.moment(scale.end).is_some() {
        let _ = writeln!(
            svg,
            "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
        );
    }
    let label = format!("peak {}", Bytes::new(peak.bytes));
    let class = "strong halo";
    if x > WIDTH / 2.0 {
        end_text(svg, x - 9.0, y - 8.0, class, &label);
    } else {
        text(svg, left + 9.0, y - 8.0, class, &label);
    }
}

/// A row of the legend, or several where its name is long.
struct Entry {
    class: String,
    mark: Mark,
    name: Vec<String>,
    number: String,
}

enum Mark {
    Line,
    Dot,
    Area,
}

impl Entry {
    fn new(class: impl Into<String>, mark: Mark, name: &str, number: String) -> Entry {
        Entry {
            class: class.into(),
            mark,
            name: wrapped(name, NAME),
            number,
        }
    }

    fn draw(&self, svg: &mut String, y: f64) {
        let class = self.class.as_str();
        let _ = match self.mark {
            Mark::Line => {
                line(svg, class, (LEFT, y - 4.0), (LEFT + 22.0, y - 4.0));
                Ok(())
            }
            Mark::Dot => writeln!(
                svg,
                "<circle class=\"{class}\" cx=\"{}\" cy=\"{:.1}\" r=\"4\"/>",
                LEFT + 11.0,
                y - 4.0
            ),
            Mark::Area => writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"22\" height=\"12\" rx=\"2\"/>",
                y - 10.0
            ),
        };
        for (row, part) in self.name.iter().enumerate() {
            text(svg, LEFT + 30.0, y + LEGEND.1 * row as f64, "", part);
        }
        end_text(svg, WIDTH - RIGHT, y, "", &self.number);
    }
}

fn legend(timeline: &Timeline) -> Vec<Entry> {
    let mut entries = Vec::new();
    let most = |bytes: u64| format!("at most {}", Bytes::new(bytes));
    let highest = |points: &[(f64, u64)]| points.iter().map(|it| it.1).max();
    if let Some(bytes) = highest(&timeline.heap) {
        let name = "heap, as the tracer counts it";
        entries.push(Entry::new("heap", Mark::Line, name, most(bytes)));
    }
    if let Some(peak) = timeline.peak {
        let name = format!("peak of the heap, {}", peak.when());
        let bytes = Bytes::new(peak.bytes).to_string();
        entries.push(Entry::new("dot", Mark::Dot, &name, bytes));
    }
    if let Some(bytes) = highest(&timeline.resident) {
        let name = "resident memory, as the system counts it";
        entries.push(Entry::new("resident", Mark::Line, name, most(bytes)));
    }
    if let Some(bytes) = highest(&timeline.tracer) {
        let name = "the tracer itself, above the heap";
        entries.push(Entry::new("tracer", Mark::Area, name, most(bytes)));
    }
    for (number, area) in timeline.areas.iter().enumerate() {
        let class = format!("a{}", number.min(8));
        let number = most(area.highest());
        entries.push(Entry::new(class, Mark::Area, &area.name, number));
    }
    entries
}

/// The text in lines of so many characters, which end after a slash, a colon or a space where there
/// is one.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    while rest.len() > most {
        let is_end = |c: &char| matches!(c, '/' | ':' | ' ');
        let end = rest[..most].iter().rposition(is_end);
        let end = end.filter(|&at| at > most / 2).map_or(most, |at| at + 1);
        lines.push(rest.drain(..end).collect());
    }
    lines.push(rest.into_iter().collect());
    lines
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escape(text)
    );
}

fn end_text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" text-anchor=\"end\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escape(text)
    );
}

fn middle_text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escape(text)
    );
}

/// Cut at its end: a command begins with the program.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most - 1).collect();
    format!("{start}…")
}

/// For text and attributes. What is no character of XML is left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// The lines of the grid, with labels in one unit.
struct Axis {
    /// The unit in bytes, and its name.
    unit: (f64, &'static str),
    /// From one line to the next, in the unit: a round number.
    step: f64,
    steps: u64,
}

impl Axis {
    /// Four to eight lines.
    fn up_to(highest: u64) -> Axis {
        const NAMES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let highest = highest.max(1) as f64;
        let power = (highest.log(1024.0).floor() as usize).min(NAMES.len() - 1);
        let unit = 1024_f64.powi(power as i32);
        let wanted = highest / unit / 6.0;
        let ten = 10_f64.powf(wanted.log10().floor());
        let rounds = [1.0, 2.0, 5.0, 10.0].map(|round| round * ten);
        let found = rounds
            .into_iter()
            .find(|&round| round >= wanted * 0.999_999);
        // A part of a byte is none.
        let least = if power == 0 { 1.0 } else { 0.0 };
        let step = found.unwrap_or(10.0 * ten).max(least);
        let steps = (highest / unit / step - 1e-9).ceil().max(1.0) as u64;
        let unit = (unit, NAMES[power]);
        Axis { unit, step, steps }
    }

    fn bytes(&self, number: u64) -> u64 {
        (number as f64 * self.step * self.unit.0) as u64
    }

    fn top(&self) -> f64 {
        self.steps as f64 * self.step * self.unit.0
    }

    fn label(&self, number: u64) -> String {
        let digits = (-self.step.log10() - 1e-9).ceil().max(0.0) as usize;
        format!("{:.digits$} {}", number as f64 * self.step, self.unit.1)
    }
}

/// From one label of time to the next: up to ten of them.
fn round_seconds(end: f64) -> f64 {
    let wanted = end / 10.0;
    let rounds = [
        60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0,
    ];
    if wanted > 30.0 {
        let found = rounds.iter().find(|&&round| round >= wanted);
        return found
            .copied()
            .unwrap_or(86_400.0 * (wanted / 86_400.0).ceil());
    }
    let power = 10_f64.powf(wanted.max(1e-9).log10().floor());
    let found = [1.0, 2.0, 5.0, 10.0]
        .iter()
        .find(|&&round| round * power >= wanted);
    found.map_or(10.0 * power, |round| round * power)
}

fn label_of(seconds: f64, step: f64) -> String {
    if step >= 3600.0 {
        format!("{} h", seconds / 3600.0)
    } else if step >= 60.0 {
        format!("{} min", seconds / 60.0)
    } else {
        let digits = (-step.log10()).ceil().max(0.0) as usize;
        format!("{seconds:.digits$} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_steps_in_one_unit() {
        let labels = |highest: u64| {
            let axis = Axis::up_to(highest);
            assert!(
                axis.bytes(axis.steps) >= highest && (2..=8).contains(&axis.steps) || highest < 2
            );
            format!(
                "{}, {} … {}",
                axis.label(0),
                axis.label(1),
                axis.label(axis.steps)
            )
        };
        for (highest, expected) in [
            (0, "0 B, 1 B … 1 B"),
            (100, "0 B, 20 B … 100 B"),
            (5 << 10, "0 KiB, 1 KiB … 5 KiB"),
            (100 << 20, "0 MiB, 20 MiB … 100 MiB"),
            (1200 << 20, "0.0 GiB, 0.2 GiB … 1.2 GiB"),
            (1023 << 20, "0 MiB, 200 MiB … 1200 MiB"),
            (12 << 20, "0 MiB, 2 MiB … 12 MiB"),
            (900 << 30, "0 GiB, 200 GiB … 1000 GiB"),
        ] {
            assert_eq!(labels(highest), expected, "{highest}");
        }
    }

    #[test]
    fn steps_of_time_are_round() {
        for (end, step) in [
            (0.5, 0.05),
            (1.0, 0.1),
            (7.0, 1.0),
            (60.0, 10.0),
            (700.0, 120.0),
            (90_000.0, 21_600.0),
        ] {
            let found = round_seconds(end);
            assert!((found / step - 1.0).abs() < 1e-9, "{end}: {found}");
        }
        assert_eq!(label_of(1.5, 0.5), "1.5 s");
        assert_eq!(label_of(240.0, 120.0), "4 min");
    }

    #[test]
    fn the_picture_has_all_that_it_is_of() {
        let timeline = crate::timeline::sample();
        let svg = svg(&timeline);
        let drawn = svg.split_once("</style>").expect("a style").1;
        expect_test::expect![[r#"

            <rect class="page" width="960" height="590" rx="6"/>
            <text class="title" x="20.0" y="28.0">Memory over time</text>
            <text class="quiet" x="20.0" y="46.0">demo --all &lt;x&gt;</text>
            <line class="grid" x1="78.0" y1="412.0" x2="936.0" y2="412.0"/>
            <text class="quiet" text-anchor="end" x="70.0" y="416.0">0 MiB</text>
            <line class="grid" x1="78.0" y1="355.3" x2="936.0" y2="355.3"/>
            <text class="quiet" text-anchor="end" x="70.0" y="359.3">2 MiB</text>
            <line class="grid" x1="78.0" y1="298.7" x2="936.0" y2="298.7"/>
            <text class="quiet" text-anchor="end" x="70.0" y="302.7">4 MiB</text>
            <line class="grid" x1="78.0" y1="242.0" x2="936.0" y2="242.0"/>
            <text class="quiet" text-anchor="end" x="70.0" y="246.0">6 MiB</text>
            <line class="grid" x1="78.0" y1="185.3" x2="936.0" y2="185.3"/>
            <text class="quiet" text-anchor="end" x="70.0" y="189.3">8 MiB</text>
            <line class="grid" x1="78.0" y1="128.7" x2="936.0" y2="128.7"/>
            <text class="quiet" text-anchor="end" x="70.0" y="132.7">10 MiB</text>
            <line class="grid" x1="78.0" y1="72.0" x2="936.0" y2="72.0"/>
            <text class="quiet" text-anchor="end" x="70.0" y="76.0">12 MiB</text>
            <line class="grid" x1="78.0" y1="412.0" x2="78.0" y2="417.0"/>
            <text class="quiet" text-anchor="middle" x="78.0" y="432.0">0.0 s</text>
            <line class="grid" x1="221.0" y1="412.0" x2="221.0" y2="417.0"/>
            <text class="quiet" text-anchor="middle" x="221.0" y="432.0">0.5 s</text>
            <line class="grid" x1="364.0" y1="412.0" x2="364.0" y2="417.0"/>
            <text class="quiet" text-anchor="middle" x="364.0" y="432.0">1.0 s</text>
            <line class="grid" x1="507.0" y1="412.0" x2="507.0" y2="417.0"/>
            <text class="quiet" text-anchor="middle" x="507.0" y="432.0">1.5 s</text>
            <line class="grid" x1="650.0" y1="412.0" x2="650.0" y2="417.0"/>
            <text class="quiet" text-anchor="middle" x="650.0" y="432.0">2.0 s</text>
            <line class="grid" x1="793.0" y1="412.0" x2="793.0" y2="417.0"/>
            <text class="quiet" text-anchor="middle" x="793.0" y="432.0">2.5 s</text>
            <line class="grid" x1="936.0" y1="412.0" x2="936.0" y2="417.0"/>
            <text class="quiet" text-anchor="middle" x="936.0" y="432.0">3.0 s</text>
            <path class="tracer" d="M78.0 383.7H364.0V242.0H650.0V128.7H936.0V327.0H936.0V383.7H936.0V157.0H650.0V270.3H364.0V412.0H78.0Z"/>
            <path class="a0" d="M364.0 383.7H650.0V270.3H936.0V412.0H936.0V412.0H936.0V412.0H650.0V412.0H364.0Z"><title>demo src/a.rs:1</title></path>
            <path class="a1" d="M364.0 383.7H650.0V185.3H936.0V383.7H936.0V412.0H936.0V270.3H650.0V383.7H364.0Z"><title>demo src/b.rs:2</title></path>
            <path class="resident" d="M78.0 355.3H936.0V72.0H936.0"/>
            <path class="heap" d="M78.0 412.0H364.0V270.3H650.0V157.0H936.0V383.7H936.0"/>
            <line class="peak" x1="635.7" y1="128.7" x2="650.0" y2="128.7"/>
            <circle class="dot" cx="650.0" cy="128.7" r="4"/>
            <text class="strong halo" text-anchor="end" x="641.0" y="120.7">peak 10.0 MiB</text>
            <line class="heap" x1="78.0" y1="466.0" x2="100.0" y2="466.0"/>
            <text class="" x="108.0" y="470.0">heap, as the tracer counts it</text>
            <text class="" text-anchor="end" x="936.0" y="470.0">at most 9216 KiB</text>
            <circle class="dot" cx="89" cy="486.0" r="4"/>
            <text class="" x="108.0" y="490.0">peak of the heap, between 1.95 s and 2.00 s</text>
            <text class="" text-anchor="end" x="936.0" y="490.0">10.0 MiB</text>
            <line class="resident" x1="78.0" y1="506.0" x2="100.0" y2="506.0"/>
            <text class="" x="108.0" y="510.0">resident memory, as the system counts it</text>
            <text class="" text-anchor="end" x="936.0" y="510.0">at most 12.0 MiB</text>
            <rect class="tracer" x="78" y="520.0" width="22" height="12" rx="2"/>
            <text class="" x="108.0" y="530.0">the tracer itself, above the heap</text>
            <text class="" text-anchor="end" x="936.0" y="530.0">at most 2048 KiB</text>
            <rect class="a0" x="78" y="540.0" width="22" height="12" rx="2"/>
            <text class="" x="108.0" y="550.0">demo src/a.rs:1</text>
            <text class="" text-anchor="end" x="936.0" y="550.0">at most 5120 KiB</text>
            <rect class="a1" x="78" y="560.0" width="22" height="12" rx="2"/>
            <text class="" x="108.0" y="570.0">demo src/b.rs:2</text>
            <text class="" text-anchor="end" x="936.0" y="570.0">at most 3072 KiB</text>
            </svg>
        "#]]
        .assert_eq(drawn);
        let page = page(&timeline);
        assert!(page.contains("const data = {") && !page.contains("<x>"));
    }

    #[test]
    fn a_peak_is_a_dot_only_where_it_was_measured() {
        let drawn = |between| {
            let mut timeline = crate::timeline::sample();
            let bytes = 10 << 20;
            timeline.peak = Some(super::super::Peak { bytes, between });
            let svg = svg(&timeline);
            let plot = svg.split_once("heap, as the tracer").expect("a legend");
            let has = |part: &str| plot.0.contains(part);
            (
                has("class=\"dot\""),
                has("class=\"peak\""),
                has(">peak 10.0 MiB<"),
            )
        };
        assert_eq!(drawn(Some((1.98, 2.0))), (true, false, true));
        assert_eq!(drawn(Some((1.9, 2.0))), (true, true, true));
        assert_eq!(drawn(Some((1.0, 2.0))), (false, true, true));
        assert_eq!(drawn(None), (false, false, false));
    }

    #[test]
    fn a_long_name_goes_on_below() {
        assert_eq!(wrapped("demo src/a.rs:1", 20), ["demo src/a.rs:1"]);
        assert_eq!(
            wrapped("demo src/cache/insert.rs:41", 20),
            ["demo src/cache/", "insert.rs:41"]
        );
        assert_eq!(wrapped("aaaaaaaaaa", 4), ["aaaa", "aaaa", "aa"]);
    }

    #[test]
    fn a_column_keeps_its_lowest_and_its_highest() {
        let scale = Scale {
            end: 1000.0,
            top: 100.0,
        };
        let points = [(0.0, 5), (0.1, 9), (0.2, 1), (0.3, 6), (500.0, 3)];
        assert_eq!(thin(&points, &scale), [(0.1, 9), (0.2, 1), (500.0, 3)]);
    }
}
