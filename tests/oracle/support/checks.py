"""Answers held against the model, field by field."""

import collections
import urllib.parse


def diff(want, got):
    return {k: (want.get(k), got.get(k)) for k in set(want) | set(got) if want.get(k) != got.get(k)}


def is_image(world, contact):
    """Whether a contact ever stood so: what follows the clocks may move without a version."""
    return contact in world.shown[(contact["id"], contact["version"])]


def nearest(world, contact):
    """What a wrong image differs in from the last of its version."""
    images = world.shown[(contact["id"], contact["version"])]
    return diff(images[-1], contact) if images else "no such version"


def contacts(report, kind, want, got, ignore=()):
    """Two sets of contacts by id."""

    def kept(contact):
        return {key: value for key, value in contact.items() if key not in ignore}

    for contact_id in want.keys() | got.keys():
        wanted, found = want.get(contact_id), got.get(contact_id)
        report.counts["contacts_compared"] += 1
        if wanted is None:
            report.fail(kind + ":extra_contact", id=contact_id, got=found)
        elif found is None:
            report.fail(kind + ":missing_contact", id=contact_id, want=wanted)
        elif kept(wanted) != kept(found):
            report.fail(kind + ":differs", id=contact_id, want_got=diff(kept(wanted), kept(found)))


def pages(instance, path, **query):
    """All items of a paged list."""
    items, cursor = [], None
    while True:
        asked = {"limit": 200, **query, **({"cursor": cursor} if cursor else {})}
        answer = instance.get(path, params=asked)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} of {instance.name}: {answer.status_code} {answer.text[:200]}")
        page = answer.json()
        items += page["data"]
        cursor = page["meta"].get("nextCursor")
        if not cursor:
            return items


def are_there(report, kind, event_ids, world):
    """What was acknowledged is on the topic."""
    for event_id in event_ids:
        report.check(kind, event_id in world.by_event, event=event_id)


def history(report, world, instance, contact_id, trimmed=False):
    """Each change with its image; `trimmed`: the oldest may be gone."""
    path = f"/api/contacts/{urllib.parse.quote(contact_id, safe='')}/history"
    found, applied = pages(instance, path), world.applied.get(contact_id, [])
    where = {"id": contact_id, "instance": instance.name}
    whole = len(found) == len(applied)
    is_cut = trimmed and len(found) < len(applied)
    report.check("history_length", whole or is_cut, **where, got=len(found), want=len(applied))
    if is_cut:
        report.counts["history_trimmed"] += 1
        applied = applied[len(applied) - len(found) :]
    for change, record in zip(reversed(found), applied):
        report.counts["history_entries"] += 1
        want = (record.version, record.partition, record.offset, record.event_id)
        got = (change["version"], change["partition"], change["offset"], change["eventId"])
        if want != got:
            report.fail("history_entry", **where, want=want, got=got)
        image = world.image_now(contact_id, record.version)
        if change["contact"] != image:
            report.fail("history_image", **where, version=record.version, want_got=diff(image, change["contact"]))


def counters(report, world, instance):
    """Verdicts and numbers of contacts; returns the statistics."""
    stats = instance.stats()
    verdicts = stats["events"]["verdicts"]
    total = sum(verdicts.values())
    report.check("verdict_sum", stats["events"]["received"] == total, instance=instance.name, stats=stats["events"])
    want = {key: world.verdicts.get(key, 0) for key in verdicts | world.verdicts}
    report.check("verdicts", want == verdicts, instance=instance.name, want_got=diff(want, verdicts))
    told = stats["events"]["bySource"]
    got = {each["name"]: each["verdicts"] for each in told["named"]} | {"": told["none"]["verdicts"]}
    got = {source: {v: n for v, n in each.items() if v != "dead_lettered"} for source, each in got.items()}
    got, want = {source: each for source, each in got.items() if each}, world.by_source()
    # Those that came first have figures of their own.
    if len(want) < 60:
        report.check("verdicts_by_source", want == got, instance=instance.name, want_got=diff(want, got))
    export = world.export()
    active = sum(1 for contact in export.values() if contact["status"] == "ACTIVE")
    want = {"total": len(export), "active": active, "deleted": len(export) - active}
    report.check("contact_counts", stats["contacts"] == want, instance=instance.name, want=want, got=stats["contacts"])
    return stats


def feed(report, world, client, passes=lambda record: True, complete=True):
    """Every contact's changes as the model has them, from the first that the client saw: no gap, no repeat."""
    per_contact = collections.defaultdict(list)
    for kind, data, _ in client.events:
        contact = data["contact"]
        per_contact[contact["id"]].append((contact["version"], kind, data))
    for contact_id in world.applied:
        seen = per_contact.get(contact_id, [])
        versions = [version for version, _, _ in seen]
        first = 0 if complete else (versions or [0])[0]
        changes = [r for r in world.applied[contact_id] if passes(r) and r.version >= first]
        want = [record.version for record in changes]
        if versions != want:
            report.fail(
                "feed_sequence",
                feed=client.name,
                id=contact_id,
                missing=sorted(set(want) - set(versions))[:10],
                twice=[v for v, n in collections.Counter(versions).items() if n > 1][:10],
                got=versions[:40],
            )
        by_version = {record.version: record for record in changes}
        for version, kind, data in seen:
            _feed_event(report, world, client, contact_id, by_version.get(version), (version, kind, data))
    return per_contact


def _feed_event(report, world, client, contact_id, record, event):
    version, kind, data = event
    where = {"feed": client.name, "id": contact_id, "version": version}
    report.counts["feed_events"] += 1
    image = world.images.get((contact_id, version))
    # It may have been read before the contact was erased.
    if data["contact"] not in (image, world.image_now(contact_id, version)):
        report.fail("feed_image", **where, want_got=image and diff(image, data["contact"]))
    if record:
        want = ("contact." + record.kind, record.event_id)
        got = (kind, data["change"].get("eventId"))
        if want != got:
            report.fail("feed_change", **where, want=want, got=got)


def outcome(report, world, instance, location):
    """The verdict that `GET /api/events/…` tells of an accepted write."""
    answer = instance.get(location)
    event_id = urllib.parse.unquote(location.split("/")[-1])
    records = world.by_event.get(event_id, [])
    if not records:
        report.fail("accepted_write_lost", event=event_id)
        return None
    want = world.verdict_of_event(event_id)
    got = answer.json().get("status")
    report.counts["events_looked_up"] += 1
    if answer.status_code != 200 or got != want:
        report.fail("event_outcome", instance=instance.name, event=event_id, got=answer.text[:300], want=want)
    return got
