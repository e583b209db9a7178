//! Reads the document of a conformance case: a flow, a text, bytes, or pieces that are repeated.

use stepflow_flow::diagnostics::Code;
use stepflow_flow::source::Format;
use stepflow_flow::{Decoder, Fields, Loaded, Node, Source};

/// The document, if there is one here.
pub fn document(decoder: &mut Decoder, fields: &mut Fields<'_>, name: &str) -> Option<Loaded> {
    let format = fields.optional(decoder, "format", |decoder, node| {
        decoder.word(node, &[("yaml", Format::Yaml), ("json", Format::Json)])
    });
    let text = fields.optional(decoder, "text", Decoder::string).map(String::into_bytes);
    let bytes = fields.optional(decoder, "base64", base64);
    let repeated =
        fields.optional(decoder, "pieces", |decoder, node| decoder.each(node, piece)).map(|pieces| pieces.concat());
    if let Some(flow) = fields.get("flow") {
        return Some(stepflow_flow::load(Source::json(name, flow.to_value().as_bytes())));
    }
    let text = text.or(bytes).or(repeated)?;
    Some(stepflow_flow::load(Source::new(name, text, format.unwrap_or(Format::Yaml))))
}

/// `{text, times}`
fn piece(decoder: &mut Decoder, node: &Node) -> Option<Vec<u8>> {
    let mut fields = decoder.fields(node)?;
    let text = fields.required(decoder, "text", Decoder::string);
    let times = fields.required(decoder, "times", Decoder::unsigned::<usize>);
    fields.close(decoder);
    Some(text?.repeat(times?).into_bytes())
}

/// Base64 with padding.
fn base64(decoder: &mut Decoder, node: &Node) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = decoder.string(node)?;
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for digit in text.trim_end_matches('=').bytes() {
        let Some(six) = DIGITS.iter().position(|known| *known == digit).and_then(|six| u32::try_from(six).ok()) else {
            decoder.report(Code::InvalidType, node.span, "this is not base64");
            return None;
        };
        (bits, count) = ((bits << 6) | six, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.extend(u8::try_from((bits >> count) & 0xff));
        }
    }
    Some(bytes)
}
