//! Headers that a machine's mail carries beside the usual ones.

use std::error::Error;

use lettre::message::header::{Header, HeaderName, HeaderValue};

/// `Auto-Submitted: auto-generated` (RFC 3834): holiday replies stay away.
#[derive(Clone, Copy, Debug)]
pub(super) struct AutoSubmitted;

/// `Content-Language` (RFC 3282).
#[derive(Clone, Copy, Debug)]
pub(super) struct ContentLanguage(pub(super) &'static str);

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    /// Only written here, never read.
    fn parse(_text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Err("a language is not read from a message".into())
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.to_owned())
    }
}
