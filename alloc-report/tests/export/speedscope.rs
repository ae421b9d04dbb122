//! speedscope's page and its schema: our JSON, folded stacks and pprof.

use std::fs;
use std::path::Path;

use alloc_core::Escaped;
use base64::Engine as _;
use expect_test::{Expect, expect};
use serde_json::json;

use crate::browser::Browser;
use crate::samples::{self, of_a_program};
use crate::{export, tools};

/// Exports a snapshot and opens it in speedscope's table of functions. Returns the title and the
/// table.
fn viewed(folder: &Path, arguments: &str, file: &str) -> Option<String> {
    let page = tools::package("speedscope")?.join("dist/release/index.html");
    let mut browser = Browser::start()?;
    let (bytes, _) = export(folder, arguments);
    let base64 = base64::prelude::BASE64_STANDARD.encode(&bytes);
    let script = folder.join("profile.js");
    let call = format!(
        "speedscope.loadFileFromBase64({}, {})",
        json!(file),
        json!(base64)
    );
    fs::write(&script, call).unwrap();
    let script = script.display().to_string();
    let script = script.trim_start_matches('/');
    browser.go(&format!(
        "file://{}#view=sandwich&localProfilePath={script}",
        page.display()
    ));
    browser.wait("document.querySelector('table tr:nth-child(2)') || document.body?.innerText.includes('went wrong')");
    browser.picture(&format!("speedscope-{file}"));
    let rows = browser.evaluate(
        "[document.title, ...Array.from(document.querySelectorAll('table tr'), it => it.innerText.replace(/\\s+/g, ' '))].join('\\n')",
    );
    browser.check_faultless();
    let lines = rows.as_str().unwrap().lines();
    let lines = lines.map(|it| format!("{}\n", Escaped(it)));
    Some(lines.collect())
}

#[track_caller]
fn check(arguments: &str, file: &str, expected: Expect) {
    if let Some(text) = viewed(samples::folder().path(), arguments, file) {
        expected.assert_eq(&text);
    }
}

#[test]
fn the_page_shows_a_profile_for_each_metric() {
    check(
        "heap --to speedscope --sort at-peak",
        "heap.speedscope.json",
        expect![[r#"
            heap - speedscope
            #NameTotal Weight
            1at-peak bytes10.40 KB
            2at-peak blocks89
            3current bytes9.51 KB
            4current blocks99
            5peak bytes11.51 KB
            6peak blocks101
            7total bytes14.49 KB
            8total blocks113
            9freed bytes4.98 KB
            10freed blocks14
            Total Self Symbol Name
            8.40 KB (81%) 8.40 KB (81%) alloc::raw_vec::RawVec<T,A>::grow_one
            2.00 KB (19%) 2.00 KB (19%) demo::load::<[u8; 16]>
            5 B (0.05%) 5 B (0.05%) <unknown>
            8.40 KB (81%) 0 B (<0.01%) demo::fill
            10.40 KB (>99%) 0 B (<0.01%) demo::main
        "#]],
    );
}

#[test]
fn the_page_opens_folded_stacks() {
    check(
        "heap --to folded --sort at-peak",
        "heap.folded",
        expect![[r#"
            heap.folded - speedscope
            Total Self Symbol Name
            8,600 (81%) 8,600 (81%) alloc::raw_vec::RawVec<T,A>::grow_one (library/alloc/src/raw_vec/mod.rs:340)
            2,048 (19%) 2,048 (19%) demo::load::<[u8: 16]> (src/load.rs:7)
            5 (0.05%) 5 (0.05%) <unknown>
            8,600 (81%) 0 (<0.01%) demo::fill (src/cache.rs:41)
            10,648 (>99%) 0 (<0.01%) demo::main (src/main.rs:3)
        "#]],
    );
}

#[test]
fn the_page_opens_pprof() {
    check(
        "heap --to pprof",
        "heap.pb.gz",
        expect![[r#"
        heap.pb.gz - speedscope
        Total Self Symbol Name
        9.47 KB (>99%) 9.47 KB (>99%) alloc::raw_vec::RawVec<T,A>::grow_one
        33 B (0.34%) 33 B (0.34%) </script><b>; \u{202e}"\
        5 B (0.05%) 5 B (0.05%) (unknown)
        33 B (0.34%) 0 B (<0.01%) demo::load::<[u8; 16]>
        9.47 KB (>99%) 0 B (<0.01%) demo::fill
        9.50 KB (>99%) 0 B (<0.01%) demo::main
    "#]],
    );
}

#[test]
fn files_are_as_in_the_schema() {
    let script = "
        const schema = require('speedscope/dist/release/file-format-schema.json');
        const valid = new (require('ajv'))({ strict: false }).compile(schema);
        const profile = JSON.parse(require('fs').readFileSync(process.argv[2]));
        valid(profile);
        const first = valid.errors;
        delete profile.profiles[0].weights;
        valid(profile);
        console.log(JSON.stringify({ first, withoutWeights: valid.errors.length > 0 }));";
    for folder in [samples::folder(), of_a_program()] {
        let file = folder.path().join("heap.json");
        fs::write(&file, export(folder.path(), "heap --to speedscope").0).unwrap();
        let Some(errors) = tools::node(script, &file) else {
            return;
        };
        assert_eq!(errors, json!({ "first": null, "withoutWeights": true }));
    }
}
