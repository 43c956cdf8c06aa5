"""Signs in, creates, pages, edits and deletes, all by the client that was generated."""

import os

from contactd_client import AuthenticatedClient, Client
from contactd_client.api.contacts import (
    create_contact,
    delete_contact,
    get_contact,
    get_contact_history,
    list_contacts,
    patch_contact,
)
from contactd_client.api.signing_in import login, who_am_i
from contactd_client.models import ApiError, ContactPatch, ContactToWrite, Login
from contactd_client.types import UNSET

base = os.environ["URL"]


def body_of(answer, status):
    assert answer.status_code == status, (answer.status_code, answer.content)
    return answer.parsed


wrong = Login(username=os.environ["USERNAME"], password="not the password")
refused = body_of(login.sync_detailed(client=Client(base), body=wrong), 401)
assert isinstance(refused, ApiError) and refused.error.code == "INVALID_CREDENTIALS", refused

right = Login(username=os.environ["USERNAME"], password=os.environ["PASSWORD"])
tokens = body_of(login.sync_detailed(client=Client(base), body=right), 200)
client = AuthenticatedClient(base, token=tokens.access_token)
assert body_of(who_am_i.sync_detailed(client=client), 200).username == os.environ["USERNAME"]

made = []
for number in range(7):
    body = ContactToWrite(
        first_name="Ada", last_name=f"Generated {number}", email=f"ada{number}@example.com",
        company="Generated Clients",
    )
    answer = create_contact.sync_detailed(client=client, body=body)
    contact = body_of(answer, 201)
    assert contact.version == 1 and contact.last_name == f"Generated {number}", contact
    assert answer.headers["location"] == f"/api/contacts/{contact.id}"
    made.append(contact.id)

seen, cursor, pages = [], UNSET, 0
while True:
    page = body_of(
        list_contacts.sync_detailed(client=client, limit=3, cursor=cursor, company="Generated Clients"),
        200,
    )
    seen += [contact.id for contact in page.data]
    pages += 1
    if page.meta.next_cursor is None:
        break
    cursor = page.meta.next_cursor
assert sorted(seen) == sorted(made) and pages == 3, (pages, seen, made)

one = get_contact.sync_detailed(made[0], client=client)
patch = ContactPatch(first_name="Augusta", title=None)
changed = patch_contact.sync_detailed(
    made[0], client=client, body=patch, if_match=one.headers["etag"]
)
assert body_of(changed, 200).first_name == "Augusta"
stale = patch_contact.sync_detailed(
    made[0], client=client, body=patch, if_match=one.headers["etag"]
)
assert body_of(stale, 412).error.code == "PRECONDITION_FAILED"

history = body_of(get_contact_history.sync_detailed(made[0], client=client), 200)
assert [change.version for change in history.data] == [2, 1]
assert history.data[0].principal == "user:" + os.environ["USERNAME"]

for contact in made:
    assert delete_contact.sync_detailed(contact, client=client).status_code == 204
assert body_of(get_contact.sync_detailed(made[0], client=client), 404).error.code == "CONTACT_NOT_FOUND"
print(f"signed in, created {len(made)}, paged {pages} times, edited, deleted")
