//! Routes for `axum`.

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::Request;
use ::axum::http::{Method, StatusCode};
use ::axum::response::Response as HttpResponse;
use ::axum::routing::any;

use super::{Endpoint, Response};

/// The routes of an [`Endpoint`] for `axum`, with the paths of [`serve`](mod@crate::serve): merge
/// them with a service's own, or nest them.
///
/// They answer whoever asks. Put a layer of the service around them that checks who that is. An
/// answer is made on a thread for blocking work, and its body is in memory that is not recorded.
///
/// ```
/// use alloc_core::ServeOptions;
/// use alloc_core::serve::{Endpoint, router};
/// use axum::Router;
///
/// let endpoint = Endpoint::new(&ServeOptions::default().read_only(true));
/// let service: Router = Router::new().nest("/internal", router(endpoint));
/// // GET /internal/debug/pprof/heap
/// ```
pub fn router<S: Clone + Send + Sync + 'static>(endpoint: Endpoint) -> Router<S> {
    let answer = any(move |request: Request| {
        let endpoint = endpoint.clone();
        async move { answered(endpoint, request).await }
    });
    let paths = [
        "/debug/pprof/",
        "/debug/pprof/{profile}",
        "/metrics",
        "/snapshot",
        "/graph",
        "/report",
        "/start",
        "/stop",
    ];
    let routes = paths.into_iter();
    routes.fold(Router::new(), |router, path| {
        router.route(path, answer.clone())
    })
}

async fn answered(endpoint: Endpoint, request: Request) -> HttpResponse {
    let work = move || {
        crate::untraced(|| {
            let uri = request.uri();
            let query = uri.query().unwrap_or_default();
            let response = match *request.method() {
                Method::GET | Method::HEAD => endpoint.get(uri.path(), query),
                Method::POST => endpoint.post(uri.path(), query),
                _ => Response::text(405, "expected GET, HEAD or POST, found another method"),
            };
            converted(response)
        })
    };
    let failed = |error: &dyn std::fmt::Display| {
        let mut response = HttpResponse::new(Body::from(format!("{error}\n")));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn converted(response: Response) -> Result<HttpResponse, Box<dyn std::error::Error + Send + Sync>> {
    let builder = HttpResponse::builder().status(response.status());
    let headers = response.headers();
    let builder = headers.fold(builder, |all, (name, value)| all.header(name, value));
    Ok(builder.body(Body::from(response.into_bytes()?))?)
}
