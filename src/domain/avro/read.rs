//! From bytes to JSON text, one value after the other.

use super::schema::{Schema, Type};
use crate::domain::json::write_string;
use crate::domain::limits::DEPTH_MAX;

/// Why bytes are not what their schema says; holds nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvroError {
    /// They end too early.
    #[error("the bytes end in the middle of a value")]
    Cut,
    /// They go on.
    #[error("{0} bytes are left over behind the value")]
    LeftOver(usize),
    /// A string is no text.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A number that its type can't have.
    #[error("a number is out of its type's range")]
    Number,
    /// A union's branch or an enum's symbol that there is not.
    #[error("a union or an enum has no member {0}")]
    Member(i64),
    /// Nested beyond what is read of JSON.
    #[error("nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// More text than is read of JSON.
    #[error("more than {0} bytes as JSON")]
    TooLarge(usize),
    /// The schema names a type that it has not.
    #[error("the schema has no such type")]
    Type,
}

/// The value that all the bytes are, as JSON of `bytes_max` bytes at most.
///
/// A union is its branch's value, bytes are base64, and what has a logical type is its usual text.
///
/// # Errors
/// When they are not what the schema says.
pub fn to_json(schema: &Schema, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, AvroError> {
    let mut reader = Reader { schema, rest: bytes, json: Vec::new(), bytes_max };
    reader.value(schema.root(), 0)?;
    match reader.rest.len() {
        0 => Ok(reader.json),
        left => Err(AvroError::LeftOver(left)),
    }
}

struct Reader<'a> {
    schema: &'a Schema,
    rest: &'a [u8],
    json: Vec<u8>,
    bytes_max: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, place: usize, depth: usize) -> Result<(), AvroError> {
        match self.schema.type_at(place).ok_or(AvroError::Type)? {
            Type::Null => self.json.extend_from_slice(b"null"),
            Type::Boolean => match self.take(1)? {
                [0] => self.json.extend_from_slice(b"false"),
                [1] => self.json.extend_from_slice(b"true"),
                _ => return Err(AvroError::Number),
            },
            Type::Int(form) => {
                let number = i32::try_from(self.long()?).map_err(|_| AvroError::Number)?;
                self.number_or(number.into(), form.text(number));
            }
            Type::Long(form) => {
                let number = self.long()?;
                self.number_or(number, form.text(number));
            }
            Type::Float => {
                let bytes = self.take(4)?.try_into().map_err(|_| AvroError::Cut)?;
                let number = f32::from_le_bytes(bytes);
                // Written as the few digits that it has, not as the many of its double.
                self.float(number.into(), &number);
            }
            Type::Double => {
                let bytes = self.take(8)?.try_into().map_err(|_| AvroError::Cut)?;
                let number = f64::from_le_bytes(bytes);
                self.float(number, &number);
            }
            Type::Bytes(form) => {
                let bytes = self.sized()?;
                self.text(&form.text(bytes));
            }
            Type::Fixed(size, form) => {
                let bytes = self.take(*size)?;
                self.text(&form.text(bytes));
            }
            Type::String => self.string()?,
            Type::Enum(symbols) => {
                let symbol = self.member(symbols)?;
                self.json.extend_from_slice(symbol);
            }
            Type::Union(branches) => {
                let branch = *self.member(branches)?;
                self.value(branch, depth)?;
            }
            Type::Array(items) => self.items(b"[]", *items, depth, false)?,
            Type::Map(values) => self.items(b"{}", *values, depth, true)?,
            Type::Record(fields) => {
                self.deeper(depth)?;
                self.json.push(b'{');
                for (number, (name, of)) in fields.iter().enumerate() {
                    if number > 0 {
                        self.json.push(b',');
                    }
                    self.json.extend_from_slice(name);
                    self.json.push(b':');
                    self.value(*of, depth + 1)?;
                }
                self.json.push(b'}');
            }
        }
        // Also what bounds blocks of values without any bytes.
        if self.json.len() > self.bytes_max {
            return Err(AvroError::TooLarge(self.bytes_max));
        }
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<(), AvroError> {
        if depth < DEPTH_MAX { Ok(()) } else { Err(AvroError::TooDeep) }
    }

    /// Blocks of values, until one of none.
    fn items(
        &mut self,
        brackets: &[u8; 2],
        of: usize,
        depth: usize,
        are_named: bool,
    ) -> Result<(), AvroError> {
        self.deeper(depth)?;
        let [open, close] = *brackets;
        self.json.push(open);
        let mut is_first = true;
        loop {
            let mut count = self.long()?;
            if count == 0 {
                break;
            }
            if count < 0 {
                // The block's length in bytes is for those who skip it.
                self.long()?;
                count = count.checked_neg().ok_or(AvroError::Number)?;
            }
            for _ in 0..count {
                if !std::mem::take(&mut is_first) {
                    self.json.push(b',');
                }
                if are_named {
                    self.string()?;
                    self.json.push(b':');
                }
                self.value(of, depth + 1)?;
            }
        }
        self.json.push(close);
        Ok(())
    }

    fn string(&mut self) -> Result<(), AvroError> {
        let bytes = self.sized()?;
        self.text(std::str::from_utf8(bytes).map_err(|_| AvroError::NotUtf8)?);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        write_string(text, &mut self.json);
    }

    fn number_or(&mut self, number: i64, text: Option<String>) {
        match text {
            Some(text) => self.text(&text),
            None => self.json.extend_from_slice(number.to_string().as_bytes()),
        }
    }

    /// JSON has no number for those that are none.
    fn float(&mut self, number: f64, written: &impl serde::Serialize) {
        if number.is_finite() {
            // Writing to a Vec can't fail.
            let _ = serde_json::to_writer(&mut self.json, written);
        } else if number.is_nan() {
            self.text("NaN");
        } else {
            self.text(if number > 0.0 { "Infinity" } else { "-Infinity" });
        }
    }

    fn member<'m, T>(&mut self, members: &'m [T]) -> Result<&'m T, AvroError> {
        let number = self.long()?;
        let member = usize::try_from(number).ok().and_then(|number| members.get(number));
        member.ok_or(AvroError::Member(number))
    }

    fn sized(&mut self) -> Result<&'a [u8], AvroError> {
        let len = usize::try_from(self.long()?).map_err(|_| AvroError::Number)?;
        self.take(len)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], AvroError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(AvroError::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Seven bits a byte, the least first; the sign is the last bit.
    fn long(&mut self) -> Result<i64, AvroError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return Err(AvroError::Cut) };
            let bits = u64::from(byte & 0x7f);
            // Of the tenth byte there is room for one bit.
            if shift == 63 && bits > 1 {
                return Err(AvroError::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(AvroError::Number)
    }
}
