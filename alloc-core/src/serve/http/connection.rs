//! [`Connection`]: a client, from its request to the end of its answer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use super::super::Endpoint;
use super::super::endpoint::{Answer, Later};
use super::super::response::{Body, Response};
use super::super::route::{Method, Route};
use super::guard::Guard;
use super::listener::Stream;
use super::request::{self, Refused, Request};
use crate::system::only_here::OnlyHere;

/// How long a client may take to send its request.
const TO_ASK: Duration = Duration::from_secs(10);
/// How long a client may take to read the answer.
const TO_READ: Duration = Duration::from_secs(60);
/// How long is waited for a client to close, once it has its answer.
const TO_CLOSE: Duration = Duration::from_secs(1);

/// A client.
pub(super) struct Connection {
    stream: OnlyHere<Stream>,
    state: State,
    /// When it is over.
    until: Instant,
}

enum State {
    /// The start of the request.
    Asking(Vec<u8>),
    /// An answer that takes time; whether its body is left out.
    Waiting(Later, bool),
    /// The head and the body of the answer, and how much of each is written.
    Answering {
        head: Vec<u8>,
        body: Body,
        written: u64,
        len: u64,
    },
    /// The answer is written. NOTE: closing a socket while the client still sends would take the
    /// answer away from it.
    Closing,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    ToRead,
    ToWrite,
}

/// Whether there is more to do at once.
enum Step {
    Again,
    Wait,
    Over,
}

impl Connection {
    pub(super) fn new(stream: OnlyHere<Stream>) -> Connection {
        Connection {
            stream,
            state: State::Asking(Vec::new()),
            until: Instant::now() + TO_ASK,
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn waits(&self) -> Waits {
        match self.state {
            State::Answering { .. } => Waits::ToWrite,
            _ => Waits::ToRead,
        }
    }

    /// When there is something to do, whatever the client does.
    pub(super) fn looks_again_at(&self) -> Instant {
        match &self.state {
            State::Waiting(later, _) => Instant::now() + later.time_left(),
            _ => self.until,
        }
    }

    pub(super) fn has_no_request(&self) -> bool {
        matches!(self.state, State::Asking(_))
    }

    /// Whether it has an answer that takes time or memory.
    pub(super) fn has_an_answer(&self) -> bool {
        match &self.state {
            State::Waiting(..) => true,
            State::Answering { body, .. } => !matches!(body, Body::Text(_)),
            State::Asking(_) | State::Closing => false,
        }
    }

    /// Does what can be done without waiting. `false` if the connection is over.
    pub(super) fn advance(&mut self, guard: &Guard, endpoint: &Endpoint, is_busy: bool) -> bool {
        loop {
            let step = match &mut self.state {
                State::Asking(_) => self.ask(guard, endpoint, is_busy),
                State::Waiting(..) => self.wait(endpoint),
                State::Answering { .. } => self.answer(),
                State::Closing => self.close(),
            };
            match step {
                Step::Again => {}
                Step::Over => return false,
                Step::Wait => {
                    return matches!(self.state, State::Waiting(..)) || Instant::now() < self.until;
                }
            }
        }
    }

    /// Reads the request, and begins to answer it once it is whole.
    fn ask(&mut self, guard: &Guard, endpoint: &Endpoint, is_busy: bool) -> Step {
        let State::Asking(head) = &mut self.state else {
            return Step::Again;
        };
        let mut part = [0; 1024];
        let space = part.len().min(request::LONGEST - head.len());
        match self.stream.read(&mut part[..space]) {
            Ok(0) => return Step::Over,
            Ok(len) => head.extend_from_slice(&part[..len]),
            Err(error) => return after(&error),
        }
        let parsed = Request::parse(head);
        let request = match parsed {
            Ok(None) => return Step::Again,
            Ok(Some(request)) => request,
            Err(Refused::Malformed) => {
                return self.begin(Response::text(400, "expected a request in HTTP/1"), false);
            }
            Err(Refused::TooLong) => {
                return self.begin(Response::text(431, "expected a shorter request"), false);
            }
        };
        let (method, is_head) = match &*request.method {
            "GET" => (Some(Method::Get), false),
            "HEAD" => (Some(Method::Get), true),
            "POST" => (Some(Method::Post), false),
            _ => (None, false),
        };
        if let Err(refused) = guard.check(&request) {
            return self.begin(refused, is_head);
        }
        let Some(method) = method else {
            let refused = Response::text(405, "expected GET, HEAD or POST, found another method");
            return self.begin(refused.with_header("Allow", "GET, HEAD, POST"), false);
        };
        if is_busy && Route::of(&request.path).is_ok_and(Route::is_large) {
            let busy = Response::text(503, "expected fewer requests at once");
            return self.begin(busy.with_header("Retry-After", "1"), is_head);
        }
        let answer = endpoint.answer(method, &request.path, &request.query);
        self.go_on(answer, is_head)
    }

    fn go_on(&mut self, answer: Answer, is_head: bool) -> Step {
        match answer {
            Answer::Ready(response) => self.begin(response, is_head),
            Answer::Later(later) => {
                self.state = State::Waiting(later, is_head);
                Step::Wait
            }
        }
    }

    /// Waits for the answer, as long as the client is there.
    fn wait(&mut self, endpoint: &Endpoint) -> Step {
        // NOTE: what comes after the head is ignored.
        match self.stream.read(&mut [0; 1024]) {
            Ok(0) => return Step::Over,
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                _ => return Step::Over,
            },
        }
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Waiting(later, is_head) => self.go_on(endpoint.again(later), is_head),
            other => {
                self.state = other;
                Step::Again
            }
        }
    }

