//! A connection, with TLS or without, of which some bytes may have been read already.

use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One direction of a connection.
pub type ReadSide = Box<dyn AsyncRead + Send + Sync + Unpin>;
/// The other direction.
pub type WriteSide = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// One connection.
pub struct Socket {
    stream: Stream,
    /// Bytes to be read before those of the stream.
    ahead: Bytes,
    count: Option<Arc<ByteCount>>,
}

/// Bytes that went over connections.
#[derive(Debug, Default)]
pub struct ByteCount {
    /// To the other side.
    pub sent: AtomicU64,
    /// From the other side.
    pub received: AtomicU64,
}

impl Socket {
    /// Without TLS.
    #[must_use]
    pub fn plain(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            ahead: Bytes::new(),
            count: None,
        }
    }

    /// After a handshake.
    #[must_use]
    pub fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self {
            stream: Stream::Tls(Box::new(stream)),
            ahead: Bytes::new(),
            count: None,
        }
    }

    /// The first bytes, left to be read again; fewer than `N` if the stream ends.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn peek<const N: usize>(&mut self) -> io::Result<Bytes> {
        let mut first = Vec::with_capacity(N);
        while first.len() < N {
            let mut rest = (&mut *self).take((N - first.len()) as u64);
            if rest.read_buf(&mut first).await? == 0 {
                break;
            }
        }
        self.ahead = first.into();
        Ok(self.ahead.clone())
    }

    /// Counts its bytes from now on.
    #[must_use]
    pub fn counted(self, count: Option<Arc<ByteCount>>) -> Self {
        Self { count, ..self }
    }

    fn note_sent(&self, written: &Poll<io::Result<usize>>) {
        if let (Some(count), Poll::Ready(Ok(n))) = (&self.count, written) {
            count.sent.fetch_add(*n as u64, Ordering::Relaxed);
        }
    }

    /// Drops what was read ahead.
    pub fn consume(&mut self) {
        self.ahead.clear();
    }

    /// Both directions by themselves. Without TLS they share no lock.
    #[must_use]
    pub fn split(self) -> (ReadSide, WriteSide) {
        debug_assert!(self.ahead.is_empty(), "bytes read ahead would be lost");
        match self.stream {
            Stream::Plain(stream) => {
                let (read, write) = stream.into_split();
                (Box::new(read), Box::new(write))
            }
            Stream::Tls(stream) => {
                let (read, write) = tokio::io::split(stream);
                (Box::new(read), Box::new(write))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let n = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..n]);
            self.ahead.advance(n);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if let Some(count) = &self.count {
            let n = buffer.filled().len() - before;
            count.received.fetch_add(n as u64, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, data),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, data),
        };
        self.note_sent(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, data),
        };
        self.note_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
