//! The example service while clients come, asked by Go's pprof: what it says adds up.

use std::collections::BTreeMap;

use alloc_tests::{Tool, wait_until};

use crate::client::Served;
use crate::metrics::numbers;
use crate::profiles::go;

/// A stack's addresses, innermost first, and its label.
type Key = (Vec<u64>, String);

/// The values of each stack: what was allocated as blocks and bytes, and what is live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Profile(BTreeMap<Key, [i64; 4]>);

/// The routes of the example.
const ROUTES: [&str; 3] = ["/search", "/orders/{customer}", "/health"];

impl Profile {
    /// Has Go fetch a profile and say what is in it.
    fn fetch(service: &Served, target: &str) -> Profile {
        let raw = go(service, &["-raw"], &format!("/debug/pprof/{target}"));
        Profile::parse(&raw.expect("it was there"))
    }

    fn parse(raw: &str) -> Profile {
        let (_, samples) = raw.split_once("\nSamples:\n").expect("samples");
        let (samples, locations) = samples.split_once("\nLocations\n").expect("locations");
        let (locations, _) = locations.split_once("\nMappings\n").expect("mappings");
        // A location that has more lines than one has them below it.
        let addresses = locations.lines().filter_map(|line| {
            let (id, rest) = line.split_once(": 0x")?;
            let address = rest.split(' ').next()?;
            let id: u64 = id.trim_start().parse().ok()?;
            Some((id, u64::from_str_radix(address, 16).expect("an address")))
        });
        let addresses: BTreeMap<u64, u64> = addresses.collect();
        let mut lines = samples.lines().peekable();
        let types = "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes";
        let found = lines.next().expect("types").replace("[dflt]", "");
        assert_eq!(found.trim_end(), types);
        let mut profile = Profile::default();
        while let Some(line) = lines.next() {
            let (values, stack) = line.split_once(':').expect("values and a stack");
            let values = values.split_ascii_whitespace();
            let values: Vec<i64> = values.map(|it| it.parse().expect("a value")).collect();
            let stack = stack.split_ascii_whitespace();
            let stack = stack.map(|it| addresses[&it.parse().expect("a location")]);
            let stack: Vec<u64> = stack.collect();
            let label = lines.next_if(|it| it.contains("label:["));
            let label = label.map_or("", |it| it.trim());
            let label = label.strip_prefix("label:[").unwrap_or_default();
            let label = label.trim_end_matches(']').to_owned();
            profile.add((stack, label), values.try_into().expect("four values"));
        }
        profile
    }

    fn add(&mut self, key: Key, values: [i64; 4]) {
        let sum = self.0.entry(key).or_default();
        sum.iter_mut().zip(values).for_each(|(sum, it)| *sum += it);
    }

    /// Adds what another profile says was allocated. What is live is no difference.
    fn add_allocated(&mut self, other: &Profile) {
        for (key, values) in &other.0 {
            self.add(key.clone(), [values[0], values[1], 0, 0]);
        }
    }

    /// What was allocated since an earlier profile, without the stacks that allocated nothing.
    fn allocated_since(&self, earlier: &Profile) -> BTreeMap<&Key, [i64; 2]> {
        let rows = self.0.iter().map(|(key, values)| {
            let before = earlier.0.get(key).copied().unwrap_or_default();
            (key, [values[0] - before[0], values[1] - before[1]])
        });
        let rows: BTreeMap<_, _> = rows.filter(|it| it.1 != [0; 2]).collect();
        assert!(earlier.0.keys().all(|it| self.0.contains_key(it)));
        rows
    }

    fn sum(&self, of: usize) -> u64 {
        let sum: i64 = self.0.values().map(|it| it[of]).sum();
        sum.try_into().expect("it is not negative")
    }

    /// A value by the first part of the label, which is the route.
    fn by_label(&self, of: usize) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for ((_, label), values) in &self.0 {
            *sums.entry(&**label).or_default() += values[of] as u64;
        }
        sums
    }

    /// Whether each route allocated.
    fn has_all_routes(&self) -> bool {
        let by_label = self.by_label(0);
        let allocated = |route: &&str| {
            by_label
                .iter()
                .any(|it| it.0.starts_with(*route) && *it.1 > 0)
        };
        ROUTES.iter().all(allocated)
    }
}

