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

const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.quiet { font-size: 11px; fill: #59636e }
.strong { font-weight: 600 }
.page { fill: #ffffff }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.heap { stroke: #1f2328; stroke-width: 2; fill: none; stroke-linejoin: round }
.resident { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 3; fill: none }
.peak { stroke: #59636e; stroke-dasharray: 2 3 }
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
.peak { stroke: #9198a1 }
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
    let step = round_bytes(timeline.highest());
    let steps = (timeline.highest() as f64 / step).ceil().max(1.0);
    let scale = Scale {
        end: timeline.end().max(1e-3),
        top: step * steps,
    };
    let bottom = TOP + PLOT_HEIGHT;
    let rows = timeline.areas.len().div_ceil(2) as f64 + 1.0;
    let height = bottom + LEGEND.0 + rows * LEGEND.1 + 4.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Memory of {}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n",
        escape(&timeline.title)
    );
    text(&mut svg, 20.0, 28.0, "title", "Memory over time");
    text(&mut svg, 20.0, 46.0, "quiet", &cut(&timeline.title, 140));
    for number in 0..=steps as u64 {
        let bytes = number as f64 * step;
        let y = scale.y(bytes as u64);
        line(&mut svg, "grid", (LEFT, y), (WIDTH - RIGHT, y));
        let label = Bytes::new(bytes as u64).to_string();
        end_text(&mut svg, LEFT - 8.0, y + 4.0, "quiet", &label);
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
    areas(&mut svg, timeline, &scale);
    polyline(&mut svg, "resident", &timeline.resident, &scale);
    polyline(&mut svg, "heap", &timeline.heap, &scale);
    peak(&mut svg, timeline, &scale);
    legend(&mut svg, timeline, bottom);
    svg + "</svg>\n"
}

/// A page with the picture, on which the pointer reads the numbers.
pub(crate) fn page(timeline: &Timeline) -> String {
    let names: Vec<&str> = timeline.areas.iter().map(|it| it.name.as_str()).collect();
    let bytes: Vec<&[u64]> = timeline.areas.iter().map(|it| &it.bytes[..]).collect();
    let data = serde_json::json!({
        "heap": timeline.heap, "resident": timeline.resident, "times": timeline.times,
        "names": names, "bytes": bytes,
        "plot": [LEFT, WIDTH - RIGHT, TOP, TOP + PLOT_HEIGHT, WIDTH], "end": timeline.end().max(1e-3),
    });
    // NOTE: within a script, only this could end it.
    let data = data.to_string().replace('<', "\\u003c");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Memory of {}</title>\n\
         <style>{PAGE_STYLE}</style>\n<main>\n{}<pre id=\"numbers\" aria-live=\"polite\">{HINT}</pre>\n\
         </main>\n<script>const data = {data};\n{SCRIPT}</script>\n</html>\n",
        escape(&timeline.title),
        svg(timeline)
    )
}

const HINT: &str = "Move over the picture to read the numbers.";

const PAGE_STYLE: &str = "
:root { color-scheme: light dark }
body { margin: 0; background: Canvas; color: CanvasText; font: 14px system-ui, sans-serif }
main { max-width: 1100px; margin: 24px auto; padding: 0 16px }
svg { width: 100%; height: auto }
pre { font: 13px ui-monospace, monospace; white-space: pre-wrap }
";

const SCRIPT: &str = r##"
const svg = document.querySelector("svg"), numbers = document.getElementById("numbers");
const [left, right, top_, bottom, width] = data.plot;
const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
cursor.setAttribute("class", "grid");
cursor.setAttribute("y1", top_);
cursor.setAttribute("y2", bottom);
const size = bytes => {
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (bytes < 1024 || unit === "TiB") return bytes.toFixed(unit === "B" ? 0 : 1) + " " + unit;
    bytes /= 1024;
  }
};
const last = (points, at) => points.filter(point => point[0] <= at).pop();
svg.addEventListener("pointermove", event => {
  const box = svg.getBoundingClientRect();
  const x = Math.min(right, Math.max(left, (event.clientX - box.left) * width / box.width));
  const at = (x - left) / (right - left) * data.end;
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  svg.append(cursor);
  const rows = [at.toFixed(2) + " s"];
  const heap = last(data.heap, at), resident = last(data.resident, at);
  if (heap) rows.push("heap      " + size(heap[1]));
  if (resident) rows.push("resident  " + size(resident[1]));
  const snapshot = data.times.filter(time => time <= at).length - 1;
  if (snapshot >= 0) {
    rows.push("", "snapshot at " + data.times[snapshot].toFixed(2) + " s");
    data.names.forEach((name, i) => rows.push(size(data.bytes[i][snapshot]).padStart(11) + "  " + name));
  }
  numbers.textContent = rows.join("\n");
});
"##;

/// Stacked: the largest at the bottom. Between two snapshots they go in a straight line.
fn areas(svg: &mut String, timeline: &Timeline, scale: &Scale) {
    let mut below = vec![0_u64; timeline.times.len()];
    for (number, area) in timeline.areas.iter().enumerate() {
        let above: Vec<u64> = below.iter().zip(&area.bytes).map(|(a, b)| a + b).collect();
        let point = |(seconds, bytes): (&f64, &u64)| {
            format!("{:.1},{:.1}", scale.x(*seconds), scale.y(*bytes))
        };
        let upper = timeline.times.iter().zip(&above).map(point);
        let lower = timeline.times.iter().zip(&below).rev().map(point);
        let points: Vec<String> = upper.chain(lower).collect();
        let _ = writeln!(
            svg,
            "<polygon class=\"a{}\" points=\"{}\"><title>{}</title></polygon>",
            number.min(8),
            points.join(" "),
            escape(&area.name)
        );
        below = above;
    }
}

fn polyline(svg: &mut String, class: &str, points: &[(f64, u64)], scale: &Scale) {
    if points.is_empty() {
        return;
    }
    let points: Vec<String> = thin(points, scale)
        .into_iter()
        .map(|(seconds, bytes)| format!("{:.1},{:.1}", scale.x(seconds), scale.y(bytes)))
        .collect();
    let _ = writeln!(
        svg,
        "<polyline class=\"{class}\" points=\"{}\"/>",
        points.join(" ")
    );
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

fn peak(svg: &mut String, timeline: &Timeline, scale: &Scale) {
    let Some((seconds, bytes)) = timeline.peak else {
        return;
    };
    let (x, y) = (scale.x(seconds), scale.y(bytes));
    line(svg, "peak", (x, y), (x, TOP + PLOT_HEIGHT));
    let _ = writeln!(
        svg,
        "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
    );
    let label = format!("peak {} at {seconds:.1} s", Bytes::new(bytes));
    let class = "strong halo";
    if x > WIDTH / 2.0 {
        end_text(svg, x - 9.0, y - 8.0, class, &label);
    } else {
        text(svg, x + 9.0, y - 8.0, class, &label);
    }
}

fn legend(svg: &mut String, timeline: &Timeline, bottom: f64) {
    let y = bottom + LEGEND.0;
    let mut x = LEFT;
    for (class, name, points) in [
        ("heap", "heap, as the tracer counts it", &timeline.heap),
        (
            "resident",
            "resident memory, as the system counts it",
            &timeline.resident,
        ),
    ] {
        if !points.is_empty() {
            line(svg, class, (x, y - 4.0), (x + 22.0, y - 4.0));
            text(svg, x + 30.0, y, "", name);
            x += 260.0;
        }
    }
    let column = (WIDTH - LEFT - RIGHT) / 2.0;
    for (number, area) in timeline.areas.iter().enumerate() {
        let x = LEFT + column * (number % 2) as f64;
        let y = y + LEGEND.1 * (number / 2 + 1) as f64;
        let _ = writeln!(
            svg,
            "<rect class=\"a{}\" x=\"{x}\" y=\"{:.1}\" width=\"22\" height=\"12\" rx=\"2\"/>",
            number.min(8),
            y - 10.0
        );
        let name = format!(
            "{}, at most {}",
            cut(&area.name, 44),
            Bytes::new(area.highest())
        );
        text(svg, x + 30.0, y, "", &name);
    }
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

/// Cut at its start: the end of a path tells more.
fn cut(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let end: String = text.chars().skip(length + 1 - most).collect();
    format!("…{end}")
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

/// From one line of the grid to the next: four to eight of them, a round number in its unit.
fn round_bytes(highest: u64) -> f64 {
    let wanted = highest.max(1) as f64 / 6.0;
    let unit = 1024_f64.powf(wanted.log(1024.0).floor().max(0.0));
    let rounds = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
    let found = rounds.iter().find(|&&round| round * unit >= wanted);
    found.map_or(1024.0 * unit, |round| round * unit)
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
    fn steps_are_round() {
        for (highest, step) in [
            (0_u64, 1_u64),
            (100, 20),
            (5 << 10, 1 << 10),
            (100 << 20, 20 << 20),
            (300 << 20, 50 << 20),
            (5000 << 20, 1 << 30),
            (900 << 30, 200 << 30),
        ] {
            assert_eq!(round_bytes(highest), step as f64, "{highest}");
        }
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
        for part in [
            "demo --all &lt;x&gt;",
            "peak 10.0 MiB at 2.0 s",
            "src/a.rs:1, at most 5120 KiB",
            "class=\"a1\"",
            "class=\"resident\"",
        ] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        // From 0 to 12 MiB in six steps: the peak of 10 MiB is a sixth below the top.
        let y = TOP + PLOT_HEIGHT / 6.0;
        assert!(svg.contains(&format!("cy=\"{y:.1}\"")), "{svg}");
        let page = page(&timeline);
        assert!(page.contains("const data = {") && !page.contains("<x>"));
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
