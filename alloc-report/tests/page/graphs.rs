//! The page of a heap graph: its numbers are those of the graph, and a click says why.

use alloc_core::GroupBy;
use alloc_report::Graph;
use alloc_report::graph::builder::{Builder, sample};
use serde_json::json;

use crate::browser::{self, Browser};
use crate::samples::{self, Random};
use crate::{Open, box_named, hash, open, table};

fn read(builder: &Builder) -> Graph {
    Graph::read(&builder.file()).unwrap()
}

/// Blocks of eight makers, and roots of each kind.
fn random(seed: u64) -> Graph {
    let mut random = Random::new(seed);
    let mut builder = Builder::default();
    let types = ["Vec<Box<Node>>", "Box<Node>", "Rc<Node>", ""];
    let makers: Vec<u64> = (0..8)
        .map(|it| builder.callsite(types[it % 4], "app::f", "src/a.rs", 1 + it as u32 / 2))
        .collect();
    let thread = builder.thread("main", &[(1, 0x100), (2, 0x100)]);
    let blocks = 400;
    for _ in 0..blocks {
        builder.block(makers[random.below(8) as usize], 8 + random.below(100));
    }
    for _ in 0..500 {
        let (from, to) = (random.below(blocks) as u32, random.below(blocks) as u32);
        builder.edge(from, random.below(4), to);
    }
    for _ in 0..40 {
        let (kind, to) = (1 + random.below(6), random.below(blocks) as u32);
        let place = builder.stack(thread) + 8 * random.below(60);
        builder.root(kind as u8, 0, place, to);
    }
    read(&builder)
}

/// Names, and numbers of bytes and blocks, that an expression gives.
fn rows(browser: &mut Browser, expression: &str) -> Vec<(String, u64, u64)> {
    let mut rows: Vec<(String, u64, u64)> =
        serde_json::from_value(browser.evaluate(expression)).unwrap();
    rows.sort();
    rows
}

#[test]
fn its_numbers_are_those_of_the_graph() {
    for seed in [1, 2, 3] {
        let graph = random(seed);
        let Some(mut open) = open(&graph.page(), "") else {
            return;
        };
        let browser = &mut open.browser;
        // Below the top are the roots, and what several of them hold.
        let mut roots: Vec<(String, u64, u64)> = graph
            .roots()
            .into_iter()
            .filter(|it| it.blocks > 0)
            .map(|it| (it.name, it.retained.get(), it.blocks))
            .collect();
        for root in &mut roots {
            if root.0 == "nothing" {
                root.0 = "nothing: leaked".to_owned();
            }
        }
        let shared = graph.shared();
        assert!(shared.blocks > 0, "the sample has such blocks");
        let several = "several roots together".to_owned();
        roots.push((several, shared.bytes.get(), shared.blocks));
        roots.sort();
        let drawn = "[...app.heap.tree.childrenOf(0)].map(it => [app.heap.tree.whole(it), app.heap.sums.width[it], app.heap.blocks[it]])";
        assert_eq!(rows(browser, drawn), roots);
        let listed =
            "app.heap.rows('root').map(it => [app.heap.strings[it.name], it.retained, it.blocks])";
        assert_eq!(rows(browser, listed), roots);
        let all = browser.evaluate("[app.heap.sums.width[0], app.heap.blocks[0]]");
        assert_eq!(all, json!([graph.bytes().get(), graph.blocks().len()]));
        for (name, by) in [("type", GroupBy::Type), ("line", GroupBy::Line)] {
            let of_graph = graph.by(by).into_iter();
            let mut expected: Vec<(String, u64, u64)> = of_graph
                .map(|it| (it.key.to_string(), it.retained.get(), it.blocks))
                .collect();
            expected.sort();
            let listed = format!(
                "app.heap.rows('{name}').map(it => [app.heap.strings[it.name], it.retained, it.blocks])"
            );
            assert_eq!(rows(browser, &listed), expected, "{name}");
            // What holds the blocks of a row, and what made them, adds up to their own sizes.
            let wrong = browser.evaluate(&format!(
                "app.heap.rows('{name}').filter(row => [row.made, row.held].some(parts => !parts.others &&
                    parts.largest.reduce((sum, part) => sum + part[1], 0) !== row.bytes)).length"
            ));
            assert_eq!(wrong, 0, "{name}");
        }
        browser.check_faultless();
    }
}

