//! Every contact as of one position, told by a thread of its own while writes go on.

use std::ops::ControlFlow;

use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;

use crate::domain::contact::Status;
use crate::domain::position::Position;
use crate::store::{ChangeRef, Reader};

use super::error::FeedError;
use super::filter::Filter;
use super::sse;

/// Text is handed on in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that may wait for the client.
const PIECES_AHEAD: usize = 2;

/// What the thread tells.
pub(super) enum Told {
    /// Some contacts.
    Text { text: Bytes, contacts: u64 },
    /// That was all.
    All { place: ChangeRef, seen: Position, contacts: u64 },
    /// It could not go on.
    Failed(FeedError),
}

/// Starts the thread; it ends when all is told or nobody listens. Holds `permit` as long.
pub(super) fn start(
    reader: Reader,
    filter: &Filter,
    include_deleted: bool,
    permit: impl Send + 'static,
) -> mpsc::Receiver<Told> {
    let (teller, told) = mpsc::channel(PIECES_AHEAD);
    let only = filter.contacts().map(<[String]>::to_vec);
    tokio::task::spawn_blocking(move || {
        if let Some(last) = tell(&reader, only.as_deref(), include_deleted, &teller) {
            let _ = teller.blocking_send(last);
        }
        drop(permit);
    });
    told
}

fn tell(
    reader: &Reader,
    only: Option<&[String]>,
    include_deleted: bool,
    teller: &mpsc::Sender<Told>,
) -> Option<Told> {
    let mut piece = Vec::new();
    let (mut in_piece, mut contacts) = (0, 0);
    let shown = reader.states(only, &mut |id, view| {
        if view.status() == Status::Deleted && !include_deleted {
            return ControlFlow::Continue(());
        }
        sse::state(id, view, &mut piece);
        (in_piece, contacts) = (in_piece + 1, contacts + 1);
        if piece.len() < PIECE_BYTES {
            return ControlFlow::Continue(());
        }
        let text = Bytes::from(std::mem::take(&mut piece));
        match teller.blocking_send(Told::Text { text, contacts: std::mem::take(&mut in_piece) }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    match shown {
        Ok(Some(changes)) => {
            let text = Bytes::from(piece);
            // Nobody listens any more, then what follows is told to nobody too.
            let _ = teller.blocking_send(Told::Text { text, contacts: in_piece });
            let (place, seen) = (changes.place(), changes.seen().clone());
            Some(Told::All { place, seen, contacts })
        }
        Ok(None) => None,
        Err(error) => Some(Told::Failed(error.into())),
    }
}
