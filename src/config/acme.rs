//! The Acme CRM: where it is, and what is kept alike there.

use std::collections::BTreeMap;

use reqwest::Url;

use crate::domain::event::FIELDS;
use crate::domain::sources::{Ids, Source};

use super::fields::{Fields, YES_OR_NO, millis};
use super::limits::rate;
use super::secret::Secret;
use super::sections::AcmeConfig;
use super::source_tables::SourceTable;

pub(super) fn acme(fields: &mut Fields<'_>, webhook_secret: Option<Secret>) -> AcmeConfig {
    AcmeConfig {
        url: url(fields),
        api_key: fields.secret("acme.api_key"),
        webhook_secret,
        source: fields.text("acme.source"),
        timeout: fields.duration("acme.timeout", millis(10, 60_000)),
        sync: fields.choice("acme.sync", true, &YES_OR_NO),
        rate: rate(fields, "acme.rate"),
    }
}

fn url(fields: &mut Fields<'_>) -> Option<String> {
    let text = fields.optional("acme.url")?;
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    if Url::parse(&text).ok().is_none_or(|url| !is_plain(&url)) {
        let problem = "must be like \"https://acme.example.com\": http or https, and without a user, a \
                       query or a fragment";
        fields.refuse("acme.url", problem);
    }
    Some(text)
}

/// What else must be there where Acme is asked.
pub(super) fn check(
    fields: &mut Fields<'_>,
    acme: &AcmeConfig,
    sources: &BTreeMap<String, SourceTable>,
) {
    if acme.url.is_none() {
        return;
    }
    if acme.api_key.is_none() {
        let problem =
            "is not set, and Acme lets nobody in without (ACME_API_KEY, acme.api_key_file)";
        fields.refuse("acme.api_key", problem);
    }
    let Some(table) = sources.get(&acme.source) else {
        let problem = format!("is \"{}\", and there is no [source.{0}]", acme.source);
        fields.refuse("acme.source", problem);
        return;
    };
    if table.text.ids == Ids::Own {
        let problem = format!(
            "is \"{0}\", and source.{0}.ids is \"own\": what is kept alike with Acme has one id on both \
             sides, so that must be \"ours\"",
            acme.source
        );
        fields.refuse("acme.source", problem);
    }
    // What can't be compiled is told where it stands.
    let source = Source::compile(&acme.source, &table.text).unwrap_or_default();
    let outward = source.outward(&[None; FIELDS.len()]);
    if let Some((path, _)) = outward.sent.iter().find(|(path, _)| path.contains(['.', '['])) {
        let problem = format!(
            "is \"{}\", of which a field stands at \"{path}\", and Acme's contacts have no parts",
            acme.source
        );
        fields.refuse("acme.source", problem);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{FileText, Mode, Sources, load};

    #[test]
    fn acme_has_contacts_under_our_ids_or_is_not_asked() {
        let mut sources = Sources::new(Mode::Serve);
        let text = "[log]\nkind = \"embedded\"\n[acme]\nurl = \"http://acme\"\napi_key = \"k\"\n\
                    [source.acme]\nids = \"own\"";
        sources.file = Some(FileText { name: "my.toml".to_owned(), text: text.to_owned() });
        let problems = load(&sources).unwrap_err().0;
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("so that must be \"ours\""), "{problems:?}");
    }
}
