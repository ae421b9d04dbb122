//! [`Response`]: a status, headers and a body.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use crate::write::Packed;

/// An answer to a request.
///
/// ```
/// use alloc_core::ServeOptions;
/// use alloc_core::serve::Endpoint;
///
/// let response = Endpoint::new(&ServeOptions::default()).get("/debug/pprof/goroutine", "");
/// assert_eq!(response.status(), 404);
/// assert!(response.headers().any(|it| it == ("Content-Type", "text/plain; charset=utf-8")));
/// assert!(String::from_utf8(response.into_bytes()?)?.contains("heap"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Response {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

/// The body of a response.
pub(super) enum Body {
    Text(Vec<u8>),
    Packed(Packed),
    File(File, u64),
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Response {
    pub(super) fn new(status: u16, content: &str, body: Body) -> Response {
        let headers = vec![
            ("Content-Type", content.to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            // A profile is of one moment, and nobody else's.
            ("Cache-Control", "no-store".to_owned()),
        ];
        Response {
            status,
            headers,
            body,
        }
    }

    /// A line of text.
    pub(super) fn text(status: u16, text: impl fmt::Display) -> Response {
        let text = format!("{text}\n").into_bytes();
        Response::new(status, TEXT, Body::Text(text))
    }

    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Response {
        Response::new(status, TEXT, Body::Text(Vec::new()))
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, without the length of the body.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, &**value))
    }

    /// The number of bytes of the body.
    pub fn content_length(&self) -> u64 {
        match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::Packed(packed) => packed.bytes().len() as u64,
            Body::File(_, len) => *len,
        }
    }

    /// The text of an answer that says what failed.
    #[cfg(feature = "push")]
    pub(crate) fn into_message(self) -> String {
        match self.body {
            Body::Text(text) => String::from_utf8_lossy(&text).trim().to_owned(),
            _ => format!("status {}", self.status),
        }
    }

    /// The body.
    ///
    /// # Errors
    ///
    /// If the file that the command wrote cannot be read.
    pub fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self.body {
            Body::Text(text) => Ok(text),
            Body::Packed(packed) => Ok(packed.bytes().to_vec()),
            Body::File(mut file, len) => {
                let mut bytes = Vec::with_capacity(len as usize);
                file.seek(SeekFrom::Start(0))?;
                file.take(len).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

impl Body {
    /// Reads the next bytes at an offset. Zero at the end.
    pub(super) fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = match self {
            Body::Text(text) => &text[..],
            Body::Packed(packed) => packed.bytes(),
            Body::File(file, len) => {
                let left = len.saturating_sub(offset).min(into.len() as u64) as usize;
                file.seek(SeekFrom::Start(offset))?;
                return file.read(&mut into[..left]);
            }
        };
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("content_length", &self.content_length())
            .finish()
    }
}
