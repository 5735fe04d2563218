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
use http::StatusCode;
use tokio::time::Instant;

use super::{cors::Permission, table::Endpoint, tell};
use crate::{
    Answer, Exchange, Problem, Response,
    exchange::{Leftover, close},
};

/// Resolves to the answer, as hyper wants it: a result that is never an error. Polled again after that, it never ends.
pub(crate) struct Answering {
    state: State,
    /// Whether the connection ends with this answer.
    closing: bool,
}

enum State {
    Handled(Handled),
    /// Boxed, as the next: an answer is larger than all of the other.
    Draining(Box<Draining>),
    Done(Option<Box<Response>>),
}

/// Whose answer it is, and what is done with it.
pub(super) struct Call {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) arrived_at: Instant,
    pub(super) permission: Permission,
}

struct Handled {
    call: Call,
    handling: BoxFuture<'static, Result<Response, Problem>>,
    left: Option<Leftover>,
}

/// An answer that waits until what its handler left of the request's content has been read.
struct Draining {
    response: Response,
    drained: BoxFuture<'static, bool>,
}

type Panic = Box<dyn Any + Send>;

impl Answering {
    /// An answer that is there already, given once what is left of the request's content has been read.
    pub(super) fn after(mut response: Response, left: Option<Leftover>) -> Self {
        let drained = left.and_then(|left| left.drain(&mut response));
        let state = match drained {
            Some(drained) => State::Draining(Box::new(Draining { response, drained })),
            None => State::Done(Some(Box::new(response))),
        };
        Self { state, closing: false }
    }

    /// With `closing`, the answer asks for the end of its connection.
    pub(crate) fn closing(self, closing: bool) -> Self {
        Self { closing, ..self }
    }

    /// Hands the exchange to the endpoint's handler.
    pub(super) fn call(mut call: Call, exchange: Exchange, left: Option<Leftover>) -> Self {
        // A handler may panic before its future exists.
        match catch_unwind(AssertUnwindSafe(|| (call.endpoint.handler)(exchange))) {
            Ok(Answer::Now(answer)) => Self::after(call.finish(Ok(answer)), left),
            Ok(Answer::Later(handling)) => {
                Self { state: State::Handled(Handled { call, handling, left }), closing: false }
            }
            Err(panic) => Self::after(call.finish(Err(panic)), left),
        }
    }
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = loop {
            match &mut self.state {
                State::Handled(handled) => {
                    let (mut response, left) = ready!(handled.poll(cx));
                    match left.and_then(|left| left.drain(&mut response)) {
                        None => break response,
                        Some(drained) => {
                            self.state = State::Draining(Box::new(Draining { response, drained }));
                        }
                    }
                }
                State::Draining(draining) => {
                    let drained = ready!(draining.drained.as_mut().poll(cx));
                    let mut response = std::mem::take(&mut draining.response);
                    if !drained {
                        close(&mut response);
                    }
                    break response;
                }
                State::Done(response) => match response.take() {
                    Some(response) => break *response,
                    None => return Poll::Pending,
                },
            }
        };
        self.state = State::Done(None);
        // An upgraded connection is no longer ours to count.
        if self.closing && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            close(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}

impl Handled {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Response, Option<Leftover>)> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.handling.as_mut().poll(cx)));
        let outcome = match polled {
            Ok(polled) => Ok(ready!(polled)),
            Err(panic) => Err(panic),
        };
        Poll::Ready((self.call.finish(outcome), self.left.take()))
    }
}

impl Call {
    fn finish(&mut self, outcome: Result<Result<Response, Problem>, Panic>) -> Response {
        let endpoint = &self.endpoint;
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
        endpoint.metrics.count(response.status(), self.arrived_at.elapsed());
        std::mem::take(&mut self.permission).mark(&mut response);
        response
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&'static str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        (None, None) => "not a text",
    }
}
