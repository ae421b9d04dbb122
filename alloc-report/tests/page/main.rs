//! The page in a real browser: what it shows equals the tables, and each of its controls works.
//!
//! The tests need Chromium. Set `ALLOC_TESTS_PICTURES` to a folder to get pictures of what they see.

#[path = "../support/browser.rs"]
mod browser;
mod graphs;
mod pictures;
mod samples;

use std::path::{Path, PathBuf};

use alloc_core::{GroupBy, Grouping, Metric, Snapshot};
use browser::Browser;
use serde_json::{Value, json};

/// A page on disk, in a browser.
struct Open {
    browser: Browser,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

/// Writes a page, and opens it. `None` if there is no browser.
fn open(page: &impl ToString, fragment: &str) -> Option<Open> {
    let mut browser = Browser::start()?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a page.html");
    std::fs::write(&path, page.to_string()).unwrap();
    browser.open(&path, fragment);
    Some(Open {
        browser,
        path,
        _folder: folder,
    })
}

/// The rows that the page's table is made of: name, own, inclusive, blocks.
fn rows(browser: &mut Browser) -> Vec<(String, u64, u64, u64)> {
    let rows = browser.evaluate(
        "(() => { const { data, state } = app, rows = tableRows(data, state), all = [];
            rows.own.forEach((own, key) => {
                if (own || rows.inclusive[key]) all.push([rowName(data, rows, key, state), own, rows.inclusive[key], rows.blocks[key]]);
            });
            return all; })()",
    );
    let number = |it: &Value| it.as_f64().unwrap() as u64;
    let row = |it: &Value| {
        (
            it[0].as_str().unwrap().to_owned(),
            number(&it[1]),
            number(&it[2]),
            number(&it[3]),
        )
    };
    let mut rows: Vec<_> = rows.as_array().unwrap().iter().map(row).collect();
    rows.sort();
    rows
}

/// The same of a snapshot.
fn statistics(snapshot: &Snapshot, by: GroupBy, metric: Metric) -> Vec<(String, u64, u64, u64)> {
    let own = snapshot.statistics_by(by, metric);
    let is_of_frames = matches!(
        by,
        GroupBy::Line | GroupBy::Function | GroupBy::Module | GroupBy::Crate
    );
    let all = match is_of_frames {
        true => {
            let by = Grouping::by(by).cumulative().unwrap();
            snapshot.statistics_by(by, metric)
        }
        false => own.clone(),
    };
    let mut rows: Vec<(String, u64, u64, u64)> = all
        .iter()
        .map(|it| {
            let key = it.key.to_string();
            let own = own.iter().find(|own| own.key == it.key);
            let (size, count) = own.map_or((0, 0), |it| (it.size.get(), it.count));
            (key, size, it.size.get(), count)
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn its_numbers_are_those_of_the_tables() {
    let snapshot = samples::random(400);
    let Some(mut open) = open(&alloc_report::page(&snapshot), "") else {
        return;
    };
    let browser = &mut open.browser;
    let metrics = [
        ("current", Metric::Current),
        ("at_peak", Metric::AtPeak),
        ("peak", Metric::Peak),
        ("total", Metric::Total),
        ("freed", Metric::Freed),
    ];
    let keys = [
        ("line", GroupBy::Line),
        ("function", GroupBy::Function),
        ("module", GroupBy::Module),
        ("crate", GroupBy::Crate),
        ("type", GroupBy::Type),
        ("thread", GroupBy::Thread),
    ];
    for (metric, of) in metrics {
        for (name, by) in keys {
            browser.evaluate(&format!(
                "app.state.set({})",
                json!({ "metric": metric, "by": name })
            ));
            assert_eq!(
                rows(browser),
                statistics(&snapshot, by, of),
                "{metric} by {name}"
            );
        }
        // Labels within each other: own and inclusive.
        browser.evaluate(&format!(
            "app.state.set({})",
            json!({ "metric": metric, "by": "label" })
        ));
        let labels = rows(browser);
        let inclusive = |name: &str| labels.iter().find(|it| it.0 == name).map(|it| it.2);
        for label in snapshot.labels(of) {
            let bytes = label.inclusive.amount(of).bytes.get();
            assert_eq!(
                inclusive(&label.name),
                Some(bytes),
                "{metric} of {}",
                label.name
            );
        }
        // The graph has the same total, whatever it hides.
        let total: u64 = snapshot
            .traces()
            .iter()
            .map(|it| it.counters.amount(of).bytes.get())
            .sum();
        for frames in ["mine", "relevant", "all"] {
            for inverted in [false, true] {
                let view = json!({ "frames": frames, "inverted": inverted, "by": "function" });
                browser.evaluate(&format!("app.state.set({view})"));
                let drawn = browser.evaluate("app.flame.view.sums.width[0]");
                assert_eq!(
                    drawn.as_f64().unwrap() as u64,
                    total,
                    "{metric}, {frames}, {inverted}"
                );
            }
        }
        browser.evaluate("app.state.reset()");
    }
    browser.check_faultless();
}

/// The rows of the table as they are shown: the text of their cells.
fn table(browser: &mut Browser) -> Vec<Vec<String>> {
    let rows = browser.evaluate(
        "[...document.querySelectorAll('#table tbody tr')].map(row => [...row.cells].map(cell =>
            (cell.querySelector('.name') ?? cell).innerText))",
    );
    serde_json::from_value(rows).unwrap()
}

/// The middle of the first box of the graph whose name begins with this.
fn box_named(browser: &mut Browser, name: &str) -> (f64, f64) {
    let place = browser.evaluate(&format!(
        "(() => {{ document.getElementById('flame').scrollIntoView({{ block: 'center' }});
            const {{ flame }} = app, box = flame.boxes.find(box => box.node >= 0 && flame.view.tree.name(box.node).startsWith({}));
            const at = flame.canvas.getBoundingClientRect();
            return [at.left + box.x + Math.min(box.width / 2, 20), at.top + flame.top(box) + 10]; }})()",
        json!(name)
    ));
    (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
}

