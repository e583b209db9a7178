//! The width of texts. Pictures use a font of fixed width, so that the width is known without the font.

/// The width of a character in relation to the font size, for the widest of the common fonts of fixed width.
const ADVANCE: f64 = 0.62;

/// The largest width of a text in a font of this size, in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(columns).sum::<f64>() * ADVANCE * size
}

/// The text, cut at its end so that it takes at most this many columns.
pub fn shortened(text: &str, most: u32) -> String {
    let most = f64::from(most);
    if text.chars().map(columns).sum::<f64>() <= most {
        return text.to_owned();
    }
    let mut taken = 1.0;
    let kept = text.chars().take_while(|character| {
        taken += columns(*character);
        taken <= most
    });
    kept.collect::<String>() + "…"
}

/// Characters of other scripts come from other fonts and may be twice as wide.
fn columns(character: char) -> f64 {
    match character {
        '…' => 1.0,
        _ if character.is_ascii() => 1.0,
        _ => 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_where_it_no_longer_fits() {
        assert_eq!(shortened("summarise", 9), "summarise");
        assert_eq!(shortened("summarise", 5), "summ…");
        assert_eq!(shortened("天气天气", 5), "天气…");
    }

    #[test]
    fn other_scripts_count_double() {
        assert!((width("天", 10.0) - 2.0 * width("a", 10.0)).abs() < f64::EPSILON);
    }
}
