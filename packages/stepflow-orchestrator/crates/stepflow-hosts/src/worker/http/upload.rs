//! The body of a request to a worker. It is sent in pieces, to see whether the worker reads them. A long message takes
//! time on a slow line. Only a worker that reads no piece is lost.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

const PIECE: usize = 64 * 1024;

/// How many bytes may be taken and still not have arrived, in the buffers of both systems.
const BUFFERED: usize = 8 << 20;

/// The slowest line that is supported, in bytes per second.
const SLOWEST: usize = 64 * 1024;

/// The body of a request.
pub(crate) struct Upload {
    rest: Bytes,
    progress: Progress,
}

/// How much of a message has been taken.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    bytes: usize,
    at: Instant,
}

impl Upload {
    pub(crate) fn new(message: Bytes) -> Self {
        let taken = Taken { bytes: 0, at: Instant::now() };
        Self { rest: message, progress: Progress(Arc::new(Mutex::new(taken))) }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    /// Waits until nothing has been taken for this long, plus the time that the bytes in the buffers may need to
    /// arrive.
    pub(crate) async fn silence(&self, limit: Duration) {
        loop {
            let due = {
                let Taken { bytes, at } = &*self.0.lock();
                *at + limit + Duration::from_secs_f64(BUFFERED.min(*bytes) as f64 / SLOWEST as f64)
            };
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        {
            let mut taken = self.progress.0.lock();
            *taken = Taken { bytes: taken.bytes + length, at: Instant::now() };
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Sends this much to a reader that takes 64 KiB a second and stops after `most`. Returns whether it arrived before
    /// `silence` was over.
    async fn arrives(length: usize, most: usize) -> bool {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let (mut read, mut buffer) = (0, vec![0; SLOWEST]);
            while read < most.min(length) {
                sleep(Duration::from_secs(1)).await;
                theirs.read_exact(&mut buffer).await.unwrap();
                read += buffer.len();
            }
            if read >= length {
                theirs.write_all(b"HTTP/1.1 202 X\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        tokio::spawn(connection);
        let upload = Upload::new(vec![b' '; length].into());
        let progress = upload.progress();
        let request = Request::post("/").header("host", "h").body(upload).unwrap();
        tokio::select! {
            answered = sender.send_request(request) => answered.unwrap().status() == 202,
            () = progress.silence(LIMIT) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_slowly_may_take_any_time() {
        assert!(arrives(40 << 20, usize::MAX).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_given_up() {
        let begun = Instant::now();
        assert!(!arrives(40 << 20, 0).await);
        assert!(begun.elapsed() < 4 * LIMIT, "{:?}", begun.elapsed());
        assert!(!arrives(40 << 20, 2 << 20).await);
    }
}
