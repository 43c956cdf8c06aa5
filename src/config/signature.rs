//! How a source signs its webhooks: forms that are known by a name, and one made of a table.

use std::collections::BTreeMap;

/// The names of the forms; `hmac` is made of a table.
pub(super) const SIGNATURES: [&str; 5] = ["acme", "acme-body", "standard", "hubspot-v3", "hmac"];
/// What stands under `[source.<name>.hmac]`.
pub(super) const HMAC_KEYS: [&str; 7] =
    ["header", "prefix", "encoding", "algorithm", "signed", "timestamp", "id"];

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits.
    Hex,
    /// Base64, with or without padding.
    Base64,
    /// The same in the alphabet of URLs.
    Base64Url,
}

/// What the HMAC is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As its header has it.
    Timestamp,
    /// As its header has it.
    Id,
    /// The raw bytes.
    Body,
    /// Of the request.
    Method,
    /// Whole, as the sender wrote it.
    Url,
    /// What stands between.
    Text(String),
}

/// A header, or that part of a list in it that begins with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPart {
    /// In lower case.
    pub name: String,
    /// Stands before the value.
    pub prefix: String,
}

/// The headers that a signature comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderSet {
    /// The signature, or a list of them.
    pub signature: String,
    /// When it was signed.
    pub timestamp: Option<HeaderPart>,
    /// The message's id.
    pub id: Option<HeaderPart>,
}

/// How a source signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureForm {
    /// `acme`, `acme-body`, `standard`, `hubspot-v3` or `hmac`.
    pub name: String,
    /// The first whose signature is there counts.
    pub headers: Vec<HeaderSet>,
    /// Stands before a signature.
    pub prefix: String,
    /// Signatures without it are taken too.
    pub is_prefix_optional: bool,
    /// How it is written.
    pub encoding: Encoding,
    /// What it is made with.
    pub algorithm: Algorithm,
    /// What is signed.
    pub signed: Vec<Part>,
}

