"""Dead letters: listed once, redriven from both sides through kills with one effect."""

import collections
import json
import time

from model import rfc3339
from support import checks
from support.events import Events, now_us
from support.registry import program
from support.services import read_topic, wait_until

HOPS_MAX = 5


@program(seconds=110)
def dead_letters(case):
    """Poison of all kinds in traffic is listed once with its reason; what was too early is redriven by filter from both
    instances through kills and is applied once; poison that is redriven comes back a bounded number of times."""
    report, topic, draw = case.report, case.topic(), case.random
    instances = case.pair(topic)
    early = _send(case, topic, [f"d{number}" for number in range(60)])
    case.settled(topic, instances)
    world = case.fold(topic)
    for instance in instances:
        checks.counters(report, world, instance)
        _listed(report, world, instance)
    time.sleep(max(0, 9 - (time.time() - early["sent"])))
    body = {"reason": "timestamp_in_future", "rate": 40}
    for instance in instances:
        answer = instance.request("POST", "/api/dead-letters/redrive", json=body)
        report.check(
            "redrive_accepted", answer.status_code in (200, 201, 202), status=answer.status_code, body=answer.text[:300]
        )
    for number in range(3):
        time.sleep(1.3)
        instances[number % 2].restart(draw.random())
    for instance in instances:
        instance.must_be_ready()

    def all_applied():
        found = case.fold(topic)
        return all("applied" in [r.verdict for r in found.by_event[event_id]] for event_id in early["ids"])

    report.check("early_ones_are_applied", wait_until(all_applied, 90, 1))
    case.settled(topic, instances)
    world, copies = case.fold(topic), collections.Counter()
    for event_id in early["ids"]:
        verdicts = [record.verdict for record in world.by_event[event_id]]
        copies[len(verdicts)] += 1
        report.check("early_applied_once", verdicts.count("applied") == 1, event=event_id, verdicts=verdicts)
    report.note(f"records of each early event: {dict(copies)}")
    _poison_again(case, topic, instances)
    world = case.fold(topic)
    for instance in instances:
        _listed(report, world, instance)
    case.finish(instances, world, topic)
    owed = sum(world.reasons.values())
    published = len(read_topic(case.kafka.bootstrap, topic + ".dlq")[0])
    report.check("all_published", published >= owed, got=published, want=owed)


def _send(case, topic, ids):
    events, producer, early = Events(case.seed, ids, "g"), case.kafka.producer(), []
    for number in range(2000):
        if number % 12 == 0:
            key, value = events.poison()
            producer.produce(topic, value, key)
        elif number % 12 == 1:
            event_id, contact_id = f"early{len(early)}", case.random.choice(ids)
            at = rfc3339(now_us() + 308_000_000)
            data = {"id": contact_id, "attributes": {event_id: len(early)}}
            event = {"id": event_id, "eventType": "contact.updated", "source": "crm", "timestamp": at, "data": data}
            early.append(event_id)
            producer.produce(topic, json.dumps(event).encode(), contact_id)
        else:
            contact_id, event = events.event()
            producer.produce(topic, json.dumps(event).encode(), contact_id)
        producer.poll(0)
    producer.flush(60)
    return {"ids": early, "sent": time.time()}


def _listed(report, world, instance):
    listed = checks.pages(instance, "/api/dead-letters")
    reasons = collections.Counter(letter["reason"] for letter in listed)
    report.check(
        "letters_by_reason",
        reasons == world.reasons,
        instance=instance.name,
        want_got=checks.diff(world.reasons, reasons),
    )
    places = {(letter["partition"], letter["offset"]) for letter in listed}
    report.check("letters_once", len(places) == len(listed), instance=instance.name)
    want = {(record.partition, record.offset) for record in world.records if record.verdict == "dead_lettered"}
    report.check("letters_places", places == want, missing=sorted(want - places)[:5], extra=sorted(places - want)[:5])


def _poison_again(case, topic, instances):
    for number in range(HOPS_MAX + 2):
        body = {"reason": "malformed_json", "rate": 1000}
        answer = instances[number % 2].request("POST", "/api/dead-letters/redrive", json=body)
        case.report.counts[f"poison_redrive_{answer.status_code}"] += 1
        time.sleep(2)
    case.settled(topic, instances)
    hops = collections.Counter()
    for message in read_topic(case.kafka.bootstrap, topic)[0]:
        hops[int(dict(message.headers() or []).get("contactd_redrive_hops") or 0)] += 1
    case.report.check("hops_are_bounded", max(hops) <= HOPS_MAX, hops=dict(hops))
