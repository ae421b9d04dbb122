//! [`OriginOptions`]: the options of formats that say which process a snapshot is of.

use alloc_core_snapshot::Snapshot;
use anyhow::{Result, bail};
use clap::Args;

/// Which process of a fleet a snapshot is of.
#[derive(Args, Debug, Default)]
pub(crate) struct OriginOptions {
    /// The service, for parquet and otlp [default: the metadata service, else the program's name]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) service: Option<String>,
    /// The version, for parquet and otlp [default for parquet: the metadata version, else the build
    /// id's start]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) version: Option<String>,
    /// The instance, for parquet and otlp [default for parquet: the metadata instance, else the
    /// process id]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) instance: Option<String>,
    /// A label of all rows, in addition to the snapshot's metadata, or an attribute of otlp's
    /// resource; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
}

impl OriginOptions {
    pub(super) fn is_empty(&self) -> bool {
        let names = [&self.service, &self.version, &self.instance];
        names.iter().all(|it| it.is_none()) && self.labels.is_empty()
    }

    /// The service by the option, else by a label or the snapshot's metadata, else the program's
    /// name.
    pub(super) fn service_of(&self, snapshot: &Snapshot) -> Result<String> {
        let label = self.labels.iter().rfind(|it| it.0 == "service");
        let named = self.service.as_ref().or(label.map(|it| &it.1));
        let named = named.or_else(|| snapshot.metadata().get("service"));
        let program = snapshot.program().rsplit(['/', '\\']).next();
        let names = named.map(String::as_str).into_iter().chain(program);
        match names.into_iter().find(|it| !it.is_empty()) {
            Some(name) => Ok(name.to_owned()),
            None => bail!("expected the name of its service, found none; --service gives it"),
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("expected a name, found nothing".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!(
            "expected a label such as region=eu, found {text:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_names_the_service_before_a_label() {
        let snapshot = Snapshot::from_traces(vec![], 1);
        let mut options = OriginOptions::default();
        assert!(options.service_of(&snapshot).is_err());
        options.labels = ["a", "b"]
            .map(|it| ("service".to_owned(), it.to_owned()))
            .into();
        assert_eq!(options.service_of(&snapshot).unwrap(), "b");
        options.service = Some("c".to_owned());
        assert_eq!(options.service_of(&snapshot).unwrap(), "c");
    }
}
