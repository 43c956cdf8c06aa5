//! The canonical part of a contact: registers with their clocks, and what its life so far was.
//!
//! ```text
//! flags u16 ‖ head clock ‖ [first u64, last u64] ‖ [source version u64] ‖ [created] [restored] [put]
//! [reset] clocks ‖ [deletes: count u16, clocks] ‖ source (u16 length) ‖ 6 field tags u8 ‖ per field that
//! has a register: [clock] [value (u32 length)] ‖ attribute count u16 ‖ per attribute: tag u8, key
//! (u16 length), [clock], [value (u32 length)]
//! clock: tag u8 (1: with version), time u64, hash u64, [version u64]
//! ```
//! A register's clock stands there only where it is not the head.

use super::Status;
use super::wire::{Wire, put_bytes_u16, put_bytes_u32, put_clock, put_u64};
use crate::domain::clock::Clock;

const DELETED: u16 = 1;
const TIMED: u16 = 1 << 1;
const SOURCE_VERSION: u16 = 1 << 2;
const CREATED: u16 = 1 << 3;
const RESTORED: u16 = 1 << 4;
const PUT: u16 = 1 << 5;
const RESET: u16 = 1 << 6;
const DELETES: u16 = 1 << 7;
const FIRST_IS_EDIT: u16 = 1 << 8;
const ALL_FLAGS: u16 = (1 << 9) - 1;

/// The register is there (a tombstone, if without a value).
const PRESENT: u8 = 1;
const VALUE: u8 = 1 << 1;
const OWN_CLOCK: u8 = 1 << 2;

/// A value, or the fact that there is none, with the clock that said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Register<'a> {
    // First, so that the derived order is the order of merging: clock, then none < any, then bytes.
    pub(crate) clock: Clock,
    pub(crate) value: Option<&'a [u8]>,
}

/// The canonical part, its texts in place.
#[derive(Clone, Debug, Default)]
pub(crate) struct State<'a> {
    /// The greatest clock of all.
    pub(crate) head: Clock,
    /// Who said the newest.
    pub(crate) source: &'a [u8],
    /// Least and greatest time of the timed events.
    pub(crate) timed: Option<(u64, u64)>,
    /// There are none but edits of ours so far, so the least is one of theirs.
    pub(crate) first_is_edit: bool,
    /// The greatest source version.
    pub(crate) source_version: Option<u64>,
    /// The greatest `created`.
    pub(crate) created: Option<Clock>,
    /// The greatest `restored`.
    pub(crate) restored: Option<Clock>,
    /// The greatest replacing command.
    pub(crate) put: Option<Clock>,
    /// The greatest erase, or delete that a newer `created` has made final.
    pub(crate) reset: Option<Clock>,
    /// Deletes not older than `created` and newer than `reset`, ascending: a `created` that comes
    /// late may fall between any two of them.
    pub(crate) deletes: Vec<Clock>,
    /// The six fields.
    pub(crate) fields: [Option<Register<'a>>; 6],
    /// Attributes, by ascending key.
    pub(crate) attributes: Vec<(&'a [u8], Register<'a>)>,
}

impl<'a> State<'a> {
    /// Everything older is hidden.
    pub(crate) fn floor(&self) -> Option<Clock> {
        self.put.max(self.reset)
    }

    pub(crate) fn status(&self) -> Status {
        let alive = self.created.max(self.restored).max(self.put);
        let dead = self.deletes.last().copied().max(self.reset);
        if dead > alive { Status::Deleted } else { Status::Active }
    }

    /// The least event time, but not before the contact was begun anew. A reset by an untimed event
    /// has no time of its own and never moves it past the last event.
    pub(crate) fn created_at_us(&self) -> Option<u64> {
        let (first, last) = self.timed?;
        let reset = self.reset.map_or(0, |clock| clock.ts_us);
        Some(first.max(reset).min(last))
    }

    /// Takes the time of an event into the least and the greatest.
    pub(crate) fn note_time(&mut self, time: u64, is_edit: bool) {
        let Some((first, last)) = self.timed else {
            (self.timed, self.first_is_edit) = (Some((time, time)), is_edit);
            return;
        };
        let first = match (self.first_is_edit, is_edit) {
            (true, false) => time,
            (false, true) => first,
            (true, true) | (false, false) => first.min(time),
        };
        self.timed = Some((first, last.max(time)));
        self.first_is_edit &= is_edit;
    }

