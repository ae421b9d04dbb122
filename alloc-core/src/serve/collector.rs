//! [`HeapCollector`]: the numbers of `/metrics` for the crate `prometheus-client`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::ServeOptions;
use super::callsites::Callsites;
use super::metrics::{Kind, Metric, Numbers};

/// The numbers of `/metrics`, for a registry of the crate `prometheus-client`.
///
/// Each scrape reads the tables once: some milliseconds for 20,000 callsites. Of the options,
/// [`callsites`](ServeOptions::callsites) and [`command`](ServeOptions::command) count.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::serve::HeapCollector;
/// use prometheus_client::encoding::text::encode;
/// use prometheus_client::registry::Registry;
///
/// alloc_core::start()?;
/// let kept = vec![0_u8; 1 << 20];
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(HeapCollector::default()));
///
/// let mut text = String::new();
/// encode(&mut text, &registry)?;
/// let line = text.lines().find(|it| it.starts_with("alloc_trace_heap_bytes "));
/// let bytes: u64 = line.unwrap().rsplit(' ').next().unwrap().parse()?;
/// assert!(bytes >= kept.len() as u64);
/// assert!(text.contains("alloc_trace_allocated_bytes_total "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeapCollector(Callsites);

impl HeapCollector {
    /// A collector with these options.
    ///
    /// ```
    /// use alloc_core::ServeOptions;
    /// use alloc_core::serve::HeapCollector;
    ///
    /// let without_callsites = HeapCollector::new(&ServeOptions::default().callsites(0));
    /// ```
    pub fn new(options: &ServeOptions) -> HeapCollector {
        HeapCollector(Callsites::new(options))
    }
}

impl Default for HeapCollector {
    fn default() -> HeapCollector {
        HeapCollector::new(&ServeOptions::default())
    }
}

impl Collector for HeapCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let numbers = Numbers::read(&self.0).map_err(|_| fmt::Error)?;
        let mut encoded = Ok(());
        numbers.each(&mut |metric| {
            if encoded.is_ok() {
                encoded = encode(&mut encoder, &metric);
            }
        });
        encoded
    }
}

fn encode(encoder: &mut DescriptorEncoder<'_>, metric: &Metric<'_>) -> fmt::Result {
    let (name, kind) = match metric.kind {
        // NOTE: the encoder appends `_total` itself.
        Kind::Counter => (metric.name.trim_end_matches("_total"), MetricType::Counter),
        Kind::Gauge => (metric.name, MetricType::Gauge),
    };
    let mut encoder = encoder.encode_descriptor(name, metric.help, None, kind)?;
    for &(label, value) in metric.values {
        match label {
            None => return number(metric.kind, value, encoder),
            Some(label) => {
                let labels = [(metric.key, label)];
                number(metric.kind, value, encoder.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

fn number(kind: Kind, value: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
    match kind {
        Kind::Counter => ConstCounter::new(value).encode(encoder),
        Kind::Gauge => ConstGauge::new(value).encode(encoder),
    }
}
