//! Reads a stream of server-sent events, as the WHATWG standard defines them, from bytes in pieces of any size.

use std::time::Duration;

use memchr::memchr2;

use crate::worker::message::TooLong;

/// An event with at least one line of data, even an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The event's type; `message` if the stream does not say.
    pub(crate) kind: String,
    /// The lines of its data, with `\n` between them. Not decoded: its reader refuses what is not UTF-8.
    pub(crate) data: Vec<u8>,
}

/// What has been read of a stream.
#[derive(Debug)]
pub(crate) struct Parser {
    /// The part of a line that has come so far.
    line: Vec<u8>,
    /// The data lines of the event that has not ended, each with its line end.
    data: Vec<u8>,
    kind: String,
    last_id: Option<String>,
    retry: Option<Duration>,
    /// The line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    /// No line has ended yet: a byte order mark may come before the first.
    at_start: bool,
    max_event: usize,
}

impl Parser {
    /// For events of at most this many bytes.
    pub(crate) fn new(max_event: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            kind: String::new(),
            last_id: None,
            retry: None,
            after_cr: false,
            at_start: true,
            max_event,
        }
    }

    /// Takes the next bytes and calls `each` for each event that ends in them. What follows the last event of a stream
    /// is ignored.
    ///
    /// # Errors
    ///
    /// When an event is too long; the stream cannot be used after that.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Event)) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', bytes) else {
                self.within_bounds(bytes.len())?;
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            self.within_bounds(end)?;
            self.after_cr = bytes[end] == b'\r';
            if self.line.is_empty() {
                self.end_line(&bytes[..end], &mut each);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.end_line(&line, &mut each);
            }
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    /// The id of the last event that had one. A client sends it to get the rest of a stream.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How long a client is asked to wait before it connects again.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn within_bounds(&self, more: usize) -> Result<(), TooLong> {
        let size = self.line.len() + self.data.len() + more;
        // The rest of the line has not come.
        TooLong::check(size, self.max_event).map_err(|problem| TooLong { is_whole: false, ..problem })
    }

    fn end_line(&mut self, line: &[u8], each: &mut impl FnMut(Event)) {
        let marked = std::mem::take(&mut self.at_start).then(|| line.strip_prefix("\u{feff}".as_bytes())).flatten();
        let line = marked.unwrap_or(line);
        if line.is_empty() {
            return self.end_event(each);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        self.field(field, value.strip_prefix(b" ").unwrap_or(value));
    }

    /// A comment is a field without a name.
    fn field(&mut self, name: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.kind = text(),
            b"id" if !value.contains(&0) => self.last_id = Some(text()),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                self.retry = text().parse().ok().map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
    }

    fn end_event(&mut self, each: &mut impl FnMut(Event)) {
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        // Each line of data added a line end; the last one does not belong to the event.
        if data.pop().is_some() {
            each(Event { kind: if kind.is_empty() { "message".to_owned() } else { kind }, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The events of a stream that comes in these pieces, each as its kind and its data.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let (mut parser, mut events) = (Parser::new(1 << 20), Vec::new());
        for piece in pieces {
            parser.feed(piece, |event| events.push((event.kind, String::from_utf8(event.data).unwrap()))).unwrap();
        }
        events
    }

    fn data(stream: &str) -> Vec<String> {
        read([stream.as_bytes()]).into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn an_event_ends_with_an_empty_line_however_lines_end() {
        for end in ["\n", "\r", "\r\n"] {
            assert_eq!(data(&["data: a", "", "data: b", "", ""].join(end)), ["a", "b"], "{end:?}");
        }
    }

    #[test]
    fn lines_may_end_differently_in_one_stream() {
        assert_eq!(data("data: a\r\ndata: b\r\rdata: c\n\n"), ["a\nb", "c"]);
    }

    #[test]
    fn the_lines_of_data_are_joined() {
        assert_eq!(data("data: a\ndata:\ndata:  c\n\n"), ["a\n\n c"]);
    }

    #[test]
    fn a_field_without_a_colon_has_no_value() {
        assert_eq!(data("data\n\ndata\ndata\n\n"), ["", "\n"]);
    }

    #[test]
    fn comments_and_unknown_fields_say_nothing() {
        assert_eq!(data(": ping\n\n:\ndatum: x\nDATA: y\n data: z\ndata: a:b\n\n"), ["a:b"]);
    }

    #[test]
    fn an_event_without_data_is_none_and_takes_its_kind_along() {
        let events = read([&b"event: endpoint\n\ndata: a\n\nevent: endpoint\ndata: b\n\n"[..]]);
        assert_eq!(events, [("message".into(), "a".into()), ("endpoint".into(), "b".into())]);
    }

    #[test]
    fn what_the_stream_does_not_end_is_no_event() {
        assert_eq!(data("data: a\n\ndata: b\n"), ["a"]);
    }

    #[test]
    fn one_byte_order_mark_stands_before_the_first_line() {
        assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
        assert_eq!(data("\n\u{feff}data: a\n\n"), Vec::<String>::new());
    }

    #[test]
    fn the_last_id_and_the_time_to_wait_are_kept() {
        let mut parser = Parser::new(1 << 20);
        parser.feed(b"id: 7\nretry: 250\n\nid: a\0b\nretry: soon\n\n", |_| {}).unwrap();
        assert_eq!((parser.last_id(), parser.retry()), (Some("7"), Some(Duration::from_millis(250))));
        parser.feed(b"id\n\n", |_| {}).unwrap();
        assert_eq!(parser.last_id(), Some(""));
    }

    #[test]
    fn an_event_that_never_ends_is_refused() {
        for line in [&b"data: 0123456789\n"[..], b": 0123456789 without an end"] {
            let mut parser = Parser::new(64);
            assert!((0..64).any(|_| parser.feed(line, |_| {}).is_err()), "{line:?}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_left_to_the_reader() {
        let mut events = Vec::new();
        Parser::new(1 << 20).feed(b"data: \xff\n\n", |event| events.push(event.data)).unwrap();
        assert_eq!(events, [b"\xff"]);
    }

    /// Streams in which every rule is used.
    fn streams() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("data"),
            Just("event"),
            Just("id"),
            Just("retry"),
            Just(":"),
            Just(" "),
            Just("\r"),
            Just("\n"),
            Just("\r\n"),
            Just("\n\n"),
            Just("\u{feff}"),
            Just("é"),
            Just("🦀"),
            Just("{\"a\":1}"),
            Just("data: x\n\n"),
        ];
        prop::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same_events(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let bytes = stream.as_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(read(pieces), read([bytes]));
            prop_assert_eq!(read(bytes.chunks(1)), read([bytes]));
        }
    }
}
