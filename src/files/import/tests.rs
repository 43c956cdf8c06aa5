//! Files as address books write them, and what becomes of their rows.

use std::io::Write as _;

use super::intake::open;
use super::options::{Format, ImportOptions};
use super::refusal::Refusal;
use super::row::Row;

/// A file's rows, and the options that it is given with.
pub(super) fn rows(bytes: &[u8], options: &ImportOptions) -> Vec<Result<Row, Refusal>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let (layout, mut reader, first) = open(file.path(), options).unwrap();
    let mut rows = layout.rows(file.path(), first).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        found.push(row.content.and_then(|content| reader.read(content)));
    }
    found
}

fn fields(row: &Row) -> [&str; 6] {
    let mut fields = [""; 6];
    for (place, said) in row.patch.fields.iter().enumerate() {
        fields[place] = said.as_ref().and_then(|said| said.as_deref()).unwrap_or("");
    }
    fields
}

fn attribute<'r>(row: &'r Row, name: &str) -> &'r str {
    row.patch.attributes.get(name).and_then(Option::as_ref).map_or("", |value| value.get())
}

const GOOGLE: &str = "First Name,Middle Name,Last Name,Phonetic First Name,Phonetic Middle Name,Phonetic Last Name,\
Name Prefix,Name Suffix,Nickname,File As,Organization Name,Organization Title,Organization Department,Birthday,Notes,\
Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value\n\
Ada,,Lovelace,,,,,,,,Analytical Engines,Programmer,,1815-12-10,\"First\nprogram\",,* myContacts,* Work,\
ada@example.com,Home,countess@example.com,Mobile,+44 20 7946 0000\n";

const OUTLOOK: &str = "\u{feff}Title,First Name,Middle Name,Last Name,Suffix,E-mail Address,E-mail 2 Address,Home Phone,\
Business Phone,Mobile Phone,Company,Job Title,Notes\r\n\
Dr.,Grace,,Hopper,,grace@example.com,,555 1,555 2,555 3,Navy,Admiral,\"says \"\"hello\"\"\"\r\n";

const THUNDERBIRD: &str = "First Name,Last Name,Display Name,Nickname,Primary Email,Secondary Email,Screen Name,\
Work Phone,Home Phone,Fax Number,Pager Number,Mobile Number,Organization,Job Title\r\n\
Jean,Bartik,Jean Bartik,,jean@example.com,,,555 1,,,,555 9,ENIAC,Programmer\r\n";

const APPLE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Apple Inc.//iPhone OS 18.0//EN\r\nN:M\u{fc}ller;Zo\u{eb};;;\r\n\
FN:Zo\u{eb} M\u{fc}ller\r\nORG:S\u{f6}hne\\, GmbH;\r\nTITLE:CEO\r\n\
EMAIL;type=INTERNET;type=HOME:zoe@home.example\r\nitem1.EMAIL;type=INTERNET;type=pref:zoe@work.example\r\n\
item1.X-ABLabel:_$!<Work>!$_\r\nTEL;type=CELL;type=VOICE;type=pref:+49 170 1\r\nREV:2026-01-01T00:00:00Z\r\nEND:VCARD\r\n";

#[test]
fn files_of_address_books_are_understood_without_a_word() {
    let options = ImportOptions::default();
    let google = rows(GOOGLE.as_bytes(), &options);
    let row = google[0].as_ref().unwrap();
    let said = [
        "Ada",
        "Lovelace",
        "ada@example.com",
        "+44 20 7946 0000",
        "Analytical Engines",
        "Programmer",
    ];
    assert_eq!(fields(row), said);
    assert_eq!(attribute(row, "E-mail 2 - Value"), "\"countess@example.com\"");
    let outlook = rows(OUTLOOK.as_bytes(), &options);
    let row = outlook[0].as_ref().unwrap();
    assert_eq!(fields(row), ["Grace", "Hopper", "grace@example.com", "555 3", "Navy", "Admiral"]);
    assert_eq!(attribute(row, "honorific"), "\"Dr.\"");
    assert_eq!(attribute(row, "Notes"), "\"says \\\"hello\\\"\"");
    let thunderbird = rows(THUNDERBIRD.as_bytes(), &options);
    let row = thunderbird[0].as_ref().unwrap();
    assert_eq!(fields(row), ["Jean", "Bartik", "jean@example.com", "555 9", "ENIAC", "Programmer"]);
    let apple = rows(APPLE.as_bytes(), &options);
    let row = apple[0].as_ref().unwrap();
    let said = ["Zoë", "Müller", "zoe@work.example", "+49 170 1", "Söhne, GmbH", "CEO"];
    assert_eq!(fields(row), said);
    assert_eq!(attribute(row, "email2"), "\"zoe@home.example\"");
}

#[test]
fn what_export_writes_says_the_same_again() {
    let csv = "id,firstName,lastName,email,phone,company,title,status,createdAt,updatedAt,version,externalId:erp,n,attributes.id\r\n\
        c1,Ada,\" L \",,'+44,,,ACTIVE,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,3,7,\"{\"\"a\"\":1}\",x\r\n";
    let rows_of = rows(csv.as_bytes(), &ImportOptions::default());
    let row = rows_of[0].as_ref().unwrap();
    assert_eq!(row.id.as_deref(), Some("c1"));
    assert_eq!(fields(row), ["Ada", " L ", "", "+44", "", ""]);
    assert_eq!((attribute(row, "n"), attribute(row, "id")), ("{\"a\":1}", "\"x\""));
    assert_eq!(row.external_ids["erp"], "7");
    let card = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID;VALUE=text:c1\r\nFN:ada@example.com\r\nN:;;;;\r\nEMAIL:ada@example.com\r\n\
        X-CONTACTD-STATUS:ACTIVE\r\nX-CONTACTD-VERSION:3\r\nX-CONTACTD-EXTERNAL-IDS:{\"erp\":\"7\"}\r\n\
        X-CONTACTD-ATTRIBUTES:{\"n\":1\\,\"email\":\"x\"}\r\nEND:VCARD\r\n";
    let rows_of = rows(card.as_bytes(), &ImportOptions::default());
    let row = rows_of[0].as_ref().unwrap();
    assert_eq!(
        (row.id.as_deref(), fields(row)[2], fields(row)[0]),
        (Some("c1"), "ada@example.com", "")
    );
    assert_eq!((attribute(row, "n"), attribute(row, "email")), ("1", "\"x\""));
    assert_eq!(row.external_ids["erp"], "7");
}

#[test]
fn rows_that_do_not_fit_the_header_are_refused_alone() {
    let text = "id,title\n1\n2,x,y\nid,title\n3,z,,\n,\n4,w\n";
    let told: Vec<String> = rows(text.as_bytes(), &ImportOptions::default())
        .into_iter()
        .map(|row| row.map_or_else(|why| why.reason.as_str().to_owned(), |row| row.id.unwrap()))
        .collect();
    assert_eq!(told, ["too_few_cells", "too_many_cells", "header_again", "3", "empty", "4"]);
}

#[test]
fn a_format_that_is_said_counts() {
    let options = ImportOptions { format: Some(Format::Csv), ..ImportOptions::default() };
    let told = rows(b"id,{\n1,2\n", &options);
    assert_eq!(attribute(told[0].as_ref().unwrap(), "{"), "2");
}
