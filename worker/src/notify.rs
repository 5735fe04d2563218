//! Telling buyers who are not looking what became of their orders: by [webhook](Webhook), by [mail](Smtp), or by a line in the
//! [log](Log). [`Channels`] tries them in their order; a [`queue`] before it keeps whoever has news from waiting for a mail server.
//!
//! What is said stands in `worker/texts/`, a file for each language. Nothing here decides who is told what; that is for whoever
//! makes a [`Notification`](sluice_core::ports::Notification).

mod channel;
mod channels;
mod log;
mod queue;
mod smtp;
mod texts;
mod webhook;

pub use channel::{Channel, SendError};
pub use channels::{ChannelSettings, Channels, Nobody};
pub use log::Log;
pub use queue::{NoticeQueue, Notices, QueueSettings, Shed, queue};
pub use smtp::{BadSmtp, Smtp, SmtpSettings};
pub use texts::{BadOffset, Texts, UtcOffset};
pub use webhook::Webhook;
