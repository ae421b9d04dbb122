use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A named test.
pub type Test = (&'static str, fn());

/// Defines `main`, which runs the named functions in order. They are functions of this file, or of
/// the module in front of the braces.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::run(&[$((stringify!($test), $test as fn())),*])
        }
    };
    ($($module:ident { $($test:ident),* $(,)? })*) => {
        fn main() -> std::process::ExitCode {
            $crate::run(&[$($((stringify!($test), $module::$test as fn())),*),*])
        }
    };
}

/// Runs tests one after the other on the calling thread, and turns tracing off after each.
///
/// libtest runs each test on its own thread and allocates on others meanwhile. A test that counts
/// every byte needs the process to itself. Of libtest's command line, `run` understands what `cargo
/// test` and `cargo nextest` pass: names, `--exact`, `--skip`, `--list` and `--ignored` (no test is
/// ignored). Other flags are accepted and have no effect.
pub fn run(tests: &[Test]) -> ExitCode {
    let options = Options::from_arguments();
    let chosen = || tests.iter().filter(|(name, _)| options.choose(name));
    if options.list {
        chosen().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen().count());
    let mut failed = Vec::new();
    for (name, test) in chosen() {
        let result = catch_unwind(AssertUnwindSafe(test));
        alloc_core::stop();
        match result {
            Ok(()) => println!("test {name} ... ok"),
            Err(panic) => {
                println!("test {name} ... FAILED: {}", message(&*panic));
                failed.push(name);
            }
        }
    }
    let passed = chosen().count() - failed.len();
    println!("\ntest result: {passed} passed; {} failed\n", failed.len());
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

#[derive(Default)]
struct Options {
    list: bool,
    exact: bool,
    only_ignored: bool,
    names: Vec<String>,
    skipped: Vec<String>,
}

impl Options {
    fn from_arguments() -> Options {
        let mut options = Options::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => options.list = true,
                "--exact" => options.exact = true,
                "--ignored" => options.only_ignored = true,
                "--skip" => options.skipped.extend(arguments.next()),
                "--format" | "--test-threads" | "--color" | "--logfile" | "-Z" => {
                    arguments.next();
                }
                flag if flag.starts_with('-') => {}
                _ => options.names.push(argument),
            }
        }
        options
    }

    fn choose(&self, test: &str) -> bool {
        let is_named = |name: &String| {
            if self.exact {
                test == name
            } else {
                test.contains(name.as_str())
            }
        };
        !self.only_ignored
            && (self.names.is_empty() || self.names.iter().any(is_named))
            && !self.skipped.iter().any(is_named)
    }
}
