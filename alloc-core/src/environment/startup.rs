//! Reads the variables of the [`environment`](crate::environment).
//!
//! This happens at the first allocation, before `main`, so the code does not allocate. An invalid
//! value ends the program with a message that shows what was expected.

use std::ffi::CStr;
use std::time::Duration;

use crate::control::Config;
use crate::environment::reporter::{self, Order};
use crate::environment::signals::{self, Signal};
use crate::environment::template::{Beginning, Template};
use crate::environment::watch::{self, Conditions};
use crate::snapshot::file::Names;
use crate::tables::callsites::MAX_CALLSITES;
use crate::tables::sampling::Interval;
use crate::write::With;
use crate::{environment::reach, environment::variables, system::hooks};

const PATH: &str = "a path in which %p is the process id, %n the number of the snapshot, \
    %t the time, %h the host's name and %% a percent sign";

const SECONDS: &str = "a number of seconds from 0.01 to 1000000";
const BYTES: &str = "a number of bytes from 1 to 64MiB, as 524288 or 512KiB";
const NAMES: &str = "1 for snapshots with names, or 0 for addresses";
const FRAMES: &str = "a number of frames from 1 to 1000, or 0 for off";
const THREADS: &str = "1 to group by thread name, or 0 not to";
const SIZES: &str = "1 to class blocks by their own size, or 0 not to";
const LIFETIMES: &str = "1 to record how long blocks live, or 0 not to";
const FREES: &str = "1 to count who frees whose memory, or 0 not to";
const RESIDENT: &str = "1 to say where the resident memory goes, or 0 not to";
const SLACK: &str = "1 to measure slack, or 0 not to";
const EXACT_GRAPH: &str = "1 for heap graphs with exact sizes and ages, or 0 for the default";
const EXACT_PEAK: &str = "1 for an exact peak, or 0 for the default";
const CALLSITES: &str = "a number of callsites from 1 to 1000000";
const KEEP: &str = "a number of snapshots from 1 to 1000000";

