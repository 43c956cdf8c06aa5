//! What the lines of a vCard say of a contact, by our names.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::content::Content;
use super::encoding::{Encoding, to_utf8};
use super::refusal::{Reason, Refusal};

/// What says nothing of the contact, or only to the program that wrote it.
const NOT_TAKEN: [&str; 8] =
    ["VERSION", "PRODID", "REV", "BEGIN", "END", "AGENT", "CLIENTPIDMAP", "SOURCE"];
/// Begins what contactd itself writes beside the standard's properties.
const OURS: &str = "X-CONTACTD-";

/// One line of a card, unfolded.
#[derive(Debug)]
pub(super) struct Property {
    /// In upper case, without its group.
    name: String,
    /// In upper case.
    params: Vec<String>,
    value: String,
}

impl Property {
    /// The name of a line, however the rest of it looks.
    pub(super) fn name_of(line: &[u8]) -> String {
        let name = line.split(|byte| matches!(byte, b':' | b';')).next().unwrap_or_default();
        let name = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    /// None: no property stands there.
    fn parse(line: &[u8]) -> Result<Option<Self>, &'static str> {
        let mut is_quoted = false;
        let colon = line.iter().position(|byte| {
            is_quoted ^= *byte == b'"';
            *byte == b':' && !is_quoted
        });
        let Some((head, value)) = colon.and_then(|at| line.split_at_checked(at)) else {
            return Ok(None);
        };
        let value = value.get(1..).unwrap_or_default();
        let head = std::str::from_utf8(head).map_err(|_| "holds bytes that are no UTF-8")?;
        let params: Vec<String> = head.split(';').skip(1).map(str::to_ascii_uppercase).collect();
        let is = |wanted: &str| params.iter().any(|param| param.ends_with(wanted));
        let unquoted;
        let bytes = if is("QUOTED-PRINTABLE") {
            unquoted = unquote(value);
            &unquoted
        } else {
            value
        };
        let is_latin = is("CHARSET=ISO-8859-1") || is("CHARSET=WINDOWS-1252");
        let value = if is_latin { latin(bytes) } else { String::from_utf8(bytes.to_vec()).ok() };
        let value = value.ok_or("holds bytes that are no UTF-8")?;
        let name = Self::name_of(line).to_ascii_uppercase();
        Ok(Some(Self { name, params, value }))
    }

    fn is_preferred(&self) -> bool {
        self.params.iter().any(|param| {
            param.split('=').any(|word| word.split(',').any(|word| word == "PREF"))
                && !param.starts_with("PREF=")
                || param == "PREF=1"
        })
    }

    /// Its parts, of one with several.
    fn parts(&self) -> Vec<String> {
        let mut parts = vec![String::new()];
        let mut chars = self.value.chars();
        while let Some(c) = chars.next() {
            let escaped = match c {
                ';' => {
                    parts.push(String::new());
                    continue;
                }
                '\\' => match chars.next() {
                    Some('n' | 'N') => Some('\n'),
                    other => other,
                },
                c => Some(c),
            };
            if let (Some(last), Some(c)) = (parts.last_mut(), escaped) {
                last.push(c);
            }
        }
        parts
    }

