//! The canonical part of a contact: what it says, then the clocks that said so and what its life was.
//!
//! ```text
//! length of values u32 ‖ values ‖ clocks
//! values: status u8 ‖ fields that have one u8 (a bit each; bit 6: external ids are there) ‖ their values
//!   (u32 length) ‖ attribute count u16 ‖ per attribute: key (u16 length), value (u32 length)
//!   ‖ [external ids likewise, by source]
//! clocks: flags u16 ‖ head clock ‖ [first u64, last u64] ‖ [source version u64] ‖ [created] [restored]
//!   [put] [reset] [horizon] [erased] clocks ‖ [deletes: count u8, clocks] ‖ [merging into (u16 length)] ‖ source
//!   (u16 length) ‖ 6 field tags u8 ‖ [clock] per field ‖ count of cleared attributes u16 ‖ per attribute with a value: tag u8, [clock]
//!   ‖ per cleared one: tag u8, key (u16 length), [clock] ‖ [external ids likewise]
//! clock: tag u8 (1: with version), time u64, hash u64, [version u64]
//! ```
//! A register's clock stands there only where it is not the head. Values are one piece, so that what
//! changed them is told by comparing bytes.

use std::ops::Range;

use super::Status;
use super::wire::{Wire, put_bytes_u16, put_bytes_u32, put_clock, put_u64};
use crate::domain::clock::Clock;
use crate::domain::merge_notes::MERGED_INTO;

const TIMED: u16 = 1;
const SOURCE_VERSION: u16 = 1 << 1;
const CREATED: u16 = 1 << 2;
const RESTORED: u16 = 1 << 3;
const PUT: u16 = 1 << 4;
const RESET: u16 = 1 << 5;
const HORIZON: u16 = 1 << 6;
const DELETES: u16 = 1 << 7;
const FIRST_IS_EDIT: u16 = 1 << 8;
const MERGING: u16 = 1 << 9;
const ERASED: u16 = 1 << 10;
const EXTERNAL_IDS: u16 = 1 << 11;
const ALL_FLAGS: u16 = (1 << 12) - 1;

/// Beside the bits of fields that have a value.
const HAS_EXTERNAL_IDS: u8 = 1 << 6;

const ACTIVE: u8 = 0;
const DELETED: u8 = 1;

/// The register is there (a tombstone, if without a value).
const PRESENT: u8 = 1;
const OWN_CLOCK: u8 = 1 << 1;

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
    /// The greatest erase, delete that a newer `created` has made final, or delete that was too many
    /// to keep.
    pub(crate) reset: Option<Clock>,
    /// The greatest clock of a cleared attribute that was too many to keep: no event up to it sets an
    /// attribute that has no clock.
    pub(crate) horizon: Option<Clock>,
    /// The greatest erase.
    pub(crate) erased: Option<Clock>,
    /// Deletes not older than `created` and newer than `reset` and `restored`, ascending: a `created`
    /// that comes late may fall between any two of them.
    pub(crate) deletes: Vec<Clock>,
    /// The contact that this one is being merged into; commands alone say so.
    pub(crate) merging_into: Option<&'a [u8]>,
    /// The six fields.
    pub(crate) fields: [Option<Register<'a>>; 6],
    /// Attributes, by ascending key, cleared ones too.
    pub(crate) attributes: Keyed<'a>,
    /// The ids that sources have for it, by source likewise. No floor hides them but an erase: what else
    /// begins a contact anew does not make it another one to its sources.
    pub(crate) external_ids: Keyed<'a>,
}

/// Registers by ascending key, cleared ones too.
pub(crate) type Keyed<'a> = Vec<(&'a [u8], Register<'a>)>;

impl<'a> State<'a> {
    /// Everything older is hidden.
    pub(crate) fn floor(&self) -> Option<Clock> {
        self.put.max(self.reset)
    }

    /// The greatest clock that says that it is there.
    fn alive(&self) -> Option<Clock> {
        self.created.max(self.restored).max(self.put)
    }

    /// It was erased, and nothing newer has brought it back.
    pub(crate) fn is_erased(&self) -> bool {
        self.erased.is_some() && self.erased > self.alive()
    }

    /// The greatest clock that says that it is not there.
    pub(crate) fn died(&self) -> Option<Clock> {
        self.deletes.last().copied().max(self.reset)
    }

