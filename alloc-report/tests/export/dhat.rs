//! DHAT's JSON in valgrind's `dh_view.html`.

use std::fs;
use std::path::Path;

use alloc_core::{Amount, Metric, Snapshot};
use expect_test::{Expect, expect};

use crate::browser::Browser;
use crate::samples::{self, of_a_program};
use crate::{export, tools};

/// What the viewer shows of an exported file.
fn viewed(folder: &Path, arguments: &str, picture: &str) -> Option<String> {
    let page = tools::file("/usr/libexec/valgrind/dh_view.html")?;
    let mut browser = Browser::start()?;
    let file = folder.join("dhat-heap.json");
    fs::write(&file, export(folder, arguments).0).unwrap();
    browser.go(&format!("file://{}", page.display()));
    browser.choose_file("input[type=file]", &file);
    browser.wait(
        "document.body?.innerText.includes('Processing time') || document.querySelector('.error')",
    );
    browser.picture(picture);
    let text = browser.text("pre");
    browser.check_faultless();
    let lines = text
        .lines()
        .map(str::trim_end)
        .filter(|it| !it.contains("PID:"));
    Some(lines.collect::<Vec<_>>().join("\n") + "\n")
}

#[track_caller]
fn check(arguments: &str, expected: Expect) {
    let picture = format!("dhat-{}", arguments.replace(" --", "-").replace(' ', "-"));
    if let Some(text) = viewed(samples::folder().path(), arguments, &picture) {
        expected.assert_eq(&text);
    }
}

