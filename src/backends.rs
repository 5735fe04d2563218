//! The only place that knows which backend is in use.

use std::{fs, sync::Arc};

use anyhow::Context;
use sluice_backends::embedded::{Embedded, EmbeddedSettings};
use sluice_core::{clock::Clock, ports::Ports};

use crate::{
    config::{BackendKind, Config, ConfigError},
    exit::Unreachable,
};

/// An open backend.
#[derive(Debug)]
pub(crate) struct Backend {
    embedded: Embedded,
}

impl Backend {
    /// Opens what the configuration names; a store that cannot be opened ends the process with exit code 69.
    pub(crate) fn open(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        match config.backend.kind {
            BackendKind::Embedded => {
                let folder = &config.embedded.data_dir;
                fs::create_dir_all(folder)
                    .with_context(|| {
                        format!("embedded.data_dir: cannot make the folder {}", folder.display())
                    })
                    .map_err(Unreachable)?;
                let file = folder.join("sluice.sqlite");
                let embedded =
                    Embedded::open(&file, clock, EmbeddedSettings::default()).map_err(|error| {
                        Unreachable(anyhow::Error::new(error).context("the embedded store"))
                    })?;
                Ok(Self { embedded })
            }
            BackendKind::Distributed => Err(ConfigError {
                place: "configuration".into(),
                key: "backend.kind".into(),
                complaint: "\"distributed\" is not available in this version; use \"embedded\""
                    .into(),
            }
            .into()),
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        self.embedded.ports()
    }

    /// Resolves when the store has failed for good; the process must end and say so.
    pub(crate) async fn failed(&self) -> anyhow::Error {
        anyhow::anyhow!("the embedded store stopped: {}", self.embedded.failed().await)
    }

    pub(crate) async fn close(self) {
        self.embedded.close().await;
    }
}