    /// Begins to write an answer.
    fn begin(&mut self, response: Response, is_head: bool) -> Step {
        let status = response.status();
        let reason = reason(status);
        let mut head = format!("HTTP/1.1 {status} {reason}\r\nConnection: close\r\n");
        let headers = response.headers();
        headers.for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let len = response.content_length();
        head.push_str(&format!("Content-Length: {len}\r\n\r\n"));
        self.state = State::Answering {
            head: head.into_bytes(),
            body: response.body,
            written: 0,
            len: if is_head { 0 } else { len },
        };
        self.until = Instant::now() + TO_READ;
        Step::Again
    }

    fn answer(&mut self) -> Step {
        let State::Answering {
            head,
            body,
            written,
            len,
        } = &mut self.state
        else {
            return Step::Again;
        };
        let mut part = [0; 16 << 10];
        let of_head = head.len() as u64;
        let bytes = if *written < of_head {
            &head[*written as usize..]
        } else {
            let at = *written - of_head;
            let left = (*len - at).min(part.len() as u64) as usize;
            match body.read_at(at, &mut part[..left]) {
                Ok(0) => {
                    self.state = State::Closing;
                    self.until = Instant::now() + TO_CLOSE;
                    return match self.stream.finish() {
                        Ok(()) => Step::Again,
                        Err(_) => Step::Over,
                    };
                }
                Ok(read) => &part[..read],
                Err(_) => return Step::Over,
            }
        };
        match self.stream.write(bytes) {
            Ok(0) => Step::Over,
            Ok(len) => {
                *written += len as u64;
                Step::Again
            }
            Err(error) => after(&error),
        }
    }

    /// Reads what the client still sends, until it closes.
    fn close(&mut self) -> Step {
        match self.stream.read(&mut [0; 4096]) {
            Ok(0) => Step::Over,
            // NOTE: others have their turn before the rest is read.
            Ok(_) => Step::Wait,
            Err(error) => after(&error),
        }
    }
}

/// What to do after an error of the system.
fn after(error: &std::io::Error) -> Step {
    match error.kind() {
        ErrorKind::WouldBlock => Step::Wait,
        ErrorKind::Interrupted => Step::Again,
        _ => Step::Over,
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