    /// Into whom it was merged, as JSON, where nothing has brought it back since.
    pub(crate) fn merged_into(&self) -> Option<&'a [u8]> {
        if self.status() == Status::Active {
            return None;
        }
        let name = MERGED_INTO.as_bytes();
        let place = self.attributes.binary_search_by(|(key, _)| (*key).cmp(name)).ok()?;
        let (_, register) = self.attributes.get(place)?;
        register.value.filter(|_| Some(register.clock) > self.alive())
    }

    pub(crate) fn status(&self) -> Status {
        if self.died() > self.alive() { Status::Deleted } else { Status::Active }
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
        let keyed = self.attributes.iter().chain(&self.external_ids);
        let keyed = keyed.flat_map(|(key, register)| [Some(*key), register.value]).flatten();
        [self.source].into_iter().chain(self.merging_into).chain(fields).chain(keyed)
    }

    /// Reads the canonical part; the error names what is wrong. Returns its values too.
    pub(crate) fn read(canonical: &'a [u8]) -> Result<(Self, &'a [u8]), &'static str> {
        let mut wire = Wire::new(canonical);
        let values = wire.bytes_u32().ok_or("values")?;
        let mut values_wire = Wire::new(values);
        let is_deleted = match values_wire.u8() {
            Some(ACTIVE) => false,
            Some(DELETED) => true,
            Some(_) | None => return Err("status"),
        };
        let (mut state, flags) = Self::read_life(&mut wire)?;
        let has_ids = state.read_fields(&mut values_wire, &mut wire).ok_or("fields")?;
        let (values_left, head) = (&mut values_wire, state.head);
        state.attributes =
            read_keyed(Some(&mut *values_left), &mut wire, head).ok_or("attributes")?;
        if flags & EXTERNAL_IDS != 0 {
            let values_left = has_ids.then_some(values_left);
            state.external_ids = read_keyed(values_left, &mut wire, head).ok_or("external ids")?;
        }
        if is_deleted != (state.status() == Status::Deleted) {
            return Err("status");
        }
        let is_whole = wire.rest().is_empty() && values_wire.rest().is_empty();
        if is_whole { Ok((state, values)) } else { Err("canonical length") }
    }

    /// The status that stands in front of the values.
    pub(super) fn read_status(canonical: &'a [u8]) -> Option<Status> {
        match Wire::new(Wire::new(canonical).bytes_u32()?).u8()? {
            ACTIVE => Some(Status::Active),
            DELETED => Some(Status::Deleted),
            _ => None,
        }
    }

    /// Whether there is an external id among the values; reads no more than it must.
    pub(super) fn has_external_ids(canonical: &'a [u8]) -> Option<bool> {
        let [_, valued, ..] = Wire::new(canonical).bytes_u32()? else {
            return None;
        };
        Some(valued & HAS_EXTERNAL_IDS != 0)
    }

    /// Whether it was ever erased; reads no more than it must.
    pub(super) fn was_erased(canonical: &'a [u8]) -> Option<bool> {
        let mut wire = Wire::new(canonical);
        wire.bytes_u32()?;
        Some(wire.u16()? & ERASED != 0)
    }

    /// With the flags.
    fn read_life(wire: &mut Wire<'a>) -> Result<(Self, u16), &'static str> {
        let flags = wire.u16().filter(|flags| flags & !ALL_FLAGS == 0).ok_or("flags")?;
        let head = wire.clock().ok_or("head")?;
        let mut state = Self { head, first_is_edit: flags & FIRST_IS_EDIT != 0, ..Self::default() };
        state.read_flagged(flags, wire).ok_or("life")?;
        state.source = wire.bytes_u16().ok_or("source")?;
        Ok((state, flags))
    }

    fn read_flagged(&mut self, flags: u16, wire: &mut Wire<'a>) -> Option<()> {
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
            (HORIZON, &mut self.horizon),
            (ERASED, &mut self.erased),
        ];
        for (flag, clock) in clocks {
            if flags & flag != 0 {
                *clock = Some(wire.clock()?);
            }
        }
        if flags & DELETES != 0 {
            for _ in 0..wire.u8()? {
                self.deletes.push(wire.clock()?);
            }
        }
        if flags & MERGING != 0 {
            self.merging_into = Some(wire.bytes_u16()?);
        }
        Some(())
    }

    /// Whether external ids are among the values.
    fn read_fields(&mut self, values: &mut Wire<'a>, clocks: &mut Wire<'a>) -> Option<bool> {
        let valued = values.u8()?;
        let tags = clocks.array::<6>()?;
        for (place, (field, tag)) in self.fields.iter_mut().zip(tags).enumerate() {
            let value = if valued & (1 << place) != 0 { Some(values.bytes_u32()?) } else { None };
            if *tag != 0 {
                *field = Some(read_register(*tag, value, self.head, clocks)?);
            } else if value.is_some() {
                return None;
            }
        }
        (valued >> 7 == 0).then_some(valued & HAS_EXTERNAL_IDS != 0)
    }

    /// Appends the canonical part; returns where its values lie in `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Range<usize> {
        out.extend_from_slice(&[0; 4]);
        let start = out.len();
        self.write_values(out);
        let values = start..out.len();
        if let Some(place) = out.get_mut(start - 4..start) {
            place.copy_from_slice(&(values.len() as u32).to_le_bytes());
        }
        self.write_life(out);
        out.extend_from_slice(&self.fields.map(|field| field.map_or(0, |field| self.tag(&field))));
        for field in self.fields.iter().flatten() {
            self.write_clock(field, out);
        }
        self.write_clocks(&self.attributes, out);
        if !self.external_ids.is_empty() {
            self.write_clocks(&self.external_ids, out);
        }
        values
    }

    fn write_clocks(&self, registers: &[(&[u8], Register<'_>)], out: &mut Vec<u8>) {
        let cleared = registers.iter().filter(|at| !has_value(at));
        out.extend_from_slice(&(cleared.clone().count() as u16).to_le_bytes());
        for (_, register) in registers.iter().filter(has_value) {
            out.push(self.tag(register));
            self.write_clock(register, out);
        }
        for (key, register) in cleared {
            out.push(self.tag(register));
            put_bytes_u16(out, key);
            self.write_clock(register, out);
        }
    }

    fn write_values(&self, out: &mut Vec<u8>) {
        let values = self.fields.map(|field| field.and_then(|field| field.value));
        let valued =
            values.iter().rev().fold(0, |bits, value| bits << 1 | u8::from(value.is_some()));
        let status = if self.status() == Status::Deleted { DELETED } else { ACTIVE };
        let has_ids = self.external_ids.iter().any(|at| has_value(&at));
        out.extend_from_slice(&[status, valued | if has_ids { HAS_EXTERNAL_IDS } else { 0 }]);
        for value in values.iter().flatten() {
            put_bytes_u32(out, value);
        }
        write_keyed(&self.attributes, out);
        if has_ids {
            write_keyed(&self.external_ids, out);
        }
    }

    fn write_life(&self, out: &mut Vec<u8>) {
        let clocks = [
            (CREATED, self.created),
            (RESTORED, self.restored),
            (PUT, self.put),
            (RESET, self.reset),
            (HORIZON, self.horizon),
            (ERASED, self.erased),
        ];
        let mut flags = 0;
        let mut flag = |bit, is_set| flags |= if is_set { bit } else { 0 };
        flag(FIRST_IS_EDIT, self.first_is_edit);
        flag(TIMED, self.timed.is_some());
        flag(SOURCE_VERSION, self.source_version.is_some());
        flag(DELETES, !self.deletes.is_empty());
        flag(MERGING, self.merging_into.is_some());
        flag(EXTERNAL_IDS, !self.external_ids.is_empty());
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
            out.push(self.deletes.len() as u8);
            self.deletes.iter().for_each(|clock| put_clock(out, clock));
        }
        if let Some(survivor) = self.merging_into {
            put_bytes_u16(out, survivor);
        }
        put_bytes_u16(out, self.source);
    }

    fn tag(&self, register: &Register<'_>) -> u8 {
        if register.clock == self.head { PRESENT } else { PRESENT | OWN_CLOCK }
    }

    fn write_clock(&self, register: &Register<'_>, out: &mut Vec<u8>) {
        if register.clock != self.head {
            put_clock(out, &register.clock);
        }
    }
}

