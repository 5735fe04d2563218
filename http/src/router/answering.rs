//! An answer in the making: the handler's future, watched for a panic, and what is done once it is there.
//!
//! Written by hand because it is moved and polled for every request. As nested `async fn`s it was kilobytes, copied
//! several times; like this it is some words beside the one allocation that the handler needs anyway.

use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode, header::CONNECTION};
use tokio::time::Instant;

use super::{cors::Permission, table::Endpoint, tell};
use crate::{Exchange, Problem, Response};

/// Resolves to the answer, as hyper wants it: a result that is never an error. Polled again after that, it never ends.
pub(crate) struct Answering {
    state: State,
    /// Whether the connection ends with this answer.
    closing: bool,
}

enum State {
    Handled(Handled),
    /// Boxed because it is the rare case, and an answer is larger than all of the other.
    Done(Option<Box<Response>>),
}

struct Handled {
    endpoint: Arc<Endpoint>,
    handling: BoxFuture<'static, Result<Response, Problem>>,
    arrived_at: Instant,
    permission: Permission,
}

type Panic = Box<dyn Any + Send>;

impl Answering {
    pub(super) fn done(response: Response) -> Self {
        Self { state: State::Done(Some(Box::new(response))), closing: false }
    }

    /// With `closing`, the answer asks for the end of its connection.
    pub(crate) fn closing(self, closing: bool) -> Self {
        Self { closing, ..self }
    }

    /// Hands the exchange to the endpoint's handler.
    pub(super) fn call(
        endpoint: Arc<Endpoint>,
        exchange: Exchange,
        arrived_at: Instant,
        permission: Permission,
    ) -> Self {
        // A handler may panic before its future exists.
        match catch_unwind(AssertUnwindSafe(|| (endpoint.handler)(exchange))) {
            Ok(handling) => {
                let handled = Handled { endpoint, handling, arrived_at, permission };
                Self { state: State::Handled(handled), closing: false }
            }
            Err(panic) => Self::done(finish(&endpoint, arrived_at, permission, Err(panic))),
        }
    }
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let closing = self.closing;
        let mut response = match &mut self.state {
            State::Done(response) => match response.take() {
                Some(response) => *response,
                None => return Poll::Pending,
            },
            State::Handled(handled) => {
                let polled = catch_unwind(AssertUnwindSafe(|| handled.handling.as_mut().poll(cx)));
                let outcome = match polled {
                    Ok(polled) => Ok(ready!(polled)),
                    Err(panic) => Err(panic),
                };
                let permission = std::mem::take(&mut handled.permission);
                let response = finish(&handled.endpoint, handled.arrived_at, permission, outcome);
                self.state = State::Done(None);
                response
            }
        };
        // An upgraded connection is no longer ours to count.
        if closing && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

fn finish(
    endpoint: &Endpoint,
    arrived_at: Instant,
    permission: Permission,
    outcome: Result<Result<Response, Problem>, Panic>,
) -> Response {
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => tell(endpoint.route, problem),
        Err(panic) => {
            let mut problem = Problem::internal();
            let (instance, panic) = (problem.instance(), message(&*panic));
            tracing::error!(instance, route = endpoint.route, panic, "a handler panicked");
            problem.into()
        }
    };
    endpoint.metrics.count(response.status(), arrived_at.elapsed());
    permission.mark(&mut response);
    response
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&'static str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        (None, None) => "not a text",
    }
}
