//! `#[profile(event)]`: a call as an event of `tracing`.

use std::fmt::Debug;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use alloc_core::{TraceAlloc, profile};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[profile(event)]
fn load(size: usize) -> Vec<u8> {
    // NOTE: an optimized build leaves out an allocation that nothing sees.
    drop(black_box(Vec::<u8>::with_capacity(3 * size)));
    black_box(Vec::with_capacity(size))
}

/// Keeps the fields of all events.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Fields>>>);

#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}")));
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The tracer's own life has a target of its own, `alloc_core`.
        let is_of_a_call = metadata.target() == "alloc_core::profile";
        assert_eq!(
            (metadata.target() == "alloc_core", *metadata.level()),
            (!is_of_a_call, Level::INFO)
        );
        is_of_a_call
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("there are no spans")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_call_is_an_event_with_its_numbers() {
    let events = Events::default();
    tracing::subscriber::with_default(events.clone(), || {
        drop(load(1));
        alloc_core::start().unwrap();
        drop(load(100));
        drop(load(200));
        alloc_core::stop();
    });
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 2, "none while tracing was off");
    for (call, (event, size)) in events.iter().zip([100, 200]).enumerate() {
        let field = |name: &str| -> &str {
            let found = event.0.iter().find(|(it, _)| it == name);
            &found.unwrap_or_else(|| panic!("no {name}")).1
        };
        assert_eq!(field("function"), "\"event::load\"");
        assert_eq!(field("call"), (call + 1).to_string());
        assert_eq!(field("allocated"), (4 * size).to_string());
        assert_eq!(
            (field("allocations"), field("held")),
            ("2", &*size.to_string())
        );
        assert_eq!(field("peak"), (3 * size).to_string());
        assert!(field("message").contains("Vec::with_capacity(size)"));
    }
}