/// Returns the configuration to start with, if the environment starts tracing.
///
/// Passes everything else on to the [`reporter`].
pub(crate) fn config_from_environment() -> Option<Config> {
    variables::warn_of_unknown();
    let out = value(c"ALLOC_TRACE_OUT", PATH, valid_template);
    let live = value(c"ALLOC_TRACE_LIVE", PATH, valid_template);
    let every = number(c"ALLOC_TRACE_EVERY", SECONDS, parse_seconds);
    let signal = number(c"ALLOC_TRACE_SIGNAL", signals::EXPECTED, Signal::from_name);
    let graph_signal = number(
        c"ALLOC_TRACE_GRAPH_SIGNAL",
        signals::EXPECTED,
        Signal::from_name,
    );
    if signal.is_some() && signal == graph_signal {
        refuse(&[
            "ALLOC_TRACE_GRAPH_SIGNAL: expected another signal than that of ALLOC_TRACE_SIGNAL, found the same\n",
        ]);
    }
    let when = number(c"ALLOC_TRACE_WHEN", watch::EXPECTED, Conditions::parse);
    let keep = number(c"ALLOC_TRACE_KEEP", KEEP, |it| parse_count(it, 1_000_000));
    let names = number(c"ALLOC_TRACE_NAMES", NAMES, parse_switch);
    let sample = number(c"ALLOC_TRACE_SAMPLE", BYTES, parse_bytes);
    let frames = number(c"ALLOC_TRACE", FRAMES, parse_frames);
    let threads = number(c"ALLOC_TRACE_THREADS", THREADS, parse_switch);
    let sizes = number(c"ALLOC_TRACE_SIZES", SIZES, parse_switch);
    let lifetimes = number(c"ALLOC_TRACE_LIFETIMES", LIFETIMES, parse_switch);
    let frees = number(c"ALLOC_TRACE_FREES", FREES, parse_switch);
    let slack = number(c"ALLOC_TRACE_SLACK", SLACK, parse_switch);
    let resident = number(c"ALLOC_TRACE_RESIDENT", RESIDENT, parse_switch);
    let exact_graph = number(c"ALLOC_TRACE_EXACT_GRAPH", EXACT_GRAPH, parse_switch);
    let exact_peak = number(c"ALLOC_TRACE_EXACT_PEAK", EXACT_PEAK, parse_switch);
    let callsites = number(c"ALLOC_TRACE_MAX_CALLSITES", CALLSITES, |it| {
        parse_count(it, MAX_CALLSITES)
    });
    // The first variable that requests a file stands for all of them in messages.
    let asking = [
        out.map(|_| "ALLOC_TRACE_OUT"),
        every.map(|_| "ALLOC_TRACE_EVERY"),
        signal.map(|_| "ALLOC_TRACE_SIGNAL"),
        graph_signal.map(|_| "ALLOC_TRACE_GRAPH_SIGNAL"),
        live.map(|_| "ALLOC_TRACE_LIVE"),
        when.map(|_| "ALLOC_TRACE_WHEN"),
    ];
    let asking = asking.into_iter().flatten().next();
    if let Some(asking) = asking {
        let beginning = Beginning::here();
        let kept =
            |text: Option<_>| text.map_or(Some(None), |it| Template::new(it, beginning).map(Some));
        let (Some(at_exit), Some(live)) = (kept(out), kept(live)) else {
            // The program continues without tracing.
            hooks::write_to_stderr(&[
                "alloc-core: tracing could not be started: the system gave no memory for a path\n",
            ]);
            return None;
        };
        let order = Order {
            every,
            signal,
            graph_signal,
            live,
            when,
            numbered: at_exit.unwrap_or(Template::default_numbered(beginning)),
            at_exit,
            keep,
            with: With {
                names: match names {
                    Some(true) => Names::Symbols,
                    _ => Names::Addresses,
                },
                residence: resident.unwrap_or(false) && sample.is_none(),
            },
        };
        if frames != Some(0) {
            let asks = every.is_some() || when.is_some() || order.any_signal().is_some();
            if at_exit.is_some() || asks {
                reach::warn_if_unwritable(asking, order.numbered);
            }
            if let Some(live) = live {
                reach::warn_if_unwritable("ALLOC_TRACE_LIVE", live);
            }
        }
        if !reporter::order(order) {
            refuse(&["the system refused an exit handler\n"]);
        }
    }
    if frames.is_none() && sample.is_none() {
        if let Some(asking) = asking {
            hooks::write_to_stderr(&[
                "alloc-core: ",
                asking,
                ": nothing is traced yet: set ALLOC_TRACE=128 as well, unless the program calls \
                 alloc_core::start()\n",
            ]);
        }
        let of_config = [
            threads.map(|_| "ALLOC_TRACE_THREADS"),
            sizes.map(|_| "ALLOC_TRACE_SIZES"),
            lifetimes.map(|_| "ALLOC_TRACE_LIFETIMES"),
            frees.map(|_| "ALLOC_TRACE_FREES"),
            slack.map(|_| "ALLOC_TRACE_SLACK"),
            resident.map(|_| "ALLOC_TRACE_RESIDENT"),
            exact_graph.map(|_| "ALLOC_TRACE_EXACT_GRAPH"),
            exact_peak.map(|_| "ALLOC_TRACE_EXACT_PEAK"),
            callsites.map(|_| "ALLOC_TRACE_MAX_CALLSITES"),
        ];
        for name in of_config.into_iter().flatten() {
            hooks::write_to_stderr(&[
                "alloc-core: ",
                name,
                ": has no effect without ALLOC_TRACE or ALLOC_TRACE_SAMPLE\n",
            ]);
        }
    }
    match (frames, sample) {
        (Some(0), _) | (None, None) => None,
        (frames, sample) => {
            let of_every_block = |name: &str, needs: &str, wanted: Option<bool>| {
                let wanted = wanted.unwrap_or(false);
                if wanted && sample.is_some() {
                    hooks::write_to_stderr(&[
                        "alloc-core: ",
                        name,
                        ": has no effect with ALLOC_TRACE_SAMPLE: ",
                        needs,
                        " every block\n",
                    ]);
                }
                wanted && sample.is_none()
            };
            let lifetimes = of_every_block("ALLOC_TRACE_LIFETIMES", "lifetimes need", lifetimes);
            let slack = of_every_block("ALLOC_TRACE_SLACK", "slack needs", slack);
            of_every_block("ALLOC_TRACE_RESIDENT", "where memory goes needs", resident);
            let frees = of_every_block("ALLOC_TRACE_FREES", "who frees needs", frees);
            let exact_graph =
                of_every_block("ALLOC_TRACE_EXACT_GRAPH", "a heap graph needs", exact_graph);
            let default = Config::default();
            let mut config = default
                .sample_every(sample.unwrap_or(0))
                .threads(threads.unwrap_or(false))
                .sizes(sizes.unwrap_or(false))
                .lifetimes(lifetimes)
                .slack(slack)
                .frees(frees)
                .exact_graph(exact_graph)
                .exact_peak(exact_peak.unwrap_or(false));
            if let Some(frames) = frames {
                config = config.frames(frames);
            }
            if let Some(callsites) = callsites {
                config = config.max_callsites(callsites);
            }
            Some(config)
        }
    }
}

