//! The channels by which buyers are told, built from the configuration.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context;
use sluice_core::{ports::Notifier, webhook};
use sluice_worker::notify::{Channel, ChannelSettings, Channels, Log, Nobody, Smtp, Webhook};

use super::{Shared, is_set};
use crate::config::{ChannelKind, Config};

/// Who tells buyers; nobody, when no channel is named.
pub(super) fn notifier(config: &Config, shared: &Shared) -> anyhow::Result<Arc<dyn Notifier>> {
    if config.notify.channels.is_empty() {
        return Ok(Arc::new(Nobody));
    }
    let settings = ChannelSettings::default();
    let channels = config
        .notify
        .channels
        .iter()
        .map(|kind| channel(*kind, config, shared, &settings))
        .collect::<anyhow::Result<_>>()?;
    Ok(Arc::new(Channels::new(channels, settings, Arc::clone(&shared.random))))
}

fn channel(
    kind: ChannelKind,
    config: &Config,
    shared: &Shared,
    settings: &ChannelSettings,
) -> anyhow::Result<Arc<dyn Channel>> {
    let notify = &config.notify;
    Ok(match kind {
        ChannelKind::Log => Arc::new(Log),
        ChannelKind::Webhook => Arc::new(Webhook::new(
            &notify.webhook.url,
            settings.timeout,
            webhook::Secrets::new(&config.secrets.notify_webhook)?,
            Arc::clone(&shared.clock),
            notify.texts(),
        )?),
        ChannelKind::Smtp => {
            let smtp = notify.smtp.settings(authorities(&notify.smtp.ca_file)?);
            Arc::new(Smtp::new(&smtp, settings.timeout, notify.texts()).context("notify.smtp")?)
        }
    })
}

fn authorities(file: &Path) -> anyhow::Result<Vec<u8>> {
    if !is_set(file) {
        return Ok(Vec::new());
    }
    fs::read(file).with_context(|| format!("notify.smtp.ca_file: {}", file.display()))
}