#[test]
fn a_click_on_a_box_says_why() {
    let Some(mut open) = open(&read(&sample()).page(), "") else {
        return;
    };
    let browser = &mut open.browser;
    let (x, y) = box_named(browser, "Rc<Node>");
    browser.mouse("mouseMoved", (x, y), 0);
    assert_eq!(
        browser.text("#tip"),
        "Rc<Node>\nsrc/cache.rs:52\n328 B, 23.4% of all, 4 blocks"
    );
    browser.click_at(x, y);
    assert_eq!(browser.text("#path"), "↑ outallRc<Node>: 23.4% of all");
    let selected = browser.text("#table [aria-selected=true] .name");
    assert_eq!(selected, "Rc<Node>");
    let details = browser.text("#details");
    let expected = "\
Rc<Node>
Without them, 328 B would be free, 23.4% of all.
2 blocks of 128 B, 64 B on average.
Held by
128 B
static program+0x1000
Made at
128 B
src/cache.rs:52
Only it leads to
200 B
String src/cache.rs:53
Why the one that retains the most
Rc<Node> 64 B, src/cache.rs:52
At 0x10000070, reached by roots. It retains 164 B. It counts 1 strong and 0 weak; 1 reference was found.
It would be free without any one of
static program+0x1000 retains 412 B
HashMap<u64, Rc<Node>> 84 B, src/cache.rs:41 retains 412 B
A shortest path
static program+0x1000
HashMap<u64, Rc<Node>> 84 B, src/cache.rs:41 at 0x401000 to +64
Rc<Node> 64 B, src/cache.rs:52 at +8";
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
        lines.map(str::to_owned).collect()
    };
    assert_eq!(lines(&details), lines(expected));
    // A root is selected in its own table.
    browser.click("#path button:nth-child(2)");
    let (x, y) = box_named(browser, "nothing: leaked");
    browser.click_at(x, y);
    assert_eq!(browser.text("#details h2"), "nothing: leaked");
    assert!(hash(browser).contains("by=root"), "{}", hash(browser));
    browser.check_faultless();
}

#[test]
fn names_in_the_details_lead_on() {
    let Some(mut open) = open(&read(&sample()).page(), "#selected=1") else {
        return;
    };
    let browser = &mut open.browser;
    assert_eq!(browser.text("#details h2"), "HashMap<u64, Rc<Node>>");
    for expected in ["static program+0x1000", "HashMap<u64, Rc<Node>>"] {
        browser.click("#details .parts button");
        assert_eq!(browser.text("#details h2"), expected);
    }
    browser.click("#table th:last-child button");
    assert_eq!(table(browser)[0][4], "Box<Config>", "by name");
    browser.check_faultless();
}

#[test]
fn a_search_finds_types_lines_and_roots() {
    let Some(mut open) = open(&read(&sample()).page(), "") else {
        return;
    };
    let browser = &mut open.browser;
    for (text, rows, found) in [
        ("config.rs", vec!["Box<Config>"], "5.0%"),
        (
            "STATIC PROGRAM",
            vec!["HashMap<u64, Rc<Node>>", "Rc<Node>", "String"],
            "29.4%",
        ),
        ("Vec<u64>", vec!["Vec<u64>"], "57.1%"),
        ("nowhere", vec![], "0.0%"),
    ] {
        let field = "document.getElementById('search')";
        browser.evaluate(&format!("{field}.value = ''"));
        browser.evaluate(&format!("{field}.focus()"));
        browser.type_text(text);
        browser.wait(&format!("app.state.search === {}", json!(text)));
        let names: Vec<String> = table(browser).into_iter().map(|it| it[4].clone()).collect();
        assert_eq!(names, rows, "{text}");
        let words = if rows.len() == 1 { "row" } else { "rows" };
        let expected = format!("{} {words}, {found} of the graph", rows.len());
        assert_eq!(browser.text("#found"), expected, "{text}");
    }
    browser.check_faultless();
}

