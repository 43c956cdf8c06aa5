"""Reads the feed with a standard SSE client while a contact changes, and comes back after a break."""

import os

import httpx
from httpx_sse import connect_sse

base = os.environ["URL"]
client = httpx.Client(
    base_url=base, headers={"Authorization": "Bearer " + os.environ["TOKEN"]}, timeout=20
)


def change(first_name, contact=None):
    if contact is None:
        answer = client.post("/api/contacts", json={"firstName": first_name, "lastName": "Feed"})
    else:
        answer = client.patch(
            f"/api/contacts/{contact}",
            content=b'{"firstName": "%s"}' % first_name.encode(),
            headers={"Content-Type": "application/merge-patch+json"},
        )
    answer.raise_for_status()
    return answer.json()["id"]


def read(wanted, last_id=None, act=None):
    """Events until `wanted` of them were changes."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    changes = []
    with connect_sse(client, "GET", "/api/feed", headers=headers) as source:
        source.response.raise_for_status()
        assert source.response.headers["content-type"].startswith("text/event-stream")
        if act:
            act()
        for event in source.iter_sse():
            if event.event.startswith("contact."):
                changes.append(event)
            if len(changes) == wanted:
                return changes


made = {}
first = read(1, act=lambda: made.update(id=change("Ada")))
seen = first[0].json()
assert made["id"] in first[0].data, first[0].data
# While nobody listens.
change("Grace", made["id"])
change("Edsger", made["id"])
rest = read(2, last_id=first[0].id)
assert "Grace" in rest[0].data and "Edsger" in rest[1].data, [event.data for event in rest]
assert len({first[0].id, rest[0].id, rest[1].id}) == 3
print("read one change live and two after a break, by Last-Event-ID")
