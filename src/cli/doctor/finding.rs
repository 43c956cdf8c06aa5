//! What one check found.

/// How bad it is; the later the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// It was not looked at: it is not configured, or what it needs is away.
    NotLooked,
    Right,
    /// It works, and will not for long, or not for everybody.
    Warning,
    /// It does not work.
    Fault,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NotLooked => "not_looked",
            Self::Right => "right",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }

    pub(super) fn for_people(self) -> &'static str {
        match self {
            Self::NotLooked => "-",
            Self::Right => "right",
            Self::Warning => "warning",
            Self::Fault => "FAULT",
        }
    }

    pub(super) fn is_wrong(self) -> bool {
        match self {
            Self::NotLooked | Self::Right => false,
            Self::Warning | Self::Fault => true,
        }
    }
}

/// What was found, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) found: String,
}

impl Finding {
    pub(super) fn not_looked(why: impl Into<String>) -> Self {
        Self { severity: Severity::NotLooked, found: why.into() }
    }

    pub(super) fn right(found: impl Into<String>) -> Self {
        Self { severity: Severity::Right, found: found.into() }
    }

    pub(super) fn warning(found: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, found: found.into() }
    }

    pub(super) fn fault(found: impl Into<String>) -> Self {
        Self { severity: Severity::Fault, found: found.into() }
    }

    /// Right where nothing was noticed, else the worst of it.
    pub(super) fn worst_of(noticed: Vec<Self>, right: impl Into<String>) -> Self {
        let Some(severity) = noticed.iter().map(|it| it.severity).max() else {
            return Self::right(right);
        };
        let found: Vec<String> = noticed.into_iter().map(|it| it.found).collect();
        Self { severity, found: found.join("; ") }
    }
}
