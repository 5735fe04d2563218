//! A role's routes: a method and a path pattern each, and what answers them.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use http::Method;
use sluice_core::policy::RateLimit;

use crate::{Exchange, Problem, Response, limits::Limits};

/// What a handler makes of a request.
pub enum Answer {
    /// Known without waiting for anything.
    Now(Result<Response, Problem>),
    Later(BoxFuture<'static, Result<Response, Problem>>),
}

impl Answer {
    /// One that has to be waited for.
    pub fn later(
        answering: impl Future<Output = Result<Response, Problem>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(answering))
    }
}

pub(crate) type Handler = Arc<dyn Fn(Exchange) -> Answer + Send + Sync>;

/// What one role answers, on one screen. Patterns are matchit's: `/v1/sales/{sale}/entries/{entry}`; a `{*rest}` at the
/// end takes everything, slashes too.
pub struct Routes {
    pub(crate) role: &'static str,
    pub(crate) declared: Vec<Declared>,
}

pub(crate) struct Declared {
    pub(crate) method: Method,
    pub(crate) pattern: &'static str,
    pub(crate) handler: Handler,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident => $method:ident),+ $(,)?) => {
        impl Routes {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name<F, Fut>(self, pattern: &'static str, handler: F) -> Self
                where
                    F: Fn(Exchange) -> Fut + Send + Sync + 'static,
                    Fut: Future<Output = Result<Response, Problem>> + Send + 'static,
                {
                    self.on(Method::$method, pattern, handler)
                }
            )+
        }
    };
}

methods! {
    /// Also answers `HEAD`, without the body.
    get => GET,
    post => POST,
    put => PUT,
    patch => PATCH,
    delete => DELETE,
    /// Rarely needed: the router answers preflights, and tells `Allow`, by itself.
    options => OPTIONS,
}

impl Routes {
    /// `role` is the label its requests carry in the metrics.
    #[must_use]
    pub fn new(role: &'static str) -> Self {
        Self { role, declared: Vec::new() }
    }

    /// As [`Routes::get`], for what is nearly always answered from memory: such an answer costs no future.
    #[must_use]
    pub fn get_now(
        mut self,
        pattern: &'static str,
        handler: impl Fn(Exchange) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.declared.push(Declared { method: Method::GET, pattern, handler: Arc::new(handler) });
        self
    }

    /// Counts the requests of every route declared so far by address, under the `per_ip` that `own` says, else the
    /// configuration's; 429 `too_many_requests` beyond it. Every answer tells what is left.
    #[must_use]
    pub fn counted(
        mut self,
        limits: &Arc<Limits>,
        own: impl Fn(&Exchange) -> Option<RateLimit> + Send + Sync + 'static,
    ) -> Self {
        let own = Arc::new(own);
        for declared in &mut self.declared {
            let (limits, own) = (Arc::clone(limits), Arc::clone(&own));
            let handler = Arc::clone(&declared.handler);
            declared.handler = Arc::new(move |exchange| {
                match limits.check_address(exchange.peer.address, own(&exchange)) {
                    Ok(allowed) => match handler(exchange) {
                        Answer::Now(answer) => Answer::Now(allowed.told(answer)),
                        Answer::Later(answering) => {
                            Answer::later(async move { allowed.told(answering.await) })
                        }
                    },
                    Err(problem) => Answer::Now(Err(problem)),
                }
            });
        }
        self
    }

    /// What is declared: methods and patterns.
    pub fn declared(&self) -> impl Iterator<Item = (&Method, &'static str)> {
        self.declared.iter().map(|declared| (&declared.method, declared.pattern))
    }

    fn on<F, Fut>(mut self, method: Method, pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Exchange) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |exchange| Answer::later(handler(exchange)));
        self.declared.push(Declared { method, pattern, handler });
        self
    }
}

impl Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now",
            Self::Later(_) => "Later",
        })
    }
}

impl Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.declared().map(|(method, pattern)| format!("{method} {pattern}"));
        f.debug_struct("Routes")
            .field("role", &self.role)
            .field("routes", &routes.collect::<Vec<_>>())
            .finish()
    }
}
