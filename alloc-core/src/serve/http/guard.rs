//! [`Guard`]: who may ask.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD;

use super::super::ServeOptions;
use super::super::response::Response;
use super::listener::Place;
use super::request::Request;

/// Decides whether a request is answered.
pub(super) struct Guard {
    token: Option<String>,
    /// Whether the name of the host is checked: where no token is required, over the network.
    checks_host: bool,
}

impl Guard {
    pub(super) fn new(options: &ServeOptions, place: &Place) -> Guard {
        let token = options.token.clone();
        Guard {
            checks_host: token.is_none() && matches!(place, Place::Net(_)),
            token,
        }
    }

    /// Returns the answer to a request that is refused.
    pub(super) fn check(&self, request: &Request) -> Result<(), Response> {
        if let Some(token) = &self.token
            && !request
                .authorization
                .as_ref()
                .is_some_and(|it| has_token(it, token))
        {
            let challenge = "Basic realm=\"memory\", charset=\"UTF-8\"";
            return Err(Response::empty(401).with_header("WWW-Authenticate", challenge));
        }
        let host = request.host.as_deref();
        if self.checks_host && !host.is_none_or(is_this_machine) {
            return Err(Response::text(
                403,
                "expected the host localhost or an address of this machine, found another: a token \
                 permits any",
            ));
        }
        // A web page that sends a request to another host says where it comes from.
        let is_foreign = |origin: &str| origin.split_once("://").map(|it| it.1) != host;
        if request.method == "POST" && request.origin.as_deref().is_some_and(is_foreign) {
            return Err(Response::text(
                403,
                "expected no request of another web page",
            ));
        }
        Ok(())
    }
}

/// Whether the value of the header `Authorization` has the token.
fn has_token(value: &str, token: &str) -> bool {
    let Some((scheme, rest)) = value.split_once(' ') else {
        return false;
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return is_equal(rest.trim().as_bytes(), token.as_bytes());
    }
    let pair = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| decoded(rest.trim()))
        .flatten();
    pair.is_some_and(|pair| {
        let password = pair.iter().position(|&byte| byte == b':');
        password.is_some_and(|at| is_equal(&pair[at + 1..], token.as_bytes()))
    })
}

/// Decodes base64, with or without padding. `None` if it is something else.
fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// Compares in a time that says nothing about where the two differ.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

/// Whether the value of the header `Host` means this machine by whatever network.
///
/// NOTE: a web page can have its own name resolved to 127.0.0.1. Then this name is the host.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_a_bearers_or_a_password() {
        // "any:s3cret" and "any:other".
        for (value, expected) in [
            ("Bearer s3cret", true),
            ("bearer s3cret", true),
            ("Basic YW55OnMzY3JldA==", true),
            ("Basic YW55OnMzY3JldA", true),
            ("Basic YW55Om90aGVy", false),
            ("Bearer s3cre", false),
            ("Bearer s3cret2", false),
            ("Bearer", false),
            ("Basic !", false),
            ("s3cret", false),
            ("", false),
        ] {
            assert_eq!(has_token(value, "s3cret"), expected, "{value:?}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_by_name() {
        for (host, expected) in [
            ("localhost:6060", true),
            ("LOCALHOST", true),
            ("127.0.0.1:6060", true),
            ("127.8.8.8", true),
            ("[::1]:6060", true),
            ("evil.example:6060", false),
            ("localhost.evil.example", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_this_machine(host), expected, "{host:?}");
        }
    }
}
