//! Snapshots for the tests of the page.

use alloc_core::{Amount, Bytes, Counters, Frame, Pinned, Residence, Snapshot, Trace, Traceback};

/// A generator of numbers: xorshift, with a seed of its own.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

const STD: &str = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library";
const REGISTRY: &str = "/home/x/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";

fn push() -> Frame {
    let file = format!("{STD}/alloc/src/vec/mod.rs");
    Frame::new(Some("alloc::vec::Vec<T,A>::push"), Some(&file), 2500, 13)
}

fn start() -> Frame {
    let file = format!("{STD}/std/src/rt.rs");
    Frame::new(Some("std::rt::lang_start"), Some(&file), 205, 5)
}

fn parser(line: u32) -> Frame {
    let file = format!("{REGISTRY}/json-parser-1.2.3/src/value.rs");
    Frame::new(
        Some("json_parser::value::Value::parse"),
        Some(&file),
        line,
        9,
    )
}

/// A line of `shop`, the program of these snapshots.
pub(crate) fn own(function: &str, file: &str, line: u32) -> Frame {
    Frame::new(
        Some(&format!("shop::{function}")),
        Some(&format!("/work/shop/src/{file}")),
        line,
        9,
    )
}

pub(crate) fn counters(current: u64, blocks: u64) -> Counters {
    let current = Amount::new(current, blocks);
    Counters {
        current,
        at_peak: current,
        peak: current,
        total: current,
        ..Counters::default()
    }
}

/// Callsites with recursion, libraries, labels, threads and types.
pub(crate) fn random(callsites: u64) -> Snapshot {
    let mut random = Random::new(0x5eed);
    let mut traces = Vec::new();
    for _ in 0..callsites {
        let mut frames = vec![push()];
        for _ in 0..1 + random.below(12) {
            frames.push(match random.below(3) {
                0 => parser(10 + random.below(4) as u32),
                1 => own(
                    "cache::Cache<K>::insert",
                    "cache.rs",
                    40 + random.below(5) as u32,
                ),
                _ => own("handle", "main.rs", 7 + random.below(5) as u32),
            });
        }
        frames.push(own("main", "main.rs", 3));
        frames.push(start());
        let mut amount = || match random.below(4) {
            0 => Amount::default(),
            _ => Amount::new(1 + random.below(1 << 20), 1 + random.below(50)),
        };
        let mut counters = Counters {
            current: amount(),
            at_peak: amount(),
            peak: amount(),
            ..Counters::default()
        };
        counters.total = counters.current;
        counters.total += amount();
        let mut trace = Trace::new(Traceback::new(frames), counters);
        if random.below(3) > 0 {
            trace = trace
                .with_label(["request", "request > decode", "upload"][random.below(3) as usize]);
        }
        if random.below(3) > 0 {
            trace = trace.with_type(
                ["Vec<String>", "HashMap<u64, shop::Session>"][random.below(2) as usize],
            );
        }
        traces.push(trace.with_thread(["main", "worker-1"][random.below(2) as usize]));
    }
    Snapshot::from_traces(traces, 32)
}

/// A line of the program, what it held before and holds now, and at which moments. The whole of `all`
/// is 1,000 KiB, so that shares are easy to read.
pub(crate) fn shop() -> Snapshot {
    let trace = |frames: Vec<Frame>, kib: u64, blocks| {
        let frames = [
            vec![push()],
            frames,
            vec![own("main", "main.rs", 3), start()],
        ]
        .concat();
        Trace::new(Traceback::new(frames), counters(kib << 10, blocks))
    };
    let cache = own("cache::Cache<K>::insert", "cache.rs", 41);
    let handle = own("handle", "main.rs", 7);
    Snapshot::from_traces(
        vec![
            trace(vec![cache, handle.clone()], 600, 60).with_type("Vec<String>"),
            trace(vec![parser(12), handle.clone()], 300, 3).with_type("String"),
            trace(vec![own("log", "log.rs", 5)], 100, 10).with_type("String"),
        ],
        32,
    )
}

