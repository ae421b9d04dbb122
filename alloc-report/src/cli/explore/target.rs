//! [`Target`]: what `live` watches.

use std::path::Path;
use std::str::FromStr;

use alloc_core_snapshot::Escaped;
use anyhow::{Result, bail};

use super::LiveOptions;
use super::address::Address;
use super::files::Files;
use super::pattern::Pattern;
use super::source::{Rules, Source};

/// What `live` watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Process(u32),
    /// The URL of a profile.
    Address(String),
    /// A file, a folder, or a pattern.
    Files(String),
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Target> {
        let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        if is_number && !Path::new(text).exists() {
            return match text.parse() {
                Ok(process) => Ok(Target::Process(process)),
                Err(_) => bail!("expected a process id, found {text}"),
            };
        }
        if text.contains("://") || !Path::new(text).exists() && !Pattern::is_one(text) {
            if let Some(url) = Address::url(text) {
                return Ok(Target::Address(url));
            }
            if text.contains("://") {
                bail!("expected http:// or https://, found {}", Escaped(text));
            }
        }
        Ok(Target::Files(text.to_owned()))
    }
}

impl Target {
    pub(super) fn open(self, options: &LiveOptions) -> Result<Box<dyn Source>> {
        let rules = Rules::of(options);
        match self {
            #[cfg(target_os = "linux")]
            Target::Process(process) => Ok(Box::new(super::process::Process::open(
                process,
                options.every,
                options.keep,
                rules,
            )?)),
            #[cfg(not(target_os = "linux"))]
            Target::Process(process) => bail!(
                "expected Linux to find the files of process {process}, found another system: \
                 name the files, as in live 'heap-{process}.*.pb.gz'"
            ),
            Target::Address(url) => Ok(Box::new(Address::open(url, rules)?)),
            Target::Files(text) => Ok(Box::new(Files::open(&text, rules)?)),
        }
    }
}
