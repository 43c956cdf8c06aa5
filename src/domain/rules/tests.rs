//! Rules by lane, and the markers that move them on.

use std::sync::Arc;

use crate::domain::founding::Founding;
use crate::domain::headers::{FOUNDING, HOMES, MARKER};
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::domain::sources::FieldText;
use crate::domain::verdict::DeadLetterReason;

use super::*;

fn text(tolerance_ms: u64) -> RuleText {
    RuleText { future_tolerance_ms: tolerance_ms, ..RuleText::built_in() }
}

fn rules(tolerance_ms: u64) -> Arc<RuleSet> {
    Arc::new(RuleSet::compile(text(tolerance_ms)).unwrap())
}

fn marker(number: u64, founding: u64, rules: &RuleSet) -> Marker {
    let homes = Founding { partitioner: Partitioner::Crc32, lanes: 3 };
    let (headers, value) = Marker::record(number, founding, homes, rules, Some("ada"));
    let mut batch = RecordBatch::new(Lane(0));
    batch.push(Offset(3), 9, Some(b""), Some(&value), header_refs(&headers));
    let record = batch.records[0];
    assert!(Marker::is_one(&batch, &record));
    let marker = Marker::read(&batch, &record).unwrap();
    assert_eq!(marker.homes, homes);
    marker
}

fn log() -> LaneRules {
    LaneRules::beginning_with(1, InForce::at_founding(rules(1)))
}

/// Judges, and takes what counts.
fn read(lanes: &mut LaneRules, lane: u16, number: u64, rules: &RuleSet) -> Ruling {
    let marker = marker(number, lanes.founding(), rules);
    let ruling = lanes.judge(Lane(lane), &marker).unwrap();
    if let Ruling::Applied(rules) = &ruling {
        let in_force = InForce { number, ..InForce::at_founding(Arc::clone(rules)) };
        lanes.take(Lane(lane), in_force);
    }
    ruling
}

#[test]
fn a_greater_number_counts_the_same_again_changes_nothing_and_the_rest_is_stale() {
    let mut lanes = log();
    let [one, two, three] = [rules(1), rules(2), rules(3)];
    assert_eq!(read(&mut lanes, 0, 0, &one), Ruling::Applied(Arc::clone(&one)));
    assert_eq!(read(&mut lanes, 0, 2, &two), Ruling::Applied(Arc::clone(&two)));
    assert_eq!(read(&mut lanes, 0, 2, &two), Ruling::Unchanged);
    assert_eq!(read(&mut lanes, 0, 2, &three), Ruling::Stale, "the first of a number counts");
    assert_eq!(read(&mut lanes, 0, 1, &three), Ruling::Stale, "out of order");
    assert_eq!(read(&mut lanes, 0, 0, &one), Ruling::Stale);
    assert_eq!(lanes.of(Lane(0)).unwrap().rules, two);
    // Each lane for itself, and one without a marker by the beginning.
    assert_eq!(lanes.of(Lane(1)).unwrap().rules, one);
    assert_eq!(read(&mut lanes, 1, 1, &three), Ruling::Applied(Arc::clone(&three)));
    assert_eq!(lanes.of(Lane(0)).unwrap().rules, two);
    assert_eq!(lanes.fingerprint(), two.fingerprint(), "the newest of all lanes");
}

#[test]
fn the_same_rules_are_compiled_once() {
    let mut lanes = log();
    read(&mut lanes, 0, 1, &rules(2));
    read(&mut lanes, 1, 1, &rules(2));
    read(&mut lanes, 1, 2, &rules(1));
    let of = |lane| &lanes.of(Lane(lane)).unwrap().rules;
    assert!(Arc::ptr_eq(of(1), &lanes.beginning().unwrap().rules));
    let mut lanes = log();
    read(&mut lanes, 0, 1, &rules(2));
    read(&mut lanes, 1, 1, &rules(2));
    let of = |lane| &lanes.of(Lane(lane)).unwrap().rules;
    assert!(Arc::ptr_eq(of(0), of(1)));
}

