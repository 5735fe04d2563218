//! An open connection, to one server or to a cluster, and the two things asked of it: a command, and a sign of life.

use redis::{
    Cmd, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
};

use super::{
    fault::says,
    script::{Call, Script},
};

#[derive(Clone)]
pub(super) enum Wire {
    One(MultiplexedConnection),
    /// Mends its own connections to the nodes.
    Cluster(ClusterConnection),
}

/// What a server says when it is asked whether it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Life {
    Serving,
    /// It has become a replica.
    Demoted,
    /// It answers, with an error: it is busy, or loading.
    Troubled,
}

impl Wire {
    /// Runs a script; a server that does not know it is told.
    pub(super) async fn run(&self, call: &Call) -> RedisResult<Value> {
        match self.query(&call.command).await {
            Err(error) if says(&error, "NOSCRIPT") => {
                self.load(call.script).await?;
                self.query(&call.command).await
            }
            answer => answer,
        }
    }

    /// On a cluster, tells every primary.
    async fn load(&self, script: &Script) -> RedisResult<()> {
        tracing::debug!(script = script.name, "telling Redis a script");
        self.query(&script.load()).await.map(|_| ())
    }

    pub(super) async fn query(&self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }

    /// Fails only when the connection does. Of a cluster every primary must answer: a connection that still counts on one
    /// that is gone has to learn of its successor.
    pub(super) async fn life(&self) -> RedisResult<Life> {
        match self {
            Self::One(connection) => {
                let answer = redis::cmd("ROLE").query_async(&mut connection.clone()).await;
                life_of(answer, |role: Vec<Value>| match role.first() {
                    Some(Value::BulkString(name)) if name != b"master" => Life::Demoted,
                    Some(_) | None => Life::Serving,
                })
            }
            Self::Cluster(connection) => {
                let policy = Some(ResponsePolicy::AllSucceeded);
                let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, policy));
                let mut connection = connection.clone();
                let answer = connection.route_command(redis::cmd("PING"), all).await;
                life_of(answer, |_| Life::Serving)
            }
        }
    }

    /// Whether an error means that this connection is of no more use. A cluster's mends itself.
    pub(super) fn is_lost(&self, error: &RedisError) -> bool {
        match self {
            Self::One(_) => {
                error.is_connection_dropped()
                    || error.is_unrecoverable_error()
                    || says(error, "READONLY")
            }
            Self::Cluster(_) => false,
        }
    }
}

fn life_of<T>(answer: RedisResult<T>, read: impl FnOnce(T) -> Life) -> RedisResult<Life> {
    match answer {
        Ok(answer) => Ok(read(answer)),
        Err(error) if error.is_io_error() || error.is_unrecoverable_error() => Err(error),
        // Who may not ask it is answered all the same.
        Err(error) if says(&error, "NOPERM") => Ok(Life::Serving),
        Err(_) => Ok(Life::Troubled),
    }
}