#[test]
fn the_viewer_shows_all_metrics_and_mean_lifetimes() {
    check(
        "lives --to dhat",
        expect![[r#"
        Invocation {
          Mode:    rust-heap
          Command:
        }

        Times {
          t-gmax: 0 µs (0% of program duration)
          t-end:  1,572,864 µs
        }

        ▼ PP 1/1 (3 children) {
            Total:     14,834 bytes (100%, 9,431.2/s) in 113 blocks (100%, 71.84/s), avg size 131.27 bytes, avg lifetime 1,148,330.53 µs (73.01% of program duration)
            At t-gmax: 10,653 bytes (100%) in 89 blocks (100%), avg size 119.7 bytes
            At t-end:  9,738 bytes (100%) in 99 blocks (100%), avg size 98.36 bytes
            Allocated at {
              #0: [root]
            }
          }
          ├── PP 1.1/3 {
          │     Total:     10,700 bytes (72.13%, 6,802.88/s) in 107 blocks (94.69%, 68.03/s), avg size 100 bytes, avg lifetime 1,188,223.27 µs (75.55% of program duration)
          │     Max:       9,700 bytes in 97 blocks, avg size 100 bytes
          │     At t-gmax: 8,600 bytes (80.73%) in 86 blocks (96.63%), avg size 100 bytes
          │     At t-end:  9,700 bytes (99.61%) in 97 blocks (97.98%), avg size 100 bytes
          │     Allocated at {
          │       #1: 0x0: alloc::raw_vec::RawVec<T,A>::grow_one (/rustc/59807616e/library/alloc/src/raw_vec/mod.rs:340:9)
          │       #2: 0x0: demo::fill (src/cache.rs:41:9)
          │       #3: 0x0: demo::main (src/main.rs:3:9)
          │     }
          │   }
          ├── PP 1.2/3 {
          │     Total:     4,096 bytes (27.61%, 2,604.17/s) in 4 blocks (3.54%, 2.54/s), avg size 1,024 bytes, avg lifetime 5 µs (0% of program duration)
          │     Max:       2,048 bytes in 2 blocks, avg size 1,024 bytes
          │     At t-gmax: 2,048 bytes (19.22%) in 2 blocks (2.25%), avg size 1,024 bytes
          │     At t-end:  0 bytes (0%) in 0 blocks (0%), avg size 0 bytes
          │     Allocated at {
          │       #1: 0x0: demo::load::<[u8; 16]> (src/load.rs:7:9)
          │       #2: 0x0: demo::main (src/main.rs:3:9)
          │     }
          │   }
          └── PP 1.3/3 {
                Total:     2 blocks (1.77%, 1.27/s)
                Allocated at {
                  [2 insignificant]
                }
              }

        PP significance threshold: total >= 1.13 blocks (1%)
    "#]],
    );
}

#[test]
fn the_viewer_shows_one_metric_without_lifetimes() {
    check(
        "heap --to dhat",
        expect![[r#"
        Invocation {
          Mode:    rust-heap
          Command:
        }

        Times {
          t-end:  0 µs
        }

        ▼ PP 1/1 (3 children) {
            Total:     14,834 bytes (100%, ∞/s) in 113 blocks (100%, ∞/s), avg size 131.27 bytes
            Allocated at {
              #0: [root]
            }
          }
          ├── PP 1.1/3 {
          │     Total:     10,700 bytes (72.13%, ∞/s) in 107 blocks (94.69%, ∞/s), avg size 100 bytes
          │     Allocated at {
          │       #1: 0x0: alloc::raw_vec::RawVec<T,A>::grow_one (/rustc/59807616e/library/alloc/src/raw_vec/mod.rs:340:9)
          │       #2: 0x0: demo::fill (src/cache.rs:41:9)
          │       #3: 0x0: demo::main (src/main.rs:3:9)
          │     }
          │   }
          ├── PP 1.2/3 {
          │     Total:     4,096 bytes (27.61%, ∞/s) in 4 blocks (3.54%, ∞/s), avg size 1,024 bytes
          │     Allocated at {
          │       #1: 0x0: demo::load::<[u8; 16]> (src/load.rs:7:9)
          │       #2: 0x0: demo::main (src/main.rs:3:9)
          │     }
          │   }
          └── PP 1.3/3 {
                Total:     2 blocks (1.77%, ∞/s)
                Allocated at {
                  [2 insignificant]
                }
              }

        PP significance threshold: total >= 1.13 blocks (1%)
    "#]],
    );
    check(
        "heap --to dhat --sort at-peak",
        expect![[r#"
        Invocation {
          Mode:    rust-heap, at-peak
          Command:
        }

        Times {
          t-end:  0 µs
        }

        ▼ PP 1/1 (3 children) {
            Total:     10,653 bytes (100%, ∞/s) in 89 blocks (100%, ∞/s), avg size 119.7 bytes
            Allocated at {
              #0: [root]
            }
          }
          ├── PP 1.1/3 {
          │     Total:     8,600 bytes (80.73%, ∞/s) in 86 blocks (96.63%, ∞/s), avg size 100 bytes
          │     Allocated at {
          │       #1: 0x0: alloc::raw_vec::RawVec<T,A>::grow_one (/rustc/59807616e/library/alloc/src/raw_vec/mod.rs:340:9)
          │       #2: 0x0: demo::fill (src/cache.rs:41:9)
          │       #3: 0x0: demo::main (src/main.rs:3:9)
          │     }
          │   }
          ├── PP 1.2/3 {
          │     Total:     2,048 bytes (19.22%, ∞/s) in 2 blocks (2.25%, ∞/s), avg size 1,024 bytes
          │     Allocated at {
          │       #1: 0x0: demo::load::<[u8; 16]> (src/load.rs:7:9)
          │       #2: 0x0: demo::main (src/main.rs:3:9)
          │     }
          │   }
          └── PP 1.3/3 {
                Total:     5 bytes (0.05%, ∞/s) in 1 blocks (1.12%, ∞/s), avg size 5 bytes
                Allocated at {
                  #1: 0x0: <unknown> (???:0:0)
                }
              }

        PP significance threshold: total >= 0.89 blocks (1%)
    "#]],
    );
}

/// Inlined functions, cut stacks and many callsites: no stack is repeated, and sums are equal.
#[test]
fn the_viewer_s_sums_are_those_of_the_program() {
    let folder = of_a_program();
    let snapshot = Snapshot::load(folder.path().join("heap")).unwrap();
    let Some(text) = viewed(folder.path(), "heap --to dhat", "dhat-of-a-program") else {
        return;
    };
    let sum = |metric| {
        let mut sum = Amount::default();
        let traces = snapshot.traces().iter();
        traces.for_each(|it| sum += it.counters.amount(metric));
        (sum.bytes.get(), sum.blocks)
    };
    // `  Total:     47,000 bytes (100%, 0/s) in 12 blocks (100%, 0/s), avg size ..`
    let shown = |title: &str| {
        let line = text.lines().find(|it| it.contains(title)).unwrap();
        let numbers = line.split_once(title).unwrap().1.replace(',', "");
        let mut words = numbers.split_whitespace();
        let bytes: u64 = words.next().unwrap().parse().unwrap();
        let mut words = words.skip_while(|it| *it != "in").skip(1);
        (bytes, words.next().unwrap().parse::<u64>().unwrap())
    };
    assert_eq!(shown("Total:"), sum(Metric::Total), "{text}");
    assert_eq!(shown("At t-gmax:"), sum(Metric::AtPeak), "{text}");
    assert_eq!(shown("At t-end:"), sum(Metric::Current), "{text}");
}
