//! [`Route`]: what there is to ask for.

use super::response::Response;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

/// What there is to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Root,
    Index,
    CommandLine,
    /// A profile, by its name.
    Profile(&'static str),
    Metrics,
    Snapshot,
    Report,
    Graph,
    Start,
    Stop,
}

impl Route {
    /// The route of a path, or the answer to a path that there is not.
    pub(super) fn of(path: &str) -> Result<Route, Response> {
        Ok(match path {
            "/" => Route::Root,
            "/metrics" => Route::Metrics,
            "/snapshot" => Route::Snapshot,
            "/report" => Route::Report,
            "/graph" => Route::Graph,
            "/start" => Route::Start,
            "/stop" => Route::Stop,
            _ => match path.strip_prefix(PPROF) {
                Some("") => Route::Index,
                Some("cmdline") => Route::CommandLine,
                Some("heap") => Route::Profile("heap"),
                Some("allocs") => Route::Profile("allocs"),
                Some("delta_heap") => Route::Profile("delta_heap"),
                Some(other) => {
                    let found = format!(
                        "expected heap, allocs, delta_heap or cmdline, found {other:?}: this \
                         program serves profiles of its memory"
                    );
                    return Err(Response::text(404, found).with_header("X-Go-Pprof", "1"));
                }
                None => {
                    let found = format!(
                        "expected {PPROF}, /metrics, /report, /snapshot or /graph, found another path"
                    );
                    return Err(Response::text(404, found));
                }
            },
        })
    }

    /// The method that a request for it has.
    pub(super) fn method(self) -> Method {
        match self {
            Route::Start | Route::Stop => Method::Post,
            _ => Method::Get,
        }
    }

    /// Whether the answer takes time or memory.
    pub(super) fn is_large(self) -> bool {
        matches!(
            self,
            Route::Profile(_) | Route::Snapshot | Route::Report | Route::Graph
        )
    }
}

/// The path of profiles.
pub(super) const PPROF: &str = "/debug/pprof/";
