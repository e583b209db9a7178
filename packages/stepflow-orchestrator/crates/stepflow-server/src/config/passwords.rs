//! Keeps what stands before the `@` of an address from screens and logs: it may be a password.

/// The text with a `*` for each byte between an address's scheme and its `@`. Every other byte keeps its place, so that
/// places in the text stay right.
pub fn hidden(text: &[u8]) -> Vec<u8> {
    let mut shown = text.to_vec();
    for at in (0..text.len()).filter(|at| text[*at] == b'@') {
        let ends = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
        let start = text[..at].iter().rposition(|byte| ends(*byte)).map_or(0, |end| end + 1);
        let scheme = text[start..at].windows(3).position(|three| three == b"://").map_or(0, |scheme| scheme + 3);
        shown[start + scheme..at].fill(b'*');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn what_stands_before_an_at_sign_is_hidden() {
        for (text, shown) in [
            ("url: http://user:pw@h:1/x", "url: http://*******@h:1/x"),
            ("url: 'user:p/w@h'", "url: '********@h'"),
            ("[http://a, http://u:p@ss@h]", "[http://a, http://******@h]"),
            ("no address\n@", "no address\n@"),
        ] {
            assert_eq!(String::from_utf8(hidden(text.as_bytes())).as_deref(), Ok(shown));
        }
    }
}
