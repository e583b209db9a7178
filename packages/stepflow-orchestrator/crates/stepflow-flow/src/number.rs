//! The one text of a number. Integers keep their digits, however many; every other number is a double in its shortest
//! form: `1.0`, `0.25`, `1e16`, `1e-7`.

/// Raised when a number cannot be held, even as a double.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// More digits than the largest double has.
const MAX_DIGITS: usize = 308;

/// The canonical text of a decimal number such as `-012` or `1.50e3`; the caller has checked the grammar.
pub(crate) fn canonical(text: &str) -> Result<String, TooLarge> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return integer(unsigned, text.starts_with('-'));
    }
    let number: f64 = text.parse().map_err(|_| TooLarge)?;
    let shortest = serde_json::Number::from_f64(number).ok_or(TooLarge)?.to_string();
    // Versions of `serde_json` write the plus of an exponent or not; ids must not depend on that.
    Ok(shortest.replace('+', ""))
}

fn integer(digits: &str, negative: bool) -> Result<String, TooLarge> {
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        // Minus zero is zero: other languages' integers cannot tell them apart.
        0 => Ok("0".to_owned()),
        length if length > MAX_DIGITS => Err(TooLarge),
        _ if negative => Ok(format!("-{digits}")),
        _ => Ok(digits.to_owned()),
    }
}

/// The number that a plain YAML scalar stands for by the core schema; `None` if it is not a number.
pub(crate) fn of_yaml(text: &str) -> Option<Result<String, TooLarge>> {
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| is_all(digits, |byte| byte.is_ascii_hexdigit())) {
        return Some(radix(digits, 16));
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| is_all(digits, |byte| (b'0'..=b'7').contains(&byte)))
    {
        return Some(radix(digits, 8));
    }
    is_decimal(text).then(|| canonical(text))
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() || !fraction.is_empty())
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|exponent| is_all(exponent, |byte| byte.is_ascii_digit()))
}

fn is_all(text: &str, of: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(of)
}

fn radix(digits: &str, radix: u32) -> Result<String, TooLarge> {
    u128::from_str_radix(digits, radix).map(|number| number.to_string()).map_err(|_| TooLarge)
}
