//! Standard output, for the data that was asked for, and standard error, for people. A reader that has
//! seen enough and closes the pipe is no error.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Buffered standard output that remembers whether its reader went away.
pub(super) struct Output {
    writer: BufWriter<StdoutLock<'static>>,
    closed: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        let writer = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
        Self { writer, closed: false }
    }

    /// What `result` says, unless the reader is gone: then all is well. Writes out the rest.
    pub(super) fn finish(mut self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        let flushed = self.flush();
        if self.closed {
            return Ok(());
        }
        result?;
        Ok(flushed?)
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.closed |=
            result.as_ref().err().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe);
        result
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.writer.write(bytes);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.writer.flush();
        self.note(result)
    }
}

/// Tells a person a line. That nobody can hear it is no reason to stop.
pub(super) fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Shows a line of what was asked for by a person, who may have seen enough.
pub(super) fn show(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Writes `bytes` as they are.
pub(super) fn write_all(bytes: &[u8]) -> anyhow::Result<()> {
    let mut output = Output::new();
    let result = output.write_all(bytes).map_err(anyhow::Error::from);
    output.finish(result)
}
