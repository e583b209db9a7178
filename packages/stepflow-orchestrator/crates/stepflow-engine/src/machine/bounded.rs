//! Limits the size of errors. Each error is written into the journal several times, and is a part of answers.

use stepflow_protocol::{FlowError, Kind, MAX_DEPTH, Value};

/// The most characters of a message. Our worker sends no more.
const MESSAGE: usize = 64 << 10;

/// The most characters of the name of an exception.
const TYPE: usize = 1 << 10;

/// The most characters of a traceback.
const TRACEBACK: usize = 32 << 10;

/// The most characters of the note that something was cut. It is not counted.
const REMARK: usize = 64;

/// The most bytes of all data of an error.
const DATA: usize = 1 << 20;

/// The most members of data that are cut one by one.
const MEMBERS: usize = 8;

/// How deep the data of an error may be nested: it is shown inside of other values.
const DEPTH: usize = MAX_DEPTH / 2;

/// The error, cut if it is too large. A cut part says so.
pub(super) fn bounded(error: FlowError) -> FlowError {
    let data = error.data.as_ref().map(bounded_data);
    FlowError { message: cut(&error.message, MESSAGE), data, ..error }
}

fn bounded_data(data: &Value) -> Value {
    let data = with_depths_cut(with_texts_cut(data));
    if data.size() <= DATA {
        return data;
    }
    let note =
        |value: &Value| Value::string(&format!("left out: {} bytes, more than an error may bring", value.size()));
    let members = data.members();
    if members.is_empty() || members.len() > MEMBERS {
        return Value::object([("data", note(&data))]);
    }
    // Small members tell where it happened. They stay.
    let small = |value: &Value| value.size() < DATA / MEMBERS - 8 * TYPE;
    Value::object(members.into_iter().map(|(name, value)| {
        let value = if small(&value) { value } else { note(&value) };
        (cut(&name, TYPE), value)
    }))
}

fn with_depths_cut(data: Value) -> Value {
    if data.depth() <= DEPTH {
        return data;
    }
    let note = |value: &Value| Value::string(&format!("left out: nested {} deep", value.depth()));
    if data.kind() != Kind::Object {
        return note(&data);
    }
    Value::object(data.members().into_iter().map(|(name, value)| {
        let value = if value.depth() < DEPTH { value } else { note(&value) };
        (name, value)
    }))
}

fn with_texts_cut(data: &Value) -> Value {
    let too_long = |name: &str, most: usize| data.field(name).is_some_and(|text| text.size() > most);
    if !too_long("type", TYPE) && !too_long("traceback", TRACEBACK) {
        return data.clone();
    }
    let cut = |name: &str, value: Value| match (name, value.text()) {
        ("type", Some(text)) => Value::string(&cut(&text, TYPE)),
        ("traceback", Some(text)) => Value::string(&end(&text, TRACEBACK)),
        _ => value,
    };
    Value::object(data.members().into_iter().map(|(name, value)| {
        let value = cut(&name, value);
        (name, value)
    }))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most).filter(|_| text.chars().nth(most + REMARK).is_some()) {
        None => text.to_owned(),
        Some((kept, _)) => format!("{}… ({} bytes more)", &text[..kept], text.len() - kept),
    }
}

fn end(text: &str, most: usize) -> String {
    let from = text.char_indices().rev().nth(most).filter(|_| text.chars().rev().nth(most + REMARK).is_some());
    match from {
        None => text.to_owned(),
        Some((from, _)) => format!("({from} bytes before) …{}", &text[from..]),
    }
}

#[cfg(test)]
mod tests {
    use stepflow_protocol::ErrorKind;

    use super::*;

    #[test]
    fn what_is_small_stays_as_it_is() {
        let error = FlowError::new(ErrorKind::ComponentFailed, "no").with([("type", Value::string("E"))]);
        assert_eq!(bounded(error.clone()), error);
    }

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        let long = "é".repeat(2 << 20);
        let error = FlowError::new(ErrorKind::ComponentFailed, &long).with([
            ("type", Value::string(&long)),
            ("traceback", Value::string(&format!("{long}the end"))),
            ("data", Value::string(&long)),
            ("step", Value::string("a")),
        ]);
        let cut = bounded(error);
        assert_eq!(bounded(cut.clone()), cut);
        assert!(cut.message.chars().count() < MESSAGE + REMARK && cut.message.ends_with("bytes more)"));
        let data = cut.data.unwrap();
        let text = |name: &str| data.field(name).unwrap().text().unwrap();
        assert!(text("type").chars().count() < TYPE + REMARK && text("type").ends_with("bytes more)"));
        assert!(text("traceback").starts_with('(') && text("traceback").ends_with("the end"));
        assert!(text("data").starts_with("left out: 4194306 bytes"), "{}", text("data"));
        assert_eq!(text("step"), "a");
    }

    #[test]
    fn each_text_is_cut_at_its_own_length_and_whatever_the_others_are() {
        let long = "x".repeat(1 << 17);
        let cut = |name: &str| {
            let error = FlowError::new(ErrorKind::ComponentFailed, &long).with([(name, Value::string(&long))]);
            let cut = bounded(error);
            (cut.message, cut.data.unwrap().field(name).unwrap().text().unwrap())
        };
        let ((message, name), (_, traceback)) = (cut("type"), cut("traceback"));
        assert_eq!(message, format!("{}… (65536 bytes more)", "x".repeat(65_536)));
        assert_eq!(name, format!("{}… (130048 bytes more)", "x".repeat(1024)));
        assert_eq!(traceback, format!("(98303 bytes before) …{}", "x".repeat(32_769)));
    }

    #[test]
    fn of_eight_members_the_small_ones_stay_and_all_together_fit() {
        let member = |place: usize, size: usize| {
            (format!("{place}{}", "🔑".repeat(TYPE - 1)), Value::string(&"x".repeat(size - 2)))
        };
        for size in [122_879, 130_000, 131_000, 139_000] {
            let sizes = (0..8).map(|place| if place == 0 { 400_000 } else { size });
            let data = Value::object(sizes.enumerate().map(|(place, size)| member(place, size)));
            let shown = bounded_data(&data);
            assert!(shown.size() <= DATA, "{size}: {}", shown.size());
            let kept = shown.members().into_iter().filter(|(_, value)| value.size() == size).count();
            assert_eq!((shown.members().len(), kept), (8, if size < 122_880 { 7 } else { 0 }));
        }
    }

    #[test]
    fn data_that_is_nested_too_deep_is_left_out_and_says_so() {
        let deep = |depth| (0..depth).fold(Value::null(), |inner, _| Value::array([inner]));
        let error = FlowError::new(ErrorKind::ComponentFailed, "no").with([("a", deep(DEPTH)), ("b", deep(DEPTH - 1))]);
        let shown = bounded(error).data.unwrap();
        assert_eq!(shown.field("a").unwrap().text().unwrap(), "left out: nested 64 deep");
        assert_eq!(shown.field("b"), Some(deep(DEPTH - 1)));
    }

    #[test]
    fn data_of_any_shape_is_bounded() {
        let long = Value::string(&"x".repeat(DATA));
        let many = Value::object((0..100_000).map(|index| (index.to_string(), Value::string("0123456789"))));
        for data in
            [long.clone(), Value::array([long.clone()]), many, Value::object([("k".repeat(DATA), Value::null())])]
        {
            let error = FlowError { data: Some(data), ..FlowError::new(ErrorKind::ComponentFailed, "no") };
            assert!(bounded(error).data.unwrap().size() <= DATA);
        }
    }
}
