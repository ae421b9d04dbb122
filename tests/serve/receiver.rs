//! A receiver of profiles: a strict reader of what Pyroscope documents for `POST /ingest`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::profiles::v1development::{
    ExportProfilesPartialSuccess, ExportProfilesServiceResponse,
};
use prost::Message as _;

/// What the receiver does with a profile.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    Accepts,
    /// It reads the request and answers with a status.
    Answers(u16),
    /// It accepts, by the protocol of OTLP, and says that it left out so many profiles, or gives advice only.
    Rejects(i64),
    /// It reads the request and never answers.
    Hangs,
}

/// A request that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// With names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

struct Shared {
    mood: Mutex<Mood>,
    received: Mutex<Vec<Received>>,
    /// Requests that were read, whatever became of them.
    asked: Mutex<usize>,
    ends: AtomicBool,
}

/// Receives until it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn start() -> Receiver {
        Receiver::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    pub(crate) fn start_at(address: SocketAddr) -> Receiver {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Accepts),
            received: Mutex::default(),
            asked: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let mut hanging = Vec::new();
                for stream in listener.incoming() {
                    if shared.ends.load(Ordering::SeqCst) {
                        return;
                    }
                    hanging.extend(shared.serve(stream.expect("a client")));
                }
            }
        });
        Receiver {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.shared.mood.lock().expect("no panic") = mood;
    }

    /// How many requests it read.
    pub(crate) fn asked(&self) -> usize {
        *self.shared.asked.lock().expect("no panic")
    }

    /// What it accepted, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("no panic").clone()
    }

    /// Ends it, and returns what it accepted.
    pub(crate) fn end(self) -> Vec<Received> {
        self.received()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(ended.is_some_and(|it| it.is_ok()), "a wrong request");
        }
    }
}

impl Shared {
    /// Reads a request, and answers. Returns the connection if it hangs.
    fn serve(&self, mut stream: TcpStream) -> Option<TcpStream> {
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).expect("a timeout");
        let received = read(&stream)?;
        *self.asked.lock().expect("no panic") += 1;
        let mood = *self.mood.lock().expect("no panic");
        let (status, body) = match mood {
            Mood::Hangs => return Some(stream),
            Mood::Answers(status) => (status, b"no room.\n".to_vec()),
            Mood::Accepts => (200, b"thank you".to_vec()),
            Mood::Rejects(profiles) => (200, partial_success(profiles)),
        };
        if status == 200 {
            self.received.lock().expect("no panic").push(received);
        }
        let head = format!(
            "HTTP/1.1 {status} So\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // The client may be gone.
        let _ = stream.write_all(&[head.into_bytes(), body].concat());
        None
    }
}

fn partial_success(profiles: i64) -> Vec<u8> {
    let partial = ExportProfilesPartialSuccess {
        rejected_profiles: profiles,
        error_message: "no room for it".to_owned(),
    };
    let answer = ExportProfilesServiceResponse {
        partial_success: Some(partial),
    };
    answer.encode_to_vec()
}

/// Reads a request. `None` if the client goes before it sends one.
fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = || -> Option<String> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&len| len > 0)?;
        Some(line.strip_suffix("\r\n").expect("a whole line").to_owned())
    };
    let first = line()?;
    let target = first.strip_prefix("POST ").expect("POST");
    let target = target.strip_suffix(" HTTP/1.1").expect("HTTP/1.1");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").expect("a header");
        let twice = headers.insert(name.to_ascii_lowercase(), value.to_owned());
        assert_eq!(twice, None, "{name}");
    }
    assert!(!headers.contains_key("transfer-encoding"), "{headers:?}");
    let length: usize = headers["content-length"].parse().expect("a length");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let pairs = query.split('&').filter(|it| !it.is_empty());
    let pairs = pairs.map(|it| it.split_once('=').expect("a parameter and its value"));
    Some(Received {
        path: path.to_owned(),
        query: pairs
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect(),
        headers,
        body,
    })
}

/// Decodes `%7B`.
fn decoded(text: &str) -> String {
    assert!(text.bytes().all(|it| it.is_ascii_graphic()), "{text:?}");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}