fn has_value((_, register): &&(&[u8], Register<'_>)) -> bool {
    register.value.is_some()
}

/// Those that have a value.
fn write_keyed(registers: &[(&[u8], Register<'_>)], out: &mut Vec<u8>) {
    let count_at = out.len();
    out.extend_from_slice(&[0; 2]);
    let mut count = 0_u16;
    for (key, register) in registers {
        if let Some(value) = register.value {
            put_bytes_u16(out, key);
            put_bytes_u32(out, value);
            count = count.saturating_add(1);
        }
    }
    if let Some(place) = out.get_mut(count_at..count_at + 2) {
        place.copy_from_slice(&count.to_le_bytes());
    }
}

/// `values`: none where no register has one.
fn read_keyed<'a>(
    mut values: Option<&mut Wire<'a>>,
    clocks: &mut Wire<'a>,
    head: Clock,
) -> Option<Keyed<'a>> {
    let valued = match &mut values {
        Some(values) => usize::from(values.u16()?),
        None => 0,
    };
    let cleared = usize::from(clocks.u16()?);
    let bytes = values.as_ref().map_or(0, |values| values.rest().len());
    let mut registers: Keyed<'a> = Vec::new();
    registers.reserve_exact(valued.min(bytes) + cleared.min(clocks.rest().len()));
    for _ in 0..valued {
        let values = values.as_mut()?;
        let (key, value) = (values.bytes_u16()?, values.bytes_u32()?);
        let tag = clocks.u8()?;
        let is_next = registers.last().is_none_or(|(last, _)| *last < key);
        let register = read_register(tag, Some(value), head, clocks);
        registers.push((key, register.filter(|_| is_next)?));
    }
    // What is cleared stands behind: it goes in by key.
    let mut last: Option<&[u8]> = None;
    for _ in 0..cleared {
        let (tag, key) = (clocks.u8()?, clocks.bytes_u16()?);
        let register = read_register(tag, None, head, clocks)?;
        let is_next = last.is_none_or(|last| last < key);
        let Err(place) = registers.binary_search_by_key(&key, |(key, _)| key) else {
            return None;
        };
        registers.insert(place, (key, register));
        last = Some(key).filter(|_| is_next);
        last?;
    }
    Some(registers)
}

fn read_register<'a>(
    tag: u8,
    value: Option<&'a [u8]>,
    head: Clock,
    clocks: &mut Wire<'a>,
) -> Option<Register<'a>> {
    if tag & PRESENT == 0 || tag & !(PRESENT | OWN_CLOCK) != 0 {
        return None;
    }
    let clock = if tag & OWN_CLOCK == 0 { head } else { clocks.clock()? };
    Some(Register { clock, value })
}
