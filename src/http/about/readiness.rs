//! Which parts are ready, and why not.

use std::collections::BTreeMap;

use parking_lot::RwLock;

/// Looks now: what is worth knowing of a part that is ready; an error says what is waited for.
type Look = Box<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

enum Part {
    Ready,
    Waiting(String),
    Looked(Look),
}

/// One board for the whole process: the parts say how they stand, `/readyz` shows it.
#[derive(Default)]
pub struct Readiness {
    parts: RwLock<BTreeMap<&'static str, Part>>,
}

impl Readiness {
    /// With no part; such a board is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// The part is ready from now.
    pub fn ready(&self, part: &'static str) {
        self.parts.write().insert(part, Part::Ready);
    }

    /// The part waits for something, said for people: `opening the store: 34 %`.
    pub fn waiting(&self, part: &'static str, why: impl Into<String>) {
        self.parts.write().insert(part, Part::Waiting(why.into()));
    }

    /// The part is asked whenever somebody wants to know. The check must be quick and must not
    /// touch this board.
    pub fn check(
        &self,
        part: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.look(part, move || check().map(|()| None));
    }

    /// The part is ready whatever the note says, which `?verbose` shows.
    pub fn note(
        &self,
        part: &'static str,
        note: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        self.look(part, move || Ok(note()));
    }

    /// The same of a part with both: a note while it is ready.
    pub fn look(
        &self,
        part: &'static str,
        look: impl Fn() -> Result<Option<String>, String> + Send + Sync + 'static,
    ) {
        self.parts.write().insert(part, Part::Looked(Box::new(look)));
    }

    /// How every part stands now.
    pub fn report(&self) -> Report {
        let parts = self.parts.read();
        Report { parts: parts.iter().map(|(name, part)| (*name, part.why_not())).collect() }
    }

    /// What is worth knowing of a part that is ready.
    pub fn note_of(&self, part: &str) -> Option<String> {
        match self.parts.read().get(part) {
            Some(Part::Looked(look)) => look().ok().flatten(),
            Some(Part::Ready | Part::Waiting(_)) | None => None,
        }
    }

    /// Why one part is not ready.
    pub fn why_not(&self, part: &str) -> Option<String> {
        self.parts.read().get(part).and_then(Part::why_not)
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("report", &self.report()).finish()
    }
}

impl Part {
    fn why_not(&self) -> Option<String> {
        match self {
            Self::Ready => None,
            Self::Waiting(why) => Some(why.clone()),
            Self::Looked(look) => look().err(),
        }
    }
}

/// All parts at one moment, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each with why it is not ready; none: it is.
    pub parts: Vec<(&'static str, Option<String>)>,
}

impl Report {
    /// Whether there are parts and all of them are ready.
    pub fn is_ready(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|(_, why_not)| why_not.is_none())
    }
}