#[test]
fn markers_of_another_founding_do_not_count() {
    let lanes = log();
    let judge = |founding| lanes.judge(Lane(0), &marker(7, founding, &rules(2))).unwrap();
    assert_eq!(judge(0), Ruling::Stale);
    assert_eq!(judge(2), Ruling::NewerFounding(2));
    assert!(matches!(judge(1), Ruling::Applied(_)));
    // A founding anew begins with a number above all that were given out.
    let beginning = InForce { number: 8, ..InForce::at_founding(rules(2)) };
    let anew = LaneRules::beginning_with(2, beginning);
    let judge =
        |number, founding| anew.judge(Lane(0), &marker(number, founding, &rules(2))).unwrap();
    assert_eq!((judge(9, 1), judge(7, 2)), (Ruling::Stale, Ruling::Stale));
    assert!(matches!(judge(8, 2), Ruling::Applied(_)));
}

#[test]
fn an_unknown_version_can_not_be_passed_where_it_would_count() {
    let mut lanes = log();
    read(&mut lanes, 0, 4, &rules(2));
    let unknown = |number| {
        let text = MarkerText::UnknownVersion(77);
        lanes.judge(Lane(0), &Marker { text, ..marker(number, 1, &rules(2)) }).unwrap()
    };
    assert_eq!(unknown(5), Ruling::UnknownVersion(77));
    assert_eq!((unknown(4), unknown(3)), (Ruling::Stale, Ruling::Stale));
    let later = br#"{"applyVersion":77,"unheardOf":[1,2,3]}"#;
    assert_eq!(RuleText::parse(later), Err(InvalidRules::UnknownVersion(77)));
}

/// What is read of a marker with these headers and this value.
fn reject(headers: &[(&str, &str)], value: Option<&[u8]>) -> String {
    let mut batch = RecordBatch::new(Lane(0));
    let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
    batch.push(Offset(0), 0, None, value, headers);
    let record = batch.records[0];
    assert!(Marker::is_one(&batch, &record));
    let reject = Marker::read(&batch, &record).unwrap_err();
    assert_eq!(reject.reason, DeadLetterReason::InvalidMarker);
    reject.detail
}

#[test]
fn forged_markers_are_told_by_what_is_wrong_with_them() {
    let good = rules(1);
    let all = [(MARKER, "1"), (FOUNDING, "1"), (HOMES, "murmur2 4")];
    for number in ["", "-1", "+1", "1x", "99999999999999999999", "4294967296"] {
        let detail = reject(&[(MARKER, number), (FOUNDING, "1")], Some(good.packed()));
        assert!(detail.contains("contactd_marker holds no number"), "{number}: {detail}");
    }
    assert!(reject(&[(MARKER, "1")], Some(good.packed())).contains("contactd_founding"));
    for homes in [None, Some("murmur2"), Some("md5 4"), Some("murmur2 0")] {
        let headers: Vec<_> = all[..2].iter().copied().chain(homes.map(|it| (HOMES, it))).collect();
        let detail = reject(&headers, Some(good.packed()));
        assert!(detail.contains("contactd_homes names no partitioner"), "{homes:?}: {detail}");
    }
    assert!(reject(&all, None).contains("without a value"));
    assert!(reject(&all, Some(b"abc")).contains("cut short"));
    let too_large = vec![0; PACKED_BYTES_MAX + 1];
    assert!(reject(&all, Some(&too_large)).contains("at most"));
    // A bomb: a short block that says that it is long.
    assert!(reject(&all, Some(&[0xff, 0xff, 0xff, 0x7f, 1, 2])).contains("too long"));
    assert!(reject(&all, Some(&[5, 0, 0, 0, 0xf0])).contains("no LZ4 block"));
    let packed = |text: &str| lz4_flex::block::compress_prepend_size(text.as_bytes());
    assert!(reject(&all, Some(&packed("{}"))).contains("can't be read"));
    let extra = String::from_utf8(text(1).canonical()).unwrap().replace("\"sources\"", "\"more\"");
    assert!(reject(&all, Some(&packed(&extra))).contains("can't be read"));
}

