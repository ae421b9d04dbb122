//! What is pushed to a collector of OpenTelemetry, decoded by the published protocol.

use std::collections::HashSet;
use std::process::Command;

use alloc_core::Snapshot;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development::{
    Function, KeyValueAndUnit, Link, Location, Mapping, Profile, ProfilesDictionary, Stack,
};
use prost::Message as _;

use crate::client::Served;
use crate::profiles::alloc_report;
use crate::push::{start_as, wait_for};
use crate::receiver::{Mood, Received, Receiver};

const SAMPLE_TYPES: [&str; 4] = [
    "alloc_objects",
    "alloc_space",
    "inuse_objects",
    "inuse_space",
];

fn text(value: Option<&AnyValue>) -> &str {
    match value.and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|it| it.key == key)?;
    Some(text(found.value.as_ref()))
}

/// Decodes a request, and checks what the protocol says of each.
#[track_caller]
fn decoded(received: &Received) -> (Vec<Profile>, ProfilesDictionary) {
    assert_eq!(received.path, "/v1development/profiles");
    assert_eq!(received.headers["content-type"], "application/x-protobuf");
    let request = ExportProfilesServiceRequest::decode(&*received.body).expect("a request");
    // Nothing is there that the protocol does not know.
    assert_eq!(request.encoded_len(), received.body.len());
    let dictionary = request.dictionary.expect("a dictionary");
    let [mut resource] = <[_; 1]>::try_from(request.resource_profiles).expect("one resource");
    let attributes = resource.resource.take().expect("a resource").attributes;
    assert_eq!(attribute(&attributes, "service.name"), Some("shop"));
    let [scope] = <[_; 1]>::try_from(resource.scope_profiles).expect("one scope");
    assert_eq!(scope.scope.expect("a scope").name, "alloc-core");
    check_dictionary(&dictionary, &scope.profiles);
    (scope.profiles, dictionary)
}

fn check_dictionary(dictionary: &ProfilesDictionary, profiles: &[Profile]) {
    // The first entry of each table stands for none.
    assert_eq!(dictionary.mapping_table[0], Mapping::default());
    assert_eq!(dictionary.location_table[0], Location::default());
    assert_eq!(dictionary.function_table[0], Function::default());
    assert_eq!(dictionary.link_table, [Link::default()]);
    assert_eq!(dictionary.string_table[0], "");
    assert_eq!(dictionary.attribute_table[0], KeyValueAndUnit::default());
    assert_eq!(dictionary.stack_table[0], Stack::default());
    let stacks: HashSet<_> = dictionary
        .stack_table
        .iter()
        .map(|it| &it.location_indices)
        .collect();
    assert_eq!(stacks.len(), dictionary.stack_table.len());

    // Each number is one of a table.
    let mapping = |at: i32| &dictionary.mapping_table[at as usize];
    let location = |at: i32| &dictionary.location_table[at as usize];
    let function = |at: i32| &dictionary.function_table[at as usize];
    let string = |at: i32| &*dictionary.string_table[at as usize];
    let attribute = |at: &i32| &dictionary.attribute_table[*at as usize];
    for stack in &dictionary.stack_table {
        for &at in &stack.location_indices {
            assert_ne!(at, 0);
            let found = location(at);
            assert!(found.address > 0 || !found.lines.is_empty(), "{found:?}");
            let lines = found.lines.iter();
            lines.for_each(|it| assert_ne!(string(function(it.function_index).name_strindex), ""));
            let of = mapping(found.mapping_index);
            assert!(
                of.memory_limit == 0 || of.memory_start < of.memory_limit,
                "{of:?}"
            );
        }
    }
    for profile in profiles {
        assert_eq!(profile.profile_id.len(), 16);
        assert!(profile.period > 0 && profile.time_unix_nano > 0);
        let period = profile.period_type.expect("a period");
        let names = (string(period.type_strindex), string(period.unit_strindex));
        assert_eq!(names, ("space", "bytes"));
        for sample in &profile.samples {
            assert_eq!((sample.values.len(), sample.link_index), (1, 0));
            assert!(dictionary.stack_table.len() > sample.stack_index as usize);
            let keys = sample.attribute_indices.iter();
            let keys: Vec<_> = keys.map(|it| attribute(it).key_strindex).collect();
            let distinct: HashSet<_> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len());
        }
    }
    let build_ids = dictionary.mapping_table.iter();
    let build_ids = build_ids.flat_map(|it| &it.attribute_indices);
    for build_id in build_ids.map(attribute) {
        let key = string(build_id.key_strindex);
        assert_eq!(key, "process.executable.build_id.gnu");
        assert!(text(build_id.value.as_ref()).len() >= 16);
    }
}

