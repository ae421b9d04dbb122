//! The picture as a page that zooms and shows source.

use super::data::Timeline;
use super::shapes::escape;
use super::svg::{STYLE, svg};

/// Makes a self-contained page.
///
/// Its script draws the picture in the width of the screen, shows numbers under the pointer, zooms,
/// and shows source. Without scripts, the page shows the SVG.
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
    // NOTE: `</script>` would end the script.
    let data = data.to_string().replace('<', "\\u003c");
    let title = escape(&timeline.title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Memory of {title}</title>\n<style>{STYLE}{PAGE_STYLE}</style>\n<main>\n\
         <h1>Memory over time</h1>\n<p>{title}</p>\n\
         <div id=\"chart\"><svg id=\"plot\" role=\"img\" aria-label=\"Memory over time\"></svg>\
         <div id=\"tip\" hidden></div></div>\n\
         <button id=\"reset\" hidden>Show the whole time</button>\n\
         <section id=\"source\" aria-live=\"polite\"></section>\n<ul id=\"legend\"></ul>\n<p>{HINT}</p>\n\
         <noscript>\n{}</noscript>\n</main>\n<script>const data = {data};\n{SCRIPT}</script>\n</html>\n",
        svg(timeline)
    )
}

const HINT: &str = "Point at the picture or touch it to read the numbers. Drag along it to zoom in, \
    and double-click to zoom out. Click an area or its name to see its source.";

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_escapes_its_data() {
        let page = page(&crate::timeline::data::sample());
        assert!(page.contains("const data = {") && !page.contains("<x>"));
    }
}