#[test]
fn rules_that_can_not_be_used_are_no_ruling() {
    let mut wrong = text(1);
    let crm = wrong.sources.entry("crm".into()).or_default();
    crm.fields.insert("eMail".into(), FieldText::at("mail"));
    let compiled = RuleSet::compile(wrong.clone()).unwrap_err();
    assert!(compiled.to_string().contains("eMail"), "{compiled}");
    let packed = lz4_flex::block::compress_prepend_size(&wrong.canonical());
    assert!(RuleSet::unpack(&packed).is_err());
    let mut wrong = text(1);
    wrong.schemas.entry("crm".into()).or_default().insert("*".into(), "[".into());
    assert!(RuleSet::compile(wrong).unwrap_err().to_string().contains("crm"));
}

#[test]
fn values_that_no_configuration_may_have_are_refused_in_a_marker_too() {
    let built_in = RuleText::built_in;
    let year_ms = 365 * 86_400_000;
    for (wrong, name) in [
        (RuleText { contact_bytes_max: 4 << 20, ..built_in() }, "contactBytesMax is 4194304"),
        (RuleText { contact_bytes_max: 1_023, ..built_in() }, "contactBytesMax is 1023"),
        (RuleText { record_bytes_max: (1 << 20) + 1, ..built_in() }, "recordBytesMax is 1048577"),
        (RuleText { record_bytes_max: 0, ..built_in() }, "recordBytesMax is 0"),
        (text(year_ms + 1), "futureToleranceMs is 31536000001"),
    ] {
        let packed = lz4_flex::block::compress_prepend_size(&wrong.canonical());
        let error = RuleSet::compile(wrong).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert!(RuleSet::unpack(&packed).is_err());
    }
    RuleSet::compile(RuleText { contact_bytes_max: 1 << 10, ..text(year_ms) }).unwrap();
}

#[test]
fn numbers_end_where_markers_can_hold_no_more() {
    assert_eq!((next_number(0), next_number(NUMBER_MAX - 1)), (Some(1), Some(NUMBER_MAX)));
    assert_eq!((next_number(NUMBER_MAX), next_number(u64::MAX)), (None, None));
    assert_eq!(marker(NUMBER_MAX, 1, &rules(1)).number, NUMBER_MAX);
}

#[test]
fn rules_beyond_a_record_are_refused() {
    let mut large = text(1);
    // What does not compress: 64-bit numbers in decimal.
    let noise = |n: u64| xxh3_64(&n.to_le_bytes()).to_string();
    let schema = format!("{{\"enum\":[{}]}}", (0..90_000).map(noise).collect::<Vec<_>>().join(","));
    large.schemas.entry("crm".into()).or_default().insert("*".into(), schema);
    let error = RuleSet::compile(large).unwrap_err();
    assert!(matches!(error, InvalidRules::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("921600"), "{error}");
}

#[test]
fn an_ordinary_record_is_no_marker() {
    let mut batch = RecordBatch::new(Lane(0));
    let value = Some(b"1".as_slice());
    for headers in [
        vec![],
        vec![("x", value)],
        vec![("x", value), (MARKER, value)],
        vec![("contactd_markes", value)],
    ] {
        batch.push(Offset(0), 0, Some(b"k"), Some(b"{}"), headers.into_iter());
    }
    assert!(batch.records.iter().all(|record| !Marker::is_one(&batch, record)));
}

#[test]
fn packed_rules_come_back_whole_and_differences_are_named() {
    let mut text = text(7);
    let crm = text.sources.entry("crm".into()).or_default();
    crm.fields.insert("email".into(), FieldText::at("mail"));
    text.schemas.entry("crm".into()).or_default().insert("*".into(), "{}".into());
    let rules = RuleSet::compile(text).unwrap();
    let again = RuleSet::unpack(rules.packed()).unwrap();
    assert_eq!((&again, again.fingerprint()), (&rules, rules.fingerprint()));
    let built_in = RuleText::built_in();
    assert_eq!(
        rules.text().differences(&built_in),
        ["apply.future_tolerance in ms: 7, not 300000", "source.crm", "schemas.crm"]
    );
    assert!(built_in.differences(&built_in).is_empty());
    assert_ne!(RuleSet::built_in().unwrap().fingerprint(), rules.fingerprint());
}
