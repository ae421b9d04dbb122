//! [`Address`]: a program that serves its profile.

use std::time::Duration;

use alloc_core_snapshot::Escaped;
use anyhow::{Result, bail};
use ureq::Agent;

use super::source::{Found, Rules, Source, found};

/// An address that serves a pprof profile of the heap.
pub(super) struct Address {
    url: String,
    agent: Agent,
    rules: Rules,
}

/// The path at which Go, and programs that do as it does, serve the profile.
const PATH: &str = "/debug/pprof/heap";
const TIMEOUT: Duration = Duration::from_secs(10);

impl Address {
    /// The URL of an address; `None` if the text is none.
    pub(super) fn url(text: &str) -> Option<String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
            Some(_) => return None,
            None => {
                let (host, port) = text.rsplit_once(':')?;
                let is_address = !host.is_empty() && !host.contains('/');
                port.parse::<u16>().ok().filter(|_| is_address)?;
                ("http", text)
            }
        };
        let has_path = rest
            .split_once('/')
            .is_some_and(|(_, path)| !path.is_empty());
        let rest = match has_path {
            true => rest.to_owned(),
            false => format!("{}{PATH}", rest.trim_end_matches('/')),
        };
        Some(format!("{scheme}://{rest}"))
    }

    pub(super) fn open(url: String, rules: Rules) -> Result<Address> {
        if url.starts_with("https:") && cfg!(not(feature = "https")) {
            bail!("this build has no TLS: install alloc-report with --features https");
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .build();
        Ok(Address {
            url,
            agent: agent.into(),
            rules,
        })
    }
}

impl Source for Address {
    fn next(&mut self) -> Found {
        match self.agent.get(&self.url).call() {
            Ok(response) => {
                let body = response.into_body().into_reader();
                found(self.rules.read(Box::new(body)))
            }
            Err(ureq::Error::StatusCode(404)) => Found::Failed(format!(
                "{} has no profile (404); GET must return one in pprof's format",
                self.name()
            )),
            Err(error) => Found::Failed(format!("cannot get {}: {error}", self.name())),
        }
    }

    fn name(&self) -> String {
        Escaped(&self.url).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_or_a_scheme() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(Address::url(text).as_deref(), expected, "{text}");
        }
        let of = |host: &str| format!("http://{host}/debug/pprof/heap");
        check("localhost:6060", Some(&of("localhost:6060")));
        check("[::1]:80", Some(&of("[::1]:80")));
        check("http://a", Some(&of("a")));
        check("http://a:80/", Some(&of("a:80")));
        check("https://a/b?c", Some("https://a/b?c"));
        check("ftp://a/b", None);
        check("heap.pb.gz", None);
        check("src/a.rs:41", None);
        check(":41", None);
        check("a:b", None);
    }
}