fn valid_template(text: &'static [u8]) -> Option<&'static [u8]> {
    Template::is_valid(text).then_some(text)
}

/// Parses a variable that is a number or a name. An invalid value ends the program.
fn number<T>(
    name: &'static CStr,
    expected: &str,
    parse: impl FnOnce(&'static str) -> Option<T>,
) -> Option<T> {
    value(name, expected, |text| {
        str::from_utf8(text).ok().and_then(parse)
    })
}

/// Parses a variable. `None` if it is unset or empty. An invalid value ends the program.
fn value<T>(
    name: &'static CStr,
    expected: &str,
    parse: impl FnOnce(&'static [u8]) -> Option<T>,
) -> Option<T> {
    let found = hooks::environment(name).filter(|it| !it.is_empty())?;
    let parsed = parse(found.to_bytes());
    if parsed.is_none() {
        let name = name.to_str().unwrap_or_default();
        let found = found.to_str().unwrap_or("a value that is not UTF-8");
        refuse(&[name, ": expected ", expected, "; found \"", found, "\"\n"]);
    }
    parsed
}

/// Ends the program with a message and status 2.
pub(crate) fn refuse(message: &[&str]) -> ! {
    hooks::write_to_stderr(&["alloc-core: "]);
    hooks::write_to_stderr(message);
    hooks::exit_at_once(2)
}

/// Whether a text consists of digits and points.
///
/// NOTE: `str::parse` also accepts signs, exponents, `inf` and `NaN`.
fn is_plain(digits: &str) -> bool {
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Parses a number of frames. Zero means off.
fn parse_frames(text: &str) -> Option<u16> {
    let frames = text.parse().ok().filter(|_| is_plain(text))?;
    (frames <= Config::MAX_FRAMES).then_some(frames)
}

fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn parse_count(text: &str, most: u32) -> Option<u32> {
    let count = text.parse().ok().filter(|_| is_plain(text))?;
    (1..=most).contains(&count).then_some(count)
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok().filter(|_| is_plain(text))?;
    (0.01..=1e6)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// Parses a number of bytes, with or without a unit.
fn parse_bytes(text: &str) -> Option<u64> {
    let bytes = crate::Bytes::parse(text)?.get();
    (1..=Interval::MOST).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_a_plain_number_in_range() {
        assert_eq!(parse_frames("0"), Some(0));
        assert_eq!(parse_frames("1"), Some(1));
        assert_eq!(parse_frames("1000"), Some(1000));
        for wrong in [
            "-1",
            "+5",
            "1001",
            "65536",
            "1073741824",
            "abc",
            "1 ",
            "1.0",
            "yes",
            "0x10",
        ] {
            assert_eq!(parse_frames(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn seconds_are_a_plain_decimal_in_range() {
        assert_eq!(parse_seconds("0.01"), Some(Duration::from_millis(10)));
        assert_eq!(parse_seconds("60"), Some(Duration::from_secs(60)));
        assert_eq!(parse_seconds("1."), Some(Duration::from_secs(1)));
        assert_eq!(
            parse_seconds("1000000"),
            Some(Duration::from_secs(1_000_000))
        );
        for wrong in [
            "0", "0.009", "-1", "+1", "1e3", "inf", "NaN", ".5", "1s", "1000001", "1.2.3",
        ] {
            assert_eq!(parse_seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn counts_are_plain_and_in_range() {
        assert_eq!(parse_count("1", 9), Some(1));
        assert_eq!(parse_count("9", 9), Some(9));
        for wrong in ["0", "10", "+1", "-1", "1.0", "", "many"] {
            assert_eq!(parse_count(wrong, 9), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_may_have_a_unit() {
        assert_eq!(parse_bytes("1"), Some(1));
        assert_eq!(parse_bytes("524288"), parse_bytes("512KiB"));
        assert_eq!(parse_bytes("64MiB"), Some(64 << 20));
        assert_eq!(parse_bytes("1 MiB"), Some(1 << 20));
        for wrong in [
            "0",
            "-1",
            "65MiB",
            "1GiB",
            "1kb",
            "KiB",
            "1.5MiB",
            "99999999999999999999",
        ] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }
}
