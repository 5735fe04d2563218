//! Mail, handed to one mail server (RFC 5321) that sees to the rest. Encrypted, or to this machine: `smtps://` speaks TLS from the
//! first byte, `smtp://` begins in the clear and goes on only under TLS (STARTTLS), and to a loopback address stays in the clear.
//!
//! A message carries the notification's id as its `Message-ID`, so that a repeat is known as one. It is plain text to one
//! recipient, and says that a machine wrote it (RFC 3834). Each has a connection of its own: one that hangs holds up no other.

use std::{
    error::Error,
    fmt, io,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use lettre::{
    Address, Message,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use sluice_core::ports::{Cause, Notification};
use tokio::time::timeout;

use super::{
    channel::{Channel, SendError},
    texts::{Texts, Words, one_line},
};

mod headers;
mod server;

use server::{MailServer, Security};

/// How the name and the password are told, best first.
const LOGINS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
/// Answers of RFC 5321, 4954 and 3207: it is about to close, and it wants us to log in or to encrypt first.
const CLOSING: &str = "421";
const LOGIN_FIRST: &str = "530";
/// How long a mail server that has taken a message may take to say good-bye.
const FAREWELL: Duration = Duration::from_millis(200);
const NAME_CHARS_MAX: usize = 100;
/// How a certificate begins in PEM (RFC 7468).
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Settings of the mail channel.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct SmtpSettings {
    /// `smtps://mail.example.com`, `smtp://mail.example.com:587`, `smtp://127.0.0.1:25`.
    pub url: String,
    /// The address messages come from.
    pub from: String,
    /// The name shown beside it; empty for none.
    pub from_name: String,
    /// Both, or neither.
    pub username: String,
    pub password: String,
    /// PEM of the authorities the mail server's certificate may be signed by, beside Mozilla's; empty for none.
    pub authorities: Vec<u8>,
}

/// It holds a password.
impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSettings").field("from", &self.from).finish_non_exhaustive()
    }
}

/// A setting that cannot be used. Never repeats what it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadSmtp {
    #[error(
        "must be a mail server, such as smtps://mail.example.com, smtp://mail.example.com:587 or smtp://127.0.0.1:25, without a user name, a password or a path"
    )]
    Url,
    #[error("must be one e-mail address, such as no-reply@shop.example.com")]
    From,
    #[error("must be a name on one line, of at most 100 characters")]
    FromName,
    #[error("needs both `username` and `password`, or neither")]
    Login,
    #[error("must hold certificates in PEM")]
    Authorities,
}

/// See the module.
pub struct Smtp {
    server: MailServer,
    /// `None` where nothing is encrypted.
    tls: Option<TlsParameters>,
    hello: ClientId,
    login: Option<Credentials>,
    from: Mailbox,
    timeout: Duration,
    texts: Texts,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Smtp {
    /// Connects to nothing yet. `timeout` is for connecting; whoever sends keeps the deadline of the whole.
    pub fn new(settings: &SmtpSettings, timeout: Duration, texts: Texts) -> Result<Self, BadSmtp> {
        let server: MailServer = settings.url.parse().map_err(|_| BadSmtp::Url)?;
        let address: Address = settings.from.parse().map_err(|_| BadSmtp::From)?;
        if !address.to_string().is_ascii() {
            return Err(BadSmtp::From);
        }
        let name = &settings.from_name;
        if *name != one_line(name, NAME_CHARS_MAX) {
            return Err(BadSmtp::FromName);
        }
        if settings.username.is_empty() != settings.password.is_empty() {
            return Err(BadSmtp::Login);
        }
        let login = (!settings.username.is_empty())
            .then(|| Credentials::new(settings.username.clone(), settings.password.clone()));
        Ok(Self {
            tls: tls(&server, &settings.authorities)?,
            server,
            hello: ClientId::Domain(address.domain().to_owned()),
            login,
            from: Mailbox::new((!name.is_empty()).then(|| name.clone()), address),
            timeout,
            texts,
        })
    }

    /// A connection that messages may be handed to.
    async fn connected(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let place = (self.server.host.as_str(), self.server.port);
        let at_once = self.tls.clone().filter(|_| self.server.security == Security::Tls);
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            place,
            Some(self.timeout),
            &self.hello,
            at_once,
            None,
        )
        .await?;
        if let (Security::StartTls, Some(tls)) = (self.server.security, &self.tls) {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(login) = &self.login {
            connection.auth(&LOGINS, login).await?;
        }
        Ok(connection)
    }

    fn message(&self, notification: &Notification, to: Address) -> Result<Message, Cause> {
        let Words { language, subject, body } = self.texts.words(notification);
        let millis = u64::try_from(notification.at.0).unwrap_or(0);
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(format!("<{}@{domain}>", notification.id)))
            .header(headers::AutoSubmitted)
            .header(headers::ContentLanguage(language))
            .header(ContentType::TEXT_PLAIN)
            .body(body)?;
        Ok(message)
    }
}