impl SignatureForm {
    /// A form that is known by its name; none: there is none of it.
    pub fn named(name: &str) -> Option<Self> {
        use Part::{Body, Id, Method, Timestamp, Url};
        let whole = |name: &str| HeaderPart { name: name.to_owned(), prefix: String::new() };
        let set = |signature: &str, timestamp: &str, id: Option<&str>| HeaderSet {
            signature: signature.to_owned(),
            timestamp: Some(whole(timestamp)),
            id: id.map(whole),
        };
        let dot = || Part::Text(".".to_owned());
        let acme = || vec![set("x-acme-signature", "x-acme-timestamp", None)];
        let (headers, prefix, encoding, signed) = match name {
            "acme" => (acme(), "sha256=", Encoding::Hex, vec![Timestamp, dot(), Body]),
            "acme-body" => (acme(), "sha256=", Encoding::Hex, vec![Body]),
            "standard" => {
                let sets = ["webhook", "svix"].map(|name| {
                    let header = |part: &str| format!("{name}-{part}");
                    set(&header("signature"), &header("timestamp"), Some(&header("id")))
                });
                let signed = vec![Id, dot(), Timestamp, dot(), Body];
                (sets.to_vec(), "v1,", Encoding::Base64, signed)
            }
            "hubspot-v3" => {
                let headers =
                    vec![set("x-hubspot-signature-v3", "x-hubspot-request-timestamp", None)];
                (headers, "", Encoding::Base64, vec![Method, Url, Body, Timestamp])
            }
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            headers,
            prefix: prefix.to_owned(),
            is_prefix_optional: name.starts_with("acme"),
            encoding,
            algorithm: Algorithm::Sha256,
            signed,
        })
    }

    /// One that nothing fits, where the configuration is refused all the same.
    pub(super) fn nobody() -> Self {
        Self {
            name: String::new(),
            headers: Vec::new(),
            prefix: String::new(),
            is_prefix_optional: false,
            encoding: Encoding::Hex,
            algorithm: Algorithm::Sha256,
            signed: Vec::new(),
        }
    }

    /// From the table's texts.
    ///
    /// # Errors
    /// Every key that is wrong, with why.
    pub(super) fn hmac(texts: &BTreeMap<String, String>) -> Result<Self, Vec<(String, String)>> {
        let mut wrong = Vec::new();
        let text = |key: &str| texts.get(key).map(String::as_str).filter(|text| !text.is_empty());
        let mut note = |key: &str, problem: String| wrong.push((key.to_owned(), problem));
        let encoding = match text("encoding").unwrap_or("hex") {
            "base64" => Encoding::Base64,
            "base64url" => Encoding::Base64Url,
            "hex" => Encoding::Hex,
            other => {
                note("encoding", format!("is \"{other}\", and must be hex, base64 or base64url"));
                Encoding::Hex
            }
        };
        let algorithm = match text("algorithm").unwrap_or("sha256") {
            "sha512" => Algorithm::Sha512,
            "sha256" => Algorithm::Sha256,
            other => {
                note("algorithm", format!("is \"{other}\", and must be sha256 or sha512"));
                Algorithm::Sha256
            }
        };
        let signed = parts(text("signed").unwrap_or("{body}")).unwrap_or_else(|problem| {
            note("signed", problem);
            Vec::new()
        });
        let header = text("header").unwrap_or_else(|| {
            note("header", "is not set, and must name the header with the signature".to_owned());
            ""
        });
        let set = HeaderSet {
            signature: header.to_ascii_lowercase(),
            timestamp: text("timestamp").map(HeaderPart::parse),
            id: text("id").map(HeaderPart::parse),
        };
        for (part, key, is_there) in [
            (Part::Timestamp, "timestamp", set.timestamp.is_some()),
            (Part::Id, "id", set.id.is_some()),
        ] {
            if signed.contains(&part) && !is_there {
                note(key, format!("is not set, and signed has {{{key}}}"));
            }
        }
        if !signed.is_empty() && !signed.contains(&Part::Body) {
            note("signed", "has no {body}, so that anybody could change it".to_owned());
        }
        // What ends the one could begin the other, under the same signature.
        let is_moving = |part: &Part| matches!(part, Part::Timestamp | Part::Id);
        if signed.windows(2).any(|pair| pair.iter().all(is_moving)) {
            note("signed", "has {timestamp} and {id} without a text between them".to_owned());
        }
        let form = Self {
            name: "hmac".to_owned(),
            headers: vec![set],
            prefix: text("prefix").unwrap_or_default().to_owned(),
            is_prefix_optional: false,
            encoding,
            algorithm,
            signed,
        };
        if wrong.is_empty() { Ok(form) } else { Err(wrong) }
    }

    /// Whether the time is signed, so that nobody can send a webhook again as a new one.
    pub fn signs_time(&self) -> bool {
        self.signed.contains(&Part::Timestamp)
    }
}

impl HeaderPart {
    /// `Stripe-Signature:t=`, or a header's name alone.
    fn parse(text: &str) -> Self {
        let (name, prefix) = text.split_once(':').unwrap_or((text, ""));
        Self { name: name.trim().to_ascii_lowercase(), prefix: prefix.trim().to_owned() }
    }
}

fn parts(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, more)) = rest.split_once('{') {
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let (name, more) = more.split_once('}').ok_or("has a { that nothing closes")?;
        parts.push(match name {
            "timestamp" => Part::Timestamp,
            "id" => Part::Id,
            "body" => Part::Body,
            "method" => Part::Method,
            "url" => Part::Url,
            other => {
                return Err(format!(
                    "has {{{other}}}, which is none of {{timestamp}}, {{id}}, {{body}}, {{method}}, {{url}}"
                ));
            }
        });
        rest = more;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_id_have_a_text_between_them() {
        let form = |signed: &str| {
            let texts = [("header", "x"), ("timestamp", "t"), ("id", "i"), ("signed", signed)];
            let texts = texts.map(|(key, text)| (key.to_owned(), text.to_owned()));
            SignatureForm::hmac(&texts.into())
        };
        for wrong in ["{id}{timestamp}.{body}", "{body}{timestamp}{id}"] {
            assert!(form(wrong).unwrap_err()[0].1.contains("without a text"), "{wrong}");
        }
        for right in ["{id}.{timestamp}.{body}", "{timestamp}{body}{id}"] {
            assert!(form(right).is_ok(), "{right}");
        }
    }
}
