//! [`AllocLayer`]: charges what is allocated to the spans of the crate `tracing`.
//!
//! In: spans as a subscriber sees them. Out: a label for each, entered and left with it. Never:
//! work at an allocation, which knows of labels only.

mod entered;
mod fields;
mod usage;

use std::fmt::Write as _;

use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::record::thread;
use crate::tables::labels::LabelId;
use entered::Entered;
use fields::{Fields, Name, Values};

/// A layer of a `tracing` subscriber that charges what is allocated to the current span.
///
/// Each span is a [`Label`](crate::Label), within the label that the thread is in when the span is
/// made: usually that of the span around it. So a snapshot grouped by
/// [`GroupBy::Label`](crate::GroupBy::Label) has the bytes of each span, and
/// [`Snapshot::labels`](crate::Snapshot::labels) those of a span with all spans within it. It needs
/// no more of the runtime than `tracing` does: a future that is instrumented with a span is in the
/// span's label at each poll, on whatever thread.
///
/// ```
/// use alloc_core::{AllocLayer, GroupBy, TraceAlloc};
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// #[global_allocator]
/// static ALLOC: TraceAlloc = TraceAlloc::system();
///
/// alloc_core::start()?;
/// let layer = AllocLayer::new().with_target(false).with_field("user");
/// let subscriber = tracing_subscriber::registry().with(layer);
/// let loaded = tracing::subscriber::with_default(subscriber, || {
///     let span = tracing::info_span!("load", user = "anna");
///     span.in_scope(|| vec![0_u8; 1000])
/// });
/// let labels = alloc_core::take_snapshot()?.statistics(GroupBy::Label);
/// let load = labels.iter().find(|it| it.key == "load{user=anna}".into());
/// assert_eq!(load.map(|it| (it.size.get(), it.count)), Some((1000, 1)));
/// # drop(loaded);
/// # Ok::<(), alloc_core::Error>(())
/// ```
///
/// # Names
///
/// A label is the span's target and name, `demo::users::load`, and the values of the fields that
/// the layer was told of: `demo::users::load{user=anna}`. A value is cut after 48 bytes. Each
/// field has at most 256 values, or [as many as set](Self::with_value_limit); all further ones are
/// `<other>`, so that a number that counts up, or one that an attacker chooses, does not use up the
/// [labels](crate::Label#limits) of the program.
///
/// A field that is [recorded](tracing::Span::record) later changes the label from then on.
///
/// # Spans that it does not see
///
/// Spans that the subscriber's filter disables have no label: what they allocate is charged to the
/// span around them. A filter of this layer alone (`layer.with_filter(..)`) leaves the other layers
/// as they are. Without [`TraceAlloc`](crate::TraceAlloc) as the global allocator, the layer has no
/// effect.
///
/// # Cost
///
/// Making a span takes some 150 ns and entering and leaving it some 30 ns on top of what the
/// subscriber takes, a field 100 ns more: `cargo bench -p alloc-benches --features tracing
/// --bench labels`.
#[derive(Debug, Default)]
pub struct AllocLayer {
    hides_target: bool,
    fields: Fields,
    /// The level of the event at each span's close; none without events.
    usage: Option<Level>,
}

/// What is kept for each span.
pub(super) struct Labelled {
    around: LabelId,
    label: LabelId,
    values: Values,
    usage: Option<usage::Counted>,
}

impl AllocLayer {
    /// A layer that names spans by target and name.
    ///
    /// ```
    /// use tracing_subscriber::layer::SubscriberExt as _;
    ///
    /// let subscriber = tracing_subscriber::registry().with(alloc_core::AllocLayer::new());
    /// let _default = tracing::subscriber::set_default(subscriber);
    /// let _span = tracing::info_span!(target: "demo", "decode").entered();
    /// assert_eq!(alloc_core::Label::current().path(), Some("demo::decode"));
    /// ```
    pub fn new() -> AllocLayer {
        AllocLayer::default()
    }

    /// Names spans with their target, which is the default, or without.
    ///
    /// ```
    /// # use tracing_subscriber::layer::SubscriberExt as _;
    /// let layer = alloc_core::AllocLayer::new().with_target(false);
    /// let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    /// let _span = tracing::info_span!("decode").entered();
    /// assert_eq!(alloc_core::Label::current().path(), Some("decode"));
    /// ```
    pub fn with_target(mut self, shown: bool) -> AllocLayer {
        self.hides_target = !shown;
        self
    }