/// [`shop`] with where its resident memory goes.
pub(crate) fn resident_shop() -> Snapshot {
    let shop = shop();
    let traces = shop.traces().iter().enumerate().map(|(at, trace)| {
        let kib = [4000, 3, 0][at];
        trace.clone().with_pinned(Pinned {
            unused: Bytes::kib(kib),
            alone: Bytes::kib(kib + 96),
            own: Bytes::kib(96),
        })
    });
    let mut shop = Snapshot::from_traces(traces.collect(), 32);
    let mut residence = Residence::default();
    residence.live = Bytes::mib(1);
    residence.between = Bytes::mib(4);
    residence.free = Bytes::mib(3);
    residence.tracer = Bytes::mib(1);
    residence.files = Bytes::kib(512);
    residence.other = Bytes::kib(512);
    residence.resident = Bytes::kib(10_250);
    shop.set_residence(residence);
    shop.set_metadata("allocator.glibc.free", "7340032");
    shop.set_metadata("allocator.glibc.in use", "1048576");
    shop
}

/// [`shop`] before: the cache held a sixth, and the log twice as much.
pub(crate) fn shop_before() -> Snapshot {
    let traces = shop().traces().to_vec().into_iter().map(|mut it| {
        let kib = match it.counters.current.bytes.get() >> 10 {
            600 => 100,
            100 => 200,
            other => other,
        };
        it.counters = counters(kib << 10, it.counters.current.blocks);
        it
    });
    Snapshot::from_traces(traces.collect(), 32)
}

/// Names that would break a page that took them for markup, or for short.
pub(crate) const HOSTILE: &[&str] = &[
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "a\"b'c`d${window.broken = 3}&lt;&amp;{{data}}",
    "line\nbreak\ttab\u{0}null\u{1b}[31mescape",
    "\u{202e}backwards\u{202c} \u{2066}isolated\u{2069} \u{200f}mark",
    "__proto__",
    "constructor",
    "",
];

/// A snapshot whose every name is hostile.
pub(crate) fn hostile() -> Snapshot {
    let long = format!("a::B<{}>", "Generic<u8>, ".repeat(800));
    let names = HOSTILE.iter().copied().chain([long.as_str()]);
    let traces = names.zip(1..).map(|(name, line)| {
        let frame = Frame::new(Some(name), Some(name), line, 1);
        let outer = Frame::new(Some("shop::main"), Some("/work/shop/src/main.rs"), 3, 1);
        Trace::new(
            Traceback::new(vec![frame, outer]),
            counters(u64::from(line) << 10, 1),
        )
        .with_label(name)
        .with_thread(name)
        .with_type(name)
    });
    let mut snapshot = Snapshot::from_traces(traces.collect(), 32);
    snapshot.set_metadata("</script>", HOSTILE[1]);
    snapshot
}

/// Distinct stacks of thirty frames.
pub(crate) fn large(callsites: u32) -> Snapshot {
    let mut random = Random::new(30);
    let mut known: Vec<Frame> = Vec::new();
    for line in 1..4_000 {
        known.push(own(
            &format!("module_{}::function_{}", line % 40, line / 4),
            &format!("module_{}.rs", line % 40),
            line,
        ));
    }
    let traces = (0..callsites).map(|number| {
        let mut frames = Vec::with_capacity(30);
        for depth in 0..30 {
            // The outer frames are shared, as those of a program are.
            let few = match depth {
                0..8 => 4_000 - 1,
                8..20 => 200,
                _ => 4,
            };
            frames.push(known[random.below(few) as usize].clone());
        }
        Trace::new(
            Traceback::new(frames),
            counters(16 + random.below(4096), 1 + u64::from(number % 7)),
        )
    });
    Snapshot::from_traces(traces.collect(), 32)
}
