//! How buyers are told who are not looking: which channels, in which order, and what each needs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluice_core::webhook;
use sluice_worker::notify::{BadSmtp, ChannelSettings, Smtp, SmtpSettings, Texts, UtcOffset};

use super::{
    Config,
    check::{Finding, complain, read},
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notify {
    pub(crate) channels: Vec<ChannelKind>,
    pub(crate) utc_offset: String,
    pub(crate) webhook: NotifyWebhook,
    pub(crate) smtp: NotifySmtp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChannelKind {
    Webhook,
    Smtp,
    Log,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotifyWebhook {
    pub(crate) url: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotifySmtp {
    pub(crate) url: String,
    pub(crate) from: String,
    pub(crate) from_name: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) ca_file: PathBuf,
}

impl Notify {
    fn uses(&self, kind: ChannelKind) -> bool {
        self.channels.contains(&kind)
    }

    /// The words; an offset that is none was complained of before.
    pub(crate) fn texts(&self) -> Texts {
        Texts::new(self.utc_offset.parse().unwrap_or_default())
    }
}

impl NotifySmtp {
    /// With what `ca_file` holds.
    pub(crate) fn settings(&self, authorities: Vec<u8>) -> SmtpSettings {
        SmtpSettings {
            url: self.url.clone(),
            from: self.from.clone(),
            from_name: self.from_name.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            authorities,
        }
    }
}

/// The channels, and then what each of those in use needs.
pub(super) fn check(config: &Config) -> Finding {
    let notify = &config.notify;
    for (index, kind) in notify.channels.iter().enumerate() {
        let key = format!("notify.channels[{index}]");
        if notify.channels[..index].contains(kind) {
            return complain(key, "must be named once");
        }
        if *kind == ChannelKind::Log && index + 1 < notify.channels.len() {
            return complain(key, "\"log\" takes everything: put it last, or leave it out");
        }
    }
    if let Err(error) = notify.utc_offset.parse::<UtcOffset>() {
        return complain("notify.utc_offset", error.to_string());
    }
    check_webhook(config)?;
    check_smtp(notify)
}

fn check_webhook(config: &Config) -> Finding {
    let (url, key) = (&config.notify.webhook.url, "notify.webhook.url");
    if !url.is_empty()
        && let Err(error) = sluice_http::client::check_outbound(url)
    {
        return complain(key, error.to_string());
    }
    let (secrets, secrets_key) = (&config.secrets.notify_webhook, "secrets.notify_webhook");
    if !secrets.is_empty()
        && let Err(error) = webhook::Secrets::new(secrets)
    {
        return complain(secrets_key, error.to_string());
    }
    if secrets.iter().any(|secret| config.secrets.payment_webhook.contains(secret)) {
        return complain(
            secrets_key,
            "must differ from `secrets.payment_webhook`: whoever knows that one can have any order count as paid",
        );
    }
    if !config.notify.uses(ChannelKind::Webhook) {
        return Ok(());
    }
    if url.is_empty() {
        return complain(
            key,
            "is required with \"webhook\" in `notify.channels`: where the shop listens, such as https://shop.example.com/notify",
        );
    }
    if secrets.is_empty() {
        return complain(
            secrets_key,
            "is required with \"webhook\" in `notify.channels`: [\"whsec_\" and the base64 of 24 to 64 bytes], which the shop checks signatures with",
        );
    }
    Ok(())
}

fn check_smtp(notify: &Notify) -> Finding {
    if !notify.uses(ChannelKind::Smtp) {
        return Ok(());
    }
    let smtp = &notify.smtp;
    for (key, value, what) in [
        ("url", &smtp.url, "the mail server, such as smtps://mail.example.com"),
        ("from", &smtp.from, "the address messages come from, such as no-reply@shop.example.com"),
    ] {
        if value.is_empty() {
            return complain(
                format!("notify.smtp.{key}"),
                format!("is required with \"smtp\" in `notify.channels`: {what}"),
            );
        }
    }
    let file = &smtp.ca_file;
    let authorities =
        if file.as_os_str().is_empty() { Vec::new() } else { read("notify.smtp.ca_file", file)? };
    let timeout = ChannelSettings::default().timeout;
    let Err(error) = Smtp::new(&smtp.settings(authorities), timeout, notify.texts()) else {
        return Ok(());
    };
    let key = match error {
        BadSmtp::Url => "url",
        BadSmtp::From => "from",
        BadSmtp::FromName => "from_name",
        BadSmtp::Login => "password",
        BadSmtp::Authorities => "ca_file",
    };
    complain(format!("notify.smtp.{key}"), error.to_string())
}
