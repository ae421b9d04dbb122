//! Flame graphs as SVG, which a browser draws without scripts.

use alloc_core::{Metric, Snapshot};
use alloc_report::Flamegraph;

use crate::browser::Browser;
use crate::samples;

/// The boxes of a picture: their titles, their classes and their widths.
fn boxes(picture: &Flamegraph<'_>, name: &str) -> Option<Vec<(String, String, f64)>> {
    let mut browser = Browser::start()?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.svg");
    std::fs::write(&path, picture.to_string()).unwrap();
    browser.load(&path, "");
    browser.picture(name);
    let boxes = browser.evaluate(
        "[...document.querySelectorAll('g')].map(it => { const box = it.querySelector('rect');
            return [it.querySelector('title').textContent, box.getAttribute('class'), Number(box.getAttribute('width'))]; })",
    );
    assert_eq!(browser.evaluate("typeof window.broken"), "undefined");
    browser.check_faultless();
    Some(serde_json::from_value(boxes).unwrap())
}

/// The width of a box in parts of a thousand.
fn thousandths(width: f64) -> u64 {
    ((width + 0.6) / 1180.0 * 1000.0).round() as u64
}

#[track_caller]
fn check(picture: &Flamegraph<'_>, name: &str, expected: &[(&str, &str, u64)]) {
    let Some(mut boxes) = boxes(picture, name) else {
        return;
    };
    boxes.sort_by(|a, b| a.0.cmp(&b.0));
    let boxes: Vec<(&str, &str, u64)> = boxes
        .iter()
        .map(|(title, class, width)| (title.as_str(), class.as_str(), thousandths(*width)))
        .collect();
    assert_eq!(boxes, expected);
}

#[test]
fn boxes_are_as_wide_as_their_memory() {
    let snapshot = samples::shop();
    check(
        &alloc_report::flamegraph(&snapshot).title("shop"),
        "flamegraph",
        &[
            ("all\n1000 KiB in 73 blocks, 100.0%", "same", 1000),
            (
                "json_parser::value::Value::parse\njson-parser-1.2.3/src/value.rs\n300 KiB in 3 blocks, 30.0%",
                "dep",
                300,
            ),
            (
                "shop::cache::Cache<K>::insert\n/work/shop/src/cache.rs\n600 KiB in 60 blocks, 60.0%",
                "own",
                600,
            ),
            (
                "shop::handle\n/work/shop/src/main.rs\n900 KiB in 63 blocks, 90.0%",
                "own",
                900,
            ),
            (
                "shop::log\n/work/shop/src/log.rs\n100 KiB in 10 blocks, 10.0%",
                "own",
                100,
            ),
            (
                "shop::main\n/work/shop/src/main.rs\n1000 KiB in 73 blocks, 100.0%",
                "own",
                1000,
            ),
        ],
    );
}

#[test]
fn a_difference_is_as_wide_as_the_change() {
    let (new, old) = (samples::shop(), samples::shop_before());
    check(
        &alloc_report::flamegraph(&new)
            .compared_to(&old)
            .metric(Metric::Current),
        "flamegraph-difference",
        &[
            ("all\n+400 KiB (600 KiB before, 1000 KiB now)", "grew", 1000),
            (
                "shop::cache::Cache<K>::insert\n/work/shop/src/cache.rs\n+500 KiB (100 KiB before, 600 KiB now)",
                "grew",
                833,
            ),
            (
                "shop::handle\n/work/shop/src/main.rs\n+500 KiB (400 KiB before, 900 KiB now)",
                "grew",
                833,
            ),
            (
                "shop::log\n/work/shop/src/log.rs\n−100 KiB (200 KiB before, 100 KiB now)",
                "shrank",
                167,
            ),
            (
                "shop::main\n/work/shop/src/main.rs\n+400 KiB (600 KiB before, 1000 KiB now)",
                "grew",
                1000,
            ),
        ],
    );
}

#[test]
fn hostile_names_are_text() {
    let snapshot = samples::hostile();
    let Some(boxes) = boxes(&alloc_report::flamegraph(&snapshot), "flamegraph-hostile") else {
        return;
    };
    // The root, main, and a box for each name.
    assert_eq!(boxes.len(), 2 + samples::HOSTILE.len() + 1);
}

#[test]
fn nothing_is_a_picture() {
    let snapshot = Snapshot::from_traces(vec![], 32);
    check(
        &alloc_report::flamegraph(&snapshot),
        "nothing",
        &[("all\n0 B in 0 blocks, 0.0%", "same", 1000)],
    );
}

/// The callers are below what allocates.
#[test]
fn callers_come_first_on_request() {
    let snapshot = samples::shop();
    let picture = alloc_report::flamegraph(&snapshot).callers_first();
    let Some(boxes) = boxes(&picture, "callers-first") else {
        return;
    };
    let of_main = boxes.iter().filter(|it| it.0.starts_with("shop::main"));
    let mut widths: Vec<u64> = of_main.map(|it| thousandths(it.2)).collect();
    widths.sort();
    assert_eq!(widths, [100, 300, 600]);
}
