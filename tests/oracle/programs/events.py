"""Events by themselves: order, repeats, growth, times."""

import json
import random
import time

from model import rfc3339
from support import checks
from support.events import now_us, timed
from support.registry import program

DAY_US = 86_400_000_000
EVENTS, CONTACTS = 3000, 60


def _hostile_events(draw):
    """Ties in time, the same id with other values, every kind of value, times at both ends."""
    base, found = now_us() - DAY_US, []
    times = [base + number * 1_000_000 for number in range(12)] + [0, 1000, 999_000, 1_000_000, 4102444800000_000]
    for number in range(EVENTS):
        contact_id, kind_draw = f"t{draw.randrange(CONTACTS)}", draw.random()
        data = {"id": contact_id}
        for name in ("firstName", "lastName", "email"):
            if draw.random() < 0.5:
                data[name] = draw.choice([None, "", "a", "b", "ab", "Ä", f"v{number}"])
        if draw.random() < 0.4:
            values = [None, 1, 1.0, "1", {"b": 1, "a": 2}, [], True, 1e3]
            data["attributes"] = {draw.choice("xyz"): draw.choice(values)}
        kind = "created" if kind_draw < 0.25 else "deleted" if kind_draw < 0.5 else "updated"
        event = {"eventType": "contact." + kind, "data": data}
        if draw.random() < 0.85:
            event["id"] = f"e{draw.randrange(EVENTS // 3)}"
        source = draw.choice(["acme", "crm", "", None])
        if source is not None:
            event["source"] = source
        at = draw.choice(times) if draw.random() < 0.9 else base + draw.randrange(DAY_US)
        event["timestamp"] = _spelling(draw, at)
        if draw.random() < 0.6:
            event["version"] = draw.choice([0, 1, 2, 7, 2**63, 2**64 - 1])
        found.append((contact_id, json.dumps(event)))
    return found


def _spelling(draw, at):
    text, ms = rfc3339(at), at // 1000
    way = draw.random()
    if way < 0.6 or ms < 100_000_000_000:
        return text
    if way < 0.8:
        return ms
    return text.replace("Z", "+00:00") if way < 0.95 else str(ms)


