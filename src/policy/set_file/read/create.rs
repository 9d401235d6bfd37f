//! `create` lines.

use super::{Fault, Line, Reader, Word, half};
use crate::net::Family;
use crate::policy::nearest::nearest;
use crate::ruleset::{SetKind, SetShape};

const OPTIONS: [&str; 5] = ["family", "hashsize", "maxelem", "timeout", "comment"];

impl<'a> Reader<'a> {
    pub(super) fn create(&mut self, command: Word<'a>, words: &[Word<'a>]) -> Result<(), Fault> {
        let [_, name, kind, options @ ..] = words else {
            return Err((command.offset, "`create` needs the set's name and a type".to_owned()));
        };
        self.named(*name)?;
        let kind = match kind.text {
            "hash:ip" | "iphash" => SetKind::Ip,
            "hash:net" | "nethash" => SetKind::Net,
            other => {
                let other = other.escape_debug();
                return Err((kind.offset, format!("`{other}` is no type for sources: hash:net and hash:ip are")));
            }
        };
        let mut shape = SetShape {
            kind,
            family: Family::V4,
            hashsize: 1024,
            maxelem: 65536,
            timeout: None,
            comment: false,
            counters: false,
        };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || {
                let missing = || (option.offset, format!("`{}` needs a value", option.text));
                options.next().copied().ok_or_else(missing)
            };
            match option.text {
                "family" => {
                    let word = value()?;
                    shape.family = match word.text {
                        "inet" | "ipv4" => Family::V4,
                        "inet6" | "ipv6" => Family::V6,
                        _ => return Err((word.offset, "a family is inet or inet6".to_owned())),
                    };
                }
                "-4" => shape.family = Family::V4,
                "-6" => shape.family = Family::V6,
                "hashsize" | "--hashsize" => shape.hashsize = number(value()?, u32::MAX >> 1)?,
                "maxelem" | "--maxelem" => shape.maxelem = number(value()?, u32::MAX)?.max(1),
                "timeout" | "--timeout" => shape.timeout = Some(number(value()?, super::TIMEOUT_MAX)?),
                "comment" => shape.comment = true,
                // How the kernel laid the set out when `ipset save` looked.
                "bucketsize" | "initval" => {
                    value()?;
                }
                "counters" | "skbinfo" | "forceadd" => self.notes.counters = true,
                "netmask" | "bitmask" => {
                    let message = format!("`{}` is not supported: make it a set of type hash:net", option.text);
                    return Err((option.offset, message));
                }
                _ => {
                    let hint = nearest(option.text, OPTIONS).map(|near| format!(", did you mean `{near}`"));
                    let text = option.text.escape_debug();
                    return Err((option.offset, format!("unknown option `{text}`{}", hint.unwrap_or_default())));
                }
            }
        }
        self.place_create(command, shape)
    }

    fn place_create(&mut self, command: Word<'a>, mut shape: SetShape) -> Result<(), Fault> {
        let place = half(shape.family);
        if self.created[place] {
            return Err((command.offset, format!("the {} set is created twice", shape.family)));
        }
        if self.file.count(shape.family) > 0 {
            return Err((command.offset, format!("the {} set is created below its first entry", shape.family)));
        }
        self.created[place] = true;
        if let Some(seconds) = shape.timeout.filter(|&seconds| seconds > 0) {
            // A default would also end what is added later and was to stay.
            self.default_timeout[place] = seconds;
            self.notes.default_timeout = Some(seconds);
            shape.timeout = Some(0);
        }
        self.notes.asked_maxelem[place] = shape.maxelem;
        self.push(Line::Create(shape.family));
        self.file.halves[place].shape = shape;
        Ok(())
    }
}

fn number(word: Word<'_>, most: u32) -> Result<u32, Fault> {
    let number = word.text.parse().ok().filter(|&number: &u32| number <= most);
    number.ok_or_else(|| (word.offset, format!("`{}` is no number from 0 to {most}", word.text.escape_debug())))
}
