//! Making a connection: each step under a deadline, and the server inspected before anything else is asked of it.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, RedisResult,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};
use tokio::time::timeout;

use super::{
    endpoint::{Endpoint, Nodes},
    fault::OpenError,
    inspect::Server,
    sentinel,
    wire::Wire,
};

/// Commands that wait to be written; more wait their turn, under their deadline.
const UNWRITTEN_COMMANDS_MAX: usize = 4_096;
/// Bytes gathered before the socket is waited for.
const UNWRITTEN_BYTES: usize = 256 * 1_024;
/// A cluster is met node by node: so many times as long as one server may take.
const CLUSTER_CONNECT_FACTOR: u32 = 5;
/// How often a cluster's connection follows a key that moved, within the call's deadline; and how long it waits between.
const CLUSTER_RETRIES: u32 = 4;
const CLUSTER_RETRY_WAIT_MS: (u64, u64) = (20, 200);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timings {
    pub(super) connect: Duration,
    pub(super) call: Duration,
}

/// A connection to a server that can be used.
pub(super) struct Dialled {
    pub(super) wire: Wire,
    /// Where it leads: fit for a log.
    pub(super) address: String,
    pub(super) server: Server,
}

pub(super) async fn dial(endpoint: &Endpoint, timings: Timings) -> Result<Dialled, OpenError> {
    match endpoint {
        Endpoint::Single(info) => dial_server(info, timings).await,
        Endpoint::Sentinel(of) => sentinel::dial_master(of, timings).await,
        Endpoint::Cluster(nodes) => dial_cluster(nodes, timings).await,
    }
}

/// Connects to one server, which must be a primary.
pub(super) async fn dial_server(
    info: &ConnectionInfo,
    timings: Timings,
) -> Result<Dialled, OpenError> {
    let address = info.addr().to_string();
    let (connection, server) = meet(info, timings).await?;
    server.check(&address)?;
    Ok(Dialled { wire: Wire::One(connection), address, server })
}

/// Connects to one server and hears what it tells of itself.
async fn meet(
    info: &ConnectionInfo,
    timings: Timings,
) -> Result<(MultiplexedConnection, Server), OpenError> {
    let address = info.addr().to_string();
    let mut connection = connect(info, timings).await?;
    let asked = redis::cmd("INFO");
    let told: String = within(timings.call, &address, asked.query_async(&mut connection)).await?;
    Ok((connection, Server::read(&told)))
}

/// Connects to one server, of whatever kind.
pub(super) async fn connect(
    info: &ConnectionInfo,
    timings: Timings,
) -> Result<MultiplexedConnection, OpenError> {
    let address = info.addr().to_string();
    let failed = |source| OpenError::from_error(&address, source);
    let client = Client::open(info.clone()).map_err(failed)?;
    // The deadlines are our own: around every call, whatever it waits for.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(UNWRITTEN_COMMANDS_MAX)
        .set_write_backpressure_boundary(UNWRITTEN_BYTES);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    within(timings.connect, &address, connecting).await
}

async fn dial_cluster(of: &Nodes, timings: Timings) -> Result<Dialled, OpenError> {
    let Nodes { infos: nodes, authority } = of;
    let address = Endpoint::Cluster(of.clone()).to_string();
    greet_any(nodes, timings).await?;
    let (shortest, longest) = CLUSTER_RETRY_WAIT_MS;
    let mut builder = ClusterClient::builder(nodes.clone())
        .retries(CLUSTER_RETRIES)
        .min_retry_wait(shortest)
        .max_retry_wait(longest)
        .connection_timeout(timings.connect)
        .response_timeout(timings.call)
        .overall_response_timeout(Some(timings.call))
        .write_backpressure_boundary(UNWRITTEN_BYTES);
    if let Some(first) = nodes.first() {
        builder = builder.tcp_settings(first.tcp_settings().clone());
    }
    if let Some(authority) = authority {
        builder = builder.certs(authority.clone());
    }
    let client = builder.build().map_err(|source| OpenError::from_error(&address, source))?;
    let patience = timings.connect * CLUSTER_CONNECT_FACTOR;
    let mut connection = within(patience, &address, client.get_async_connection()).await?;
    let mut last = Server::default();
    for (node, server) in told_by_primaries(&mut connection, &address, timings).await? {
        server.check(&node)?;
        last = server;
    }
    Ok(Dialled { wire: Wire::Cluster(connection), address, server: last })
}

/// Sees that at least one of the named nodes is there, belongs to a cluster and lets us in: what is wrong is told better
/// by one server than by a cluster.
async fn greet_any(nodes: &[ConnectionInfo], timings: Timings) -> Result<(), OpenError> {
    let mut fault = None;
    for node in nodes {
        match meet(node, timings).await {
            Ok((_, server)) if server.cluster_enabled == "1" => return Ok(()),
            Ok(_) => {
                return Err(OpenError::NotACluster { address: node.addr().to_string() });
            }
            Err(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(()), Err)
}

async fn told_by_primaries(
    connection: &mut ClusterConnection,
    address: &str,
    timings: Timings,
) -> Result<Vec<(String, Server)>, OpenError> {
    let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let asked = connection.route_command(redis::cmd("INFO"), all);
    let told = within(timings.call, address, asked).await?;
    let told: Vec<(String, String)> = redis::from_redis_value(told)
        .map_err(|error| OpenError::from_error(address, error.into()))?;
    Ok(told.into_iter().map(|(node, info)| (node, Server::read(&info))).collect())
}

/// Waits for an answer, and says of whom it did not come in time.
pub(super) async fn within<T>(
    patience: Duration,
    address: &str,
    asked: impl Future<Output = RedisResult<T>>,
) -> Result<T, OpenError> {
    match timeout(patience, asked).await {
        Ok(answer) => answer.map_err(|source| OpenError::from_error(address, source)),
        Err(_) => Err(OpenError::Silent { address: address.to_owned(), waited: patience }),
    }
}
