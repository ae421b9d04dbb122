//! Assertions that would test nothing do not compile, and the errors say what to write instead.

// What the compiler refuses is not a matter of the profile, and it takes minutes.
#![cfg(debug_assertions)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The compiled libraries for a program with the tracer and tokio.
struct Libraries {
    folder: PathBuf,
    alloc_core: PathBuf,
    tokio: PathBuf,
}

/// The libraries of this test, whose places cargo knows.
fn libraries() -> &'static Libraries {
    static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        let profile = if cfg!(debug_assertions) {
            "test"
        } else {
            "release"
        };
        let cargo = Command::new(env!("CARGO"))
            .args([
                "test",
                "--package",
                "alloc-tests",
                "--test",
                "refused",
                "--no-run",
            ])
            .args(["--message-format", "json", "--profile", profile])
            .output()
            .expect("cargo runs");
        assert!(cargo.status.success(), "{cargo:?}");
        let messages = String::from_utf8(cargo.stdout).expect("JSON");
        let library = |name: &str| {
            let is_it = |it: &&str| it.ends_with(".rlib") && it.contains(name);
            PathBuf::from(messages.split('"').rfind(is_it).expect(name))
        };
        let alloc_core = library("/liballoc_core-");
        Libraries {
            folder: alloc_core.parent().expect("a folder").to_owned(),
            alloc_core,
            tokio: library("/libtokio-"),
        }
    })
}

/// The compiler's errors and warnings for a program, each with its line.
fn errors(name: &str, program: &str) -> Vec<String> {
    let Libraries {
        folder,
        alloc_core,
        tokio,
    } = libraries();
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join(format!("{name}.rs"));
    std::fs::write(&path, program).expect("a file");
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args([
            "--edition",
            "2024",
            "--test",
            "--emit",
            "metadata",
            "--crate-name",
            name,
        ])
        .args(["-W", "warnings", "--color", "never"])
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg("--extern")
        .arg(format!("alloc_core={}", alloc_core.display()))
        .arg("--extern")
        .arg(format!("tokio={}", tokio.display()))
        .arg("--out-dir")
        .arg(temporary.path())
        .arg(&path)
        .env("CARGO_MANIFEST_DIR", temporary.path())
        .output()
        .expect("rustc runs");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let mut errors = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let place = lines
            .peek()
            .and_then(|it| it.trim_start().strip_prefix("--> "));
        let place = place.and_then(|it| it.strip_prefix(path.to_str()?)?.split(':').nth(1));
        if let (Some(number), Some((_, message))) = (place, line.split_once(": ")) {
            errors.push(format!("{number}: {message}"));
        }
        // The error says what to write instead.
        if let Some((_, note)) = line.split_once("= note: write ") {
            errors.push(format!("  write {note}"));
        }
    }
    assert!(output.status.success() || !errors.is_empty(), "{text}");
    errors
}

#[track_caller]
fn check(name: &str, program: &str, expected: &[&str]) {
    let errors = errors(name, program);
    assert_eq!(errors, expected, "{}", errors.join("\n"));
}

const IS_A_FUTURE: &str =
    "this work is a future, which is not run: put `async` before it, and the macro awaits it";
const WRITE: &str = "  write `assert_memory!(async f(), ..)`, `assert_peak!(async f(), ..)`, \
                     `assert_no_alloc!(async f())`, `assert_no_leak!(async f())`, \
                     `assert_memory_snapshot!(\"name\", async f())` or \
                     `assert_no_growth!(rounds = 3, async || f().await)`, without `.await` after it";

#[test]
fn futures_that_are_not_polled() {
    let program = r#"use alloc_core::*;
async fn f() {}
async fn work() {
    assert_no_alloc!(f()).await;
    assert_peak!(f(), <= 1 KiB).await;
    assert_memory!(f(), peak <= 1 KiB, allocations == 3);
    assert_no_leak!(Box::pin(f()));
    assert_no_growth!(rounds = 3, || f());
    assert_no_growth!(rounds = 3, warmup = 2, threads = "all", f);
    assert_memory_snapshot!("name", f());
    assert_peak!(async { f() }, <= 1 KiB);
    assert_no_growth!(rounds = 3, async || f());
}
"#;
    let expected: Vec<String> = (4..=12)
        .flat_map(|line| [format!("{line}: {IS_A_FUTURE}"), WRITE.to_owned()])
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check("futures", program, &expected);
}

