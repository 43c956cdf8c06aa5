//! A JSON merge patch (RFC 7396) on texts: members of objects one by one, all else as it is. Texts of
//! numbers stay as they were written.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

type Object<'a> = BTreeMap<String, &'a RawValue>;

/// The value after a patch; `target` is what stands there, if anything does.
pub(crate) fn merge_patch(patch: &str, target: Option<&str>) -> String {
    let Ok(said) = serde_json::from_str::<Object<'_>>(patch) else {
        return patch.to_owned();
    };
    let target: Object<'_> =
        target.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let mut merged: BTreeMap<&str, Box<RawValue>> =
        target.iter().map(|(name, value)| (name.as_str(), (*value).to_owned())).collect();
    for (name, value) in &said {
        if value.get() == "null" {
            merged.remove(name.as_str());
            continue;
        }
        let value = merge_patch(value.get(), target.get(name).map(|value| value.get()));
        if let Ok(value) = RawValue::from_string(value) {
            merged.insert(name, value);
        }
    }
    serde_json::to_string(&merged).unwrap_or_else(|_| patch.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_merged_one_by_one_and_numbers_stay_as_written() {
        let target = r#"{"a":1.50,"b":{"c":2,"d":3},"e":[1]}"#;
        let merged =
            merge_patch(r#"{"b":{"c":null,"x":{"y":null,"z":0}},"e":{"f":1}}"#, Some(target));
        assert_eq!(merged, r#"{"a":1.50,"b":{"d":3,"x":{"z":0}},"e":{"f":1}}"#);
        assert_eq!(merge_patch("[1,null]", Some(target)), "[1,null]");
        assert_eq!(merge_patch(r#"{"a":null,"b":1}"#, None), r#"{"b":1}"#);
        assert_eq!(merge_patch(r#"{"a":1}"#, Some("7")), r#"{"a":1}"#);
    }
}