#[test]
fn it_lists_what_is_wrong() {
    let mut graph = sample();
    graph.counts(1, 3, 1);
    let Some(mut open) = open(&read(&graph).page(), "") else {
        return;
    };
    let browser = &mut open.browser;
    let mut card = |number: usize| {
        browser.evaluate("document.querySelectorAll('#lists summary').forEach(it => { if (!it.parentElement.open) it.click(); })");
        browser.wait(
            "[...document.querySelectorAll('#lists details')].every(it => it.children.length > 1)",
        );
        browser.text(&format!("#lists > section:nth-child({number})"))
    };
    let reach = card(1);
    for part in [
        "statics",
        "412 B in 5 blocks",
        "stacks",
        "nothing: leaked",
        "190 B in 5 blocks",
    ] {
        assert!(reach.contains(part), "{part}: {reach}");
    }
    let leaks = card(2);
    for part in [
        "120 B in 1 tree, certain, a cycle: Rc<Parent> (src/family.rs:20)",
        "70 B in 1 tree, likely: Box<Config> (src/config.rs:12)",
        "reached by nothing. It retains 70 B.",
    ] {
        assert!(leaks.contains(part), "{part}: {leaks}");
    }
    let cycles = card(3);
    for part in [
        "Rc<Parent> → Vec<Rc<Child>> → Rc<Child> → Rc<Parent>",
        "120 B, certain: it explains its own counts",
        "Rc<Child> (src/family.rs:22) at 0x",
    ] {
        assert!(cycles.contains(part), "{part}: {cycles}");
    }
    let counts = card(4);
    for part in [
        "likely 2 forgotten: Rc<Node> (src/cache.rs:52)",
        "It counts 3 strong",
    ] {
        assert!(counts.contains(part), "{part}: {counts}");
    }
    let duplicates = card(5);
    for part in [
        "100 B wasted: 2 times 100 B",
        "2 of String (src/cache.rs:53)",
    ] {
        assert!(duplicates.contains(part), "{part}: {duplicates}");
    }
    browser.check_faultless();
}

#[test]
fn it_works_by_keys_on_a_phone_and_in_the_dark() {
    let Some(mut open) = open(&read(&sample()).page(), "") else {
        return;
    };
    let Open { browser, path, .. } = &mut open;
    browser.picture("graph-light");
    browser.evaluate("document.getElementById('flame').focus()");
    for (key, spoken) in [
        ("ArrowDown", "the stack of main, 800 B"),
        ("ArrowRight", "static program+0x1000, 412 B"),
        (
            "ArrowDown",
            "HashMap<u64, Rc<Node>>  src/cache.rs:41, 412 B",
        ),
    ] {
        browser.press(key);
        let said = browser.evaluate("document.getElementById('spoken').textContent");
        assert_eq!(said, spoken, "{key}");
    }
    let tip = "HashMap<u64, Rc<Node>>\nsrc/cache.rs:41\n412 B, 29.4% of all, 5 blocks";
    assert_eq!(browser.text("#tip"), tip);
    browser.picture("graph-keys");
    browser.press("Enter");
    assert_eq!(browser.text("#details h2"), "HashMap<u64, Rc<Node>>");
    browser.press("Escape");
    browser.press("Escape");
    assert_eq!(browser.text("#path"), "Click a box to zoom into it.");
    browser.resize((390, 844), 3.0, true);
    browser.prefer("dark");
    browser.open(path, "#selected=1");
    browser.picture("graph-phone");
    let sizes = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]");
    assert_eq!(sizes, json!([390, 390]));
    assert_eq!(
        browser.evaluate("document.documentElement.className"),
        "dark"
    );
    browser.resize(browser::WIDE, 1.0, false);
    browser.open(path, "#selected=1");
    browser.picture("graph-dark");
    // A wrong address shows what it can.
    browser.open(path, "#by=x&zoom=99999&selected=777&sort=%3Cb%3E");
    assert_eq!(table(browser)[0][0], "800 B");
    browser.check_faultless();
}

