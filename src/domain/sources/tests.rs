//! Tables that are right and wrong, and the way out and back.

use proptest::prelude::*;

use super::*;

fn source(fields: &[(&str, FieldText)]) -> Source {
    let mut text = SourceText::default();
    for (ours, field) in fields {
        text.fields.insert((*ours).to_owned(), field.clone());
    }
    Source::compile("crm", &text).unwrap()
}

fn made_by(path: &str, steps: &[&str]) -> FieldText {
    FieldText {
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        ..FieldText::at(path)
    }
}

#[test]
fn every_preset_is_right() {
    for preset in PRESETS {
        let source = Source::compile("crm", &preset.text());
        assert!(source.is_ok(), "{}: {source:?}", preset.name);
    }
    assert!(Sources::built_in().of(b"acme").is_some_and(|acme| acme.rules().is_empty()));
    assert!(Sources::built_in().of(b"").is_none(), "an event without a source");
}

#[test]
fn types_have_forms() {
    for (form, text, is_it) in [
        ("a.b", "a.b", true),
        ("a.b", "a.bc", false),
        ("*.contact.updated", "com.x.contact.updated", true),
        ("*.contact.updated", "contact.updated", false),
        ("contact.creation*", "contact.creation", true),
        ("contact.creation*", "contact.creation:0-1", true),
        ("a*b*c", "abc", true),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "ac", false),
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("a*a", "a", false),
    ] {
        assert_eq!(fits(form.as_bytes(), text.as_bytes()), is_it, "{form} {text}");
    }
}

#[test]
fn paths_are_read_and_what_is_none_is_not() {
    let path = Path::parse("a.b[0][12].c").unwrap();
    let names = |path: &Path| path.segments().len();
    assert_eq!((names(&path), path.first_name(), path.only_name()), (5, Some("a"), None));
    assert_eq!(Path::parse("a").unwrap().only_name(), Some("a"));
    assert_eq!(names(&Path::parse("").unwrap()), 0);
    for wrong in [".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a]", "[0]", "a[0]b", "a[-1]"] {
        assert!(Path::parse(wrong).is_err(), "{wrong}");
    }
    assert!(Path::parse(&"a.".repeat(20)).is_err());
}

#[test]
fn what_is_sent_there_and_what_stays_here() {
    let source = source(&[
        ("firstName", FieldText::at("given")),
        ("lastName", made_by("name.family", &["trim"])),
        ("email", FieldText { owner: "crm".to_owned(), ..FieldText::at("mail") }),
        (
            "phone",
            FieldText {
                from: vec!["a".to_owned(), "b".to_owned()],
                steps: vec!["join: ".to_owned()],
                ..FieldText::default()
            },
        ),
        (
            "title",
            FieldText {
                values: [("1".to_owned(), "Dr".to_owned()), ("2".to_owned(), "Prof".to_owned())]
                    .into(),
                ..FieldText::at("grade")
            },
        ),
    ]);
    let ours = ["Ada", "Lovelace", "ada@example.com", "1 2", "Works", "Dr"].map(Some);
    let outward = source.outward(&ours);
    let sent: Vec<(&str, Option<&str>)> =
        outward.sent.iter().map(|(path, value)| (path.as_str(), value.as_deref())).collect();
    let expected =
        [("given", Some("Ada")), ("name.family", Some("Lovelace")), ("grade", Some("1"))];
    assert_eq!(sent, expected);
    let kept: Vec<&str> = outward.kept_back.iter().map(|(ours, _)| *ours).collect();
    assert_eq!(kept, ["email", "phone", "company"]);
    assert!(matches!(outward.kept_back[0].1, KeptBack::Theirs));
    assert!(matches!(outward.kept_back[1].1, KeptBack::OneWay(_)));
    assert_eq!(source.one_way().len(), 1);
    let nothing = source.outward(&[None, None, None, None, None, Some("Sir")]);
    assert_eq!(nothing.sent, [("given".to_owned(), None), ("name.family".to_owned(), None)]);
    assert!(nothing.kept_back.contains(&("title", KeptBack::NoValue)));
}

/// What a field would be if the source sent what was sent there.
fn back(source: &Source, place: usize, theirs: &str) -> Option<String> {
    let rule = source.rules.iter().find(|rule| rule.target == Target::Field(place))?;
    rule.steps.iter().try_fold(theirs.to_owned(), |text, step| step.inward(text))
}

proptest! {
    #[test]
    fn out_and_back_loses_nothing(first in "[A-Za-z é]{0,12}", user in "[A-Za-z0-9.]{1,8}",
        number in 10_000_000_u64..99_999_999, grade in 0..3_usize, day in 1..29_u32, month in 1..13_u32,
        year in 1000..9999_u32) {
        let values = [("1", "Dr"), ("2", "Prof"), ("x", "Sir")];
        let source = source(&[
            ("firstName", made_by("a", &["trim"])),
            ("lastName", made_by("b", &["lower"])),
            ("email", made_by("c.d", &["trim", "email"])),
            ("phone", made_by("e", &["e164:US"])),
            ("company", made_by("f", &["date:%d.%m.%Y"])),
            ("title", FieldText {
                values: values.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into(),
                ..FieldText::at("g")
            }),
        ]);
        prop_assert!(source.one_way().is_empty());
        // As the source's own events would have made them.
        let ours = [
            first.trim().to_owned(),
            first.to_ascii_lowercase(),
            format!("{user}@example.com"),
            format!("+1415{number}"),
            format!("{year:04}-{month:02}-{day:02}"),
            values[grade].1.to_owned(),
        ];
        let outward = source.outward(&ours.each_ref().map(|text| Some(text.as_str())));
        prop_assert!(outward.kept_back.is_empty(), "{:?}", outward);
        for (place, (_, theirs)) in outward.sent.iter().enumerate() {
            let back = back(&source, place, theirs.as_deref().unwrap());
            prop_assert_eq!(back.as_ref(), Some(&ours[place]));
        }
    }
}