/// The names of the sample types, and the sum of each.
fn sums(received: &Received) -> Vec<(String, i64)> {
    let (profiles, dictionary) = decoded(received);
    let sums = profiles.iter().map(|profile| {
        let kind = profile.sample_type.expect("a type");
        let name = &dictionary.string_table[kind.type_strindex as usize];
        let sum = profile.samples.iter().flat_map(|it| &it.values).sum();
        (name.clone(), sum)
    });
    sums.collect()
}

#[test]
fn four_profiles_add_up_to_the_programs_numbers() {
    let receiver = Receiver::start();
    let mut served = start_as("otlp", &receiver, &["push-label=a"]);
    served.tell("keep 300");
    served.tell("label 20");
    served.tell("drop 100");
    wait_for(&mut served, |it| it.pushed >= 3);
    served.tell("keep 50");
    // The sums of a profile of the same moment, as far as nothing is allocated in between.
    let own = served.tell("stop-pushing");
    let own: Vec<i64> = own
        .split(' ')
        .map(|it| it.parse().expect("a number"))
        .collect();
    let pprof = served.get("/debug/pprof/heap");
    let pprof = Snapshot::read_from(&pprof.body[..]).expect("a profile");
    let live_blocks: u64 = pprof
        .traces()
        .iter()
        .map(|it| it.counters.current.blocks)
        .sum();

    let received = receiver.end();
    assert!(received.len() >= 4, "{}", received.len());
    let all: Vec<_> = received.iter().map(sums).collect();
    let names: Vec<&str> = all[0].iter().map(|it| &*it.0).collect();
    assert_eq!(names, SAMPLE_TYPES);
    let sum = |at: usize| all.iter().map(|it| it[at].1).sum::<i64>();
    assert_eq!((sum(1), sum(0)), (own[0], own[1]));
    let last = all.last().expect("a request");
    assert_eq!(last[3].1, own[2]);
    assert!(
        last[2].1.abs_diff(live_blocks as i64) < 20,
        "{last:?} {live_blocks}"
    );
    let decoded: Vec<_> = received.iter().map(decoded).collect();
    let labels: HashSet<&str> = decoded
        .iter()
        .flat_map(|(profiles, dictionary)| {
            let samples = profiles.iter().flat_map(|it| &it.samples);
            let attributes = samples.flat_map(|it| &it.attribute_indices);
            attributes.map(move |&at| (&dictionary.attribute_table[at as usize], dictionary))
        })
        .filter(|(it, dictionary)| dictionary.string_table[it.key_strindex as usize] == "label")
        .map(|(it, _)| text(it.value.as_ref()))
        .collect();
    assert_eq!(labels, HashSet::from(["request \"1\""]));
    let (_, dictionary) = &decoded[0];
    assert!(dictionary.mapping_table.iter().any(|it| {
        let name = &dictionary.string_table[it.filename_strindex as usize];
        name.ends_with("/served") && !it.attribute_indices.is_empty()
    }));
}

#[test]
fn names_are_in_the_dictionary() {
    let Some(command) = alloc_report() else {
        return;
    };
    let receiver = Receiver::start();
    let mut served = start_as("otlp", &receiver, &["push-names=1", &command]);
    served.tell("keep 300");
    wait_for(&mut served, |it| it.pushed >= 1);
    served.tell("stop-pushing");
    let received = receiver.end();
    let found: i64 = received
        .iter()
        .map(|it| {
            let (profiles, dictionary) = decoded(it);
            let names = profiles.iter().map(|it| it.sample_type.expect("a type"));
            let names = names.map(|it| &*dictionary.string_table[it.type_strindex as usize]);
            assert!(names.eq(SAMPLE_TYPES));
            let has_keep = |stack: i32| {
                let stack = &dictionary.stack_table[stack as usize];
                let locations = stack.location_indices.iter();
                let mut lines =
                    locations.flat_map(|&at| &dictionary.location_table[at as usize].lines);
                lines.any(|it| {
                    let function = &dictionary.function_table[it.function_index as usize];
                    dictionary.string_table[function.name_strindex as usize] == "served::keep"
                })
            };
            let samples = profiles[1].samples.iter();
            let samples = samples.filter(|it| has_keep(it.stack_index));
            samples.map(|it| it.values[0]).sum::<i64>()
        })
        .sum();
    assert_eq!(found, 300_000);
}

