//! Finds the request of a message that cannot be read. Such a message contains a `NaN` or a raw control character in a
//! string, or is too long to be kept. The side that waits for it must not wait for ever.

/// The longest key or id that is kept.
const MAX_TOKEN: usize = 1024;

/// What is known of such a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BrokenMessage {
    /// Its `id`, as JSON text.
    pub(crate) id: Option<String>,
    /// Whether it has a `method`: then it is a request or a notification.
    pub(crate) has_method: bool,
    /// Whether it has a `result`: then it is an answer.
    pub(crate) has_result: bool,
}

/// Reads the keys of the outermost object, with any values, without keeping the message.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    found: BrokenMessage,
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// The key, or the scalar after it, that is being read.
    token: Vec<u8>,
    /// The key whose value is being read is `id`.
    at_id: bool,
}

impl Outline {
    /// Takes the next bytes of the message.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.in_text {
                self.note(*byte);
                self.in_text = self.escaped || *byte != b'"';
                self.escaped = !self.escaped && *byte == b'\\';
                continue;
            }
            match byte {
                b'"' => {
                    self.token.clear();
                    self.note(*byte);
                    self.in_text = true;
                }
                b':' if self.depth == 1 => self.end_key(),
                b',' if self.depth == 1 => self.end_value(),
                b'{' | b'[' => {
                    self.token.clear();
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.end_value();
                    self.depth = self.depth.saturating_sub(1);
                }
                other if !other.is_ascii_whitespace() => self.note(*other),
                _ => {}
            }
        }
    }

    /// For a message that was read to its end. A line that broke off counts for nothing: the worker died while it wrote
    /// it, and its attempt is lost anyway.
    pub(crate) fn of_whole(self) -> BrokenMessage {
        if self.depth == 0 && !self.in_text { self.found } else { BrokenMessage::default() }
    }

    /// For a message of which only the beginning was read.
    pub(crate) fn of_beginning(self) -> BrokenMessage {
        self.found
    }

    fn note(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() < MAX_TOKEN {
            self.token.push(byte);
        }
    }

    fn end_key(&mut self) {
        self.at_id = self.token == br#""id""#;
        self.found.has_method |= self.token == br#""method""#;
        self.found.has_result |= self.token == br#""result""#;
        self.token.clear();
    }

    fn end_value(&mut self) {
        if self.depth == 1 && std::mem::take(&mut self.at_id) {
            let token = std::str::from_utf8(&self.token).ok().filter(|token| token.len() < MAX_TOKEN);
            // The id is copied into the answer, so it must be valid JSON.
            let scalar = token.filter(|token| serde_json::from_str::<serde::de::IgnoredAny>(token).is_ok());
            self.found.id = scalar.map(str::to_owned);
        }
        if self.depth == 1 {
            self.token.clear();
        }
    }
}

/// What is known of a message that is held whole.
pub(crate) fn broken_message(line: &[u8]) -> BrokenMessage {
    let mut outline = Outline::default();
    outline.feed(line);
    outline.of_whole()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_message_itself_are_found_whatever_is_broken() {
        let answer = BrokenMessage { id: Some("7".to_owned()), has_method: false, has_result: true };
        for line in [
            r#"{"jsonrpc":"2.0","id":7,"result":{"output":NaN}}"#,
            r#"{"result":{"output":[-Infinity,{"id":8,"method":1}]}, "id" : 7}"#,
            "{\"id\":7,\"result\":{\"output\":\"a\u{1}b \\\" \\\\\"}}",
            r#"{"id":7,"result":{"output":{"k": "id", "method": x}}}"#,
        ] {
            assert_eq!(broken_message(line.as_bytes()), answer, "{line}");
        }
        let asked = broken_message(br#"{"id":"a-1","method":"blobs/put","params":{"data":NaN}}"#);
        assert_eq!(asked, BrokenMessage { id: Some(r#""a-1""#.to_owned()), has_method: true, has_result: false });
    }

    #[test]
    fn nothing_is_made_of_noise() {
        for line in [
            "",
            "hello \"id\":7",
            "[\"id\", 7, NaN]",
            "{\"id\":\"open",
            "{\"id\":nan}",
            "{\"id\":{\"id\":7}}",
            "{\"id\":7,\"result\":{",
        ] {
            assert_eq!(broken_message(line.as_bytes()).id, None, "{line}");
        }
    }

    #[test]
    fn the_beginning_of_a_message_tells_what_stands_in_it() {
        let mut outline = Outline::default();
        for piece in [r#"{"i"#, r#"d":1"#, r#"7,"resu"#, r#"lt":{"output":"aaaa"#] {
            outline.feed(piece.as_bytes());
        }
        assert_eq!(
            outline.of_beginning(),
            BrokenMessage { id: Some("17".to_owned()), has_method: false, has_result: true }
        );
    }
}