    /// Makes the value of this field a part of the label, on spans that have it.
    ///
    /// ```
    /// # use tracing_subscriber::layer::SubscriberExt as _;
    /// let layer = alloc_core::AllocLayer::new().with_target(false).with_field("route");
    /// let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    /// let _span = tracing::info_span!("request", route = "/users", id = 7).entered();
    /// assert_eq!(alloc_core::Label::current().path(), Some("request{route=/users}"));
    /// ```
    pub fn with_field(mut self, name: &str) -> AllocLayer {
        self.fields.add(name);
        self
    }

    /// Distinguishes at most so many values of each field; 256 is the default.
    ///
    /// ```
    /// # use tracing_subscriber::layer::SubscriberExt as _;
    /// use alloc_core::{AllocLayer, Label};
    ///
    /// let layer = AllocLayer::new().with_target(false).with_field("id").with_value_limit(1);
    /// let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    /// let path = |id: u32| tracing::info_span!("request", id).in_scope(|| Label::current().path());
    /// assert_eq!([path(7), path(8)], [Some("request{id=7}"), Some("request{id=<other>}")]);
    /// ```
    pub fn with_value_limit(mut self, values: usize) -> AllocLayer {
        self.fields.limit = values;
        self
    }

    /// Counts each span exactly, and reports the numbers in an event of this level and of the
    /// target `alloc_core::span` when the span closes.
    ///
    /// Its parent is the span. Its fields are those of [`Usage`](crate::Usage), in bytes:
    /// `allocated`, `freed`, `peak` and `held`, which is still live; and `blocks`, the number of
    /// allocations. The numbers of a span include the spans that are made in it. They are exact
    /// whether the program is traced or not. Each span is a [`Scope`](crate::Scope), and costs as
    /// much.
    pub fn with_usage(mut self, level: Level) -> AllocLayer {
        self.usage = Some(level);
        self
    }

    fn label(&self, around: LabelId, metadata: &Metadata<'_>, values: &Values) -> LabelId {
        let mut name = Name::default();
        // NOTE: a name that is too long is cut, which is no error.
        let _ = match self.hides_target {
            true => name.write_str(metadata.name()),
            false => write!(name, "{}::{}", metadata.target(), metadata.name()),
        };
        self.fields.write(values, &mut name);
        around.within(name.as_str())
    }
}

impl<S> Layer<S> for AllocLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = match attributes.parent() {
            Some(parent) => context.span(parent).and_then(|it| label_of(&it)),
            None if attributes.is_root() => None,
            None => Some(thread::label()),
        };
        let around = parent.unwrap_or_default();
        let mut values = Values::default();
        self.fields
            .read(&mut values, |visit| attributes.record(visit));
        let label = self.label(around, attributes.metadata(), &values);
        let usage = self.usage.and_then(|_| usage::Counted::new());
        span.extensions_mut().insert(Labelled {
            around,
            label,
            values,
            usage,
        });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if self.fields.is_empty() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(labelled) = extensions.get_mut::<Labelled>() else {
            return;
        };
        self.fields
            .read(&mut labelled.values, |visit| record.record(visit));
        let label = self.label(labelled.around, span.metadata(), &labelled.values);
        Entered::relabel(id, labelled.label, label);
        labelled.label = label;
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let extensions = span.extensions();
        if let Some(labelled) = extensions.get::<Labelled>() {
            Entered::push(id, labelled);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        Entered::pop(id);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(level) = self.usage
            && let Some(span) = context.span(&id)
            // NOTE: taken out, so that no lock is held while the event is handled.
            && let Some(labelled) = span.extensions_mut().remove::<Labelled>()
            && let Some(counted) = labelled.usage
        {
            counted.report(level, &id);
        }
    }
}

fn label_of<'a, R>(span: &tracing_subscriber::registry::SpanRef<'a, R>) -> Option<LabelId>
where
    R: LookupSpan<'a>,
{
    span.extensions().get::<Labelled>().map(|it| it.label)
}