@program(seconds=60)
def event_orders(case):
    """One multiset of events on three topics in three orders with random repeats: the same contacts, byte for byte but for
    what counts the order's own changes."""
    report, events = case.report, _hostile_events(case.random)
    exports, follows_order = [], ("version", "changedAt")
    for order in range(3):
        topic, draw = case.topic([8, 8, 3][order]), random.Random(case.seed * 10 + order)
        sent = list(events)
        draw.shuffle(sent)
        if order == 2:
            sent.sort(key=lambda event: event[1], reverse=True)
        sent = [event for event in sent for _ in range(1 + (draw.random() < 0.3) + (draw.random() < 0.1))]
        producer = case.kafka.producer()
        for contact_id, value in sent + draw.sample(events, len(events) // 5):
            producer.produce(topic, value.encode(), contact_id)
            producer.poll(0)
        producer.flush(60)
        instance = case.instance(f"order{order}", topic)
        case.settled(topic, [instance])
        world = case.fold(topic)
        report.counts["records"] += len(world.records)
        case.finish([instance], world, topic)
        exports.append(instance.export())
    for order in (1, 2):
        checks.contacts(report, f"order_0_{order}", exports[0], exports[order], ignore=follows_order)


@program(seconds=30)
def untimed_redelivery(case):
    """Sending an event again changes nothing: with and without a time of its own, signed anew at each attempt, at the other
    instance, after an edit, after a kill."""
    report, topic = case.report, case.topic(4)
    first, second = case.pair(topic)
    at = int(time.time())
    for way, stamped in (("untimed", False), ("timed", True), ("killed", False), ("unnamed", False)):
        event = {
            "id": f"evt_{way}",
            "eventType": "contact.updated",
            "data": {"id": way, "acme_first_name": "Old", "acme_email": "old@x"},
        }
        if stamped:
            event["timestamp"] = rfc3339(now_us())
        if way == "unnamed":
            event.pop("id")
        first.webhook(event, at - 100)
        case.settled(topic, [first, second])
        first.request("PATCH", f"/api/contacts/{way}", json={"firstName": "New"})
        if way == "killed":
            first.restart().must_be_ready()
        case.settled(topic, [first, second])
        before = first.contact(way)
        for instance in (second, first):
            instance.webhook(event, at)
            case.settled(topic, [first, second])
            after = first.contact(way)
            report.check("redelivery_changes_nothing", after == before, way=way, before=before, after=after)
    # A second and third event of the same id with other contents are other events.
    case.finish([first, second], case.fold(topic), topic)


@program(seconds=60)
def growth(case):
    """A contact after thousands of deletes, or of keys set and cleared, takes the next event and the next write, and is
    what the model says; so after thousands of deletes and restores by the API."""
    report, topic = case.report, case.topic(1)
    instance, base = case.instance("a", topic), now_us() - 10_000_000_000
    producer = case.kafka.producer()

    def put(number, kind, contact_id, **data):
        event = timed(f"{contact_id}-{number}", contact_id, kind, base + number * 1_000_000, "crm", **data)
        producer.produce(topic, json.dumps(event).encode(), contact_id)
        producer.poll(0)

    for number in range(6000):
        put(number, "deleted", "deleted", firstName="D")
        gone = {f"session_{number - 1}": None} if number else {}
        put(number, "updated", "attributes", attributes={f"session_{number}": 1, **gone})
    for contact_id in ("deleted", "attributes"):
        put(7000, "updated", contact_id, firstName="after")
    producer.flush(60)
    case.settled(topic, [instance])
    for contact_id in ("deleted", "attributes"):
        contact = instance.contact(contact_id)
        report.check("takes_the_next_event", contact["firstName"] == "after", id=contact_id, contact=contact)
    answers = [
        instance.request("POST", "/api/contacts/deleted/restore"),
        instance.request("PATCH", "/api/contacts/deleted", json={"title": "T"}),
        instance.request("PATCH", "/api/contacts/attributes", json={"title": "T"}),
        instance.request("PUT", "/api/contacts/attributes", json={"firstName": "put"}),
    ]
    for answer in answers:
        report.check(
            "takes_the_next_write", answer.status_code == 200, status=answer.status_code, body=answer.text[:200]
        )
    instance.request("POST", "/api/contacts", json={"id": "flap", "firstName": "F"})
    for number in range(300):
        statuses = [
            instance.request("DELETE", "/api/contacts/flap").status_code,
            instance.request("POST", "/api/contacts/flap/restore").status_code,
        ]
        if not report.check("delete_and_restore_go_on", statuses == [204, 200], round=number, statuses=statuses):
            break
    case.settled(topic, [instance])
    case.finish([instance], case.fold(topic), topic)


@program(seconds=15)
def record_times(case):
    """Records dated 1970, last month and in an hour, with events of all times: each is judged as the model does, and the
    store's own clock is not moved."""
    report, topic, now = case.report, case.topic(4), now_us() // 1000
    instance, producer, number = case.instance("a", topic), case.kafka.producer(), 0
    for record_ms in (1, 1000, now - 40 * 86_400_000, now, now + 3_000_000, now + 3_500_000):
        for event_ms in (0, 1, now - 1000, now, now + 240_000, now + 3_000_000, None):
            number += 1
            event = {"id": f"e{number}", "eventType": "contact.created", "data": {"id": f"c{number}", "firstName": "x"}}
            if event_ms is not None:
                event["timestamp"] = rfc3339(event_ms * 1000)
            producer.produce(topic, json.dumps(event).encode(), f"c{number}", timestamp=record_ms)
    producer.flush(20)
    case.settled(topic, [instance])
    answer = instance.request("PATCH", "/api/contacts/c1", json={"title": "T"})
    report.check(
        "write_after_strange_times", answer.status_code == 200, status=answer.status_code, body=answer.text[:200]
    )
    case.settled(topic, [instance])
    case.finish([instance], case.fold(topic), topic)
