//! What a schema says of the bytes: types by their numbers, so that those that hold themselves are no trouble.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::text::{BytesForm, IntForm, LongForm};
use crate::domain::json::write_string;

/// Bytes of a schema's text, and of those together that it refers to.
pub const SCHEMA_BYTES_MAX: usize = 1 << 20;
/// A decimal with more digits behind its point is read as bytes.
const SCALE_MAX: u64 = 1000;

/// Why a schema can't be used; holds no more of it than names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Larger than anybody needs.
    #[error("the schema has more than {SCHEMA_BYTES_MAX} bytes with what it refers to")]
    TooLarge,
    /// No JSON.
    #[error("the schema is no JSON: {0}")]
    Json(String),
    /// JSON that is no schema.
    #[error("the schema is no Avro schema: {0}")]
    Avro(String),
}

/// A schema that values were written by.
#[derive(Debug)]
pub struct Schema {
    types: Vec<Type>,
    root: usize,
    text_bytes: usize,
}

/// A type; others are named by their place.
#[derive(Debug)]
pub(super) enum Type {
    Null,
    Boolean,
    Int(IntForm),
    Long(LongForm),
    Float,
    Double,
    Bytes(BytesForm),
    String,
    Fixed(usize, BytesForm),
    /// Symbols, as JSON strings.
    Enum(Vec<Vec<u8>>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    /// Each field with its name as a JSON string.
    Record(Vec<(Vec<u8>, usize)>),
}

impl Schema {
    /// Reads a schema; `references` are those that it refers to, each after what it refers to itself.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn parse(text: &str, references: &[String]) -> Result<Self, SchemaError> {
        let text_bytes = text.len() + references.iter().map(String::len).sum::<usize>();
        if text_bytes > SCHEMA_BYTES_MAX {
            return Err(SchemaError::TooLarge);
        }
        let mut parser = Parser::default();
        for reference in references {
            parser.document(reference)?;
        }
        let root = parser.document(text)?;
        Ok(Self { types: parser.types, root, text_bytes })
    }

    /// Bytes of what it was read from: what it takes is some times that.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    pub(super) fn root(&self) -> usize {
        self.root
    }

    pub(super) fn type_at(&self, place: usize) -> Option<&Type> {
        self.types.get(place)
    }
}

#[derive(Default)]
struct Parser {
    types: Vec<Type>,
    /// By full name.
    named: BTreeMap<String, usize>,
}

fn wrong<T>(problem: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError::Avro(problem.into()))
}

fn text<'m>(members: &'m Map<String, Value>, key: &str) -> Option<&'m str> {
    members.get(key)?.as_str()
}

fn quoted(name: &str) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    write_string(name, &mut quoted);
    quoted
}

impl Parser {
    /// Depth is bounded by what reads the JSON.
    fn document(&mut self, text: &str) -> Result<usize, SchemaError> {
        let document: Value = match serde_json::from_str(text) {
            Ok(document) => document,
            // A primitive type may stand there without quotes.
            Err(_) if primitive(text.trim()).is_some() => Value::String(text.trim().to_owned()),
            Err(error) => return Err(SchemaError::Json(error.to_string())),
        };
        self.schema(&document, "")
    }

    fn add(&mut self, of: Type) -> usize {
        self.types.push(of);
        self.types.len() - 1
    }

    fn schema(&mut self, schema: &Value, space: &str) -> Result<usize, SchemaError> {
        match schema {
            Value::String(name) => self.by_name(name, space),
            Value::Array(branches) => self.union(branches, space),
            Value::Object(members) => self.complex(members, space),
            Value::Null | Value::Bool(_) | Value::Number(_) => wrong("a type is a number or null"),
        }
    }

    fn by_name(&mut self, name: &str, space: &str) -> Result<usize, SchemaError> {
        if let Some(of) = primitive(name) {
            return Ok(self.add(of));
        }
        let found = self.named.get(&full_name(name, space)).or_else(|| self.named.get(name));
        found.copied().map_or_else(|| wrong(format!("the type {name} is not defined")), Ok)
    }

    fn union(&mut self, branches: &[Value], space: &str) -> Result<usize, SchemaError> {
        let branches: Result<Vec<usize>, _> =
            branches.iter().map(|branch| self.schema(branch, space)).collect();
        let branches = branches?;
        let is_union = |place: &usize| matches!(self.types.get(*place), Some(Type::Union(_)));
        if branches.iter().any(is_union) {
            return wrong("a union holds a union");
        }
        Ok(self.add(Type::Union(branches)))
    }

