//! Which roles a process plays: all of them (`run`), or one.

/// One role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Admission,
    Dispatcher,
    Worker,
    WsPush,
    Operator,
}

/// The roles of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parts {
    All,
    Only(Part),
}

impl Part {
    /// As on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Dispatcher => "dispatcher",
            Self::Worker => "worker",
            Self::WsPush => "ws-push",
            Self::Operator => "operator",
        }
    }
}

impl Parts {
    pub(crate) fn has(self, part: Part) -> bool {
        self == Self::All || self == Self::Only(part)
    }

    /// `value` if the process plays the role.
    pub(crate) fn with<T>(
        self,
        part: Part,
        value: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        self.has(part).then(value).transpose()
    }
}
