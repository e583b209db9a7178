//! Lines over pipes. The reader never waits for the writer, and the writer never for the reader.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::broken::{BrokenMessage, Outline, broken_message};
use super::message::TooLong;
use super::process::Stdin;

/// A line that is too long is read to its end, to tell its length; but no more than this many times the limit.
const MAX_MEASURED: usize = 4;

/// The longest line of text that is kept together.
const MAX_TEXT: usize = 64 * 1024;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// How many bytes may be queued before answers to the worker have to wait.
const MAX_QUEUED: usize = 64 * 1024 * 1024;

/// The lines that go into a pipe. Writes at once what the pipe takes; the rest waits until the pipe can take more.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    pipe: Option<Arc<Stdin>>,
    queue: VecDeque<Queued<T>>,
    queued: usize,
}

#[derive(Debug)]
struct Queued<T> {
    bytes: Vec<u8>,
    written: usize,
    /// Given back when the line is written.
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
        self.queue.push_back(Queued { bytes, written: 0, receipt });
    }

    /// Writes what the pipe takes without waiting, and gives back the receipts of the lines that were written whole.
    ///
    /// # Errors
    ///
    /// When nothing reads the pipe any more.
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

    /// Whether a message that may wait can be queued now.
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

/// A line that a worker wrote, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WorkerLine<'a> {
    Line(&'a [u8]),
    /// A line that was not kept, and what is known of it.
    TooLong(TooLong, BrokenMessage),
}

/// A line that is too long to be kept.
#[derive(Debug)]
struct Skipped {
    /// `None` after it was used.
    outline: Option<Outline>,
    size: usize,
    limit: usize,
}

/// Passes every line to `each` until the pipe ends. A line of more than `limit` bytes is not kept in memory.
///
/// # Errors
///
/// When the pipe cannot be read, or when a line is far too long and has no id that says which request it belongs to.
pub(crate) async fn read_lines(
    mut pipe: impl AsyncRead + Unpin,
    limit: usize,
    mut each: impl FnMut(WorkerLine<'_>),
) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(CHUNK);
    // The part of the buffer that has no line end.
    let mut searched = 0;
    let mut skipped: Option<Skipped> = None;
    loop {
        buffer.reserve(CHUNK);
        if pipe.read_buf(&mut buffer).await? == 0 {
            break;
        }
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &buffer[searched..]) {
            let end = searched + length;
            match skipped.take() {
                Some(skipped) => skipped.end(&buffer[start..end], &mut each),
                None => each(written(&buffer[start..end], limit)),
            }
            start = end + 1;
            searched = start;
        }
        buffer.drain(..start);
        if skipped.is_some() || buffer.len() > limit {
            let begin = || Skipped { outline: Some(Outline::default()), size: 0, limit };
            skipped.get_or_insert_with(begin).feed(&buffer, &mut each)?;
            buffer.clear();
        }
        searched = buffer.len();
        if buffer.is_empty() && buffer.capacity() > 16 * CHUNK {
            // Give the memory of a large value back.
            buffer = Vec::with_capacity(CHUNK);
        }
    }
    if skipped.is_none() && !buffer.is_empty() {
        each(WorkerLine::Line(&buffer));
    }
    Ok(())
}

fn written(line: &[u8], limit: usize) -> WorkerLine<'_> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match TooLong::check(line.len(), limit) {
        Ok(()) => WorkerLine::Line(line),
        Err(too_long) => WorkerLine::TooLong(too_long, broken_message(line)),
    }
}

impl Skipped {
    fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(WorkerLine<'_>)) -> io::Result<()> {
        self.size += bytes.len();
        let Some(outline) = &mut self.outline else { return Ok(()) };
        outline.feed(bytes);
        if self.size > MAX_MEASURED.saturating_mul(self.limit) {
            let broken_message = self.outline.take().map(Outline::of_beginning).unwrap_or_default();
            if broken_message.id.is_none() {
                return Err(io::Error::other(format!("it wrote a line of more than {} bytes", self.size)));
            }
            each(WorkerLine::TooLong(self.problem(false), broken_message));
        }
        Ok(())
    }

