//! Lines over pipes. The reader never waits for the writer, nor the writer for the reader.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::process::Stdin;

/// The longest line that is read.
const MAX_LINE: usize = 256 * 1024 * 1024;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// How much may be queued before those who can wait have to.
const MAX_QUEUED: usize = 64 * 1024 * 1024;

/// How much of what a process wrote to stderr is kept.
const MAX_KEPT: usize = 64 * 1024;

/// Lines on their way into a pipe. Writes at once what the pipe takes; the rest waits for the pipe to be writable.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    pipe: Option<Arc<Stdin>>,
    queue: VecDeque<Line<T>>,
    queued: usize,
}

#[derive(Debug)]
struct Line<T> {
    bytes: Vec<u8>,
    written: usize,
    /// Handed back when the line is written.
    receipt: T,
}

impl<T> Outbox<T> {
    pub(crate) fn new(pipe: Arc<Stdin>) -> Self {
        Self { pipe: Some(pipe), queue: VecDeque::new(), queued: 0 }
    }

    /// Adds a line; [`Outbox::flush`] writes it.
    pub(crate) fn push(&mut self, bytes: Vec<u8>, receipt: T) {
        if self.pipe.is_none() {
            return;
        }
        self.queued += bytes.len();
        self.queue.push_back(Line { bytes, written: 0, receipt });
    }

    /// Writes what the pipe takes without waiting, and hands back the receipts of the lines that went out whole.
    ///
    /// # Errors
    /// When nobody reads the pipe any more.
    pub(crate) fn flush(&mut self, mut written: impl FnMut(T)) -> io::Result<()> {
        while let (Some(pipe), Some(line)) = (&self.pipe, self.queue.front_mut()) {
            match pipe.try_write(&line.bytes[line.written..]) {
                Ok(count) => line.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if line.written == line.bytes.len()
                && let Some(line) = self.queue.pop_front()
            {
                self.queued -= line.bytes.len();
                written(line.receipt);
            }
        }
        Ok(())
    }

    /// Whether everything is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether those who can wait need not.
    pub(crate) fn has_room(&self) -> bool {
        self.queued < MAX_QUEUED
    }

    /// Closes the pipe: the worker reads the end of its input. What was not written is dropped.
    pub(crate) fn close(&mut self) {
        self.pipe = None;
        self.queue.clear();
        self.queued = 0;
    }
}

/// Hands every line to `each`, without its line end, until the pipe ends.
///
/// # Errors
/// When the pipe cannot be read, or a line is longer than 256 MiB.
pub(crate) async fn read_lines(mut pipe: impl AsyncRead + Unpin, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(CHUNK);
    // Up to here the buffer holds no line end.
    let mut searched = 0;
    loop {
        buffer.reserve(CHUNK);
        if pipe.read_buf(&mut buffer).await? == 0 {
            break;
        }
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &buffer[searched..]) {
            let end = searched + length;
            each(buffer[start..end].strip_suffix(b"\r").unwrap_or(&buffer[start..end]));
            start = end + 1;
            searched = start;
        }
        buffer.drain(..start);
        searched = buffer.len();
        if buffer.len() > MAX_LINE {
            return Err(io::Error::other(format!("it wrote a line of more than {} MiB", MAX_LINE >> 20)));
        }
        if buffer.is_empty() && buffer.capacity() > 16 * CHUNK {
            // A large value has passed; its room is not kept.
            buffer = Vec::with_capacity(CHUNK);
        }
    }
    if !buffer.is_empty() {
        each(&buffer);
    }
    Ok(())
}

/// The end of what a process wrote to stderr.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<VecDeque<u8>>>);

impl LastWords {
    pub(crate) fn push(&self, line: &[u8]) {
        let mut kept = self.0.lock();
        kept.extend(line);
        kept.push_back(b'\n');
        let surplus = kept.len().saturating_sub(MAX_KEPT);
        kept.drain(..surplus);
    }

    /// All that is kept.
    pub(crate) fn all(&self) -> String {
        let kept: Vec<u8> = self.0.lock().iter().copied().collect();
        String::from_utf8_lossy(&kept).trim_end().to_owned()
    }

    /// The last lines, for a message.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let all = self.all();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;
    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// A pipe that gives its content in these pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let mut piece = self.0.pop_front().unwrap_or_default();
            let rest = piece.split_off(piece.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
            Poll::Ready(Ok(()))
        }
    }

    fn lines(pieces: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let read = read_lines(Pieces(pieces.into()), |line| lines.push(line.to_vec()));
        read.now_or_never().unwrap().unwrap();
        lines
    }

    /// Bytes among which line ends are frequent.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![4 => Just(b'a'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>()];
        prop::collection::vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn the_lines_are_the_same_however_the_pipe_cuts_them(content in content(), cuts in prop::collection::vec(1_usize..9, 0..200)) {
            let mut expected: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
            // What follows the last line end is a line only when there is something.
            expected.pop_if(|last| last.is_empty());
            let ended = content.ends_with(b"\n");
            let count = expected.len();
            let strip = |(at, line): (usize, &[u8])| {
                let whole = ended || at + 1 < count;
                if whole { line.strip_suffix(b"\r").unwrap_or(line).to_vec() } else { line.to_vec() }
            };
            let expected: Vec<Vec<u8>> = expected.into_iter().enumerate().map(strip).collect();

            let (mut pieces, mut rest) = (Vec::new(), content.as_slice());
            for cut in cuts.into_iter().chain([content.len()]) {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.extend((!piece.is_empty()).then(|| piece.to_vec()));
                rest = behind;
            }
            prop_assert_eq!(lines(pieces), expected);
        }
    }
}