/// Takes differences up to a moment at which nothing is allocated, and returns all that was allocated until then.
///
/// The difference in the midst of two equal profiles ends where both of them do.
fn settle(service: &Served, sum: &mut Profile) -> Profile {
    let mut settled = Profile::default();
    wait_until("a service that rests", || {
        let before = Profile::fetch(service, "allocs");
        sum.add_allocated(&Profile::fetch(service, "delta_heap"));
        settled = Profile::fetch(service, "allocs");
        settled == before
    });
    settled
}

#[test]
fn differences_of_a_busy_service_add_up() {
    if Tool("go").command("version").is_none() {
        return;
    }
    let mut service = Served::start_example();
    assert_eq!(service.tell(""), "no client comes");
    let first = settle(&service, &mut Profile::default());

    assert_eq!(service.tell(""), "clients come");
    let mut sum = Profile::default();
    for _ in 0..3 {
        wait_until("a difference with all routes", || {
            let difference = Profile::fetch(&service, "delta_heap");
            sum.add_allocated(&difference);
            difference.has_all_routes()
        });
    }
    assert_eq!(service.tell(""), "no client comes");
    let last = settle(&service, &mut sum);

    // Each stack of each route, not only their sum.
    let nothing = Profile::default();
    let changed = last.allocated_since(&first);
    let found = sum.allocated_since(&nothing);
    let differ: Vec<_> = found
        .iter()
        .filter(|it| changed.get(*it.0) != Some(it.1))
        .collect();
    let example = differ.first().map(|it| (it, changed.get(*it.0)));
    assert!(
        differ.is_empty(),
        "{} stacks, such as {example:?}",
        differ.len()
    );
    assert_eq!(found.len(), changed.len());
    for route in ROUTES {
        assert!(changed.keys().any(|it| it.1.starts_with(route)), "{route}");
    }
}

/// A difference over seconds is within two profiles of which one is older and one newer, in each stack.
#[test]
fn a_difference_of_a_busy_service_is_within_its_profiles() {
    if Tool("go").command("version").is_none() {
        return;
    }
    let service = Served::start_example();
    wait_until("a difference with all routes", || {
        let before = Profile::fetch(&service, "allocs");
        let difference = Profile::fetch(&service, "allocs?seconds=1");
        let after = Profile::fetch(&service, "allocs");
        let around = after.allocated_since(&before);
        for (key, [blocks, bytes, ..]) in &difference.0 {
            // A stack that only freed is in no change.
            let most = around.get(key).copied().unwrap_or_default();
            assert!((0..=most[0]).contains(blocks), "{key:?}");
            assert!((0..=most[1]).contains(bytes), "{key:?}");
        }
        difference.has_all_routes()
    });
}

#[test]
fn what_is_live_equals_the_numbers_of_the_service() {
    if Tool("go").command("version").is_none() {
        return;
    }
    let mut service = Served::start_example();
    assert_eq!(service.tell(""), "no client comes");
    let heap = |numbers: &std::collections::HashMap<String, u64>| {
        let numbers = numbers.iter().filter_map(|(name, &value)| {
            let name = name.strip_prefix("alloc_trace_")?;
            let is_heap = name.starts_with("heap_b") || name.starts_with("label_bytes");
            (is_heap || name.starts_with("allocat")).then(|| (name.to_owned(), value))
        });
        numbers.collect::<BTreeMap<_, _>>()
    };
    let read = || heap(&numbers(service.get("/metrics").text()));
    let (mut found, mut profile) = (BTreeMap::new(), Profile::default());
    wait_until("a service that rests", || {
        let before = read();
        profile = Profile::fetch(&service, "heap");
        found = read();
        found == before
    });
    assert_eq!(profile.sum(3), found["heap_bytes"]);
    assert_eq!(profile.sum(2), found["heap_blocks"]);
    assert_eq!(profile.sum(1), found["allocated_bytes_total"]);
    assert_eq!(profile.sum(0), found["allocations_total"]);
    let mut labels = profile.by_label(3);
    labels.retain(|_, bytes| *bytes > 0);
    let rows = labels.into_iter();
    let rows: BTreeMap<String, u64> = rows
        .map(|(label, bytes)| (format!("label_bytes{{label=\"{label}\"}}"), bytes))
        .collect();
    found.retain(|name, _| name.starts_with("label_bytes"));
    assert_eq!(rows, found);
    assert!(found.keys().any(|it| it.contains(ROUTES[0])), "{found:?}");
}
