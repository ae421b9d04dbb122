//! [`LabelLayer`]: labels each request of a `tower` service.

use std::fmt;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Label, Labelled};

/// A layer of `tower` that charges what a request allocates to a label made of the request.
///
/// The label covers the call of the service and its future, on whatever threads it is polled. A
/// response body that is streamed after the future is done is not covered, nor is what the server
/// does before and after.
///
/// With axum, a layer over the routes knows which of them a request matches, and no handler is
/// edited:
///
/// ```no_run
/// use alloc_core::{Label, LabelLayer};
/// # trait Ext { fn matched(&self) -> Option<&str>; }
/// # struct Request;
/// # impl Ext for Request { fn matched(&self) -> Option<&str> { None } }
///
/// // request.extensions().get::<MatchedPath>().map_or("<no route>", MatchedPath::as_str)
/// let by_route = |request: &Request| Label::new(request.matched().unwrap_or("<no route>"));
/// let layer = LabelLayer::new(by_route);
/// // Router::new().route("/users", get(users)).route_layer(layer)
/// # let _: LabelLayer<_> = layer;
/// ```
///
/// Any service has its requests labelled:
///
/// ```
/// use alloc_core::{Label, LabelLayer};
/// use tower_layer::Layer as _;
/// use tower_service::Service as _;
/// # struct Echo;
/// # impl tower_service::Service<&'static str> for Echo {
/// #     type Response = Option<&'static str>;
/// #     type Error = std::convert::Infallible;
/// #     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
/// #     fn poll_ready(
/// #         &mut self,
/// #         _: &mut std::task::Context<'_>,
/// #     ) -> std::task::Poll<Result<(), Self::Error>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, _: &'static str) -> Self::Future {
/// #         std::future::ready(Ok(Label::current().path()))
/// #     }
/// # }
///
/// let mut service = LabelLayer::new(|request: &&str| Label::new(request)).layer(Echo);
/// let answer = std::pin::pin!(service.call("GET /users"));
/// let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// assert_eq!(answer.poll(&mut context), std::task::Poll::Ready(Ok(Some("GET /users"))));
/// ```
#[derive(Clone)]
pub struct LabelLayer<F> {
    label: F,
}

impl<F> LabelLayer<F> {
    /// A layer that labels each request with what `label` returns for it: often a
    /// [`Label::new`] of its route. Give requests of one kind one name, not a name for each
    /// request: see [limits](Label#limits).
    pub fn new(label: F) -> LabelLayer<F> {
        LabelLayer { label }
    }
}

impl<S, F: Clone> Layer<S> for LabelLayer<F> {
    type Service = LabelService<S, F>;

    fn layer(&self, service: S) -> LabelService<S, F> {
        LabelService {
            service,
            label: self.label.clone(),
        }
    }
}

/// A service that labels its requests: see [`LabelLayer`].
#[derive(Clone)]
pub struct LabelService<S, F> {
    service: S,
    label: F,
}

impl<R, S, F> Service<R> for LabelService<S, F>
where
    S: Service<R>,
    F: Fn(&R) -> Label,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Labelled<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Labelled<S::Future> {
        let label = (self.label)(&request);
        label.instrument(label.run(|| self.service.call(request)))
    }
}

impl<F> fmt::Debug for LabelLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelLayer").finish_non_exhaustive()
    }
}

impl<S, F> fmt::Debug for LabelService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelService").finish_non_exhaustive()
    }
}
