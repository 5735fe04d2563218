//! Why a connection ends, and the close code that says so: the code tells the client whether to come back.

use std::time::Duration;

use tokio_tungstenite::tungstenite::{
    Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// Why we end a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Close {
    /// What the client sent is not understood, too long, or too much.
    BadRequest(&'static str),
    /// No token, or not a good one: renew, then reconnect.
    BadToken(&'static str),
    /// A frame could not be written in time.
    TooSlow,
    /// The entry came to its end, or the sale did: do not reconnect.
    NothingLeft,
    /// The entry has as many connections as it may have.
    TooManyConnections,
    /// This node is going away: reconnect after what `bye` said.
    Drain { reconnect_after: Duration },
    /// A store is away: reconnect.
    Fault,
    /// The client is gone: there is nobody to tell.
    Gone,
}

impl Close {
    /// The place is on another device: renewing says so.
    pub(crate) const MOVED: Self = Self::BadToken("the place was moved to another device");

    /// The code on the wire; `None` when nobody is there to read it.
    pub(crate) fn code(self) -> Option<u16> {
        match self {
            Self::BadRequest(_) => Some(4400),
            Self::BadToken(_) => Some(4401),
            Self::TooSlow => Some(4408),
            Self::NothingLeft => Some(4410),
            Self::TooManyConnections => Some(4429),
            Self::Drain { .. } => Some(1001),
            Self::Fault => Some(4503),
            Self::Gone => None,
        }
    }

    /// What a person reads in a browser's console; shorter than the 123 bytes a close frame has room for.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::BadRequest(why) | Self::BadToken(why) => why,
            Self::TooSlow => "frames were not read in time; reconnect",
            Self::NothingLeft => "nothing more will come; do not reconnect",
            Self::TooManyConnections => "this entry has too many connections; close one first",
            Self::Drain { .. } => "this node is going away; reconnect",
            Self::Fault => "the entry could not be looked up; reconnect",
            Self::Gone => "",
        }
    }

    /// The label of the metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "4400",
            Self::BadToken(_) => "4401",
            Self::TooSlow => "4408",
            Self::NothingLeft => "4410",
            Self::TooManyConnections => "4429",
            Self::Drain { .. } => "1001",
            Self::Fault => "4503",
            Self::Gone => "gone",
        }
    }

    pub(crate) fn frame(self) -> Option<CloseFrame> {
        let reason = Utf8Bytes::from_static(self.reason());
        self.code().map(|code| CloseFrame { code: CloseCode::from(code), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_label_and_every_reason_fits() {
        let all = [
            Close::BadRequest("x"),
            Close::BadToken("x"),
            Close::TooSlow,
            Close::NothingLeft,
            Close::TooManyConnections,
            Close::Drain { reconnect_after: Duration::ZERO },
            Close::Fault,
            Close::Gone,
        ];
        for close in all {
            let code = close.code().map_or("gone".to_owned(), |code| code.to_string());
            assert_eq!(code, close.label());
            assert!(close.reason().len() <= 123, "{close:?}");
        }
    }
}
