//! Exports for clients: so many at once, each read by a thread of its own while its client takes it.
//!
//! A stream that could not be finished ends in an error, never as a whole one does.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::bytes::Bytes;

use crate::shares::{Full, Part, Pool, Who};
use crate::store::{Reader, StoreError};
use crate::telemetry::{ExportEnd, ExportMetrics, Metrics};

use super::{Export, ExportError, ExportRequest, Format};

/// Pieces that may wait for the client.
const PIECES_AHEAD: usize = 2;
/// How often it is asked whether the client still may have it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why nobody gets another export now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportsTaken {
    /// All are taken.
    #[error("{0} exports are under way, as many as there may be; try again")]
    All(usize),
    /// Who asks has as many as one may have.
    #[error("you have {0} exports under way, as many as one may have; try again")]
    Part(usize),
}

/// What exports of all clients share.
#[derive(Debug)]
pub struct Exports {
    reader: Reader,
    places: Pool,
    metrics: ExportMetrics,
}

/// Asked whether the client still may have it.
type StillAllowed = Box<dyn Fn() -> bool + Send + Sync>;

impl Exports {
    /// Of an open store: so many at once, an eighth of them for each client.
    pub fn new(reader: Reader, running_max: usize, metrics: &Metrics) -> Self {
        let places = Pool::in_eighths(running_max, metrics.pool("exports"));
        Self { reader, places, metrics: metrics.exports.clone() }
    }

    /// The right to one export, until it is dropped.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub fn place(&self, who: Who) -> Result<Part, ExportsTaken> {
        self.places.take(who, 1).map_err(|full| match full {
            Full::All => ExportsTaken::All(self.places.bound(full)),
            Full::Part => ExportsTaken::Part(self.places.bound(full)),
        })
    }

    /// As of now. Waits for the disk.
    ///
    /// # Errors
    /// As [`Export::begin`].
    pub fn begin(&self, request: ExportRequest) -> Result<Export, ExportError> {
        Export::begin(&self.reader, request)
    }

    /// Reads it in a thread, which ends when all is told or nobody listens.
    pub fn stream(
        &self,
        (export, format): (Export, Format),
        place: Part,
        as_gzip: bool,
        still_allowed: StillAllowed,
    ) -> ExportStream {
        let (teller, told) = mpsc::channel(PIECES_AHEAD);
        let metrics = self.metrics.clone();
        tokio::task::spawn_blocking(move || {
            let count = |contacts| metrics.contacts(format.as_str(), contacts);
            let (end, last) = match tell(&export, &teller, as_gzip, count) {
                Ok(true) => (ExportEnd::Whole, Told::All),
                Ok(false) => (ExportEnd::Gone, Told::Failed),
                Err(error) => {
                    tracing::error!(%error, "an export could not be finished");
                    (ExportEnd::Failed, Told::Failed)
                }
            };
            metrics.ended(format.as_str(), end);
            // Before its client hears that it has ended, and may ask for the next.
            drop((export, place));
            let _ = teller.blocking_send(last);
        });
        ExportStream { told, still_allowed, looked: Instant::now(), has_ended: false }
    }
}

/// What the thread tells.
enum Told {
    Piece(Bytes),
    /// That was all.
    All,
    /// It could not go on.
    Failed,
}

/// True: all was told.
fn tell(
    export: &Export,
    teller: &mpsc::Sender<Told>,
    as_gzip: bool,
    count: impl Fn(u64),
) -> Result<bool, StoreError> {
    let send = |told| match teller.blocking_send(told) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let mut gzip = as_gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let is_whole = export.write(&mut |piece, contacts| {
        count(contacts);
        match &mut gzip {
            None => send(Told::Piece(piece.into())),
            // Into memory, where there is no error to meet.
            Some(gzip) => match gzip.write_all(&piece) {
                Ok(()) => send(Told::Piece(std::mem::take(gzip.get_mut()).into())),
                Err(_) => ControlFlow::Break(()),
            },
        }
    })?;
    if !is_whole {
        return Ok(false);
    }
    let rest = gzip.map(GzEncoder::finish).transpose().unwrap_or_default().unwrap_or_default();
    Ok(send(Told::Piece(rest.into())).is_continue())
}

/// What a client is sent.
pub struct ExportStream {
    told: mpsc::Receiver<Told>,
    still_allowed: StillAllowed,
    looked: Instant,
    has_ended: bool,
}

impl ExportStream {
    /// The next piece; none: that was all. An error is the last.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.has_ended {
            return None;
        }
        loop {
            if self.looked.elapsed() >= LOOK_AGAIN {
                self.looked = Instant::now();
                if !(self.still_allowed)() {
                    return self.failed("the client may not have it any more");
                }
            }
            return match self.told.recv().await {
                // gzip keeps what it is not done with.
                Some(Told::Piece(piece)) if piece.is_empty() => continue,
                Some(Told::Piece(piece)) => Some(Ok(piece)),
                Some(Told::All) => {
                    self.has_ended = true;
                    None
                }
                Some(Told::Failed) | None => self.failed("it could not be finished"),
            };
        }
    }

    fn failed(&mut self, why: &str) -> Option<io::Result<Bytes>> {
        self.has_ended = true;
        Some(Err(io::Error::other(why.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pieces(told: Vec<Told>, is_allowed: bool) -> Vec<Result<Bytes, String>> {
        let (teller, receiver) = mpsc::channel(4);
        for one in told {
            teller.try_send(one).ok().unwrap();
        }
        drop(teller);
        let still_allowed: StillAllowed = Box::new(move || is_allowed);
        let looked = Instant::now() - LOOK_AGAIN;
        let mut stream = ExportStream { told: receiver, still_allowed, looked, has_ended: false };
        let mut pieces = Vec::new();
        while let Some(piece) = stream.next().await {
            pieces.push(piece.map_err(|error| error.to_string()));
        }
        pieces
    }

    #[tokio::test]
    async fn only_a_whole_export_ends_as_one() {
        let piece = || Told::Piece(Bytes::from_static(b"id\r\n"));
        let empty = || Told::Piece(Bytes::new());
        let whole = pieces(vec![piece(), empty(), Told::All], true).await;
        assert_eq!(whole, [Ok(Bytes::from_static(b"id\r\n"))]);
        for told in [vec![piece(), Told::Failed], vec![piece()]] {
            let found = pieces(told, true).await;
            assert!(found.len() == 2 && found[1].is_err(), "{found:?}");
        }
        assert!(pieces(vec![piece(), Told::All], false).await[0].is_err());
    }
}
