//! The HTTP house from outside: real sockets, bytes in, bytes out.

mod bodies;
mod capacity;
mod client;
mod drain;
mod house;
mod measured;
mod origins;
mod peers;
mod routing;
mod slow;
mod streams;
mod tls;
