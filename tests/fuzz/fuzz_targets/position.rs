//! Positions and the tags of states: each has one text.

#![no_main]

use contactd::domain::contact::StateTag;
use contactd::domain::position::Position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(position) = Position::decode(text) {
        assert_eq!(position.encode(), text);
        assert!(position.covers(&position));
    }
    if let Some(tag) = StateTag::parse(text) {
        let again = String::from(tag);
        assert_eq!(StateTag::parse(&again), Some(tag));
    }
});
