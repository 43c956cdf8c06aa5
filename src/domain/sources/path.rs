//! A place in a JSON value: `a.b[0].c`.

/// Segments at most, as values are not nested deeper.
const SEGMENTS_MAX: usize = 16;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A member of an object.
    Name(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// A place in a value; without segments the value itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    text: String,
    segments: Vec<Segment>,
}

impl Path {
    /// From its text.
    ///
    /// # Errors
    /// Why it is none, as the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("has \"{text}\", which is no path such as a.b[0].c");
        let mut segments = Vec::new();
        for part in text.split('.').filter(|_| !text.is_empty()) {
            let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if name.is_empty() || name.contains(']') {
                return Err(wrong());
            }
            segments.push(Segment::Name(name.to_owned()));
            while !rest.is_empty() {
                let (index, more) = rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .ok_or_else(wrong)?;
                segments.push(Segment::Index(index.parse().map_err(|_| wrong())?));
                rest = more;
            }
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(format!("has \"{text}\", a path of more than {SEGMENTS_MAX} parts"));
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its segments, the outermost first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The member that it begins with.
    pub fn first_name(&self) -> Option<&str> {
        match self.segments.first()? {
            Segment::Name(name) => Some(name),
            Segment::Index(_) => None,
        }
    }

    /// The member that it is, and nothing within.
    pub fn only_name(&self) -> Option<&str> {
        if self.segments.len() == 1 { self.first_name() } else { None }
    }
}
