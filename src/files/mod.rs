//! Contacts as files: CSV, NDJSON and vCard.
//!
//! What a file says of a contact is decided where both ways can see it: [`columns`] has the names of
//! columns and what a cell says, [`formulas`] what spreadsheets would calculate.

pub mod columns;
pub mod export;
pub mod formulas;
pub mod import;

#[cfg(test)]
mod tests;
