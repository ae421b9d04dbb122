//! The picture as SVG.
//!
//! It is laid out by hand: drawing libraries do not write a style sheet that follows the reader's
//! light or dark mode. The picture has its own background.

use std::fmt::Write as _;

use alloc_core_snapshot::Bytes;

use super::axis::{Axis, label_of, round_seconds};
use super::data::Timeline;
use super::legend::legend;
use super::shapes::{LEFT, LEGEND, RIGHT, WIDTH, cut, end_text, escape, line, middle_text, text};

const PLOT_HEIGHT: f64 = 340.0;
const TOP: f64 = 72.0;

/// The style sheet, which follows the reader's light or dark mode.
pub(super) const STYLE: &str = concat!("\n", include_str!("picture.css"));

/// The mapping from seconds and bytes to coordinates.
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

/// Draws a timeline as a self-contained SVG.
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
    step_line(&mut svg, "resident", &timeline.resident, &scale);
    step_line(&mut svg, "heap", &timeline.heap, &scale);
    peak(&mut svg, timeline, &scale);
    let mut y = bottom + LEGEND.0;
    for entry in &entries {
        entry.draw(&mut svg, y);
        y += LEGEND.1 * entry.name.len() as f64;
    }
    svg + "</svg>\n"
}

/// A step line: each value lasts until the next one.
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

/// The area between two step lines with steps at the same times.
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

/// The areas, stacked, the first at the bottom.
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

fn step_line(svg: &mut String, class: &str, points: &[(f64, u64)], scale: &Scale) {
    if points.is_empty() {
        return;
    }
    let path = steps(thin(points, scale), scale);
    let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
}

/// Reduces the points of each column of pixels to the lowest and the highest.
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

/// A dot where the peak was measured, and a line over the period in which it occurred.
///
/// Nothing is drawn if the period is unknown.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_everything() {
        let timeline = crate::timeline::data::sample();
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
    }

    #[test]
    fn a_peak_is_a_dot_if_its_time_is_precise() {
        let drawn = |between| {
            let mut timeline = crate::timeline::data::sample();
            let bytes = 10 << 20;
            timeline.peak = Some(crate::timeline::data::Peak { bytes, between });
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
    fn a_column_keeps_its_lowest_and_highest_point() {
        let scale = Scale {
            end: 1000.0,
            top: 100.0,
        };
        let points = [(0.0, 5), (0.1, 9), (0.2, 1), (0.3, 6), (500.0, 3)];
        assert_eq!(thin(&points, &scale), [(0.1, 9), (0.2, 1), (500.0, 3)]);
    }
}
