//! Profiles of a running program over HTTP: for `go tool pprof`, scrapers, Prometheus and people.
//!
//! In: a request's path and query. Out: a status, headers and a body. Never: a read of debug
//! information in this process.
//!
//! [`serve`](crate::serve()) starts a listener on a thread of its own. [`Endpoint`] is the same as a
//! function, and `router`, with the feature `axum`, as routes for a service that mounts them beside its own.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /debug/pprof/` | an index for people |
//! | `GET /debug/pprof/heap` | a profile in pprof's format, which shows what is live first |
//! | `GET /debug/pprof/allocs` | the same profile, which shows what was allocated first |
//! | `GET /debug/pprof/delta_heap` | what is live, and what was allocated since the last request for it |
//! | `GET /debug/pprof/cmdline` | the command line; a zero byte ends each argument but the last |
//! | `GET /metrics` | numbers in the text format of Prometheus |
//! | `GET /snapshot` | a snapshot file with all that is known, for `alloc-report`; with `resident=1` also where the resident memory goes |
//! | `GET /graph` | a [heap graph](crate::heap_graph), for `alloc-report graph`; the program stands still for milliseconds |
//! | `GET /report` | the page of `alloc-report html` |
//! | `POST /start` | starts tracing; `frames=128` and `sample=512KiB` configure it |
//! | `POST /stop` | stops tracing, and discards what was recorded |
//!
//! | of a profile | |
//! | --- | --- |
//! | `seconds=N` | waits, and answers what changed meanwhile; 1 to 3600 |
//! | `debug=1` | text with addresses; not with `seconds` |
//! | `names=1` | functions, files and lines instead of addresses: see [names](#names) |
//! | `gc=1` | accepted, as there is nothing to collect |
//!
//! With `seconds`, what is live is a difference too, and may be negative, as Go does it.
//! `delta_heap` has what is live now, as `godeltaprof` does it. `delta_heap` remembers one moment
//! for all who ask, so let one scraper ask for it. A profile has Go's four sample types in Go's
//! order, so that Parca, Alloy, Pyroscope and the OpenTelemetry collector read it unchanged. Its
//! period is the sampling interval, or 1 where every block is recorded. Other profiles, such as
//! `/debug/pprof/goroutine`, are answered with status 404.
//!
//! # Names
//!
//! A profile has addresses, and the paths and build ids of the program and its libraries: readers
//! look up the names. Where a receiver needs names in the profile, `names=1` or
//! [`ServeOptions::names`] starts the command `alloc-report`, which reads debug information in a
//! process of its own and ends. So does `/report`. The command is found in `PATH`, or named by
//! [`ServeOptions::command`].
//!
//! `/metrics` has the callsites that hold the most, by name: see [`ServeOptions::callsites`]. The same
//! command names each of them once, and no scrape waits for it.
//!
//! # Who may ask
//!
//! Profiles tell much of a program. Without a token, only a loopback address or a Unix socket is
//! served, and requests under another host name are refused: a web page that points its own name at
//! this machine reads nothing. With [`ServeOptions::token`], each request needs the token, as
//! `Authorization: Bearer TOKEN` or as the password of basic authentication:
//! `go tool pprof http://any:TOKEN@host:6060/debug/pprof/heap`. Without it a request is answered
//! with status 401 and nothing else. There is no encryption: put a proxy in front for the network.
//!
//! # What it costs
//!
//! Nothing between requests, but some ten bytes for each callsite once `delta_heap` was asked for.
//! A profile of 20,000 callsites takes some 400 KiB while it is answered, and one of 200,000 some
//! 1.4 MiB, in memory that is returned to the system. Text goes through a temporary file, and so
//! does what a command makes.
//!
//! The thread is not recorded, and blocks all signals. It answers 64 connections at once. A client
//! has 10 seconds to send its request and 60 to read the answer. When there are more clients, the
//! slowest of those that have not sent their request yet are closed.
//!
//! # Forks
//!
//! A child after a fork does not serve, and dropping its copy of a [`Server`] does nothing. It closes its copies of the server's
//! sockets, so that a port or a Unix socket is free once the parent is gone, however long the child lives, and a client of the
//! parent waits for nobody. The parent goes on. A child that shall be asked calls [`serve`](crate::serve()) itself, at another
//! address.
//!
//! A program that is started inherits no descriptor, but variables: with `ALLOC_TRACE_SERVE` it serves too, or says on standard error
//! that its address is taken, and goes on.

#[cfg(feature = "axum")]
mod axum;
mod callsites;
#[cfg(feature = "prometheus")]
mod collector;
mod delta;
mod endpoint;
pub(crate) mod helper;
mod http;
mod index;
mod metrics;
mod options;
mod query;
mod response;
mod route;
mod text;

use std::time::Duration;

#[cfg(feature = "axum")]
pub use self::axum::router;
#[cfg(feature = "prometheus")]
pub use collector::HeapCollector;
pub use endpoint::Endpoint;
pub use http::Server;
pub use options::ServeOptions;
pub use response::Response;

use crate::Error;

/// How often an answer that is not ready looks again.
const TICK: Duration = Duration::from_millis(20);

/// Serves profiles of this program at an address: see [`serve`](mod@crate::serve).
///
/// The address is a host and a port, such as `127.0.0.1:6060`, or the path of a Unix socket, such as
/// `/run/app/heap.sock`. With port 0 the system chooses one: see [`Server::address`]. A new socket
/// can be used by the owner of the process only.
///
/// # Errors
///
/// [`Error::is_io`] if the address cannot be used, or if others than this machine can reach it.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use std::io::{Read as _, Write as _};
///
/// alloc_core::start()?;
/// let server = alloc_core::serve("127.0.0.1:0")?;
///
/// let mut client = std::net::TcpStream::connect(server.address().unwrap())?;
/// client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.contains("alloc_trace_heap_bytes"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn serve(address: &str) -> Result<Server, Error> {
    serve_with(address, &ServeOptions::default())
}

/// As [`serve`], with options.
///
/// # Errors
///
/// As [`serve`]. An address that others can reach is served with a [token](ServeOptions::token).
///
/// ```
/// use alloc_core::ServeOptions;
///
/// let everyone = alloc_core::serve("0.0.0.0:0");
/// assert!(everyone.unwrap_err().to_string().contains("token"));
///
/// let options = ServeOptions::default().token("a secret that is long enough");
/// let server = alloc_core::serve_with("0.0.0.0:0", &options)?;
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn serve_with(address: &str, options: &ServeOptions) -> Result<Server, Error> {
    let _muted = crate::record::thread::mute();
    Server::start(address, options)
}
