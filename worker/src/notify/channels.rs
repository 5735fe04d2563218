//! Several channels, tried in their order. Each has a deadline for a call, a few tries, and a breaker of its own; when it
//! refuses or stays away, the next one is asked.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sluice_core::{
    ports::{Cause, Notification, Notifier, NotifyError},
    random::Random,
};
use tokio::time::{Instant, sleep, timeout};

use super::channel::{Channel, SendError};
use crate::{
    backoff::Backoff,
    breaker::{Breaker, BreakerSettings, Resting},
    metrics,
};

/// How each channel is treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChannelSettings {
    /// Longest wait for one call, from connecting to the answer. Beyond it the call counts as unanswered.
    pub timeout: Duration,
    /// How often one notification is tried on one channel before the next channel is asked.
    pub tries_max: u32,
    /// Ceiling of the pause before the first repeat; it doubles up to `pause_max`, with full jitter.
    pub pause: Duration,
    pub pause_max: Duration,
    /// How many calls in a row a channel may leave unanswered, or bar us, before it is left alone for `rest`.
    pub failures_max: u32,
    /// How long it is left alone; the next channel is asked at once meanwhile.
    pub rest: Duration,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            tries_max: 3,
            pause: Duration::from_millis(250),
            pause_max: Duration::from_secs(2),
            failures_max: 5,
            rest: Duration::from_secs(10),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Channels {
    channels: Vec<(Arc<dyn Channel>, Breaker)>,
    settings: ChannelSettings,
    random: Arc<Random>,
}

/// Tells nobody anything, and has no more to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

/// A notification that no channel has an address for.
#[derive(Debug, thiserror::Error)]
#[error("no channel has an address for it")]
struct NoAddress;

impl Channels {
    /// The first of `channels` is preferred.
    #[must_use]
    pub fn new(
        channels: Vec<Arc<dyn Channel>>,
        settings: ChannelSettings,
        random: Arc<Random>,
    ) -> Self {
        let guarded = |channel: Arc<dyn Channel>| {
            let breaker = Breaker::new(BreakerSettings {
                name: channel.name(),
                failures_max: settings.failures_max,
                rest: settings.rest,
            });
            (channel, breaker)
        };
        Self { channels: channels.into_iter().map(guarded).collect(), settings, random }
    }

    /// Tries one channel until it takes the notification, refuses it, or is left alone.
    async fn by(
        &self,
        channel: &dyn Channel,
        breaker: &Breaker,
        notification: &Notification,
    ) -> Result<(), SendError> {
        let pauses = Backoff { first: self.settings.pause, most: self.settings.pause_max };
        let mut tries = 1;
        loop {
            let sent = self.once(channel, breaker, notification).await;
            let resting = breaker.resting(Instant::now()).is_some();
            match sent {
                Err(SendError::Away(_) | SendError::Later(_))
                    if tries < self.settings.tries_max && !resting =>
                {
                    sleep(pauses.after(tries - 1, &self.random)).await;
                    tries += 1;
                }
                sent => return sent,
            }
        }
    }

    /// One call, if the breaker lets it pass.
    async fn once(
        &self,
        channel: &dyn Channel,
        breaker: &Breaker,
        notification: &Notification,
    ) -> Result<(), SendError> {
        let name = channel.name();
        let pass = breaker.enter(Instant::now()).map_err(|resting| {
            metrics::notification_call(name, "resting");
            SendError::Away(resting.into())
        })?;
        let began = Instant::now();
        let sent = timeout(self.settings.timeout, channel.send(notification))
            .await
            .unwrap_or_else(|elapsed| Err(SendError::Away(elapsed.into())));
        let result = match &sent {
            Ok(()) => "sent",
            Err(SendError::Away(_)) => "away",
            Err(SendError::Later(_)) => "later",
            Err(SendError::Barred(_)) => "barred",
            Err(SendError::Never(_)) => "never",
        };
        match &sent {
            // It is there, whatever it said of this one.
            Ok(()) | Err(SendError::Later(_) | SendError::Never(_)) => pass.answered(),
            // The others need not ask as well.
            Err(SendError::Away(_) | SendError::Barred(_)) => pass.failed(Instant::now()),
        }
        metrics::notification_call(name, result);
        metrics::notification_took(name, began.elapsed());
        sent
    }
}

#[async_trait]
impl Notifier for Channels {
    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        // What to tell if no channel takes it: one that may take it later outweighs those that never will.
        let (mut later, mut never): (Option<Cause>, Option<Cause>) = (None, None);
        for (channel, breaker) in &self.channels {
            if !channel.reaches(notification) {
                continue;
            }
            let Err(error) = self.by(&**channel, breaker, notification).await else {
                return Ok(());
            };
            // That it is left alone was said when that began.
            if !matches!(&error, SendError::Away(cause) if cause.is::<Resting>()) {
                tracing::warn!(
                    channel = channel.name(),
                    notification = %notification.id,
                    error = &error as &dyn std::error::Error,
                    "a channel did not take a notification; the next one is asked, if there is one"
                );
            }
            match error {
                SendError::Away(_) | SendError::Later(_) | SendError::Barred(_) => {
                    later = Some(error.into());
                }
                SendError::Never(_) => never = Some(error.into()),
            }
        }
        Err(match (later, never) {
            (Some(cause), _) => NotifyError::Unavailable(cause),
            (None, Some(cause)) => NotifyError::Undeliverable(cause),
            (None, None) => NotifyError::Undeliverable(NoAddress.into()),
        })
    }
}

#[async_trait]
impl Notifier for Nobody {
    async fn notify(&self, _notification: &Notification) -> Result<(), NotifyError> {
        Ok(())
    }
}
