//! Markers of the rules, and foundings: what is read is written and read the same.

#![no_main]

use contactd::domain::base::Base;
use contactd::domain::founding::Founding;
use contactd::domain::position::{Lane, Offset};
use contactd::domain::record::{Headers, NamedValues, RecordBatch, header_refs, owned_headers};
use contactd::domain::rules::{Marker, MarkerText, RuleSet};
use contactd_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use lz4_flex::block::compress_prepend_size;

fuzz_target!(|data: &[u8]| {
    let [headers, value] = parts(data);
    if let Ok(founding) = Founding::parse(value) {
        assert_eq!(Founding::parse(&founding.to_json()), Ok(founding));
        assert_eq!(Founding::from_header(&founding.to_header()), Some(founding));
    }
    if let Some(base) = Base::parse(value) {
        assert_eq!(Base::parse(&base.to_json()), Some(base));
    }
    let headers = owned_headers(Headers::new(headers));
    for value in [value, &compress_prepend_size(value)] {
        let Some(marker) = read(&headers, value) else { continue };
        let MarkerText::Known { text, .. } = &marker.text else { continue };
        let Ok(rules) = RuleSet::compile(*text.clone()) else { continue };
        let Marker { number, founding, homes, .. } = marker;
        let principal = marker.principal.as_deref();
        let (headers, value) = Marker::record(number, founding, homes, &rules, principal);
        assert_eq!(read(&headers, &value), Some(marker));
        assert_eq!(RuleSet::unpack(&value), Ok(rules));
    }
});

fn read(headers: &NamedValues, value: &[u8]) -> Option<Marker> {
    let mut batch = RecordBatch::new(Lane(0));
    batch.push(Offset(0), 0, None, Some(value), header_refs(headers));
    let record = batch.records[0];
    Marker::is_one(&batch, &record).then(|| Marker::read(&batch, &record).ok())?
}
