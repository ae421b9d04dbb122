//! [`Endpoint`]: from a request's path and query to its answer.

use std::fmt;
use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::callsites::Callsites;
use super::delta::{self, Delta};
use super::helper::{Helper, SYMBOLIZE};
use super::query::Query;
use super::response::{Body, Response};
use super::route::{Method, PPROF, Route};
use super::{ServeOptions, index, metrics, text};
use crate::environment::background;
use crate::record::thread;
use crate::write::totals::Totals;
use crate::write::{self, Moment, Packed, With};
use crate::{Bytes, Config, Error};

/// Answers requests: for a service that has a web server already.
///
/// Give it the path and the query of a request: see [`serve`](mod@crate::serve) for those that there
/// are. It checks nobody: do that first. A clone shares what `delta_heap` remembers.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::ServeOptions;
/// use alloc_core::serve::Endpoint;
///
/// alloc_core::start()?;
/// let endpoint = Endpoint::new(&ServeOptions::default());
///
/// let profile = endpoint.get("/debug/pprof/heap", "");
/// assert_eq!(profile.status(), 200);
/// let profile = profile.into_bytes()?;
/// assert!(profile.starts_with(b"\x1F\x8B"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    options: ServeOptions,
    delta: Delta,
    callsites: Callsites,
}

/// An answer, or when to ask for it again.
pub(super) enum Answer {
    Ready(Response),
    Later(Later),
}

/// An answer that takes time.
pub(super) enum Later {
    /// What changes until then.
    Change {
        since: Totals,
        until: Instant,
        shows_allocated: bool,
        name: &'static str,
        named: bool,
    },
    /// What a command makes of a profile, and the response but for its body.
    Command(Helper, Response),
    /// A file that another thread writes, and its length.
    Graph(mpsc::Receiver<Result<(File, u64), Error>>),
}

impl Endpoint {
    /// An endpoint with these options.
    pub fn new(options: &ServeOptions) -> Endpoint {
        Endpoint(Arc::new(Inner {
            options: options.clone(),
            delta: Delta::default(),
            callsites: Callsites::new(options),
        }))
    }

    /// Answers a `GET` request. It blocks with `seconds`, and while a command makes a page or looks up
    /// names.
    pub fn get(&self, path: &str, query: &str) -> Response {
        self.wait_for(Method::Get, path, query)
    }

    /// Answers a `POST` request, such as `/start`.
    pub fn post(&self, path: &str, query: &str) -> Response {
        self.wait_for(Method::Post, path, query)
    }

    fn wait_for(&self, method: Method, path: &str, query: &str) -> Response {
        let _muted = thread::mute();
        let mut answer = self.answer(method, path, query);
        loop {
            match answer {
                Answer::Ready(response) => return response,
                Answer::Later(later) => {
                    std::thread::sleep(later.time_left().min(Duration::from_secs(1)));
                    answer = self.again(later);
                }
            }
        }
    }

    /// Answers a request without waiting.
    pub(super) fn answer(&self, method: Method, path: &str, query: &str) -> Answer {
        match self.try_answer(method, path, Query(query)) {
            Ok(answer) => answer,
            Err(refused) => Answer::Ready(refused),
        }
    }

    fn try_answer(&self, method: Method, path: &str, query: Query<'_>) -> Result<Answer, Response> {
        let options = &self.0.options;
        let route = Route::of(path)?;
        if method != route.method() {
            let allowed = match route.method() {
                Method::Get => "GET",
                Method::Post => "POST",
            };
            let refused = format!("expected the method {allowed}, found another");
            return Err(Response::text(405, refused).with_header("Allow", allowed));
        }
        let ready = |response| Ok(Answer::Ready(response));
        match route {
            Route::Root => ready(Response::empty(303).with_header("Location", PPROF)),
            Route::Index => ready(index::response()),
            Route::CommandLine => ready(index::command_line()?),
            Route::Profile(name) => self.pprof(name, query),
            Route::Metrics => ready(metrics::response(&self.0.callsites)?),
            Route::Snapshot => {
                let residence = query.switch("resident").map_err(wrong)?.unwrap_or(false);
                let with = With {
                    residence,
                    ..With::default()
                };
                let packed = write::pack(with, Moment::Running, &[])?;
                let name = format!("heap-{}.pb.gz", std::process::id());
                self.profile(packed, &name, self.names(query)?)
            }
            Route::Report => {
                let packed = write::pack(With::default(), Moment::Running, &[])?;
                let page = Response::new(200, "text/html; charset=utf-8", Body::Text(Vec::new()));
                let arguments = ["html", "-", "-o", "-"];
                self.command(&arguments, packed, page)
            }
            Route::Graph => graph(),
            Route::Start | Route::Stop if options.read_only => {
                Err(Response::text(403, "this program refuses /start and /stop"))
            }
            Route::Start => ready(start(query)?),
            Route::Stop => {
                crate::stop();
                ready(Response::text(200, "tracing is off"))
            }
        }
    }