/// Whom the mail server must prove to be, if anything is encrypted.
fn tls(server: &MailServer, authorities: &[u8]) -> Result<Option<TlsParameters>, BadSmtp> {
    let mut trusting = TlsParameters::builder(server.host.clone());
    if !authorities.is_empty() {
        trusting = trusting.add_root_certificate(certificates(authorities)?);
    }
    if server.security == Security::Clear {
        return Ok(None);
    }
    trusting.build().map(Some).map_err(|_| BadSmtp::Authorities)
}

/// At least one: a file without any is read without complaint.
fn certificates(pem: &[u8]) -> Result<Certificate, BadSmtp> {
    if !String::from_utf8_lossy(pem).contains(CERTIFICATE) {
        return Err(BadSmtp::Authorities);
    }
    Certificate::from_pem(pem).map_err(|_| BadSmtp::Authorities)
}

fn recipient(notification: &Notification) -> Option<Address> {
    notification.contact.email()?.parse().ok()
}

#[async_trait]
impl Channel for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn reaches(&self, notification: &Notification) -> bool {
        recipient(notification).is_some()
    }

    async fn send(&self, notification: &Notification) -> Result<(), SendError> {
        let never = || SendError::Never("the contact is no e-mail address".into());
        let to = recipient(notification).ok_or_else(never)?;
        let message = self.message(notification, to).map_err(SendError::Never)?;
        let mut connection = self.connected().await.map_err(|error| not_let_in(&error))?;
        let taken = connection.send(message.envelope(), &message.formatted()).await;
        taken.map_err(|error| not_taken(&error))?;
        // It is theirs now. That they do not say good-bye must not look as if they had not taken it.
        let _farewell = timeout(FAREWELL, connection.quit()).await;
        Ok(())
    }
}

/// Before a message was mentioned, a no is about us. Texts of errors are left out: servers repeat addresses in them.
fn not_let_in(error: &lettre::transport::smtp::Error) -> SendError {
    if error.is_permanent() {
        SendError::Barred(answered(error))
    } else if error.is_client() {
        let what = "the mail server does not offer what we need: STARTTLS, or a way to log in";
        SendError::Barred(what.into())
    } else if error.is_tls() || is_untrusted(error) {
        SendError::Barred("no trusted TLS with the mail server".into())
    } else {
        SendError::Away(answered(error))
    }
}

/// Whether what was heard was no TLS, or not of whom it should be: rustls says so by an error of this kind.
fn is_untrusted(error: &lettre::transport::smtp::Error) -> bool {
    let first = error.source();
    std::iter::successors(first, |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::InvalidData)
}

/// Once a message was mentioned, a no is about it.
fn not_taken(error: &lettre::transport::smtp::Error) -> SendError {
    let says = |code: &str| error.status().is_some_and(|said| said.to_string() == code);
    if says(LOGIN_FIRST) {
        SendError::Barred(answered(error))
    } else if error.is_permanent() {
        SendError::Never(answered(error))
    } else if error.is_client() {
        SendError::Never("the mail server takes no such address".into())
    } else if error.is_transient() && !says(CLOSING) {
        SendError::Later(answered(error))
    } else {
        SendError::Away(answered(error))
    }
}

fn answered(error: &lettre::transport::smtp::Error) -> Cause {
    match error.status() {
        Some(code) => format!("the mail server answered {code}").into(),
        None => "the mail server did not answer, or not as one".into(),
    }
}
