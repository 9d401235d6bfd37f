//! The table of `ls` as one page that can be mailed: no network, light and dark, by keyboard, on paper. Who can reach a way
//! opens to show the path that each of them takes, as `explain --verbose` does. Pure.
//!
//! Without its script it shows everything and filters by what styles can ask; the script adds search and sorting. A
//! content security policy lets that one script run and nothing else, whatever a name may hold.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::access::{Exposure, Way};
use crate::text::{markup, printable, shorten};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Longest name in a cell; hostile ones are longer.
const CELL: usize = 300;

/// Most bytes of steps in one page.
const STEPS_MAX: usize = 4_000_000;

/// What the page is about.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The engine's host.
    pub host: &'a str,
    /// When it was looked at, UTC.
    pub moment: &'a str,
    /// `open` or `closed`: what becomes of containers without an allow rule.
    pub default: &'a str,
    /// The rows.
    pub ways: &'a [Way],
    /// The rules in order.
    pub rules: &'a [String],
    /// What a reader should know besides.
    pub remarks: &'a [String],
}

const COLUMNS: [&str; 9] =
    ["Container", "Published", "Port", "Path", "Family", "Who can reach it", "Exposed", "Rules", "Managed"];

/// Writes the page.
pub fn page(report: &Report<'_>) -> String {
    let host = cell(report.host);
    let count = |exposure: Exposure| report.ways.iter().filter(|way| way.exposure == exposure).count();
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>Who can reach what on {host}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Who can reach what on {host}</h1>\n\
         <p>As seen at {} UTC. Containers without an allow rule are {}.</p>\n",
        base64(&Sha256::digest(SCRIPT)),
        cell(report.moment),
        if report.default == "closed" { "closed" } else { "as open as Docker leaves them" },
    );
    for remark in report.remarks {
        let _ = writeln!(text, "<p class=\"remark\" role=\"note\">{}</p>", markup(&shorten(remark, 4 * CELL)));
    }
    filters(&mut text, report.ways.len(), &count);
    table(&mut text, report.ways);
    text.push_str("<h2>Rules</h2>\n");
    if report.rules.is_empty() {
        text.push_str("<p>There are no rules.</p>\n");
    } else {
        text.push_str("<ol>\n");
        for rule in report.rules {
            let _ = writeln!(text, "<li><code>{}</code></li>", markup(&shorten(&printable(rule), 4 * CELL)));
        }
        text.push_str("</ol>\n");
    }
    let _ = write!(text, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    text
}

fn cell(text: &str) -> String {
    markup(&shorten(&printable(text), CELL))
}

fn filters(text: &mut String, all: usize, count: &dyn Fn(Exposure) -> usize) {
    text.push_str("<div class=\"filters\">\n<fieldset><legend>Show</legend>\n");
    let _ =
        writeln!(text, "<label><input type=\"radio\" name=\"exposed\" id=\"all\" checked> all ways in ({all})</label>");
    for exposure in Exposure::ALL {
        let words = match exposure {
            Exposure::World => "open to the world",
            Exposure::Restricted => "restricted",
            Exposure::Closed => "closed",
        };
        let _ = writeln!(
            text,
            "<label><input type=\"radio\" name=\"exposed\" id=\"{}\"> {words} ({})</label>",
            exposure.name(),
            count(exposure)
        );
    }
    text.push_str("</fieldset>\n");
    text.push_str("<label><input type=\"checkbox\" id=\"unmanaged\"> without rules only</label>\n");
    text.push_str("<label id=\"paths-label\" hidden><input type=\"checkbox\" id=\"paths\"> open all paths</label>\n");
    text.push_str(
        "<label id=\"search-label\" hidden>Search <input type=\"search\" id=\"search\" autocomplete=\"off\"></label>\n",
    );
    text.push_str("<output id=\"shown\" for=\"search\"></output>\n</div>\n");
}