#[test]
fn hostile_names_are_text() {
    let mut builder = Builder::default();
    let long = format!("a::B<{}>", "Generic<u8>, ".repeat(800));
    let names = samples::HOSTILE.iter().copied().chain([long.as_str()]);
    let mut before = None;
    for (name, line) in names.zip(1..) {
        let maker = builder.callsite(name, name, name, line);
        let block = builder.block(maker, 100);
        builder.hash(block, 5);
        let thread = builder.thread(name, &[(0x40_2001, 0x100)]);
        builder.root(3, thread, builder.stack(thread) + 0x80, block);
        if let Some(before) = before {
            builder.edge(before, 1, block);
        }
        before = Some(block);
    }
    let leaked = builder.callsite(&format!("Rc<{}>", samples::HOSTILE[0]), "f", "a.rs", 1);
    let leaked = builder.block(leaked, 64);
    builder.counts(leaked, 1, 1);
    builder.edge(leaked, 2, leaked);
    let page = read(&builder).page().title(samples::HOSTILE[0]).to_string();
    let Some(mut open) = open(&page, "") else {
        return;
    };
    let browser = &mut open.browser;
    for by in ["type", "line", "root"] {
        browser.evaluate(&format!(
            "app.state.set({})",
            json!({ "by": by, "selected": -1 })
        ));
        let rows = table(browser).len();
        assert!(rows > 1, "{by}");
        for row in 0..rows {
            browser.evaluate(&format!(
                "document.querySelectorAll('#table tbody tr')[{row}].click()"
            ));
        }
        let sizes = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        assert!(sizes[0].as_u64() <= sizes[1].as_u64(), "{by}: {sizes}");
    }
    browser.evaluate("document.querySelectorAll('#lists summary').forEach(it => it.click())");
    browser.wait(
        "[...document.querySelectorAll('#lists details')].every(it => it.children.length > 1)",
    );
    browser.picture("graph-hostile");
    assert_eq!(browser.evaluate("typeof window.broken"), "undefined");
    let elements = browser.evaluate("document.querySelectorAll('script, img').length");
    assert_eq!(elements, 2);
    browser.check_faultless();
}

#[test]
fn an_empty_graph_is_a_page() {
    let Some(mut open) = open(&read(&Builder::default()).page(), "") else {
        return;
    };
    assert_eq!(open.browser.text("#table .empty"), "Nothing is live.");
    open.browser.check_faultless();
}

/// Blocks of many makers, each held by one of those before it: hardly any are in the same place.
fn large(blocks: u32, makers: u64) -> Graph {
    let mut random = Random::new(11);
    let mut builder = Builder::default();
    let makers: Vec<u64> = (0..makers)
        .map(|it| {
            let (name, file) = (
                format!("Box<app::Type{it}>"),
                format!("src/file_{}.rs", it / 50),
            );
            builder.callsite(&name, "app::f", &file, it as u32)
        })
        .collect();
    for at in 0..blocks {
        let maker = makers[random.below(makers.len() as u64) as usize];
        builder.block(maker, 8 + random.below(500));
        match at {
            0 => builder.in_static(0x10, 0),
            _ => builder.edge(random.below(u64::from(at)) as u32, u64::from(at), at),
        }
    }
    read(&builder)
}

/// Prints how long large pages take. Run it with `--ignored --nocapture`, on a machine that does nothing else.
#[test]
#[ignore = "takes a minute; the figures are in benches/README.md"]
fn figures_of_large_graphs() {
    for (blocks, makers) in [(100_000, 2_000), (1_000_000, 20_000)] {
        let graph = large(blocks, makers);
        graph.roots();
        let started = std::time::Instant::now();
        let page = graph.page().to_string();
        let written = started.elapsed();
        let Some(mut open) = open(&page, "") else {
            return;
        };
        let size = page.len() as f64 / f64::from(1 << 20);
        let ready = open
            .browser
            .evaluate("Number(document.documentElement.dataset.ready)");
        println!(
            "{blocks} blocks: {size:.1} MiB, written in {written:.1?}, drawn after {ready} ms"
        );
        for change in [
            json!({ "by": "line" }),
            json!({ "selected": 0 }),
            json!({ "search": "Type12" }),
        ] {
            let took = open.browser.evaluate(&format!(
                "(() => {{ const start = performance.now(); app.state.set({change}); return performance.now() - start; }})()"
            ));
            println!("  {change}: {:.0} ms", took.as_f64().unwrap());
        }
    }
}
