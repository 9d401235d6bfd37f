//! Text on its way to people: order, escapes, shortening.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// Compares as Docker's lists do: case counts, runs of digits compare as numbers (`web2` before `web10`).
pub fn natural_order(left: &str, right: &str) -> Ordering {
    let (mut mine, mut theirs) = (left, right);
    while let (Some(one), Some(other)) = (mine.chars().next(), theirs.chars().next()) {
        if one.is_ascii_digit() && other.is_ascii_digit() {
            let (one, other) = (digits(mine), digits(theirs));
            let order = compare_numbers(one, other);
            if order != Ordering::Equal {
                return order;
            }
            (mine, theirs) = (&mine[one.len()..], &theirs[other.len()..]);
        } else if one == other {
            (mine, theirs) = (&mine[one.len_utf8()..], &theirs[other.len_utf8()..]);
        } else {
            return one.cmp(&other);
        }
    }
    // Equal as numbers but not as text (`a01`, `a1`): any fixed order will do.
    mine.len().cmp(&theirs.len()).then_with(|| left.cmp(right))
}

/// Compares digits of any length as numbers.
fn compare_numbers(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

fn digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

/// Whether a character may move the cursor, hide text or change its direction on a terminal.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with everything escaped that could forge lines or colours: names and comments come from others.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => clean.extend(c.escape_default()),
            c if c.is_ascii_control() => {
                let _ = write!(clean, "\\x{:02x}", u32::from(c));
            }
            c if is_dangerous(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// JSON that says the same and holds nothing that a terminal would obey: JSON leaves all but ASCII's controls as they are.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_dangerous) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        // Line ends and indentation lie between values, never within one.
        if is_dangerous(c) && !matches!(c, '\n' | '\r' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// `text` as the content or the quoted attribute of an HTML, XML or SVG element: [`printable`], and nothing of it markup.
pub fn markup(text: &str) -> String {
    let mut clean = String::with_capacity(text.len() + 8);
    for c in printable(text).chars() {
        match c {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '"' => clean.push_str("&quot;"),
            '\'' => clean.push_str("&#39;"),
            // No XML may hold these.
            '\u{fffe}' | '\u{ffff}' => clean.push('\u{fffd}'),
            c => clean.push(c),
        }
    }
    clean
}

/// `text` cut to `most` characters, the last of them `…`, unless it fits.
pub fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.chars().count() <= most {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_docker_does() {
        let mut names = ["web10", "bridge", "web2", "Zed", "web", "web02", "a99999999999999999999999b", "a9b"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["Zed", "a9b", "a99999999999999999999999b", "bridge", "web", "web02", "web2", "web10"]);
    }

    #[test]
    fn nobody_forges_a_line() {
        assert_eq!(printable("web"), "web");
        assert_eq!(printable("a\u{1b}[31m\nb\u{202e}\u{7f}\u{9b}"), "a\\x1b[31m\\nb\\u{202e}\\x7f\\u{9b}");
    }

    #[test]
    fn json_means_the_same_and_moves_no_cursor() {
        let value = serde_json::json!({"n": "a\u{1b}[31m\u{202e}\u{7f}\u{9b}\u{e0041}\n"});
        let text = printable_json(&value.to_string()).into_owned();
        assert_eq!(text, r#"{"n":"a\u001b[31m\u202e\u007f\u009b\udb40\udc41\n"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(shorten("日本語", 3), "日本語");
        assert_eq!(shorten("日本語だ", 3), "日本…");
    }
}