    /// Answers a request for a profile.
    fn pprof(&self, name: &'static str, query: Query<'_>) -> Result<Answer, Response> {
        let shows_allocated = name == "allocs";
        let seconds = query.parse::<u32>("seconds", SECONDS).map_err(wrong)?;
        let debug = query.parse::<u32>("debug", "0 or 1").map_err(wrong)?;
        let named = self.names(query)?;
        let is_text = debug.is_some_and(|it| it > 0);
        match seconds {
            Some(seconds) if !(1..=3600).contains(&seconds) => Err(wrong(format!(
                "seconds: expected {SECONDS}, found {seconds}"
            ))),
            Some(_) if is_text => Err(wrong(
                "expected seconds or debug, found both: a difference has no text".to_owned(),
            )),
            Some(seconds) => Ok(Answer::Later(Later::Change {
                since: Totals::read()?,
                until: Instant::now() + Duration::from_secs(seconds.into()),
                shows_allocated,
                name,
                named,
            })),
            None if is_text => Ok(Answer::Ready(text::response()?)),
            None if name == "delta_heap" => self.profile(self.0.delta.pack()?, name, named),
            None => self.profile(delta::whole(shows_allocated)?, name, named),
        }
    }

    /// Whether a profile has names.
    fn names(&self, query: Query<'_>) -> Result<bool, Response> {
        let asked = query.switch("names").map_err(wrong)?;
        Ok(asked.unwrap_or(self.0.options.names))
    }

    /// Answers with a profile, with or without names.
    fn profile(&self, packed: Packed, name: &str, named: bool) -> Result<Answer, Response> {
        if !named {
            return Ok(Answer::Ready(attached(name, Body::Packed(packed))));
        }
        self.command(&SYMBOLIZE, packed, attached(name, Body::Text(Vec::new())))
    }

    fn command(
        &self,
        arguments: &[&str],
        input: Packed,
        response: Response,
    ) -> Result<Answer, Response> {
        let helper = Helper::start_with(&self.0.options.command, arguments, input.bytes())?;
        Ok(Answer::Later(Later::Command(helper, response)))
    }

    /// Asks again for an answer that takes time.
    pub(super) fn again(&self, later: Later) -> Answer {
        match self.try_again(later) {
            Ok(answer) => answer,
            Err(failed) => Answer::Ready(failed),
        }
    }

    fn try_again(&self, later: Later) -> Result<Answer, Response> {
        match later {
            Later::Change {
                since,
                until,
                shows_allocated,
                name,
                named,
            } if Instant::now() >= until => {
                let packed = delta::since(&since, shows_allocated)?;
                // NOTE: its memory is not needed while a command names the profile.
                drop(since);
                self.profile(packed, name, named)
            }
            Later::Command(mut helper, mut response) => match helper.output()? {
                Some((file, len)) => {
                    response.body = Body::File(file, len);
                    Ok(Answer::Ready(response))
                }
                None => Ok(Answer::Later(Later::Command(helper, response))),
            },
            Later::Graph(written) => match written.try_recv() {
                Ok(written) => {
                    let (file, len) = written?;
                    let name = format!("{}.heapgraph", std::process::id());
                    Ok(Answer::Ready(attached(&name, Body::File(file, len))))
                }
                Err(mpsc::TryRecvError::Empty) => Ok(Answer::Later(Later::Graph(written))),
                Err(mpsc::TryRecvError::Disconnected) => {
                    Err(Response::text(500, "the thread for the heap graph ended"))
                }
            },
            later => Ok(Answer::Later(later)),
        }
    }
}

/// A file that a client stores under a name.
fn attached(name: &str, body: Body) -> Response {
    let file = format!("attachment; filename=\"{name}\"");
    Response::new(200, "application/octet-stream", body).with_header("Content-Disposition", file)
}

/// Takes a heap graph on another thread, since a large heap takes seconds.
fn graph() -> Result<Answer, Response> {
    if !crate::is_tracing() {
        return Err(Error::not_tracing().into());
    }
    let (sends, written) = mpsc::channel();
    // NOTE: nobody receives it if the client is gone. Then the file is closed, and has no name.
    match background::run(move || _ = sends.send(nameless_graph())) {
        true => Ok(Answer::Later(Later::Graph(written))),
        false => Err(Response::text(500, "the system refused a thread")),
    }
}

/// Writes a heap graph to a file that has no name any more.
fn nameless_graph() -> Result<(File, u64), Error> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("alloc-trace-{}-{number}.heapgraph", std::process::id());
    let path = std::env::temp_dir().join(name);
    crate::heap_graph(&path)?;
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

impl Later {
    /// When to ask again, at the latest.
    pub(super) fn time_left(&self) -> Duration {
        match self {
            Later::Change { until, .. } => until.saturating_duration_since(Instant::now()),
            Later::Command(..) | Later::Graph(_) => super::TICK,
        }
    }
}

const SECONDS: &str = "a number from 1 to 3600";

/// Starts tracing.
fn start(query: Query<'_>) -> Result<Response, Response> {
    let mut config = Config::default();
    let frames = query
        .parse("frames", "a number from 0 to 1000")
        .map_err(wrong)?;
    if let Some(frames) = frames {
        config = config.frames(frames);
    }
    let sample = query.parse::<Bytes>("sample", "bytes, as 524288 or 512KiB");
    if let Some(sample) = sample.map_err(wrong)? {
        config = config.sample_every(sample);
    }
    match crate::start_with(config) {
        Ok(()) => Ok(Response::text(200, "tracing is on")),
        Err(error) if error.is_already_tracing() => Err(Response::text(409, error)),
        Err(error) if error.is_invalid_config() => Err(wrong(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// An answer to a request with a wrong parameter.
fn wrong(message: String) -> Response {
    Response::text(400, message)
}

impl From<Error> for Response {
    fn from(error: Error) -> Response {
        if error.is_not_tracing() {
            let how = "expected that tracing is on, found it off: POST /start, or set ALLOC_TRACE=128 \
                       when the program starts";
            return Response::text(503, how);
        }
        Response::text(500, error)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