fn hash(browser: &mut Browser) -> String {
    browser
        .evaluate("location.hash")
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_search_marks_what_it_finds() {
    let snapshot = samples::shop();
    let Some(mut open) = open(&alloc_report::page(&snapshot), "") else {
        return;
    };
    let browser = &mut open.browser;
    assert_eq!(browser.text("#found"), "");
    // A slash goes to the field, from anywhere.
    browser.type_text("/CACHE");
    browser.wait("document.getElementById('found').innerText !== ''");
    assert_eq!(browser.text("#found"), "1 row, 60.0% of the graph");
    assert_eq!(
        table(browser),
        [[
            "600 KiB",
            "60.0%",
            "600 KiB",
            "60",
            "/work/shop/src/cache.rs:41"
        ]]
    );
    browser.type_text("nowhere");
    browser.wait(
        "document.querySelector('#table .empty')?.innerText === 'Nothing matches CACHEnowhere.'",
    );
    assert_eq!(browser.text("#found"), "0 rows, 0.0% of the graph");
    browser.click("#reset");
    // Three lines that allocate, and the two of the program that call them.
    assert_eq!(table(browser).len(), 5);
    browser.check_faultless();
}

#[test]
fn a_click_zooms_and_selects_in_all_views() {
    let snapshot = samples::shop();
    let Some(mut open) = open(&alloc_report::page(&snapshot), "#by=function") else {
        return;
    };
    let browser = &mut open.browser;
    browser.picture("light");
    let (x, y) = box_named(browser, "shop::handle");
    browser.mouse("mouseMoved", (x, y), 0);
    assert_eq!(
        browser.text("#tip"),
        "shop::handle\n/work/shop/src/main.rs:7\n900 KiB, 90.0% of all"
    );
    browser.click_at(x, y);
    assert_eq!(browser.text("#path"), "↑ outallshop::handle: 90.0% of all");
    assert_eq!(browser.text("#details h2"), "shop::handle");
    let selected = browser.text("#table [aria-selected=true] .name");
    assert_eq!(selected, "shop::handle");
    // The zoomed box has the whole width.
    let width = browser.evaluate("app.flame.boxes.find(box => box.node === app.state.zoom).width / app.flame.canvas.clientWidth");
    assert_eq!(width, 1.0);
    browser.click("#path button:nth-child(2)");
    assert_eq!(browser.text("#path"), "Click a box to zoom into it.");
    // A row selects, too, and shows what is known of it.
    browser.click("#table tbody tr:first-child");
    let details = browser.text("#details");
    for part in [
        "cache::Cache<K>::insert",
        "600 KiB",
        "Vec<String>",
        "Stack of 600 KiB",
        "/work/shop/src/main.rs:7",
    ] {
        assert!(details.contains(part), "{part}: {details}");
    }
    browser.check_faultless();
}

#[test]
fn metrics_units_orders_and_levels_switch() {
    let snapshot = samples::shop();
    let Some(mut open) = open(&alloc_report::page(&snapshot), "") else {
        return;
    };
    let browser = &mut open.browser;
    browser.click("#unit label:nth-child(2)");
    assert_eq!(table(browser)[1][..2], ["10", "13.7%"], "by blocks");
    browser.click("#metric label:nth-child(4)");
    assert_eq!(hash(browser), "#metric=total&unit=blocks");
    browser.click("#table th:last-child button");
    assert_eq!(
        table(browser)[0][4],
        "/work/shop/src/cache.rs:41",
        "by name"
    );
    browser.click("#unit label:nth-child(1)");
    // The line of the parser is charged to the caller's own code.
    browser.click("#frames label:nth-child(1)");
    let rows = table(browser);
    assert!(
        rows.iter()
            .any(|it| it[0] == "300 KiB" && it[4] == "/work/shop/src/main.rs:7"),
        "{rows:?}"
    );
    browser.evaluate("(() => { const by = document.getElementById('by'); by.value = 'type'; by.dispatchEvent(new Event('change')); })()");
    assert_eq!(hash(browser), "#metric=total&by=type&frames=mine&sort=name");
    assert_eq!(
        table(browser),
        [
            ["400 KiB", "40.0%", "400 KiB", "13", "String"],
            ["600 KiB", "60.0%", "600 KiB", "60", "Vec<String>"]
        ]
    );
    browser.check_faultless();
}

#[test]
fn a_difference_shows_growth_and_shrinkage() {
    let (new, old) = (samples::shop(), samples::shop_before());
    let Some(mut open) = open(&alloc_report::page(&new).compared_to(&old), "") else {
        return;
    };
    let browser = &mut open.browser;
    browser.picture("difference");
    let rows = table(browser);
    assert_eq!(rows[0][..3], ["600 KiB", "60.0%", "+500 KiB"]);
    assert_eq!(rows[1][..3], ["100 KiB", "10.0%", "−100 KiB"]);
    // The width is the change: 500 and 100 KiB, and nothing else.
    assert_eq!(browser.evaluate("app.flame.view.sums.width[0]"), 600 << 10);
    let label = |name: &str| {
        format!(
            "(() => {{ const {{ flame }} = app; return flame.label(flame.boxes.find(box => box.node > 0 && flame.view.tree.name(box.node).includes({})).node); }})()",
            json!(name)
        )
    };
    assert_eq!(
        browser.evaluate(&label("log.rs")),
        "−100 KiB  shop::log  /work/shop/src/log.rs:5"
    );
    // The other metrics show the larger of both, and colour the change.
    browser.click("#metric label:nth-child(1)");
    assert_eq!(browser.evaluate("app.flame.view.sums.width[0]"), 1100 << 10);
    browser.check_faultless();
}

#[test]
fn a_moment_and_a_stretch_of_the_run_are_chosen() {
    let (new, old) = (samples::shop(), samples::shop_before());
    let heap = vec![
        (0.0, 0),
        (1.0, 600 << 10),
        (2.0, 700 << 10),
        (3.0, 1000 << 10),
    ];
    let page = alloc_report::page(&new)
        .moment(1.0, &old)
        .moment(3.0, &new)
        .over_time(heap, vec![(0.0, 2 << 20), (3.0, 3 << 20)]);
    let Some(mut open) = open(&page, "") else {
        return;
    };
    let browser = &mut open.browser;
    let place = browser.evaluate("(() => { const at = app.timeline.svg.getBoundingClientRect(); return [1, 3].map(it => at.left + app.timeline.x(it)).concat(at.top + 60); })()");
    let [first, last, y] = [0, 1, 2].map(|at| place[at].as_f64().unwrap());
    browser.click_at(first, y);
    assert_eq!(browser.text("#timeline output"), "600 KiB live at 1.00 s");
    assert_eq!(table(browser)[0][..2], ["300 KiB", "50.0%"]);
    browser.drag(&[(first, y), (first + 50.0, y), (last, y)]);
    assert_eq!(
        browser.text("#timeline output"),
        "+400 KiB from 1.00 s to 3.00 s"
    );
    assert_eq!(table(browser)[0][2], "+500 KiB");
    assert_eq!(hash(browser), "#from=0&to=1");
    browser.picture("timeline");
    // The same without a pointer.
    browser.evaluate("(() => { app.timeline.first.value = ''; app.timeline.first.dispatchEvent(new Event('change')); })()");
    assert_eq!(hash(browser), "#to=1");
    browser.check_faultless();
}

#[test]
fn an_address_shows_the_same_view() {
    let snapshot = samples::shop();
    let Some(mut open) = open(&alloc_report::page(&snapshot), "") else {
        return;
    };
    let Open { browser, path, .. } = &mut open;
    browser.evaluate("app.state.set({ by: 'crate', frames: 'all', search: 'a & b=c#', flip: true, sort: 'name', inverted: true })");
    let address = hash(browser);
    let of_view = "JSON.stringify([app.state.by, app.state.frames, app.state.search, app.state.flip, app.state.sort, app.state.inverted])";
    let view = browser.evaluate(of_view);
    browser.open(path, &address);
    assert_eq!(browser.evaluate(of_view), view);
    assert_eq!(
        browser.evaluate("document.getElementById('search').value"),
        "a & b=c#"
    );
    // A wrong address shows what it can.
    browser.open(
        path,
        "#by=nothing&zoom=999999&selected=-7x&metric=gone&to=5&from=x&sort=%3Cb%3E",
    );
    assert_eq!(table(browser)[0][0], "600 KiB");
    assert_eq!(
        browser.evaluate("[app.state.zoom, app.state.selected, app.state.to]"),
        json!([0, -1, null])
    );
    browser.check_faultless();
}

#[test]
fn the_keyboard_does_what_the_mouse_does() {
    let snapshot = samples::shop();
    let Some(mut open) = open(&alloc_report::page(&snapshot), "#by=function") else {
        return;
    };
    let browser = &mut open.browser;
    browser.evaluate("document.getElementById('flame').focus()");
    for (key, spoken) in [
        ("ArrowDown", "shop::main, 1000 KiB"),
        ("ArrowDown", "shop::handle, 900 KiB"),
        ("ArrowRight", "shop::log, 100 KiB"),
        ("ArrowLeft", "shop::handle, 900 KiB"),
        ("ArrowDown", "Cache::insert, 600 KiB"),
        ("ArrowUp", "shop::handle, 900 KiB"),
    ] {
        browser.press(key);
        assert_eq!(
            browser.evaluate("document.getElementById('spoken').textContent"),
            spoken,
            "{key}"
        );
    }
    browser.press("Enter");
    assert_eq!(browser.text("#path"), "↑ outallshop::handle: 90.0% of all");
    browser.press("Escape");
    browser.press("Escape");
    assert_eq!(browser.text("#path"), "Click a box to zoom into it.");
    // The table's rows.
    browser.evaluate("document.querySelector('#table tbody tr').focus()");
    browser.press("ArrowDown");
    browser.press("Enter");
    assert_eq!(
        browser.evaluate("document.activeElement.getAttribute('aria-selected')"),
        "true"
    );
    // Each control has a name.
    let nameless = browser.evaluate(
        "[...document.querySelectorAll('button, select, input, canvas')].filter(it =>
            !(it.innerText || it.getAttribute('aria-label') || it.labels?.length)).length",
    );
    assert_eq!(nameless, 0);
    browser.check_faultless();
}

