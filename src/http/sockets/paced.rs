//! A connection that is given up when the other end takes nothing for too long.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connections::Peer;

/// Any stream, with a time within which some byte of what waits must go. Notes when the other end has
/// sent something.
pub(crate) struct Paced<S> {
    stream: S,
    write_timeout: Duration,
    /// Armed while bytes wait.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Who is at the other end, until that has sent something.
    silent: Option<Arc<Peer>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, write_timeout: Duration, peer: Arc<Peer>) -> Self {
        Self { stream, write_timeout, stalled: None, silent: Some(peer) }
    }

    /// What a write came to, unless it has waited for too long.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write_timeout = self.write_timeout;
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(write_timeout)));
        match stalled.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.silent.is_some() && buffer.filled().len() > filled {
            self.silent.take().inspect(|peer| peer.speaks());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Six steps together take longer than it, each one far less.
    const WRITE_TIMEOUT: Duration = Duration::from_millis(600);

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() {
        let (server, mut client) = tokio::io::duplex(16);
        let peer = Arc::new(Peer::in_process([127, 0, 0, 1].into()));
        let mut server = Paced::new(server, WRITE_TIMEOUT, peer);
        let sending = async { server.write_all(&[7; 160]).await };
        let slow = async {
            let mut some = [0; 16];
            for _ in 0..6 {
                tokio::time::sleep(WRITE_TIMEOUT / 5).await;
                client.read_exact(&mut some).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(sending, slow);
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
