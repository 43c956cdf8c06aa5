//! Other encoders' bytes, values of every shape, and bytes that lie.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::limits::DEPTH_MAX;

const BYTES_MAX: usize = 1 << 20;

fn schema(text: &Value) -> Schema {
    Schema::parse(&text.to_string(), &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn read(schema: &Schema, bytes: &[u8]) -> Result<Value, AvroError> {
    let json = to_json(schema, bytes, BYTES_MAX)?;
    let text = String::from_utf8(json).expect("a text");
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

/// Each with its schema.
fn vectors() -> Vec<(Schema, Value)> {
    let text = include_str!("../../../tests/fixtures/avro/vectors.json");
    let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
    let parsed = |vector: Value| {
        let references = vector["references"].as_array().unwrap();
        let references: Vec<String> =
            references.iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        let schema = Schema::parse(vector["schema"].as_str().unwrap(), &references);
        (schema.unwrap_or_else(|error| panic!("{}: {error}", vector["name"])), vector)
    };
    vectors.into_iter().map(parsed).collect()
}

#[test]
fn what_other_encoders_write_is_read_as_it_was_meant() {
    let mut count = 0;
    for (schema, vector) in vectors() {
        for (encoder, bytes) in vector["encoded"].as_object().unwrap() {
            let found = read(&schema, &unhex(bytes.as_str().unwrap()));
            assert_eq!(found, Ok(vector["json"].clone()), "{} by {encoder}", vector["name"]);
            count += 1;
        }
    }
    assert!(count >= 30, "{count}");
}

#[test]
fn bytes_that_are_cut_or_left_over_are_refused() {
    for (schema, vector) in vectors() {
        for (encoder, bytes) in vector["encoded"].as_object().unwrap() {
            let mut bytes = unhex(bytes.as_str().unwrap());
            for len in 0..bytes.len() {
                let cut = read(&schema, &bytes[..len]);
                assert_eq!(cut, Err(AvroError::Cut), "{} by {encoder}", vector["name"]);
            }
            bytes.push(0);
            assert_eq!(read(&schema, &bytes), Err(AvroError::LeftOver(1)));
        }
    }
}

#[test]
fn what_is_claimed_costs_nothing_before_it_is_there() {
    let long = |number: i64| {
        let mut out = Vec::new();
        write_long(number, &mut out);
        out
    };
    for (of, bytes, error) in [
        (json!("string"), long(1 << 40), AvroError::Cut),
        (json!("string"), long(-1), AvroError::Number),
        (json!("string"), vec![2, 0xff], AvroError::NotUtf8),
        (json!({ "type": "fixed", "name": "f", "size": 1_u64 << 40 }), vec![0; 9], AvroError::Cut),
        (json!({ "type": "array", "items": "long" }), long(i64::MAX), AvroError::Cut),
        (
            json!({ "type": "array", "items": "null" }),
            long(i64::MAX),
            AvroError::TooLarge(BYTES_MAX),
        ),
        (
            json!({ "type": "array", "items": { "type": "record", "name": "r", "fields": [] } }),
            long(i64::MAX),
            AvroError::TooLarge(BYTES_MAX),
        ),
        (
            json!({ "type": "array", "items": "null" }),
            [long(i64::MIN), long(0)].concat(),
            AvroError::Number,
        ),
        (json!("int"), long(1 << 31), AvroError::Number),
        (json!("long"), vec![0xff; 10], AvroError::Number),
        (json!("boolean"), vec![2], AvroError::Number),
        (json!(["null", "int"]), long(2), AvroError::Member(2)),
        (json!([]), long(0), AvroError::Member(0)),
        (json!({ "type": "enum", "name": "e", "symbols": ["A"] }), long(-1), AvroError::Member(-1)),
    ] {
        assert_eq!(read(&schema(&of), &bytes), Err(error), "{of}");
    }
}

#[test]
fn as_deep_as_json_may_be_and_no_deeper() {
    let list = schema(&json!({ "type": "record", "name": "List", "fields": [
        { "name": "next", "type": ["null", "List"] }] }));
    let deep = |depth: usize| [vec![2; depth - 1], vec![0]].concat();
    assert!(read(&list, &deep(DEPTH_MAX)).is_ok());
    assert_eq!(read(&list, &deep(DEPTH_MAX + 1)), Err(AvroError::TooDeep));
    assert_eq!(read(&list, &deep(1_000_000)), Err(AvroError::TooDeep));
}

#[test]
fn names_are_found_in_their_namespace() {
    let of = json!({ "type": "record", "name": "a.b.Outer", "fields": [
        { "name": "one", "type": { "type": "enum", "name": "Inner", "symbols": ["X"] } },
        { "name": "two", "type": "Inner" },
        { "name": "three", "type": "a.b.Inner" },
        { "name": "four", "type": { "type": "fixed", "name": "Other", "namespace": "c", "size": 1 } },
        { "name": "five", "type": "c.Other" },
        { "name": "six", "type": { "type": { "type": "array", "items": "Inner" } } }] });
    let expected = json!({ "one": "X", "two": "X", "three": "X", "four": "AQ==", "five": "Ag==",
        "six": ["X"] });
    assert_eq!(read(&schema(&of), &[0, 0, 0, 1, 2, 2, 0, 0]), Ok(expected));
}

#[test]
fn what_is_no_schema_is_refused_with_its_reason() {
    let long = format!("\"{}\"", "x".repeat(SCHEMA_BYTES_MAX));
    let deep = "[".repeat(200);
    for (text, problem) in [
        ("", "no JSON"),
        ("<html>", "no JSON"),
        (&*deep, "no JSON"),
        (&*long, "more than"),
        ("7", "a type is a number or null"),
        ("\"Row\"", "the type Row is not defined"),
        ("{}", "an object has no type"),
        (r#"{"type":"array"}"#, "a type array has no items"),
        (r#"{"type":"record","name":"r"}"#, "a record has no fields"),
        (r#"{"type":"record","fields":[]}"#, "a named type has no name"),
        (
            r#"{"type":"record","name":"r","fields":[{"name":"a"}]}"#,
            "a field has no name or no type",
        ),
        (r#"["null",["int"]]"#, "a union holds a union"),
        (r#"{"type":"enum","name":"e","symbols":[1]}"#, "a symbol is no string"),
        (r#"{"type":"fixed","name":"f","size":-1}"#, "a size is no whole number"),
        (
            r#"[{"type":"fixed","name":"f","size":1},{"type":"enum","name":"f","symbols":[]}]"#,
            "the type f is defined twice",
        ),
    ] {
        let error = Schema::parse(text, &[]).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    // Some registries keep a primitive type without quotes.
    assert!(Schema::parse(" long ", &[]).is_ok());
}

#[test]
fn a_logical_type_that_is_none_says_nothing() {
    for (of, bytes, expected) in [
        (json!({ "type": "int", "logicalType": "timestamp-millis" }), vec![2], json!(1)),
        (json!({ "type": "long", "logicalType": "whatever" }), vec![2], json!(1)),
        (
            json!({ "type": "bytes", "logicalType": "decimal", "scale": -1 }),
            vec![2, 7],
            json!("Bw=="),
        ),
        (json!({ "type": "int", "logicalType": "time-millis" }), vec![1], json!(-1)),
        (
            json!({ "type": "fixed", "name": "f", "size": 12, "logicalType": "duration" }),
            vec![1, 0, 0, 0, 2, 0, 0, 0, 0xb8, 0x0b, 0, 0],
            json!("P1M2DT3.000S"),
        ),
    ] {
        assert_eq!(read(&schema(&of), &bytes), Ok(expected), "{of}");
    }
    // What no calendar has stays the number that it is.
    let moment = json!({ "type": "long", "logicalType": "timestamp-millis" });
    let mut bytes = Vec::new();
    write_long(i64::MAX, &mut bytes);
    assert_eq!(read(&schema(&moment), &bytes), Ok(json!(i64::MAX)));
}

fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut bits = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while bits > 0x7f {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Types and values by chance.
struct Chance {
    random: fastrand::Rng,
    names: u32,
}

impl Chance {
    fn schema(&mut self, depth: u32) -> Value {
        let kinds = if depth > 4 { 8 } else { 13 };
        let kind = self.random.u32(0..kinds);
        self.names += 1;
        let name = format!("n{}", self.names);
        match kind {
            0 => json!("null"),
            1 => json!("boolean"),
            2 => json!("int"),
            3 => json!("long"),
            4 => json!("double"),
            5 => json!("string"),
            6 => json!({ "type": "enum", "name": name, "symbols": ["A", "B", "C"] }),
            7 => json!({ "type": "long", "logicalType": "timestamp-millis" }),
            8 => json!({ "type": "array", "items": self.schema(depth + 1) }),
            9 => json!({ "type": "map", "values": self.schema(depth + 1) }),
            10 => {
                let fields = (0..self.random.u32(0..5)).map(|number| {
                    json!({ "name": format!("f{number}"), "type": self.schema(depth + 1) })
                });
                let fields: Vec<Value> = fields.collect();
                json!({ "type": "record", "name": name, "fields": fields })
            }
            _ => {
                let inner = self.schema(depth + 1);
                if inner.is_array() { inner } else { json!(["null", inner]) }
            }
        }
    }

    /// Writes a value, and says what it is in JSON.
    fn value(&mut self, of: &Value, out: &mut Vec<u8>) -> Value {
        if let Some(branches) = of.as_array() {
            let branch = self.random.usize(0..branches.len());
            write_long(branch as i64, out);
            return self.value(&branches[branch], out);
        }
        let kind = of.as_str().or(of["type"].as_str()).unwrap();
        match kind {
            "null" => Value::Null,
            "boolean" => {
                out.push(self.random.u8(0..2));
                json!(out.last() == Some(&1))
            }
            "int" => {
                let number = self.random.i32(..);
                write_long(number.into(), out);
                json!(number)
            }
            "long" if of["logicalType"].is_string() => {
                let seconds = self.random.i64(-60_000_000_000..250_000_000_000);
                write_long(seconds * 1000, out);
                let moment = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
                let text = moment.format(&time::format_description::well_known::Rfc3339).unwrap();
                json!(text.replace('Z', ".000Z"))
            }
            "long" => {
                let number = self.random.i64(..) >> self.random.u32(0..64);
                write_long(number, out);
                json!(number)
            }
            "double" => {
                let number = f64::from(self.random.i32(..)) / 1024.0;
                out.extend(number.to_le_bytes());
                json!(number)
            }
            "string" => json!(self.text(out)),
            "enum" => {
                write_long(self.random.i64(0..3), out);
                json!(["A", "B", "C"][usize::from(out[out.len() - 1]) / 2])
            }
            "array" => {
                let items = self.random.i64(0..4);
                let mut read = Vec::new();
                self.blocks(items, out, |chance, _, out| {
                    read.push(chance.value(&of["items"], out))
                });
                json!(read)
            }
            "map" => {
                let items = self.random.i64(0..4);
                let mut read = serde_json::Map::new();
                self.blocks(items, out, |chance, number, out| {
                    let key = format!("k{number}");
                    write_long(key.len() as i64, out);
                    out.extend(key.as_bytes());
                    let value = chance.value(&of["values"], out);
                    read.insert(key, value);
                });
                Value::Object(read)
            }
            _ => {
                let fields = of["fields"].as_array().unwrap().iter();
                let fields = fields.map(|field| {
                    let name = field["name"].as_str().unwrap().to_owned();
                    (name, self.value(&field["type"], out))
                });
                Value::Object(fields.collect())
            }
        }
    }

    fn text(&mut self, out: &mut Vec<u8>) -> String {
        let len = self.random.usize(0..12);
        let text: String = (0..len).map(|_| self.random.char(..)).collect();
        write_long(text.len() as i64, out);
        out.extend(text.as_bytes());
        text
    }

    /// In one block, or in one of each; with a length or without.
    fn blocks(
        &mut self,
        items: i64,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&mut Self, i64, &mut Vec<u8>),
    ) {
        let at_once = if self.random.bool() { items.max(1) } else { 1 };
        for first in (0..items).step_by(at_once as usize) {
            let mut block = Vec::new();
            let count = at_once.min(items - first);
            (first..first + count).for_each(|number| write(self, number, &mut block));
            if self.random.bool() {
                write_long(-count, out);
                write_long(block.len() as i64, out);
            } else {
                write_long(count, out);
            }
            out.extend(block);
        }
        out.push(0);
    }
}

proptest! {
    #[test]
    fn values_of_every_shape_are_read_as_their_json(seed: u64) {
        let mut chance = Chance { random: fastrand::Rng::with_seed(seed), names: 0 };
        let of = chance.schema(0);
        let mut bytes = Vec::new();
        let expected = chance.value(&of, &mut bytes);
        prop_assert_eq!(read(&schema(&of), &bytes), Ok(expected), "{}", of);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        for (schema, _) in vectors() {
            let _ = read(&schema, &bytes);
        }
    }

    #[test]
    fn no_text_is_a_panic(text in r#"(\{|\}|\[|\]|:|,|"(type|name|items|fields|record|array|null|a)"){0,30}"#) {
        let _ = Schema::parse(&text, &[]);
    }
}
