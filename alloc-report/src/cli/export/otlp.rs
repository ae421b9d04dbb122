//! A request of OTLP, the protocol of OpenTelemetry.

use alloc_core_snapshot::seam::file::to_otlp;
use alloc_core_snapshot::{Names, Snapshot};
use anyhow::Result;

use super::options::OriginOptions;

/// The request. What the options say of the process are the attributes of its resource.
pub(super) fn write(snapshot: &Snapshot, origin: &OriginOptions) -> Result<Vec<u8>> {
    let mut profile = Vec::new();
    snapshot.write_with(&mut profile, Names::Symbols)?;
    let service = origin.service_of(snapshot)?;
    let mut resource = vec![("service.name", &*service)];
    for (name, value) in [
        ("service.version", &origin.version),
        ("service.instance.id", &origin.instance),
    ] {
        resource.extend(value.as_deref().map(|value| (name, value)));
    }
    let labels = origin.labels.iter();
    resource.extend(labels.map(|(name, value)| (&**name, &**value)));
    let mut request = Vec::new();
    to_otlp(&profile[..], &resource, &mut request)?;
    Ok(request)
}
