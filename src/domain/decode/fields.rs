//! A field that is found by paths and made by steps.

use std::collections::BTreeSet;

use super::Reject;
use super::envelope::Envelope;
use super::reader::{Member, Reader, duplicate, malformed};
use crate::domain::event::EventKind;
use crate::domain::json::{Token, write_string};
use crate::domain::sources::{FieldRule, Owner, Path, Segment, Step, Target, part};
use crate::domain::span::Span;
use crate::domain::verdict::DeadLetterReason;

/// What a rule comes to.
pub(super) enum Made {
    /// The event says nothing of it.
    Nothing,
    /// It has no value.
    Null,
    /// Plain text; of an attribute, its JSON.
    Text(Span),
}

/// What the paths lead to.
#[derive(Default)]
struct Found {
    /// The first that has a value; of joined ones, all.
    tokens: Vec<Token>,
    is_null: bool,
}

/// What a rule makes of an event.
pub(super) fn made(
    reader: &mut Reader<'_>,
    envelope: &Envelope,
    rule: &FieldRule,
) -> Result<Made, Reject> {
    if rule.owner == Owner::Us {
        return Ok(Made::Nothing);
    }
    let joins = rule.steps.iter().any(|step| matches!(step, Step::Join(_)));
    let found = find(reader, envelope, &rule.from, joins)?;
    let is_attribute = matches!(rule.target, Target::Attribute(_));
    if rule.steps.is_empty()
        && let Some(token) = found.tokens.first()
    {
        return Ok(Made::Text(match (is_attribute, &rule.target) {
            (true, _) => reader.compact(*token)?,
            (false, Target::Id) => match reader.id_of(*token, "the contact's id")? {
                Some(id) => id,
                None => return Ok(Made::Null),
            },
            (false, target) => match reader.text_of(*token, &target.to_string())? {
                Some(text) => text,
                None => return Ok(Made::Null),
            },
        }));
    }
    let text = match stepped(reader, &found, rule, envelope.kind)? {
        Some(Some(text)) => text,
        Some(None) => return Ok(Made::Null),
        None if found.is_null => return Ok(Made::Null),
        None => return Ok(Made::Nothing),
    };
    if !is_attribute {
        return Ok(Made::Text(reader.append(text.as_bytes())));
    }
    let mut json = Vec::with_capacity(text.len() + 2);
    write_string(&text, &mut json);
    Ok(Made::Text(reader.append(&json)))
}

fn find(
    reader: &mut Reader<'_>,
    envelope: &Envelope,
    paths: &[Path],
    joins: bool,
) -> Result<Found, Reject> {
    let mut found = Found::default();
    for path in paths {
        let is_meant = |nulls: &BTreeSet<String>| nulls.contains(path.text());
        match lookup(reader, &envelope.data, path)? {
            None | Some(Token::Null) if envelope.nulls.as_ref().is_some_and(is_meant) => {
                found.is_null = true;
            }
            Some(Token::Null) => found.is_null |= envelope.nulls.is_none(),
            None => {}
            Some(token) => {
                found.tokens.push(token);
                if !joins {
                    break;
                }
            }
        }
    }
    Ok(found)
}

/// The text after all steps, if they leave one; none: there is nothing to make one of.
fn stepped(
    reader: &mut Reader<'_>,
    found: &Found,
    rule: &FieldRule,
    kind: EventKind,
) -> Result<Option<Option<String>>, Reject> {
    let fallback = rule.steps.iter().find_map(|step| match step {
        Step::Constant(text) => Some(text),
        // A partial event that does not speak of a field leaves it as it is.
        Step::Default(text) if found.is_null || kind == EventKind::Created => Some(text),
        _ => None,
    });
    let between = rule.steps.iter().find_map(|step| match step {
        Step::Join(between) => Some(between.as_str()),
        _ => None,
    });
    let mut texts = Vec::with_capacity(1);
    for token in &found.tokens {
        texts_of(reader, *token, rule, between.is_some(), &mut texts)?;
    }
    if texts.is_empty() {
        return Ok(fallback.cloned().map(Some));
    }
    let mut text = Some(texts.join(between.unwrap_or_default()));
    for step in &rule.steps {
        text = match (text, step) {
            (Some(text), Step::Split(between, number)) => part(&text, between, *number),
            (Some(text), step) => {
                Some(step.inward(text).ok_or_else(|| failed(rule, Some(step), "a string"))?)
            }
            (None, Step::Default(text) | Step::Constant(text)) => Some(text.clone()),
            (None, _) => None,
        };
    }
    Ok(Some(text))
}

