//! The subject: roles of sluice, each a process, on stores of their own. Processes and stores end when this is dropped.

use std::{net::SocketAddr, path::PathBuf};

use tempfile::TempDir;

use super::{
    buyer, load,
    process::{self, Process, until},
    stores::{SECRETS, Stores},
};

pub(crate) struct Deployment {
    roles: Vec<Process>,
    /// Where buyers connect.
    pub(crate) door: SocketAddr,
    /// Where they hear.
    pub(crate) push: SocketAddr,
    /// Where a worker serves orders and callbacks.
    pub(crate) work: SocketAddr,
    config: PathBuf,
    _folder: TempDir,
    pub(crate) stores: Stores,
}

impl Deployment {
    /// An operator, who makes the sale, and these roles, a dispatcher among them. The line is warm and takes joins.
    pub(crate) async fn start(sale: &str, roles: &[&'static str]) -> Self {
        let stores = tokio::task::spawn_blocking(Stores::start).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [door, work, push] = std::array::from_fn(|_| process::free_address());
        let config = folder.path().join("bench.toml");
        let text = format!(
            "{}{SECRETS}[admission]\nlisten = \"{door}\"\n[worker]\nlisten = \"{work}\"\n[ws_push]\nlisten = \"{push}\"\n{}{sale}",
            stores.config(),
            process::settings()
        );
        std::fs::write(&config, text).unwrap();
        let mut deployment =
            Self { roles: Vec::new(), door, push, work, config, _folder: folder, stores };
        deployment.begin("operator");
        for role in roles {
            deployment.begin(role);
        }
        for process in &mut deployment.roles {
            process.until_ready().await;
        }
        until("somebody speaks", async || deployment.speaker().await.is_some()).await;
        if roles.contains(&"admission") {
            let join = buyer::join_request();
            until("the line takes joins", async || load::once(door, &join).await.status < 300)
                .await;
        }
        deployment
    }

    /// Starts one more process; it is not ready yet.
    pub(crate) fn begin(&mut self, role: &'static str) {
        self.roles.push(Process::start(role, &self.config));
    }

    /// Starts one more process.
    pub(crate) async fn add(&mut self, role: &'static str) {
        self.begin(role);
        self.roles.last_mut().unwrap().until_ready().await;
    }

    /// The first process with this role.
    pub(crate) fn role(&self, role: &str) -> &Process {
        self.roles.iter().find(|process| process.role == role).unwrap()
    }

    /// Which of the processes speaks for the line: a dispatcher shows what remains of a sale only as long as it does.
    pub(crate) async fn speaker(&self) -> Option<usize> {
        for (place, process) in self.roles.iter().enumerate() {
            if process.role == "dispatcher" && process.metric("sluice_stock_remaining").await > 0.0
            {
                return Some(place);
            }
        }
        None
    }

    /// Takes the process that speaks for the line out, running.
    pub(crate) async fn take_speaker(&mut self) -> Process {
        let mut speaker = None;
        until("somebody speaks", async || {
            speaker = self.speaker().await;
            speaker.is_some()
        })
        .await;
        self.roles.remove(speaker.unwrap())
    }
}
