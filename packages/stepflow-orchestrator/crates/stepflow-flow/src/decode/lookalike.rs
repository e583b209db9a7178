//! Reports what is allowed but probably a mistake: texts and keys that look like references and are not.

use crate::decoder::Decoder;
use crate::diagnostics::Code;
use crate::node::{Entry, Node};
use crate::path::{Path, Segment};
use crate::suggest::distance_within;

/// Words that a key may be a misspelling of. `$if` is too short: `$id` is a key of JSON Schema.
const WORDS: [&str; 5] = ["$literal", "$coalesce", "$step", "$input", "$variable"];

/// Reports keys of an ordinary object that differ from a reserved word by one edit.
pub(super) fn report_keys(decoder: &mut Decoder, entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry.key.starts_with('$')) {
        let Some(word) = WORDS.iter().find(|word| distance_within(&entry.key, word, 1).is_some()) else { continue };
        decoder.inside(&entry.key, |decoder| {
            decoder
                .report(Code::MisspeltKey, entry.key_span, format!("unknown key `{}`", entry.key))
                .help(format!("did you mean `{word}`? If not, wrap the object in `$literal`"));
        });
    }
}

/// Reports a text such as `$input.name` or `${steps.a.name}`: texts have no placeholders.
pub(super) fn report_text(decoder: &mut Decoder, node: &Node) {
    let Some(advice) = node.as_str().and_then(reference_meant) else { return };
    decoder
        .report(Code::LooksLikeReference, node.span, "this text stays a text: a reference is an object")
        .help(format!("write `{advice}`, or wrap the text in `$literal`"));
}

/// The reference that a text was probably meant to be.
fn reference_meant(text: &str) -> Option<String> {
    let bare = text.strip_prefix('$')?;
    let bare = bare.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')).unwrap_or(bare).trim();
    let path = Path::parse(&format!("$.{bare}")).ok()?;
    let [Segment::Field(source), Segment::Field(name), rest @ ..] = path.segments() else { return None };
    let whole = Path::from(path.segments()[1..].to_vec());
    let rest = Path::from(rest.to_vec());
    match source.as_str() {
        "input" | "inputs" => Some(format!("{{$input: {whole}}}")),
        "step" | "steps" if rest.is_root() => Some(format!("{{$step: {name}}}")),
        "step" | "steps" => Some(format!("{{$step: {name}, path: {rest}}}")),
        "variable" | "variables" => Some(format!("{{$variable: {whole}}}")),
        _ => None,
    }
}

/// Reports a path such as `user.name`: it is one key with a dot in it.
pub(super) fn report_path(decoder: &mut Decoder, node: &Node, text: &str, key: &str) {
    let text = text.trim();
    if text.starts_with('$') || !text.contains(['.', '[']) {
        return;
    }
    let (Ok(meant), quoted) = (Path::parse(&format!("$.{text}")), Path::root().field(text)) else { return };
    decoder.inside(key, |decoder| {
        decoder
            .report(Code::LooksLikeReference, node.span, format!("`{text}` is the name of one key, dots included"))
            .help(format!("write `{meant}` for a path through objects, or `{quoted}` for this key"));
    });
}