#[test]
fn a_snapshot_is_exported_as_a_request() {
    let Some(command) = alloc_report() else {
        return;
    };
    let mut served = Served::start(&[]);
    served.tell("keep 300");
    let snapshot = served.get("/snapshot");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heap.pb.gz");
    std::fs::write(&path, &snapshot.body).expect("a file");
    let export = |options: &[&str]| {
        let mut export = Command::new(command.trim_start_matches("command="));
        export.arg("export").arg(&path).args(["--to", "otlp"]);
        let output = export.args(options).output().expect("it starts");
        assert!(output.status.success(), "{output:?}");
        let request = ExportProfilesServiceRequest::decode(&*output.stdout).expect("a request");
        assert_eq!(request.encoded_len(), output.stdout.len());
        let dictionary = request.dictionary.expect("a dictionary");
        let resource = request.resource_profiles[0].clone();
        let profiles = resource.scope_profiles[0].profiles.clone();
        check_dictionary(&dictionary, &profiles);
        (resource.resource.expect("a resource").attributes, profiles)
    };
    let options = [
        "--service=shop",
        "--version=1.2",
        "--instance=a",
        "--label=region=eu",
    ];
    let (attributes, profiles) = export(&options);
    for (key, expected) in [
        ("service.name", "shop"),
        ("service.version", "1.2"),
        ("service.instance.id", "a"),
        ("region", "eu"),
    ] {
        assert_eq!(attribute(&attributes, key), Some(expected));
    }
    let snapshot = Snapshot::read_from(&snapshot.body[..]).expect("a snapshot");
    let live: u64 = snapshot
        .traces()
        .iter()
        .map(|it| it.counters.current.bytes.get())
        .sum();
    let sum = |at: usize| {
        let values = profiles[at].samples.iter().flat_map(|it| &it.values);
        values.sum::<i64>()
    };
    assert_eq!(sum(3), live as i64);
    // Without options, it is the program's name.
    let (attributes, _) = export(&[]);
    assert_eq!(attribute(&attributes, "service.name"), Some("served"));
    assert_eq!(attributes.len(), 1);
}

/// What a receiver leaves out of a request that it accepts is counted, and is not sent again.
#[test]
fn what_is_rejected_is_lost_and_counted() {
    let receiver = Receiver::start();
    let mut served = start_as("otlp", &receiver, &[]);
    served.tell("keep 10");
    let first = wait_for(&mut served, |it| it.pushed >= 2);
    assert_eq!(first.rejected, 0);

    receiver.set(Mood::Rejects(3));
    served.tell("keep 20");
    let second = wait_for(&mut served, |it| it.rejected >= 6);
    assert_eq!(second.rejected % 3, 0);
    assert_eq!((second.failed, second.refused), (0, 0));
    let why = served.tell("push-error");
    let expected = format!("{} accepts all of a profile", receiver.url());
    assert!(why.contains(&expected), "{why}");
    assert!(
        why.ends_with("left out 3 of 4 parts: no room for it"),
        "{why}"
    );

    // Advice is no failure. NOTE: a request may be answered in the mood before it.
    receiver.set(Mood::Rejects(0));
    let before = wait_for(&mut served, |_| true).pushed;
    let third = wait_for(&mut served, |it| it.pushed >= before + 2).rejected;
    served.tell("keep 30");
    let last = wait_for(&mut served, |it| it.pushed >= before + 4);
    assert_eq!((last.rejected, last.failed), (third, 0));
    assert_eq!(served.tell("push-error"), "");

    // Each difference was sent once.
    let own = served.tell("stop-pushing");
    let asked = receiver.asked();
    let received = receiver.end();
    assert_eq!(received.len(), asked);
    let sum: i64 = received.iter().map(|it| sums(it)[1].1).sum();
    assert_eq!(Some(&*sum.to_string()), own.split(' ').next());
}
