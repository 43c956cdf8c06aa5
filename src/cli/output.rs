//! Standard output, for the data that was asked for, and standard error, for people. A reader that has
//! seen enough and closes the pipe is no error.

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, StdoutLock, Write};

use super::foreign;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Buffered standard output that remembers whether its reader went away.
pub(super) struct Output {
    writer: BufWriter<StdoutLock<'static>>,
    closed: bool,
    /// On a terminal: what is not a whole line yet.
    line: Option<Vec<u8>>,
}

impl Output {
    pub(super) fn new() -> Self {
        let writer = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
        let line = io::stdout().is_terminal().then(Vec::new);
        Self { writer, closed: false, line }
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
        let result = match &mut self.line {
            None => self.writer.write(bytes),
            Some(line) => {
                line.extend_from_slice(bytes);
                let whole = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let lines: Vec<u8> = line.drain(..whole).collect();
                shown(&mut self.writer, &lines).map(|()| bytes.len())
            }
        };
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let rest = self.line.as_mut().map(std::mem::take).unwrap_or_default();
        let result = shown(&mut self.writer, &rest).and_then(|()| self.writer.flush());
        self.note(result)
    }
}

/// Contacts and events as JSON, and all else that commands print.
fn shown(writer: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(foreign::json(&String::from_utf8_lossy(bytes)).as_bytes())
}

/// Tells a person a line. That nobody can hear it is no reason to stop.
pub(super) fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", foreign::lines(&line.to_string()));
}

/// JSON that holds what others wrote.
pub(super) fn write_json(json: &str) -> anyhow::Result<()> {
    write_all(foreign::json(json).as_bytes())
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