/// A value that is no future compiles, also if its type is inferred from its use.
#[test]
fn values_of_all_kinds_are_taken() {
    let program = r#"use alloc_core::*;
async fn f() -> usize { 1 }
fn generic<T: Default>() -> T { assert_no_alloc!(T::default()) }
fn takes(_: u32) {}
fn sends<T: Send>(_: T) {}
async fn work(numbers: &[u32], moved: String) -> Result<String, std::num::ParseIntError> {
    let number: u32 = assert_no_alloc!("5".parse())?;
    let sum: u32 = assert_peak!(numbers.iter().sum(), <= 1 KiB);
    let mut list = assert_no_alloc!(Vec::new());
    list.push(number);
    takes(assert_no_alloc!("5".parse().unwrap()));
    takes(assert_no_leak!(1 + 1));
    let _: u8 = generic();
    let mut text = String::new();
    let one = assert_peak!(async f(), <= 1 KiB);
    let other = assert_peak!(async { text.push('x'); f().await }, <= 1 KiB, threads = "all");
    let boxed: Box<dyn std::any::Any + Send> = assert_peak!(Box::new((one, other, sum)), <= 1 KiB,);
    drop(boxed);
    assert_no_alloc!(async f());
    assert_memory_snapshot!("name", tolerance = 5 %, threads = "own", async f());
    Ok(assert_memory!(async move { moved }, peak <= 1 KiB, leaked == 0 B,))
}
async fn rounds() {
    let mut kept: Vec<usize> = vec![];
    assert_no_growth!(rounds = 3, async || kept.push(f().await));
    assert_no_growth!(rounds = 3, warmup = 2, threads = "all", async || { f().await; },);
    assert_no_growth!(rounds = 3, threads = "own", || takes(1));
}
#[test]
fn of_the_standard_library() {
    sends(work(&[], String::new()));
    drop(rounds());
}
"#;
    check("values", program, &[]);
}

#[test]
fn values_whose_type_is_inferred_later() {
    let program = r#"use alloc_core::*;
fn takes(_: u32) {}
fn main() {
    let number = assert_no_alloc!("5".parse().unwrap());
    takes(number);
}
"#;
    let errors = errors("later", program);
    let expected = [
        "4: the type of this work's value must be known here",
        "  write the type here, as in `let value: u32 = assert_memory!(..)`: a future is refused, and this could \
         have been one",
    ];
    assert_eq!(errors[..2], expected, "{}", errors.join("\n"));
}

#[test]
fn limits_that_are_none() {
    let program = r#"use alloc_core::*;
fn f() {}
fn main() {
    assert_peak!(f(), 64);
    assert_peak!(f(), 64 KiB);
    assert_peak!(f());
    assert_peak!(f(), <= 64 kb);
    assert_peak!(f(), < 64 KiB);
    assert_memory!(f());
    assert_memory!(f(), threads = "all");
    assert_memory!(f(), peak <= 1 KiB, threads = "some");
    assert_memory!(f(), peaks <= 1 KiB);
    assert_memory!(f(), peak <= );
    assert_no_growth!(rounds = 3, async f());
}
"#;
    check(
        "limits",
        program,
        &[
            "4: expected <=, >= or == before the number, as in `peak <= 64 KiB`; found `peak 64`",
            "5: expected <=, >= or == before the number, as in `peak <= 64 KiB`; found `peak 64 KiB`",
            "6: expected a limit after the work, as in `peak <= 64 KiB`; found none",
            "7: expected a number with B, KiB, MiB or GiB, or an expression in parentheses; found 64 kb",
            "8: expected <=, >= or ==; found <",
            "9: expected a limit after the work, as in `peak <= 64 KiB`; found none",
            "10: expected a limit after the work, as in `peak <= 64 KiB`; found none",
            "11: expected `threads = \"all\"` or `threads = \"own\"`; found `threads = \"some\"`",
            "12: expected peak, allocated or leaked with bytes, or allocations or reallocations with a number \
             without a unit; found peaks KiB",
            "13: expected limits, as in `peak <= 64 KiB, allocations == 3`; found `peak <=`",
            "14: expected an async closure, as in `async || service.handle().await`",
        ],
    );
}

#[test]
fn estimates_that_are_none() {
    let program = r#"use alloc_core::*;
async fn load() -> Vec<u8> { vec![] }
struct Sized;
impl Sized { fn size(&self) -> i32 { 1 } }
fn main() {
    let table = vec![1];
    assert_size_matches!();
    assert_size_matches!(24, || vec![1]);
    assert_size_matches!(table.capacity(), || vec![1]);
    assert_size_matches!(value.capacity());
    assert_size_matches!(value.capacity(), || vec![1], tolerance = 5);
    assert_size_matches!(value.capacity(), || vec![1], tolerance = 5 percent);
    assert_size_matches!(value.capacity(), || vec![1], within 5 %);
    assert_size_matches!(value.capacity(), || vec![1], threads = "some");
    assert_size_matches!(value.capacity(), async load());
    assert_size_matches!(value.size(), || Sized);
}
"#;
    let expected = "expected an estimate and a closure that builds the value, as in \
                    `value.heap_size(), || build()` or `|table: &Table| table.heap_size(), || build()`; \
                    to compare with a number, write `assert_memory!(build(), leaked == (number))`";
    let none: Vec<String> = (7..=10).map(|line| format!("{line}: {expected}")).collect();
    let mut all: Vec<&str> = none.iter().map(String::as_str).collect();
    all.extend([
        "11: expected `tolerance = 5 %`, `tolerance = 64 B`, `size_of_val = true` or `threads = \"all\"`; found `tolerance = 5`",
        "12: expected a number with B, KiB, MiB or GiB, or an expression in parentheses; found 5 percent",
        "13: expected `tolerance = 5 %`, `tolerance = 64 B`, `size_of_val = true` or `threads = \"all\"`; found `within 5 %`",
        "14: expected `threads = \"all\"` or `threads = \"own\"`; found `threads = \"some\"`",
        "15: expected an async closure, as in `async || load().await`",
        "16: an estimate is a number of bytes: expected `usize`, `u64` or `Bytes`, found `i32`",
    ]);
    check("estimates", program, &all);
}

