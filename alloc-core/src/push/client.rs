//! [`Client`]: sends a profile to a receiver.

use std::fs::File;
use std::io::Read as _;
#[cfg(feature = "otlp")]
use std::io::{self, BufWriter};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::{Agent, Body, SendBody};

use super::taken::Taken;
#[cfg(feature = "otlp")]
use super::taken::from_start;
use crate::Error;
use crate::serve::helper::SYMBOLIZE;
#[cfg(feature = "otlp")]
use crate::{
    serve::helper::nameless_file,
    snapshot::file::{rejected, to_otlp},
};

/// Where profiles go, and what each request says.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) receiver: Receiver,
    /// The receiver's URL, without a slash at its end.
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) service: String,
    pub(super) labels: Vec<(String, String)>,
}

/// What a receiver understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    Pyroscope,
    #[cfg(feature = "otlp")]
    Otlp,
}

/// Why a profile was not accepted.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may be accepted later.
    Later(String),
    /// The profile is not what the receiver takes.
    Refused(String),
}

/// What a receiver left out of a profile that it accepted.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    allow(dead_code, reason = "Pyroscope accepts all or nothing")
)]
pub(super) struct Rejection {
    pub(super) profiles: u64,
    pub(super) message: String,
}

/// How long each step of a request may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
}

/// Larger than a head or a pair of them, and smaller than a profile.
const BUFFER: usize = 16 << 10;

/// What makes `alloc-report` write a request of OTLP for the profile of its input.
#[cfg(feature = "otlp")]
const EXPORT: [&str; 6] = ["export", "-", "--to", "otlp", "-o", "-"];

/// The most that is read of the answer of a receiver that accepts, in bytes.
#[cfg(feature = "otlp")]
const LONGEST: u64 = 64 << 10;

impl Client {
    /// Sends a profile, and waits for the answer.
    pub(super) fn send(
        &self,
        taken: &mut Taken,
        limits: Limits,
    ) -> Result<Option<Rejection>, Failure> {
        let (from, until) = (seconds(taken.from), seconds(taken.until));
        let later = |error: &dyn std::fmt::Display| {
            Failure::Later(format!("cannot push to {}: {error}", self.url))
        };
        let (length, profile) = taken.profile().map_err(|error| later(&error))?;
        // NOTE: an agent for each request, so that no connection and no buffer is kept between two.
        // Without a limit on the look-up of the address, the agent starts no thread for it.
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(limits.connect))
            .timeout_send_request(Some(limits.answer))
            .timeout_send_body(Some(limits.answer))
            .timeout_recv_response(Some(limits.answer))
            .timeout_recv_body(Some(limits.answer))
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .max_idle_connections(0)
            .user_agent(concat!("alloc-core/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let request = match self.receiver {
            Receiver::Pyroscope => agent
                .post(format!("{}/ingest", self.url))
                .query("name", self.pyroscope_name())
                // A profile of no time has no place.
                .query("from", from.min(until.saturating_sub(1)).to_string())
                .query("until", until.to_string())
                .query("format", "pprof")
                .query("spyName", "alloc-core")
                .header("Content-Type", "application/octet-stream"),
            #[cfg(feature = "otlp")]
            Receiver::Otlp => agent
                .post(format!("{}/v1development/profiles", self.url))
                .header("Content-Type", "application/x-protobuf"),
        };
        let mut request = request.header("Content-Length", length.to_string());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let sent = request.send(SendBody::from_reader(&mut { profile }));
        let response = sent.map_err(|error| later(&error))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(self.rejection(response.into_body()));
        }
        let mut text = Vec::new();
        // NOTE: what a proxy says may be a page.
        let mut body = response.into_body().into_reader().take(300);
        let _ = body.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let found = format!(
            "expected that {} accepts a profile, found status {status}: {}",
            self.url,
            text.trim()
        );
        Err(match status {
            400 | 413 | 422 => Failure::Refused(found),
            _ => Failure::Later(found),
        })
    }
}

impl Client {
    /// What an answer says that was left out.
    #[cfg(feature = "otlp")]
    fn rejection(&self, body: Body) -> Option<Rejection> {
        if self.receiver != Receiver::Otlp {
            return None;
        }
        let mut answer = Vec::new();
        // NOTE: it is accepted, also if the rest of the answer does not come.
        let _ = body.into_reader().take(LONGEST).read_to_end(&mut answer);
        let (profiles, why) = rejected(&answer)?;
        let message = format!(
            "expected that {} accepts all of a profile, found that it left out {profiles} of 4 parts: {}",
            self.url,
            why.chars().take(300).collect::<String>()
        );
        Some(Rejection { profiles, message })
    }

    /// Pyroscope accepts all or nothing.
    #[cfg(not(feature = "otlp"))]
    fn rejection(&self, _: Body) -> Option<Rejection> {
        None
    }

    /// The service and its labels, as `shop{instance=a}`.
    fn pyroscope_name(&self) -> String {
        let labels = self.labels.iter();
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{}{{{}}}", self.service, labels.join(","))
    }

    /// The arguments that make `alloc-report` write what the receiver gets, with names.
    pub(super) fn arguments(&self) -> Vec<String> {
        match self.receiver {
            Receiver::Pyroscope => SYMBOLIZE.map(str::to_owned).into(),
            #[cfg(feature = "otlp")]
            Receiver::Otlp => {
                let mut arguments = Vec::from(EXPORT.map(str::to_owned));
                arguments.push(format!("--service={}", self.service));
                let labels = self.labels.iter();
                arguments.extend(labels.map(|(name, value)| format!("--label={name}={value}")));
                arguments
            }
        }
    }

    /// What the receiver gets, from a profile in a file.
    pub(super) fn converted(&self, profile: File) -> Result<File, Error> {
        match self.receiver {
            Receiver::Pyroscope => Ok(profile),
            #[cfg(feature = "otlp")]
            Receiver::Otlp => {
                let mut resource = vec![("service.name", &*self.service)];
                let labels = self.labels.iter();
                resource.extend(labels.map(|(name, value)| (&**name, &**value)));
                let mut output = BufWriter::with_capacity(BUFFER, nameless_file()?);
                to_otlp(from_start(&profile)?, &resource, &mut output)?;
                Ok(output.into_inner().map_err(io::Error::from)?)
            }
        }
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
