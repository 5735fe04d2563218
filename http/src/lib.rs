//! The HTTP house that every role shares: one server, one router, one way to say no, one outgoing client.
//!
//! Roles bring [`Routes`]; the composition root joins them into a [`Router`] and gives it to a [`Server`]. A handler takes
//! an [`Exchange`] and returns a [`Response`] or a [`Problem`]; everything a hostile or unlucky client can do to a
//! connection (slow headers, fat bodies, floods, forged hops) is dealt with here and nowhere else.
//!
//! HTTP/1.1 only: HTTP/2 ends at the proxy that ends it for the public. Nothing here knows a sale, a token or a port.

mod body;
pub mod client;
mod exchange;
mod instance;
pub mod limits;
mod metrics;
mod peer;
mod percent;
mod problem;
mod reply;
mod router;
mod routes;
mod server;
mod throttle;

pub use body::Body;
pub use exchange::{Content, Exchange, Form, read_json};
pub use peer::Peer;
pub use problem::Problem;
pub use reply::{empty, json, raw_json};
pub use router::{RouteConflict, Router, RouterSettings};
pub use routes::{Answer, Routes};
pub use server::{BindError, Listener, Server, ServerConfig, TlsFiles, raw_socket};
pub use throttle::Throttle;

/// A request as hyper hands it over: its body has not been read.
pub type Request = hyper::Request<hyper::body::Incoming>;
/// What a handler answers.
pub type Response = hyper::Response<Body>;
