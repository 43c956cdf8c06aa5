"""What comes by Kafka, by the bridge's inputs and by webhooks."""

import json
import random
import time

import requests

from support.events import Events
from support.instance import session, sign

RATE = 40.0
TRIES = 200


def kafka_side(storm, number):
    """Producers on the topic (a few without a key or with another partitioner) and on the inputs."""
    seed, report = storm.case.seed, storm.report
    events, draw = Events(seed * 100 + number, storm.ids, f"k{number}"), random.Random(seed + number)
    home = storm.kafka.producer()
    away = storm.kafka.producer(partitioner="consistent_random")

    def delivered(error, _):
        report.counts["produce_errors" if error else "produced"] += 1

    def put(producer, topic, value, key):
        producer.produce(topic, value, key, on_delivery=delivered)

    while not storm.over.is_set():
        try:
            _to_contact_topic(storm, events, draw, home, away, put)
            if draw.random() < 0.25:
                _to_inputs(storm, events, draw, home, away, put)
        except BufferError:
            home.poll(0.5)
            away.poll(0.5)
        home.poll(0)
        away.poll(0)
        time.sleep(draw.expovariate(RATE))
    home.flush(120)
    away.flush(120)


def _to_contact_topic(storm, events, draw, home, away, put):
    if draw.random() < 0.03:
        key, value = events.poison()
        put(home, storm.topic, value, key)
        return
    contact_id, event = events.event(acme=draw.random() < 0.7)
    value, way, is_timed = json.dumps(event).encode(), draw.random(), "timestamp" in event
    if way < 0.03 and is_timed:
        put(home, storm.topic, value, None)
    elif way < 0.06 and is_timed:
        put(away, storm.topic, value, contact_id)
    else:
        put(home, storm.topic, value, contact_id)


def _to_inputs(storm, events, draw, home, away, put):
    contact_id, event = events.event(acme=False, timed=True)
    way = draw.random()
    if way < 0.4:
        put(away, storm.inputs[0], json.dumps(event).encode(), contact_id)
    elif way < 0.7:
        put(away, storm.inputs[1], json.dumps(event).encode(), None)
    else:
        contact_id = f"erp{draw.randrange(30)}"
        whole = {
            "id": contact_id,
            "firstName": f"E{events.number}",
            "title": draw.choice(["x", None]),
            "level": events.number,
        }
        put(home, storm.inputs[2], None if draw.random() < 0.2 else json.dumps(whole).encode(), contact_id)


def webhook_side(storm, number):
    """A sender that repeats each delivery until it is answered for good."""
    seed = storm.case.seed
    events, draw = Events(seed * 1000 + number, storm.ids, f"h{number}", 0.1), random.Random(seed * 7 + number)
    client = session()
    while not storm.over.is_set():
        count = 1 if draw.random() < 0.6 else draw.randrange(2, 12)
        batch = [events.event(acme=True)[1] for _ in range(count)]
        if draw.random() < 0.05:
            batch[0] = {**batch[0], "eventType": "contact.exploded", "id": batch[0]["id"] + "-bad"}
        _deliver(storm, client, draw, batch)
        time.sleep(draw.expovariate(RATE / 4))


def _deliver(storm, client, draw, batch):
    report, body = storm.report, json.dumps(batch if len(batch) > 1 else batch[0]).encode()
    for _ in range(TRIES):
        instance, headers = draw.choice(storm.instances), sign(body)
        report.counts["webhook_requests"] += 1
        if draw.random() < 0.03:
            headers["X-Acme-Signature"] = "sha256=" + "0" * 64
        try:
            answer = client.post(instance.url + "/api/webhooks", data=body, headers=headers, timeout=12)
        except requests.RequestException:
            report.counts["webhook_unanswered"] += 1
            time.sleep(0.2)
            continue
        report.counts[f"webhook_{answer.status_code}"] += 1
        if answer.status_code in (200, 422):
            _answered(storm, answer, batch, instance)
            return
        if answer.status_code == 503:
            if "Retry-After" not in answer.headers:
                report.fail("503_without_retry_after", body=answer.text[:200])
            time.sleep(0.3)
        elif answer.status_code != 401:
            report.fail("webhook_status", status=answer.status_code, body=answer.text[:300])
            return


def _answered(storm, answer, batch, instance):
    told = answer.json()
    results = told.get("results") or told.get("error", {}).get("details", {}).get("results", [])
    for result, event in zip(results, batch):
        if result["status"] == "accepted":
            storm.webhooks_kept.append((event["id"], told.get("kept"), instance.name, time.time()))
            storm.report.counts["webhook_events_kept"] += 1
        else:
            storm.webhooks_refused.append(event["id"])
    if answer.status_code == 200 and told["accepted"] + told["rejected"] != len(batch):
        storm.report.fail("webhook_counts", body=told)
