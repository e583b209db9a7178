//! Whose message it is that is not JSON: one with a `NaN` in it, or a raw control character in a text, as other languages
//! write them. Whoever waits for it must not wait for ever.

/// What can be told of such a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains<'a> {
    /// The text of its `id`.
    pub(crate) id: Option<&'a str>,
    /// Whether it has a `method`.
    pub(crate) asks: bool,
    /// Whether it has a `result`.
    pub(crate) tells: bool,
}

/// Looks at the keys of the outermost object, whatever stands in their values. Of half a message nothing is told.
pub(crate) fn remains(line: &[u8]) -> Remains<'_> {
    let mut found = Remains::default();
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(byte) = line.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = string_end(line, at);
                if let (1, Some(value)) = (depth, value_after(line, end)) {
                    match &line[at..end] {
                        br#""id""# => found.id = scalar(value),
                        br#""method""# => found.asks = true,
                        br#""result""# => found.tells = true,
                        _ => {}
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    // Half a line is all that a worker said before it died: its attempt is lost with it.
    if depth == 0 { found } else { Remains::default() }
}

/// The place behind the string that opens at `open`.
fn string_end(line: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(byte) = line.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    line.len()
}

/// What stands behind a key's colon; `None` behind a string that is no key.
fn value_after(line: &[u8], key_end: usize) -> Option<&[u8]> {
    line[key_end..].trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

/// The number or string that a text begins with.
fn scalar(text: &[u8]) -> Option<&str> {
    let end = match text.first()? {
        b'"' => string_end(text, 0),
        _ => text.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'-')).unwrap_or(text.len()),
    };
    let scalar = std::str::from_utf8(&text[..end]).ok().filter(|scalar| !scalar.is_empty())?;
    // It is echoed: only what is JSON itself.
    serde_json::from_str::<serde::de::IgnoredAny>(scalar).is_ok().then_some(scalar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_message_itself_are_found_whatever_is_broken() {
        let answer = Remains { id: Some("7"), asks: false, tells: true };
        for line in [
            r#"{"jsonrpc":"2.0","id":7,"result":{"output":NaN}}"#,
            r#"{"result":{"output":[-Infinity,{"id":8,"method":1}]}, "id" : 7}"#,
            "{\"id\":7,\"result\":{\"output\":\"a\u{1}b \\\" \\\\\"}}",
            r#"{"id":7,"result":{"output":{"k": "id", "method": x}}}"#,
        ] {
            assert_eq!(remains(line.as_bytes()), answer, "{line}");
        }
        let asked = remains(br#"{"id":"a-1","method":"blobs/put","params":{"data":NaN}}"#);
        assert_eq!(asked, Remains { id: Some(r#""a-1""#), asks: true, tells: false });
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
            assert_eq!(remains(line.as_bytes()).id, None, "{line}");
        }
    }
}
