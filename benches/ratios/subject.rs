//! The subject: `sluice run` in a process of its own, on throw-away data.

use std::net::SocketAddr;

use super::process::{self, Process};

pub(crate) struct Subject {
    pub(crate) public: SocketAddr,
    pub(crate) process: Process,
    _data: tempfile::TempDir,
}

impl Subject {
    pub(crate) async fn start(sales: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let public = process::free_address();
        let config = format!(
            "[embedded]\ndata_dir = {:?}\n[admission]\nlisten = \"{public}\"\n{}{sales}",
            data.path(),
            process::settings()
        );
        let file = data.path().join("bench.toml");
        std::fs::write(&file, config).unwrap();
        let mut process = Process::start("run", &file);
        process.until_ready().await;
        Self { public, process, _data: data }
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}