    fn complex(&mut self, members: &Map<String, Value>, space: &str) -> Result<usize, SchemaError> {
        let Some(of) = members.get("type") else {
            return wrong("an object has no type");
        };
        let Some(name) = of.as_str() else {
            return self.schema(of, space);
        };
        let inner = |key: &str| match members.get(key) {
            Some(inner) => Ok(inner),
            None => wrong(format!("a type {name} has no {key}")),
        };
        match name {
            "array" => {
                let items = self.schema(inner("items")?, space)?;
                Ok(self.add(Type::Array(items)))
            }
            "map" => {
                let values = self.schema(inner("values")?, space)?;
                Ok(self.add(Type::Map(values)))
            }
            "record" | "error" => self.record(members, space),
            "enum" => {
                let symbols = inner("symbols")?.as_array().into_iter().flatten();
                let symbols: Option<Vec<_>> =
                    symbols.map(|symbol| symbol.as_str().map(quoted)).collect();
                let symbols = symbols.map_or_else(|| wrong("a symbol is no string"), Ok)?;
                self.define(members, space, Type::Enum(symbols)).map(|(place, _)| place)
            }
            "fixed" => {
                let size = inner("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.map_or_else(|| wrong("a size is no whole number"), Ok)?;
                let of = Type::Fixed(size, bytes_form(members, Some(size)));
                self.define(members, space, of).map(|(place, _)| place)
            }
            name => match primitive(name) {
                Some(of) => Ok(self.add(with_logical_type(of, members))),
                None => self.by_name(name, space),
            },
        }
    }

    /// Known under its name before its fields are read, as they may hold it.
    fn record(&mut self, members: &Map<String, Value>, space: &str) -> Result<usize, SchemaError> {
        let (place, own_space) = self.define(members, space, Type::Record(Vec::new()))?;
        let fields = members.get("fields").and_then(Value::as_array);
        let fields = fields.map_or_else(|| wrong("a record has no fields"), Ok)?;
        let mut read = Vec::with_capacity(fields.len());
        for field in fields {
            let parts = field.as_object().and_then(|it| Some((text(it, "name")?, it.get("type")?)));
            let Some((name, of)) = parts else {
                return wrong("a field has no name or no type");
            };
            read.push((quoted(name), self.schema(of, &own_space)?));
        }
        if let Some(of) = self.types.get_mut(place) {
            *of = Type::Record(read);
        }
        Ok(place)
    }

    /// Its place, and the namespace of what stands in it.
    fn define(
        &mut self,
        members: &Map<String, Value>,
        space: &str,
        of: Type,
    ) -> Result<(usize, String), SchemaError> {
        let Some(name) = text(members, "name") else {
            return wrong("a named type has no name");
        };
        let full = full_name(name, text(members, "namespace").unwrap_or(space));
        let own_space = full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        let place = self.add(of);
        match self.named.insert(full.clone(), place) {
            None => Ok((place, own_space)),
            Some(_) => wrong(format!("the type {full} is defined twice")),
        }
    }
}

fn full_name(name: &str, space: &str) -> String {
    if space.is_empty() || name.contains('.') {
        name.trim_start_matches('.').to_owned()
    } else {
        format!("{space}.{name}")
    }
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int(IntForm::Number),
        "long" => Type::Long(LongForm::Number),
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes(BytesForm::Base64),
        "string" => Type::String,
        _ => return None,
    })
}

/// A logical type that is not known, or not of this type, says nothing.
fn with_logical_type(of: Type, members: &Map<String, Value>) -> Type {
    match (of, text(members, "logicalType").unwrap_or_default()) {
        (Type::Int(_), "date") => Type::Int(IntForm::Date),
        (Type::Int(_), "time-millis") => Type::Int(IntForm::TimeMillis),
        (Type::Long(_), "time-micros") => Type::Long(LongForm::TimeMicros),
        (Type::Long(_), "timestamp-millis") => Type::Long(LongForm::moment(1_000, "Z")),
        (Type::Long(_), "timestamp-micros") => Type::Long(LongForm::moment(1_000_000, "Z")),
        (Type::Long(_), "timestamp-nanos") => Type::Long(LongForm::moment(1_000_000_000, "Z")),
        (Type::Long(_), "local-timestamp-millis") => Type::Long(LongForm::moment(1_000, "")),
        (Type::Long(_), "local-timestamp-micros") => Type::Long(LongForm::moment(1_000_000, "")),
        (Type::Long(_), "local-timestamp-nanos") => Type::Long(LongForm::moment(1_000_000_000, "")),
        (Type::Bytes(_), _) => Type::Bytes(bytes_form(members, None)),
        (of, _) => of,
    }
}

fn bytes_form(members: &Map<String, Value>, size: Option<usize>) -> BytesForm {
    let scale = members.get("scale").map_or(Some(0), Value::as_u64);
    match (text(members, "logicalType").unwrap_or_default(), scale, size) {
        ("decimal", Some(scale @ ..=SCALE_MAX), _) => BytesForm::Decimal(scale as usize),
        ("uuid", _, Some(16)) => BytesForm::Uuid,
        ("duration", _, Some(12)) => BytesForm::Duration,
        _ => BytesForm::Base64,
    }
}
