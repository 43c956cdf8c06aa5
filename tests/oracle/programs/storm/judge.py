"""What one request was answered, against what its records on the topic became."""

import collections
import json
import urllib.parse

from support import checks

from .writers import etag_version

DONE = (200, 201, 204)


def superseded_names(headers):
    return [urllib.parse.unquote(name) for name in headers.get("Superseded", "").split(", ") if name]


def request(storm, world, asked):
    records = [r for attempt in asked.attempts for r in world.by_request.get(attempt["request_id"], [])]
    applied = [record for record in records if record.verdict == "applied"]
    # Asked for what stood already: done, and no change.
    fulfilled = [record for record in records if record.verdict == "unchanged"]
    storm.report.counts["requests_judged"] += 1
    if asked.operation == "batch":
        _batch(storm, world, asked, applied, fulfilled)
    elif asked.operation == "merge":
        for attempt in asked.attempts:
            if attempt["status"] in DONE:
                _image(storm, world, asked, json.loads(attempt["text"]))
    else:
        _single(storm, world, asked, records, applied, fulfilled)
    for attempt in asked.attempts:
        location = attempt["headers"].get("Location")
        # What became of a merge is told elsewhere.
        if attempt["status"] == 202 and location and asked.operation != "merge":
            for instance in storm.instances:
                checks.outcome(storm.report, world, instance, location)


def _is_unknown(status):
    return status in (0, 202, 408) or status >= 500


def _image(storm, world, asked, contact):
    storm.report.counts["answers_compared"] += 1
    # A retry may be answered after the contact was erased.
    hidden = world.image_now(contact["id"], contact["version"])
    if not checks.is_image(world, contact) and contact != hidden:
        storm.report.fail("answer_differs", asked=asked.brief(), want_got=checks.nearest(world, contact))


def _superseded(storm, world, asked, told, decided):
    """What of a done wish something newer overtook is named in its answer, and nothing else is."""
    for record in decided[:1]:
        contact = world.contacts.get(record.contact_id)
        if contact is not None and contact.erased is not None:
            # Answered after the erasure nothing of the wish stands.
            continue
        storm.report.counts["superseded_names"] += len(told)
        want = record.command.superseded
        storm.report.check("superseded_names", set(told) == want, asked=asked.brief(), told=told, want=want)


def _single(storm, world, asked, records, applied, fulfilled):
    report, brief = storm.report, asked.brief()
    if len(applied) > 1:
        report.fail("write_applied_twice", asked=brief, records=applied)
    done = [attempt for attempt in asked.attempts if attempt["status"] in DONE]
    for attempt in done:
        if not applied and not fulfilled:
            report.fail("acknowledged_write_not_applied", asked=brief, attempt=attempt, records=records)
        _superseded(storm, world, asked, superseded_names(attempt["headers"]), applied + fulfilled)
        if attempt["status"] != 204:
            contact = json.loads(attempt["text"])
            _image(storm, world, asked, contact)
            if applied and applied[0].version != contact["version"]:
                report.fail("answer_of_another_version", asked=brief, applied=applied[0], answered=contact["version"])
    if applied and "If-Match" in asked.headers and applied[0].version != etag_version(asked.headers["If-Match"]) + 1:
        report.fail("if_match_is_not_next", asked=brief, applied=applied[0])
    is_unknown = any(_is_unknown(attempt["status"]) for attempt in asked.attempts)
    if applied and not done and not is_unknown:
        report.fail(
            "refused_write_applied", asked=brief, texts=[a["text"][:200] for a in asked.attempts], records=applied
        )


def _batch(storm, world, asked, applied, fulfilled):
    report, brief = storm.report, asked.brief()
    done, maybe = set(), set()
    is_unknown = any(_is_unknown(attempt["status"]) for attempt in asked.attempts)
    for attempt in asked.attempts:
        if attempt["status"] != 200:
            continue
        for item in json.loads(attempt["text"])["data"]:
            report.counts["batch_items"] += 1
            if item["status"] in DONE:
                done.add(item["id"])
                decided = [record for record in applied + fulfilled if record.contact_id == item["id"]]
                _superseded(storm, world, asked, item.get("superseded", []), decided)
            if item.get("contact"):
                _image(storm, world, asked, item["contact"])
            if _is_unknown(item["status"]):
                maybe.add(item["id"])
    counts = collections.Counter(record.contact_id for record in applied)
    for contact_id, count in counts.items():
        if count > 1:
            report.fail("batch_item_applied_twice", asked=brief, id=contact_id)
        if contact_id not in done | maybe and not is_unknown:
            report.fail(
                "refused_batch_item_applied",
                asked=brief,
                id=contact_id,
                texts=[a["text"][:1500] for a in asked.attempts],
            )
    for contact_id in done - {record.contact_id for record in fulfilled}:
        if not counts[contact_id]:
            report.fail("acknowledged_batch_item_not_applied", asked=brief, id=contact_id)
