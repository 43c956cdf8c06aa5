//! Tables of sources, and documents by them: a table that is taken compiles, what it makes of a document is
//! the same each time and no more than the document has, and every field is sent there or kept back.

#![no_main]

use contactd::config::{FileText, Mode, Sources, load};
use contactd::domain::decode::{Decoder, Item, Most};
use contactd::domain::event::{Event, FIELDS, Patch};
use contactd::domain::headers::SOURCE;
use contactd::domain::limits::Limits;
use contactd::domain::position::{Lane, Offset};
use contactd::domain::record::RecordBatch;
use contactd::domain::sources::Sources as Compiled;
use contactd_fuzz::parts;
use libfuzzer_sys::fuzz_target;

/// Sources of a file that are tried.
const SOURCES_MAX: usize = 4;
/// Small, so that it is met.
const MOST: Most = Most { items: 16, bytes: 1 << 14 };

fuzz_target!(|data: &[u8]| {
    let [table, key, document] = parts(data);
    let Ok(table) = std::str::from_utf8(table) else { return };
    let file = Some(FileText { name: "file".to_owned(), text: table.to_owned() });
    let Ok(config) = load(&Sources { file, ..Sources::new(Mode::Dev) }) else { return };
    let compiled = Compiled::compile(&config.source_texts()).expect("what is taken compiles");
    let decoder = Decoder::new(compiled, Limits::default());
    let key = Some(key).filter(|key| !key.is_empty());
    for name in config.sources.keys().take(SOURCES_MAX) {
        let Ok((events, _)) = decoder.events(name.as_bytes(), document) else { continue };
        let Ok(items) = decoder.items(name.as_bytes(), &events, MOST) else { continue };
        assert!(items.len() <= MOST.items);
        for Item { text, contact, .. } in items {
            decode(&decoder, name, contact.as_deref().or(key), text);
        }
    }
});

fn decode(decoder: &Decoder, name: &str, key: Option<&[u8]>, text: &[u8]) {
    let once = || {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = [(SOURCE, Some(name.as_bytes()))].into_iter();
        batch.push(Offset(0), 0, key, Some(text), headers);
        let event = decoder.decode(&mut batch, 0)?;
        Ok::<_, contactd::domain::decode::Reject>((event, batch))
    };
    let (first, second) = (once(), once());
    match (&first, &second) {
        (Ok((event, batch)), Ok((again, batch_again))) => {
            assert_eq!(values(event, batch), values(again, batch_again));
            let own = values(event, batch);
            let texts = std::array::from_fn(|place| own[place].as_ref()?.as_deref());
            let source = decoder.sources().of(name.as_bytes()).expect("it is configured");
            let outward = source.outward(&texts);
            assert_eq!(outward.sent.len() + outward.kept_back.len(), FIELDS.len());
        }
        (Err(reject), Err(again)) => assert_eq!(reject, again),
        _ => panic!("one record is taken once and refused once"),
    }
}

/// Of each field: what the event says, if it says anything.
fn values(event: &Event, batch: &RecordBatch) -> Vec<Option<Option<String>>> {
    let value = |patch: &Patch| match patch {
        Patch::Absent => None,
        Patch::Clear => Some(None),
        Patch::Set(span) => Some(Some(span.text(&batch.arena).to_owned())),
    };
    event.fields.iter().map(value).collect()
}