/// What a value is as a text; a list of them where they are joined.
fn texts_of(
    reader: &mut Reader<'_>,
    token: Token,
    rule: &FieldRule,
    joins: bool,
    texts: &mut Vec<String>,
) -> Result<(), Reject> {
    let bytes = match token {
        Token::String { start, end, is_escaped } => {
            let text = reader.string(start, end, is_escaped);
            reader.bytes(text).to_vec()
        }
        Token::Number { start, end } | Token::Bool { start, end } => {
            reader.raw(start, end).to_vec()
        }
        Token::Array { start, .. } if joins => {
            for element in elements(reader, start)? {
                texts_of(reader, element, rule, false, texts)?;
            }
            return Ok(());
        }
        Token::Null => return Ok(()),
        Token::Array { .. } | Token::Object { .. } => {
            return Err(failed(rule, rule.steps.first(), token.type_name()));
        }
    };
    texts.push(String::from_utf8_lossy(&bytes).into_owned());
    Ok(())
}

/// Field and the value's kind; nothing of the value.
fn failed(rule: &FieldRule, step: Option<&Step>, kind: &str) -> Reject {
    let step = step.map(ToString::to_string).unwrap_or_default();
    let detail = format!("{}: {step} can't be done with {kind} like that", rule.target);
    Reject::new(DeadLetterReason::TransformFailed, detail)
}

/// What a path leads to from these members.
pub(super) fn lookup(
    reader: &mut Reader<'_>,
    members: &[Member],
    path: &Path,
) -> Result<Option<Token>, Reject> {
    let Some((Segment::Name(first), rest)) = path.segments().split_first() else {
        return Ok(None);
    };
    match member(reader, members, first)? {
        Some(token) => descend(reader, token, rest),
        None => Ok(None),
    }
}

/// The one member of that name.
fn member(reader: &Reader<'_>, members: &[Member], name: &str) -> Result<Option<Token>, Reject> {
    let mut named = members.iter().filter(|member| reader.bytes(member.name) == name.as_bytes());
    let found = named.next().map(|member| member.value);
    if named.next().is_some() { Err(duplicate(name)) } else { Ok(found) }
}

/// What stands there within a value.
pub(super) fn descend(
    reader: &mut Reader<'_>,
    mut token: Token,
    segments: &[Segment],
) -> Result<Option<Token>, Reject> {
    for segment in segments {
        let next = match (segment, token) {
            (Segment::Name(name), Token::Object { start, .. }) => {
                let members = reader.collect(&mut reader.scanner_at(start))?;
                member(reader, &members, name)?
            }
            (Segment::Index(place), Token::Array { start, .. }) => {
                elements(reader, start)?.get(*place).copied()
            }
            (Segment::Name(_) | Segment::Index(_), _) => None,
        };
        match next {
            Some(next) => token = next,
            None => return Ok(None),
        }
    }
    Ok(Some(token))
}

/// The elements of the array that starts there.
pub(super) fn elements(reader: &Reader<'_>, start: usize) -> Result<Vec<Token>, Reject> {
    let mut scanner = reader.scanner_at(start);
    let mut found = Vec::new();
    let mut more = scanner.open(b'[', b']').map_err(malformed)?;
    while more {
        found.push(scanner.value().map_err(malformed)?);
        more = scanner.another(b']').map_err(malformed)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::domain::decode::Decoder;
    use crate::domain::event::Patch;
    use crate::domain::headers::SOURCE;
    use crate::domain::limits::Limits;
    use crate::domain::position::{Lane, Offset};
    use crate::domain::record::RecordBatch;
    use crate::domain::sources::{FieldText, SourceText, SourceTexts, Sources};

    #[test]
    fn a_part_that_is_not_there_is_no_value_unless_a_later_step_has_one() {
        let of = |steps: &[&str], name: &str| {
            let steps = steps.iter().map(|step| (*step).to_owned()).collect();
            let field = FieldText { steps, ..FieldText::at("name") };
            let fields = [("title".to_owned(), field)].into();
            let texts = SourceTexts::from([(
                "crm".to_owned(),
                SourceText { fields, ..SourceText::default() },
            )]);
            let decoder = Decoder::new(Sources::compile(&texts).unwrap(), Limits::default());
            let event =
                format!(r#"{{"eventType":"contact.updated","data":{{"id":"a","name":{name}}}}}"#);
            let mut batch = RecordBatch::new(Lane(0));
            let headers = [(SOURCE, Some(b"crm".as_slice()))].into_iter();
            batch.push(Offset(0), 0, None, Some(event.as_bytes()), headers);
            let event = decoder.decode(&mut batch, 0).unwrap();
            match event.fields[5] {
                Patch::Absent => "absent".to_owned(),
                Patch::Clear => "null".to_owned(),
                Patch::Set(text) => text.text(&batch.arena).to_owned(),
            }
        };
        for (steps, name, title) in [
            (&["split: :2"][..], r#""Ada Lovelace""#, "Lovelace"),
            (&["split: :2"], r#""Ada""#, "null"),
            (&["split: :2", "lower"], r#""Ada""#, "null"),
            (&["split: :2", "default:none"], r#""Ada""#, "none"),
            (&["split:,:2", "default:none"], r#""Ada,""#, "none"),
            (&["split:,:2"], r#""Ada,,x""#, ""),
            (&["split: :2"], "null", "null"),
        ] {
            assert_eq!(of(steps, name), title, "{steps:?} {name}");
        }
    }
}