    /// Every text in it.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().flatten().filter_map(|register| register.value);
        let attributes = self.attributes.iter();
        let attributes =
            attributes.flat_map(|(key, register)| [Some(*key), register.value]).flatten();
        [self.source].into_iter().chain(fields).chain(attributes)
    }

    /// Reads the canonical part; the error names what is wrong.
    pub(crate) fn read(canonical: &'a [u8]) -> Result<Self, &'static str> {
        let mut wire = Wire::new(canonical);
        let mut state = Self::read_fixed(&mut wire)?;
        state.read_attributes(&mut wire).ok_or("attributes")?;
        if wire.rest().is_empty() { Ok(state) } else { Err("canonical length") }
    }

    /// Reads all that stands before the attributes.
    pub(crate) fn read_fixed(wire: &mut Wire<'a>) -> Result<Self, &'static str> {
        let flags = wire.u16().filter(|flags| flags & !ALL_FLAGS == 0).ok_or("flags")?;
        let head = wire.clock().ok_or("head")?;
        let mut state = Self { head, first_is_edit: flags & FIRST_IS_EDIT != 0, ..Self::default() };
        state.read_life(flags, wire).ok_or("life")?;
        state.source = wire.bytes_u16().ok_or("source")?;
        state.read_fields(wire).ok_or("fields")?;
        if (flags & DELETED != 0) != (state.status() == Status::Deleted) {
            return Err("status");
        }
        Ok(state)
    }

    fn read_life(&mut self, flags: u16, wire: &mut Wire<'a>) -> Option<()> {
        if flags & TIMED != 0 {
            self.timed = Some((wire.u64()?, wire.u64()?));
        }
        if flags & SOURCE_VERSION != 0 {
            self.source_version = Some(wire.u64()?);
        }
        let clocks = [
            (CREATED, &mut self.created),
            (RESTORED, &mut self.restored),
            (PUT, &mut self.put),
            (RESET, &mut self.reset),
        ];
        for (flag, clock) in clocks {
            if flags & flag != 0 {
                *clock = Some(wire.clock()?);
            }
        }
        if flags & DELETES != 0 {
            for _ in 0..wire.u16()? {
                self.deletes.push(wire.clock()?);
            }
        }
        Some(())
    }

    fn read_fields(&mut self, wire: &mut Wire<'a>) -> Option<()> {
        let tags = wire.array::<6>()?;
        for (field, tag) in self.fields.iter_mut().zip(tags) {
            if *tag != 0 {
                *field = Some(read_register(*tag, self.head, wire)?);
            }
        }
        Some(())
    }

    fn read_attributes(&mut self, wire: &mut Wire<'a>) -> Option<()> {
        let count = usize::from(wire.u16()?);
        self.attributes.reserve_exact(count.min(wire.rest().len()));
        for _ in 0..count {
            let tag = wire.u8()?;
            let key = wire.bytes_u16()?;
            let is_next = self.attributes.last().is_none_or(|(last, _)| *last < key);
            let register = read_register(tag, self.head, wire).filter(|_| is_next)?;
            self.attributes.push((key, register));
        }
        Some(())
    }

    /// Appends the canonical part.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let clocks = [
            (CREATED, self.created),
            (RESTORED, self.restored),
            (PUT, self.put),
            (RESET, self.reset),
        ];
        let mut flags = if self.status() == Status::Deleted { DELETED } else { 0 };
        let mut flag = |bit, is_set| flags |= if is_set { bit } else { 0 };
        flag(FIRST_IS_EDIT, self.first_is_edit);
        flag(TIMED, self.timed.is_some());
        flag(SOURCE_VERSION, self.source_version.is_some());
        flag(DELETES, !self.deletes.is_empty());
        for (bit, clock) in clocks {
            flag(bit, clock.is_some());
        }
        out.extend_from_slice(&flags.to_le_bytes());
        put_clock(out, &self.head);
        if let Some((first, last)) = self.timed {
            put_u64(out, first);
            put_u64(out, last);
        }
        if let Some(version) = self.source_version {
            put_u64(out, version);
        }
        for clock in clocks.iter().filter_map(|(_, clock)| clock.as_ref()) {
            put_clock(out, clock);
        }
        if !self.deletes.is_empty() {
            out.extend_from_slice(&(self.deletes.len() as u16).to_le_bytes());
            self.deletes.iter().for_each(|clock| put_clock(out, clock));
        }
        put_bytes_u16(out, self.source);
        out.extend_from_slice(&self.fields.map(|field| field.map_or(0, |field| self.tag(&field))));
        for field in self.fields.iter().flatten() {
            self.write_register(field, out);
        }
        out.extend_from_slice(&(self.attributes.len() as u16).to_le_bytes());
        for (key, register) in &self.attributes {
            out.push(self.tag(register));
            put_bytes_u16(out, key);
            self.write_register(register, out);
        }
    }

    fn tag(&self, register: &Register<'_>) -> u8 {
        let value = if register.value.is_some() { VALUE } else { 0 };
        let clock = if register.clock == self.head { 0 } else { OWN_CLOCK };
        PRESENT | value | clock
    }

    fn write_register(&self, register: &Register<'_>, out: &mut Vec<u8>) {
        if register.clock != self.head {
            put_clock(out, &register.clock);
        }
        if let Some(value) = register.value {
            put_bytes_u32(out, value);
        }
    }
}

fn read_register<'a>(tag: u8, head: Clock, wire: &mut Wire<'a>) -> Option<Register<'a>> {
    if tag & PRESENT == 0 || tag & !(PRESENT | VALUE | OWN_CLOCK) != 0 {
        return None;
    }
    let clock = if tag & OWN_CLOCK == 0 { head } else { wire.clock()? };
    let value = if tag & VALUE == 0 { None } else { Some(wire.bytes_u32()?) };
    Some(Register { clock, value })
}