#[test]
fn hostile_names_are_text() {
    let snapshot = samples::hostile();
    let page = alloc_report::page(&snapshot).title("</title><script>window.broken = 4</script>");
    let Some(mut open) = open(&page, "") else {
        return;
    };
    let browser = &mut open.browser;
    for by in [
        "line", "function", "module", "crate", "type", "label", "thread", "stack",
    ] {
        browser.evaluate(&format!("app.state.set({})", json!({ "by": by })));
        assert!(!table(browser).is_empty(), "{by}");
        for row in 0..table(browser).len().min(9) {
            browser.evaluate(&format!(
                "document.querySelectorAll('#table tbody tr')[{row}].click()"
            ));
        }
        let sizes = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        assert!(sizes[0].as_u64() <= sizes[1].as_u64(), "{by}: {sizes}");
    }
    browser.picture("hostile");
    assert_eq!(browser.evaluate("typeof window.broken"), "undefined");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('script, img').length"),
        2
    );
    assert_eq!(
        browser.text("h1"),
        "</title><script>window.broken = 4</script>"
    );
    // What cannot be seen is written out.
    browser.evaluate("app.state.set({ by: 'type' })");
    let names: Vec<String> = table(browser).into_iter().map(|it| it[4].clone()).collect();
    assert!(
        names.contains(
            &r"\u{202e}backwards\u{202c} \u{2066}isolated\u{2069} \u{200f}mark".to_owned()
        ),
        "{names:?}"
    );
    assert!(
        names.contains(&r"line\u{a}break\u{9}tab\u{0}null\u{1b}[31mescape".to_owned()),
        "{names:?}"
    );
    browser.check_faultless();
}