fn table(text: &mut String, ways: &[Way]) {
    text.push_str("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Ways in\">\n<table>\n<thead><tr>");
    for column in COLUMNS {
        let _ = write!(text, "<th scope=\"col\">{column}</th>");
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    let mut room = STEPS_MAX;
    for way in ways {
        let rules = way.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let exposed = way.exposure.name();
        let managed = if way.managed { "yes" } else { "no" };
        let _ = write!(text, "<tr class=\"{exposed}\" data-managed=\"{managed}\"><th scope=\"row\">");
        let _ = write!(text, "{}</th>", cell(&way.to.name));
        let family = way.family.map(|family| family.to_string()).unwrap_or_default();
        for own in [&way.published, &way.port, &way.road.to_string(), &family] {
            let _ = write!(text, "<td>{}</td>", cell(own));
        }
        let _ = match explained(way, &mut room) {
            how if how.is_empty() => write!(text, "<td>{}</td>", cell(&way.told())),
            how => write!(text, "<td><details><summary>{}</summary>{how}</details></td>", cell(&way.told())),
        };
        let _ = writeln!(text, "<td><b>{exposed}</b></td><td>{rules}</td><td>{managed}</td></tr>");
    }
    text.push_str("</tbody>\n</table>\n</div>\n");
}

/// What became of each who was sent over a way, and by which rules, as `explain --verbose` tells it.
fn explained(way: &Way, room: &mut usize) -> String {
    let mut text = String::new();
    for tried in &way.tried {
        let who = if tried.name == tried.address.to_string() {
            tried.name.clone()
        } else {
            format!("{} ({})", tried.name, tried.address)
        };
        let line = format!("{who} -> {}: {}: {}", tried.to, tried.answer, tried.because);
        let _ = write!(text, "<p>{}</p>", markup(&shorten(&printable(&line), 4 * CELL)));
        let mut steps = String::new();
        for step in &tried.steps {
            let _ = write!(steps, "<li><code>{}</code></li>", markup(&shorten(&printable(step), 4 * CELL)));
        }
        // A page that nobody can mail explains nothing.
        match room.checked_sub(steps.len()) {
            Some(left) => {
                *room = left;
                let _ = write!(text, "<ol>{steps}</ol>");
            }
            None => text.push_str("<p>Its steps are left out of this page: docker firewall explain --verbose.</p>"),
        }
    }
    text
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[((bits >> (18 - 6 * at)) & 63) as usize];
            text.push(if at > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Resident, Road, Tried};
    use crate::effective::Answer;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn names_are_no_markup() {
        let hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"' \u{1b}[31m\u{202e}\0";
        let way = |name: &str| Way {
            to: Resident { name: name.to_owned(), ..Resident::default() },
            published: hostile.to_owned(),
            port: "80/tcp".to_owned(),
            road: Road::Driver(hostile.to_owned()),
            family: None,
            from: hostile.to_owned(),
            intended: Some(hostile.to_owned()),
            because: hostile.to_owned(),
            exposure: Exposure::World,
            rules: vec![1, 2],
            managed: true,
            calls: None,
            tried: vec![Tried {
                name: hostile.to_owned(),
                address: [192, 0, 2, 1].into(),
                to: ([192, 0, 2, 2], 80).into(),
                answer: Answer::Allowed,
                because: hostile.to_owned(),
                steps: vec![hostile.to_owned()],
            }],
            traffic: None,
        };
        let (long, hostiles) = ("x".repeat(4096), [hostile.to_owned()]);
        let ways = [way(hostile), way(&long)];
        let report =
            Report { host: hostile, moment: "now", default: "open", ways: &ways, rules: &hostiles, remarks: &hostiles };
        let page = page(&report);
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</script").count(), 1);
        assert!(!page.contains("<img") && !page.contains(['\u{1b}', '\u{202e}', '\0']));
        assert!(page.len() < 30_000, "{}", page.len());
        // Nothing is asked of anybody.
        for word in ["http:", "https:", "src=", "@import", "url(", "fetch("] {
            let without_names = page.replace("img src=x", "");
            assert!(!without_names.contains(word), "{word}");
        }
        assert!(page.contains("<td>1, 2</td>") && page.contains("open to the world (2)"));
    }
}
