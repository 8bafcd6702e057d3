//! Numbers and texts as they are shown.

/// What stands where there is nothing to say.
pub(crate) const NONE: &str = "–";

/// A measured number with three digits that count; [`NONE`] where it is not a number.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        NONE.to_owned()
    } else if size == 0.0 {
        "0".to_owned()
    } else if !(1e-6..1e15).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 99.95 {
        grouped(&format!("{value:.0}"))
    } else {
        // What is rounded up to a digit more has one less behind the point.
        let leading = (size * 1.0005).log10().floor() as i32;
        format!("{value:.*}", usize::try_from(2 - leading).unwrap_or(0))
    }
}

/// A number that may be missing.
pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), number)
}

/// A text that may be missing.
pub(crate) fn or_none(text: &str) -> &str {
    if text.trim().is_empty() { NONE } else { text }
}

/// A count, exact.
pub(crate) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A whole number with its thousands set apart.
pub(crate) fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text as content or attribute of HTML and SVG.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

/// A text of at most `most` characters, with an ellipsis where it was cut.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_three_digits_that_count() {
        let cases = [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (0.5, "0.500"),
            (1.0, "1.00"),
            (0.9996, "1.00"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (12.345, "12.3"),
            (99.96, "100"),
            (123.6, "124"),
            (1234.4, "1,234"),
            (12_345.0, "12,345"),
            (-1_234_567.0, "-1,234,567"),
            (1e-9, "1.00e-9"),
            (f64::NAN, NONE),
            (f64::INFINITY, NONE),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text, "{value}");
        }
        assert_eq!(optional(None), NONE);
    }

    #[test]
    fn a_count_is_exact() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn what_is_missing_is_seen_to_be() {
        assert_eq!(or_none(" "), NONE);
        assert_eq!(or_none(" a "), " a ");
    }

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped(r#"<a b="c" d='e'>&amp;"#), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("überlang", 8), "überlang");
        assert_eq!(shortened("überlang", 4), "übe…");
    }
}
