//! Headings of address books and spreadsheets that are understood as they are.

use crate::domain::external_ids::EXTERNAL_IDS;
use crate::files::columns::{Column, ColumnError};

/// What a heading stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A column, and its turn among several of the same field.
    Column(Column, u8),
    /// Something that contactd keeps itself.
    Ours,
    /// It is not known.
    Nothing,
}

/// By field, in their turns, as letters and digits alone: of Google Contacts, Outlook, Thunderbird and
/// what people write.
const HEADINGS: [(&str, &[&str]); 7] = [
    ("id", &["contactid"]),
    ("firstName", &["givenname", "forename", "first"]),
    ("lastName", &["familyname", "surname", "last"]),
    (
        "email",
        &[
            "emailaddress",
            "mail",
            "primaryemail",
            "email1value",
            "email1",
            "emailvalue",
            "email2address",
            "email2value",
            "email3address",
            "email3value",
            "secondaryemail",
        ],
    ),
    (
        "phone",
        &[
            "primaryphone",
            "phonenumber",
            "telephone",
            "mobilephone",
            "mobile",
            "mobilenumber",
            "phone1value",
            "businessphone",
            "workphone",
            "companymainphone",
            "homephone",
            "phone2value",
            "businessphone2",
            "homephone2",
            "phone3value",
            "otherphone",
        ],
    ),
    (
        "company",
        &["organization", "organisation", "companyname", "organizationname", "organization1name"],
    ),
    ("title", &["jobtitle", "organizationtitle", "organization1title", "position"]),
];

/// What a heading of an export stands for.
pub(super) fn exactly(heading: &str) -> Known {
    Column::parse(heading).map_or(Known::Nothing, column_of)
}

/// What a heading of anybody's stands for.
pub(super) fn known(heading: &str) -> Known {
    match Column::parse(heading) {
        Ok(Column::Attribute(name)) if name == heading => {}
        Ok(column) => return column_of(column),
        Err(ColumnError::Misspelt { meant, .. }) => return known(&meant),
        Err(ColumnError::Empty) => return Known::Nothing,
    }
    let plain: String = heading.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let is_whole = heading.chars().filter(|c| c.is_alphanumeric()).all(|c| c.is_ascii());
    if plain.is_empty() || !is_whole {
        return Known::Nothing;
    }
    for (name, headings) in HEADINGS {
        let turn = if plain == name.to_ascii_lowercase() {
            Some(0)
        } else {
            headings.iter().position(|heading| *heading == plain).map(|place| place + 1)
        };
        if let (Some(turn), Ok(column)) = (turn, Column::parse(name)) {
            return Known::Column(column, u8::try_from(turn).unwrap_or(u8::MAX));
        }
    }
    Known::Nothing
}

fn column_of(column: Column) -> Known {
    match column {
        Column::CreatedAt
        | Column::UpdatedAt
        | Column::ChangedAt
        | Column::Version
        | Column::SourceVersion
        | Column::Source => Known::Ours,
        Column::Id
        | Column::Field(_)
        | Column::Status
        | Column::ExternalId(_)
        | Column::Attribute(_) => Known::Column(column, 0),
    }
}

/// Members of a contact's own JSON that hold others: attributes, and the ids of sources.
pub(super) fn holds_members(name: &str) -> Option<&'static str> {
    match name {
        "attributes" => Some("attributes."),
        name if name == EXTERNAL_IDS => Some("externalId:"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_of_address_books_are_known() {
        for (heading, field) in [
            ("First Name", "firstName"),
            ("Last Name", "lastName"),
            ("E-mail 1 - Value", "email"),
            ("E-mail Address", "email"),
            ("Primary Email", "email"),
            ("Phone 1 - Value", "phone"),
            ("Mobile Phone", "phone"),
            ("Organization Name", "company"),
            ("Organization", "company"),
            ("Organization 1 - Title", "title"),
            ("Job Title", "title"),
            ("FIRSTNAME", "firstName"),
        ] {
            let Known::Column(column, _) = known(heading) else {
                unreachable!("{heading} is known");
            };
            assert_eq!(column.name(), field, "{heading}");
        }
        assert_eq!(known("updatedAt"), Known::Ours);
        assert_eq!(known("Favourite colour"), Known::Nothing);
        assert_eq!(known("Имя"), Known::Nothing);
    }
}
