//! [`Client`]: sends a profile to a receiver.

use std::io::Read as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::{Agent, SendBody};

use super::taken::Taken;

/// Where profiles go, and what each request says.
#[derive(Debug)]
pub(super) struct Client {
    /// The receiver's URL, without a slash at its end.
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// The service and its labels, as `shop{instance=a}`.
    pub(super) name: String,
}

/// Why a profile was not accepted.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may be accepted later.
    Later(String),
    /// The profile is not what the receiver takes.
    Refused(String),
}

/// How long each step of a request may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
}

/// Larger than a head or a pair of them, and smaller than a profile.
const BUFFER: usize = 16 << 10;

impl Client {
    /// Sends a profile, and waits for the answer.
    pub(super) fn send(&self, taken: &mut Taken, limits: Limits) -> Result<(), Failure> {
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
        let mut request = agent
            .post(format!("{}/ingest", self.url))
            .query("name", &self.name)
            .query("from", from.min(until.saturating_sub(1)).to_string())
            .query("until", until.to_string())
            .query("format", "pprof")
            .query("spyName", "alloc-core")
            .header("Content-Type", "application/octet-stream")
            .header("Content-Length", length.to_string());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let sent = request.send(SendBody::from_reader(&mut { profile }));
        let response = sent.map_err(|error| later(&error))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(());
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

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