    fn end(mut self, last: &[u8], each: &mut impl FnMut(WorkerLine<'_>)) {
        self.size += last.len();
        let problem = self.problem(true);
        if let Some(mut outline) = self.outline {
            outline.feed(last);
            each(WorkerLine::TooLong(problem, outline.of_whole()));
        }
    }

    fn problem(&self, is_whole: bool) -> TooLong {
        TooLong { size: self.size, is_whole, limit: self.limit }
    }
}

/// Passes the lines of a text to `each` until the pipe ends, in pieces of 64 KiB at most. A CR ends a line as well: a
/// progress bar may write nothing else for hours.
///
/// # Errors
///
/// When the pipe cannot be read.
pub(crate) async fn read_text(mut pipe: impl AsyncRead + Unpin, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(MAX_TEXT);
    let mut after_cr = false;
    while pipe.read_buf(&mut buffer).await? > 0 {
        let mut start = 0;
        while let Some(length) = memchr::memchr2(b'\r', b'\n', &buffer[start..]) {
            let line = &buffer[start..start + length];
            let is_cr = buffer[start + length] == b'\r';
            if !line.is_empty() || !(is_cr || after_cr) {
                each(line);
            }
            after_cr = is_cr;
            start += length + 1;
        }
        buffer.drain(..start);
        if buffer.len() >= MAX_TEXT {
            each(&buffer);
            buffer.clear();
        }
        buffer.reserve(MAX_TEXT - buffer.len());
    }
    if !buffer.is_empty() {
        each(&buffer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;
    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// A pipe whose content comes in these pieces.
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
        let read = read_lines(Pieces(pieces.into()), 1 << 20, |line| match line {
            WorkerLine::Line(line) => lines.push(line.to_vec()),
            WorkerLine::TooLong(..) => panic!("{line:?}"),
        });
        read.now_or_never().unwrap().unwrap();
        lines
    }

    /// Bytes with many line ends.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![4 => Just(b'a'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>()];
        prop::collection::vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn the_lines_are_the_same_however_the_pipe_cuts_them(content in content(), cuts in prop::collection::vec(1_usize..9, 0..200)) {
            let mut expected: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
            // There is a last line only if something follows the last line end.
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

    /// The lines of at most 16 bytes, and the lengths and ids of the others.
    fn bounded(pieces: &[&[u8]]) -> io::Result<Vec<String>> {
        let mut told = Vec::new();
        let pieces = Pieces(pieces.iter().map(|piece| piece.to_vec()).collect());
        let read = read_lines(pieces, 16, |line| {
            told.push(match line {
                WorkerLine::Line(line) => String::from_utf8(line.to_vec()).unwrap(),
                WorkerLine::TooLong(TooLong { size, is_whole, .. }, broken_message) => {
                    format!("{size} {is_whole} {}", broken_message.id.unwrap_or_default())
                }
            });
        });
        read.now_or_never().unwrap()?;
        Ok(told)
    }

    #[test]
    fn a_line_that_is_too_long_is_told_by_its_size_and_its_id_and_the_next_one_is_read() {
        let whole = b"{\"id\":7,\"result\":\"aaa\"}\n{\"id\":8}\n";
        let expected = ["23 true 7", "{\"id\":8}"];
        assert_eq!(bounded(&[whole]).unwrap(), expected);
        assert_eq!(bounded(&whole.chunks(1).collect::<Vec<_>>()).unwrap(), expected);
        assert_eq!(bounded(&whole.chunks(20).collect::<Vec<_>>()).unwrap(), expected);
    }

    #[test]
    fn a_line_without_end_is_told_once_where_it_has_an_id_and_costs_its_worker_where_it_has_none() {
        let endless = [b"{\"id\":7,\"a\":\"".as_slice(), &[b'a'; 30], &[b'a'; 30], &[b'a'; 30], b"\"}\n{}\n"];
        assert_eq!(bounded(&endless).unwrap(), ["73 false 7", "{}"]);
        assert!(bounded(&endless[1..4]).unwrap_err().to_string().contains("a line of more than 90 bytes"));
    }

    fn text(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let pieces = Pieces(pieces.iter().map(|piece| piece.to_vec()).collect());
        let read = read_text(pieces, |line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
        read.now_or_never().unwrap().unwrap();
        lines
    }

    #[test]
    fn a_carriage_return_ends_a_line_of_text() {
        let whole = b"a\n\r 10%\r 20%\r\nb\r\n\nc";
        let expected = ["a", " 10%", " 20%", "b", "", "c"];
        assert_eq!(text(&[whole]), expected);
        assert_eq!(text(&whole.chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn a_line_of_text_that_does_not_end_comes_in_pieces() {
        let endless = vec![b'x'; 3 * MAX_TEXT];
        assert_eq!(text(&[&endless]).iter().map(String::len).collect::<Vec<_>>(), [MAX_TEXT; 3]);
    }
}
