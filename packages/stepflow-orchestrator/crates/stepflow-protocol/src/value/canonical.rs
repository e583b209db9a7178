//! The canonical text of a value, from which content ids are made. It is compact, and members keep their order. Strings
//! have as few escapes as possible. Integers are written as their digits, other numbers in their shortest form.

use super::{Kind, Value, access};

impl Value {
    /// The canonical text. A number too large for a float keeps its spelling.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut text = String::with_capacity(self.size());
        write(&mut text, self);
        Self::trusted(text)
    }
}

/// Recursion is safe here: values are nested at most `MAX_DEPTH` deep.
fn write(out: &mut String, value: &Value) {
    match value.kind() {
        Kind::Null | Kind::Bool => out.push_str(value.as_str()),
        Kind::Number => out.push_str(&number(value.as_str())),
        Kind::String => access::push_string(out, &value.text().unwrap_or_default()),
        Kind::Array => {
            out.push('[');
            for (index, element) in value.elements().iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, element);
            }
            out.push(']');
        }
        Kind::Object => {
            out.push('{');
            for (index, (key, member)) in value.members().iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                access::push_string(out, key);
                out.push(':');
                write(out, member);
            }
            out.push('}');
        }
    }
}

fn number(text: &str) -> String {
    if text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) {
        // Integers of other languages have no minus zero.
        return if text == "-0" { "0".to_owned() } else { text.to_owned() };
    }
    let float = text.parse().ok().and_then(serde_json::Number::from_f64);
    // Ids must not depend on the library, whose versions differ in the exponent's plus sign.
    float.map_or_else(|| text.to_owned(), |float| float.to_string().replace("e+", "e"))
}
