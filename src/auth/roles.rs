//! Roles, and whoever holds them.

use std::fmt;
use std::sync::Arc;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Everything.
    Admin = 0,
    /// Sees everything, redrives, and steers what follows; changes no contact.
    Operator,
    /// Reads and changes contacts.
    Editor,
    /// Reads contacts.
    Viewer,
    /// Sends events in.
    Ingest,
    /// Reads metrics.
    Metrics,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::Operator, Self::Editor, Self::Viewer, Self::Ingest, Self::Metrics];

    /// The word for it, in files and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
            Self::Ingest => "ingest",
            Self::Metrics => "metrics",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    pub const fn of(roles: &[Role]) -> Self {
        let mut set = 0;
        let mut rest = roles;
        while let [role, others @ ..] = rest {
            set |= 1 << *role as u8;
            rest = others;
        }
        Self(set)
    }

    /// Whether a role is among them.
    pub fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Whether the two have a role in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Without a role.
    #[must_use]
    pub fn without(self, role: Role) -> Self {
        Self(self.0 & !(1 << role as u8))
    }

    /// From their words.
    ///
    /// # Errors
    /// The first word that is none.
    pub fn from_words<W: AsRef<str>>(words: &[W]) -> Result<Self, String> {
        let mut set = Self::NONE;
        for word in words {
            let role = Role::from_word(word.as_ref()).ok_or_else(|| word.as_ref().to_owned())?;
            set.0 |= Self::of(&[role]).0;
        }
        Ok(set)
    }

    /// Their words.
    pub fn words(self) -> Vec<&'static str> {
        self.iter().map(Role::as_str).collect()
    }

    /// Those that are among them.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join("+"))
    }
}

/// Whoever sends a request, once that is proved.
#[derive(Clone, Debug)]
pub struct Principal {
    /// `user:ada` or `key:ci`: what history shows and limits count by.
    pub name: Arc<str>,
    /// What it may do.
    pub roles: Roles,
    /// Roles that it has, and that do not hold where it asks from.
    pub withheld: Roles,
    /// The family of refresh tokens that its access token came with; none: an API key.
    pub session: Option<Arc<str>>,
    /// Unix time in seconds at which the token or key ends; none: never.
    pub expires_at_s: Option<u64>,
}
