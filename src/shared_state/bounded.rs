//! A connection over which no answer is longer than anything that is asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may come without anything being asked: a thousand revocations of the longest, which come
/// in one answer, have less than half.
const UNASKED_BYTES_MAX: usize = 1 << 20;

/// What a connection is made of.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Breaks where more comes than was asked for.
pub(super) struct Bounded {
    stream: Box<dyn Stream>,
    unasked: usize,
}

impl Bounded {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), unasked: 0 }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.unasked += buffer.filled().len() - before;
        if self.unasked > UNASKED_BYTES_MAX {
            let text =
                format!("it sends more than {UNASKED_BYTES_MAX} bytes that nobody asked for");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unasked = 0;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_sends_without_end_is_given_up_and_who_answers_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        let mut ours = Bounded::new(ours);
        let answer = vec![b'x'; UNASKED_BYTES_MAX / 2];
        for _ in 0..8 {
            ours.write_all(b"?").await.unwrap();
            let mut read = vec![0; answer.len()];
            let (sent, got) = tokio::join!(theirs.write_all(&answer), ours.read_exact(&mut read));
            sent.unwrap();
            got.unwrap();
        }
        let endless = async { while theirs.write_all(&answer).await.is_ok() {} };
        let read = async {
            let mut some = vec![0; 64 << 10];
            let mut bytes = 0;
            loop {
                match ours.read(&mut some).await {
                    Ok(count) => bytes += count,
                    Err(error) => {
                        drop(ours);
                        return (bytes, error.kind());
                    }
                }
            }
        };
        let ((), (bytes, error)) = tokio::join!(endless, read);
        assert_eq!(error, io::ErrorKind::InvalidData);
        assert!(bytes <= UNASKED_BYTES_MAX, "{bytes}");
    }
}
