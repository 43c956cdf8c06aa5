"""Reads exports with other people's readers of CSV and vCard, and compares with the API's JSON."""

import csv
import io
import json
import os

import httpx
import vobject

base = os.environ["URL"]
client = httpx.Client(
    base_url=base, headers={"Authorization": "Bearer " + os.environ["TOKEN"]}, timeout=20
)
company = "Exports, \"quoted\"; and \\ more"
made = [
    {"firstName": "Ada", "lastName": "Lovelace", "email": "ada@export.example", "phone": "+44 20 7946"},
    {"firstName": "=cmd|' /C calc'!A0", "attributes": {"tier": 3, "note": "3", "list": ["a", "ü, ;"]}},
    {"lastName": "Ünïcødé " * 20, "title": "a,b;c\\d"},
    {"email": "nobody@export.example"},
    # What the formats take for something else.
    {
        "firstName": "\\n;,\\\\",
        "lastName": "BEGIN:VCARD",
        "email": "begin+vcard@export.example",
        "phone": "+44 (0) 20; 7",
        "title": "x" * 57 + " END:VCARD" + "\ufeff\u202e🙂" * 30,
        "attributes": {"E-mail": "id,firstName\r\n", "'=1": "a\"b;|\t", "none": ""},
    },
]
contacts = {}
for fields in made:
    answer = client.post("/api/contacts", json={**fields, "company": company})
    assert answer.status_code == 201, answer.text
    contacts[answer.json()["id"]] = answer.json()
position = {"Position": answer.headers["Position"]}


def export(**params):
    answer = client.get("/api/export", params={"company": company, **params}, headers=position)
    answer.raise_for_status()
    return answer.content.decode()


def plain(cell):
    """Without the apostrophe that keeps a spreadsheet from calculating."""
    rest = cell.lstrip("'")
    return cell[1:] if cell[:1] == "'" and rest[:1] in tuple("=+-@\t\r") else cell


lines = [json.loads(line) for line in export(format="ndjson").splitlines()]
assert {line["id"]: line for line in lines} == contacts, lines

rows = list(csv.DictReader(io.StringIO(export(format="csv"), newline="")))
assert {row["id"] for row in rows} == set(contacts)
for row in rows:
    contact = contacts[row["id"]]
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in row.values()), row
    for name in ("firstName", "lastName", "email", "phone", "company", "title", "status"):
        assert plain(row[name]) == (contact[name] or ""), (name, row)
    attributes = contact["attributes"]
    if "list" in attributes:
        assert (row["tier"], row["note"], json.loads(row["list"])) == ("3", '"3"', attributes["list"])

cards = list(vobject.readComponents(export(format="vcard")))
assert {card.uid.value for card in cards} == set(contacts)
for card in cards:
    contact = contacts[card.uid.value]
    assert card.version.value == "4.0" and card.fn.value
    names = card.n.value.given or None, card.n.value.family or None
    assert names == (contact["firstName"], contact["lastName"]), names
    for name, field in (("email", "email"), ("tel", "phone"), ("title", "title")):
        found = getattr(card, name).value if hasattr(card, name) else None
        assert found == contact[field], (name, card)
    assert card.org.value == [contact["company"]], card.org.value
    if contact["attributes"]:
        assert json.loads(getattr(card, "x_contactd_attributes").value) == contact["attributes"]
print(f"read {len(contacts)} contacts back from CSV, NDJSON and vCard")