/// All of the compiler's lints find the same in code with and without the attributes.
#[test]
fn attributes_bring_no_lints() {
    let program = r#"#![warn(unused, nonstandard_style, future_incompatible, let_underscore, rust_2018_idioms)]
pub fn unit() { drop(1_u8.to_string()); }
pub fn one() -> String { 1_u8.to_string() }
pub fn early(n: u8) -> Result<u8, String> { if n == 0 { return Err("x".to_owned()); } Ok(n) }
pub fn never() -> ! { loop { std::hint::spin_loop(); } }
pub fn generic<'a, T: AsRef<str>>(t: &'a T) -> &'a str where T: 'a { t.as_ref() }
pub async fn nothing() { std::future::ready(()).await; }
pub async fn later(n: u8) -> Result<u8, String> { if n == 0 { return Err("x".to_owned()); } Ok(n) }
pub async fn for_ever() -> ! { loop { std::future::ready(()).await; } }
pub async fn opaque(n: &u8) -> impl Iterator<Item = u8> { std::iter::once(*n) }
pub struct Number(u8);
impl Number {
    pub fn get(self) -> u8 { self.0 }
    pub async fn set(&mut self) -> &mut u8 { self.0 = 1; &mut self.0 }
}
"#;
    check("without", program, &[]);
    let profiled = program.replace("pub fn", "#[alloc_core::profile] pub fn");
    let profiled = profiled.replace("pub async", "#[alloc_core::profile] pub async");
    check("with", &profiled, &[]);
    let tests = r#"#![warn(unused, nonstandard_style, future_incompatible, let_underscore, rust_2018_idioms)]
#[alloc_core::memory_test(peak = "1 KiB")]
fn unit() { drop(1_u8.to_string()); }
#[alloc_core::memory_test(peak = "1 KiB")]
fn result() -> Result<(), String> { Ok(()) }
#[alloc_core::memory_test(peak = "1 KiB")]
#[tokio::test]
async fn on_its_thread() -> Result<(), String> { Ok(()) }
#[alloc_core::memory_test(peak = "1 KiB", threads = "own")]
#[tokio::test]
async fn own() { std::future::ready(()).await }
#[alloc_core::memory_test(peak = "1 KiB", threads = "all")]
#[tokio::test]
async fn all() -> Result<(), String> { Ok(()) }
"#;
    check("tests", tests, &[]);
}

/// A glob import of the library hides no name of the standard library.
#[test]
fn attributes_in_the_wrong_order() {
    let program = r#"use alloc_core::*;
#[tokio::test]
#[alloc_core::memory_test(peak = "1 KiB")]
async fn order() {}

#[test]
/// A test.
#[memory_test(peak = "1 KiB")]
fn twice() {}

#[memory_test]
fn nothing() {}

#[memory_test(leaks = 0)]
fn leaks() {}

#[memory_test(peak = "1 KiB")]
#[tokio::test(flavor = "multi_thread")]
async fn threads() {}

#[memory_test(peak = "1 KiB", threads = "own")]
#[tokio::test(flavor = "multi_thread")]
async fn own_threads() {}

#[memory_test(leaked = 0)]
#[test]
fn beside() {}

#[test]
fn plain() {}
"#;
    check(
        "attributes",
        program,
        &[
            "3: #[alloc_core::memory_test]: expected #[tokio::test] below it, found it above: \
             #[alloc_core::memory_test(..)] comes first, #[tokio::test] second",
            "8: #[alloc_core::memory_test]: expected no #[test] above it, which runs the test a second time without \
             its limits: remove #[test]",
            "11: #[alloc_core::memory_test]: expected a limit such as peak = \"64 KiB\", found none",
            "14: #[alloc_core::memory_test]: expected peak, allocated, leaked, allocations, threads or graph, found leaks",
            "17: #[alloc_core::memory_test]: this test's runtime starts threads; use `threads = \"all\"` to count \
             what they do, or `threads = \"own\"` to leave it out",
        ],
    );
}
