//! Hides tokens, and the user names and passwords in addresses, from screens and logs.

use stepflow_flow::node::{Content, Node};

/// The text without passwords, and without the tokens in its tree. All other bytes keep their places.
pub fn without_secrets(text: &[u8], tree: Option<&Node>) -> Vec<u8> {
    let mut shown = hidden(text);
    let mut open: Vec<&Node> = tree.into_iter().collect();
    while let Some(node) = open.pop() {
        open.extend(node.elements());
        for entry in node.entries() {
            if is_token(&entry.key) && !names_a_variable(&entry.value) {
                let span = entry.value.span;
                shown[span.start..span.end]
                    .iter_mut()
                    .filter(|byte| !byte.is_ascii_whitespace())
                    .for_each(|byte| *byte = b'*');
            } else {
                open.push(&entry.value);
            }
        }
    }
    shown
}

/// Whether this key holds a token, which is never shown.
pub fn is_token(key: &str) -> bool {
    key == "token"
}

fn names_a_variable(node: &Node) -> bool {
    matches!(&node.content, Content::String(text) if text.contains("${")) || node.is_null()
}

/// The text with a `*` for each byte between the scheme and the `@` of an address. All other bytes keep their places, so
/// that lines and columns stay correct.
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
    #![allow(clippy::unwrap_used, reason = "what a test cannot unwrap has failed it")]

    use stepflow_flow::{Source, read_node_with_any_keys};

    use super::{hidden, without_secrets};

    #[test]
    fn tokens_are_hidden_and_variables_named() {
        for (text, shown) in [
            ("p: {token: s3cret, x: 1}\n", "p: {token: ******, x: 1}\n"),
            ("t: [{token: 12345}, {token: 'a b'}]\n", "t: [{token: *****}, {token: ** **}]\n"),
            ("token: \"${TOKEN}\"\n", "token: \"${TOKEN}\"\n"),
            ("token:\nx: 1\n", "token:\nx: 1\n"),
        ] {
            let tree = read_node_with_any_keys(&Source::yaml("c.yml", text)).unwrap();
            assert_eq!(String::from_utf8(without_secrets(text.as_bytes(), Some(&tree))).as_deref(), Ok(shown));
        }
    }

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