/// The parts are as wide as their memory, and the rows are those of the command `resident`.
#[test]
fn it_shows_where_the_resident_memory_goes() {
    let snapshot = samples::resident_shop();
    let Some(mut page) = open(&alloc_report::page(&snapshot), "") else {
        return;
    };
    let browser = &mut page.browser;
    browser.picture("resident");
    let widths = browser.evaluate(
        "[...document.querySelectorAll('#resident .stacked i')].map(it => Math.round(1000 * it.getBoundingClientRect().width / it.parentElement.getBoundingClientRect().width))",
    );
    assert_eq!(widths, json!([100, 400, 300, 100, 50, 50]));
    let text = browser.text("#resident");
    for expected in [
        "10.0 MiB are resident, and 1.0 MiB of that are live blocks",
        "total; the kernel counts 10.0 MiB",
        "glibc says: 7168 KiB free, 1024 KiB in use",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!browser.text("#about").contains("allocator."));
    let cells = |it: &str| {
        format!(
            "[...document.querySelectorAll('#resident .pinned {it}')].map(it => it.textContent)"
        )
    };
    let rows = browser.evaluate(&cells("tbody tr"));
    let groups = alloc_report::resident(&snapshot, 20).groups();
    let rows: Vec<String> = serde_json::from_value(rows).unwrap();
    assert_eq!(rows.len(), groups.len());
    for (row, group) in rows.iter().zip(&groups) {
        assert!(row.ends_with(&group.key.to_string()), "{row}");
    }
    assert!(
        rows[0].starts_with("3.9 MiB4.0 MiB3.9 MiB600 KiB60"),
        "{}",
        rows[0]
    );
    // On a phone nothing is wider than the screen, and in the dark it is dark.
    browser.resize((390, 844), 2.0, true);
    let fits = "document.documentElement.scrollWidth <= 390";
    assert_eq!(browser.evaluate(fits), true);
    browser.picture("resident-phone");
    browser.prefer("dark");
    browser.open(&page.path, "");
    let is_dark = "document.documentElement.classList.contains('dark')";
    assert_eq!(browser.evaluate(is_dark), true);
    browser.picture("resident-dark");
    browser.check_faultless();
    // A snapshot without it has no such part.
    let plain = samples::shop();
    let Some(mut page) = open(&alloc_report::page(&plain), "") else {
        return;
    };
    assert_eq!(page.browser.evaluate("byId('resident').hidden"), true);
}

