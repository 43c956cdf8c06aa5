//! The log lines of one thread, for tests that are about what is said.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Level;

/// What was written, as text; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Does something whose lines, of this thread, are kept here.
    pub(crate) fn of<R>(&self, something: impl FnOnce() -> R) -> R {
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(Level::DEBUG)
            .with_writer(move || lines.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, something)
    }

    /// All of them so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
