//! [`Request`]: the head of a request.

/// What of a request's head is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) host: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) authorization: Option<String>,
}

/// The longest head, in bytes.
pub(super) const LONGEST: usize = 8 << 10;

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not HTTP.
    Malformed,
    /// Longer than [`LONGEST`], or with more than 64 headers.
    TooLong,
}

impl Request {
    /// Parses a head. `None` if it is not whole yet.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Request>, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) if bytes.len() >= LONGEST => {
                return Err(Refused::TooLong);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLong),
            Err(_) => return Err(Refused::Malformed),
        }
        let target = head.path.unwrap_or_default();
        // A proxy's request has a whole address.
        let target = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |name: &str| {
            let found = head
                .headers
                .iter()
                .find(|it| it.name.eq_ignore_ascii_case(name))?;
            Some(String::from_utf8_lossy(found.value).into_owned())
        };
        Ok(Some(Request {
            method: head.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            host: header("host"),
            origin: header("origin"),
            authorization: header("authorization"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_once_it_is_whole() {
        let head = b"GET /debug/pprof/heap?debug=1&a=b HTTP/1.1\r\nHOST: a\r\nX-Y: z\r\n\r\nrest";
        for len in 0..head.len() - 4 {
            assert_eq!(Request::parse(&head[..len]), Ok(None), "{len}");
        }
        let request = Request::parse(head).unwrap().unwrap();
        assert_eq!(request.path, "/debug/pprof/heap");
        assert_eq!(request.query, "debug=1&a=b");
        assert_eq!(request.host.as_deref(), Some("a"));
        let proxied = b"GET http://a:1/metrics HTTP/1.1\r\n\r\n";
        assert_eq!(Request::parse(proxied).unwrap().unwrap().path, "/metrics");
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert_eq!(
            Request::parse(b"\x16\x03\x01\x02\x00"),
            Err(Refused::Malformed)
        );
        assert_eq!(
            Request::parse(b"GET / HTTP/9\r\n\r\n"),
            Err(Refused::Malformed)
        );
        let endless = [&b"GET /"[..], &[b'a'; LONGEST]].concat();
        assert_eq!(Request::parse(&endless), Err(Refused::TooLong));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(Request::parse(many.as_bytes()), Err(Refused::TooLong));
    }
}