#[test]
fn it_is_readable_on_a_phone_and_in_the_dark() {
    let snapshot = samples::shop();
    let Some(mut open) = open(&alloc_report::page(&snapshot), "") else {
        return;
    };
    let Open { browser, path, .. } = &mut open;
    browser.resize((390, 844), 3.0, true);
    browser.prefer("dark");
    browser.open(path, "");
    browser.picture("phone");
    let sizes = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]");
    assert_eq!(sizes, json!([390, 390]));
    assert_eq!(
        browser.evaluate("document.documentElement.className"),
        "dark"
    );
    browser.resize(browser::WIDE, 1.0, false);
    browser.open(path, "#selected=1");
    browser.picture("dark");
    browser.click("#theme");
    assert_eq!(browser.evaluate("document.documentElement.className"), "");
    browser.check_faultless();
}

/// What a snapshot does not have is left out.
#[test]
fn its_head_names_the_build_and_the_host() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut with_build = Snapshot::load(data.join("jemalloc-new.pb.gz")).unwrap();
    let build = with_build.build_id().unwrap().to_owned();
    assert_eq!(build, "7a0d9cdf6bdd44db22db3859bc2733e8ad0b50ab");
    let without = samples::shop();
    assert_eq!(without.build_id(), None);
    let check = |snapshot: &Snapshot, expected: &str| {
        let Some(mut open) = open(&alloc_report::page(snapshot), "") else {
            return;
        };
        assert_eq!(open.browser.text("#about"), expected);
        open.browser.check_faultless();
    };
    check(&without, "");
    let head = format!("build {build} · 2026-11-25 20:12:07 UTC");
    check(&with_build, &head);
    with_build.set_metadata("host", "web-1");
    check(&with_build, &format!("{head} · host: web-1"));
}