    fn text(&self) -> String {
        self.parts().join(";")
    }
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, code) {
            (b'=', Some(code)) => {
                out.push(code);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    out
}

fn latin(mut bytes: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    to_utf8(Encoding::Windows1252, &mut bytes, &mut out).ok()?;
    String::from_utf8(out).ok()
}

/// What a card says, by the names that contacts have here.
pub(super) fn members(lines: &[Vec<u8>], line: u64) -> Result<Content, Refusal> {
    let mut card = Card::default();
    let mut properties = Vec::new();
    for text in lines {
        match Property::parse(text) {
            Ok(found) => properties.extend(found),
            Err(problem) => {
                let name: String = Property::name_of(text).chars().take(32).collect();
                let detail = format!("{name} of the card at line {line} {problem}");
                return Err(Refusal::new(Reason::NotText, detail));
            }
        }
    }
    // The preferred address and number come first.
    properties.sort_by_key(|property| !property.is_preferred());
    card.is_ours = properties.iter().any(|property| property.name == "X-CONTACTD-VERSION");
    for property in &properties {
        card.take(property).map_err(|name| {
            let detail = format!("{OURS}{name} of the card at line {line} is no JSON object");
            Refusal::new(Reason::InvalidValue, detail)
        })?;
    }
    card.name(&properties);
    // What vCard's own properties could not say exactly.
    card.members.retain(|(name, _)| !card.exact.contains_key(name));
    card.members.extend(card.exact);
    Ok(Content::Members(card.members))
}

#[derive(Default)]
struct Card {
    members: Vec<(String, Box<RawValue>)>,
    /// Written by export, whose values stand exactly.
    is_ours: bool,
    /// Fields that stand as JSON as well.
    exact: BTreeMap<String, Box<RawValue>>,
}

impl Card {
    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(each, _)| each == name)
    }

    /// Under its name, or, where that is taken, with the next number behind it.
    fn put(&mut self, name: &str, text: &str) {
        let text = if self.is_ours { text } else { text.trim() };
        if text.is_empty() {
            return;
        }
        let numbers = (2..100).map(|number| format!("{name}{number}"));
        let free = std::iter::once(name.to_owned()).chain(numbers).find(|name| !self.has(name));
        if let (Some(free), Ok(value)) = (free, to_raw_value(text)) {
            self.members.push((free, value));
        }
    }

    /// Fails with the name of what export writes otherwise.
    fn take(&mut self, property: &Property) -> Result<(), &'static str> {
        let text = property.text();
        match property.name.as_str() {
            "N" | "FN" => {}
            name if NOT_TAKEN.contains(&name) || name.starts_with("X-AB") => {}
            "EMAIL" => self.put("email", &text),
            "TEL" if self.is_ours => self.put("phone", &text),
            "TEL" => self.put("phone", text.strip_prefix("tel:").unwrap_or(&text)),
            "ORG" => {
                let mut parts = property.parts().into_iter();
                self.put("company", &parts.next().unwrap_or_default());
                let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
                self.put("department", &parts.join(", "));
            }
            "TITLE" => self.put("title", &text),
            "UID" if self.is_ours => self.put("id", &text),
            "BDAY" => self.put("birthday", &text),
            "ADR" => {
                let mut parts = property.parts();
                parts.retain(|part| !part.trim().is_empty());
                self.put("address", &parts.join(", "));
            }
            name => match name.strip_prefix(OURS) {
                Some(ours) => return self.take_ours(ours, &text),
                None => {
                    let name = name.strip_prefix("X-").unwrap_or(name).to_ascii_lowercase();
                    self.put(&name, &text);
                }
            },
        }
        Ok(())
    }

    /// What export writes beside the standard's properties.
    fn take_ours(&mut self, what: &str, text: &str) -> Result<(), &'static str> {
        let (what, before) = match what {
            "STATUS" => {
                self.put("status", text);
                return Ok(());
            }
            "FIELDS" => {
                self.exact = serde_json::from_str(text).map_err(|_| "FIELDS")?;
                return Ok(());
            }
            "ATTRIBUTES" => ("ATTRIBUTES", "attributes."),
            "EXTERNAL-IDS" => ("EXTERNAL-IDS", "externalId:"),
            _ => return Ok(()),
        };
        let object: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(text).map_err(|_| what)?;
        let members = object.into_iter().map(|(name, value)| (format!("{before}{name}"), value));
        self.members.extend(members);
        Ok(())
    }

    /// By its parts, or else by the whole name.
    fn name(&mut self, properties: &[Property]) {
        let of = |name: &str| properties.iter().find(|property| property.name == name);
        let parts = of("N").map(Property::parts).unwrap_or_default();
        let names = ["lastName", "firstName", "middleName", "namePrefix", "nameSuffix"];
        for (name, part) in names.into_iter().zip(&parts) {
            self.put(name, part);
        }
        let whole = of("FN").map(Property::text).unwrap_or_default();
        let whole = whole.trim();
        let is_company =
            self.members.iter().any(|(name, value)| name == "company" && is_text(value, whole));
        if self.is_ours || self.has("lastName") || self.has("firstName") || is_company {
            return;
        }
        match whole.rsplit_once(' ') {
            Some((first, last)) => {
                self.put("firstName", first);
                self.put("lastName", last);
            }
            None => self.put("firstName", whole),
        }
    }
}

fn is_text(json: &RawValue, text: &str) -> bool {
    serde_json::from_str::<String>(json.get()).is_ok_and(|value| value == text)
}