#[test]
fn an_empty_snapshot_is_a_page() {
    let snapshot = Snapshot::from_traces(vec![], 32);
    let Some(mut open) = open(&alloc_report::page(&snapshot), "") else {
        return;
    };
    let browser = &mut open.browser;
    assert_eq!(
        browser.text("#table .empty"),
        "Nothing to show: this metric is zero everywhere."
    );
    browser.check_faultless();
}

#[test]
fn a_damaged_page_says_so() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.html");
    let page = alloc_report::page(&samples::shop()).to_string();
    std::fs::write(&path, page.replace("id=\"data\">H4sI", "id=\"data\">AAAA")).unwrap();
    browser.open(Path::new(&path), "");
    let said = browser.text("#failure");
    assert!(
        said.starts_with("The page cannot show its data: "),
        "{said}"
    );
}

/// Prints how long large pages take. Run it with `--ignored --nocapture`, on a machine that does nothing else.
#[test]
#[ignore = "takes a minute; the figures are in benches/README.md"]
fn figures_of_large_pages() {
    for callsites in [100_000, 1_000_000] {
        let snapshot = samples::large(callsites);
        let started = std::time::Instant::now();
        let page = alloc_report::page(&snapshot).to_string();
        let written = started.elapsed();
        let size = page.len() as f64 / f64::from(1 << 20);
        drop(page);
        let Some(mut open) = open(&alloc_report::page(&snapshot), "") else {
            return;
        };
        let ready = open
            .browser
            .evaluate("Number(document.documentElement.dataset.ready)");
        println!(
            "{callsites} callsites: {size:.1} MiB, written in {written:.1?}, drawn after {ready} ms"
        );
        for change in [
            json!({ "metric": "total" }),
            json!({ "metric": "current" }),
            json!({ "metric": "peak" }),
            json!({ "unit": "blocks" }),
            json!({ "by": "function" }),
            json!({ "frames": "mine" }),
            json!({ "inverted": true }),
            json!({ "by": "crate" }),
            json!({ "search": "function_12" }),
        ] {
            let took = open.browser.evaluate(&format!(
                "(() => {{ const start = performance.now(); app.state.set({change}); return performance.now() - start; }})()"
            ));
            println!("  {change}: {:.0} ms", took.as_f64().unwrap());
        }
    }
}
