"""Seeded events of every shape, good and bad."""

import json
import random
import time

from model import rfc3339

NAMES = ["Ada", "Grace", "Edsger", "Barbara", "Ken", "Jörg", "李", "O'Neil", "a\tb", ""]
OURS = ["firstName", "lastName", "email", "phone", "company", "title"]
THEIRS = ["acme_first_name", "acme_last_name", "acme_email", "acme_phone", "acme_company", "acme_title"]


def now_us():
    return time.time_ns() // 1000


def timed(event_id, contact_id, kind="updated", at=None, source=None, **data):
    """A plain event with a time."""
    event = {"id": event_id, "eventType": "contact." + kind, "timestamp": rfc3339(now_us() if at is None else at)}
    if source is not None:
        event["source"] = source
    event["data"] = {"id": contact_id, **data}
    return event


class Events:
    """Events about a set of contacts, by seed; a few of them are repeats."""

    def __init__(self, seed, ids, who, untimed=0.05):
        self.random, self.ids, self.who, self.untimed = random.Random(seed), ids, who, untimed
        self.number, self.begun, self.old = 0, now_us(), []

    def time(self):
        draw = self.random.random()
        if draw < 0.5:
            return now_us()
        if draw < 0.7:
            return now_us() - self.random.randrange(0, 5_000_000)
        if draw < 0.85:
            return self.begun - self.random.randrange(0, 3_600_000_000)
        if draw < 0.95:  # ties with others
            return self.begun + self.random.randrange(0, 20) * 1_000_000 + self.random.choice([0, 0, 1, 999, 1000])
        return now_us() + self.random.randrange(0, 60_000_000)  # a little ahead, still allowed

    def fields(self, acme):
        given = {}
        for ours, theirs in zip(OURS, THEIRS):
            if self.random.random() < 0.4:
                value = f"{self.random.choice(NAMES)}-{self.who}-{self.number}"
                given[theirs if acme else ours] = None if self.random.random() < 0.15 else value
        return given

    def attributes(self):
        values = [1, "x", None, True, {"k": self.number}, [1, 2]]
        count = self.random.randrange(1, 3)
        return {self.random.choice("abcd"): self.random.choice(values) for _ in range(count)}

    def event(self, acme=True, contact_id=None, timed=None):
        """(contact id, event)"""
        if self.old and self.random.random() < 0.06:  # the very same event again
            return self.random.choice(self.old)
        self.number += 1
        contact_id = contact_id or self.random.choice(self.ids)
        draw = self.random.random()
        kind = "created" if draw < 0.12 else "deleted" if draw < 0.22 else "updated"
        data = {"id": contact_id, **self.fields(acme)}
        if self.random.random() < 0.3:
            data["attributes"] = self.attributes()
        if not acme and self.random.random() < 0.2:
            data["level"] = f"L{self.number}"  # nothing of ours until a mapping names it
        event = {
            "id": f"evt_{self.who}_{self.number}",
            "eventType": "contact." + kind,
            "source": "acme" if acme else "crm",
            "data": data,
        }
        if timed or (timed is None and self.random.random() >= self.untimed):
            event["timestamp"] = rfc3339(self.time())
            if len(self.old) < 500:
                self.old.append((contact_id, event))
        if self.random.random() < 0.5:
            event["version"] = self.random.randrange(0, 50)
        return contact_id, event

    def poison(self):
        """(key, value) of a record that can't be applied."""
        contact_id = self.random.choice(self.ids)
        self.number += 1
        event = timed(f"bad_{self.who}_{self.number}", contact_id, source="acme", acme_first_name="poison")
        kind = self.random.randrange(10)
        if kind == 0:
            return contact_id.encode(), _bytes(event)[: -self.random.randrange(1, 20)]
        if kind == 1:
            return contact_id.encode(), b"\xff\xfe" + _bytes(event)
        if kind == 5:
            return contact_id.encode(), None
        if kind == 8:
            return contact_id.encode(), _bytes(event)[:-1] + b',"source":"acme"}'
        if kind == 2:
            event["data"]["id"] = []
        elif kind == 3:
            event["eventType"] = "contact.exploded"
        elif kind == 4:
            event["data"]["acme_first_name"] = 7
        elif kind == 6:
            event["timestamp"] = rfc3339(now_us() + 3_600_000_000)
        elif kind == 7:
            event["timestamp"] = "yesterday"
        else:
            event["version"] = "seven"
        return contact_id.encode(), _bytes(event)


def _bytes(event):
    return json.dumps(event).encode()


def send(producer, topic, events, count, **options):
    """That many timed events onto a topic."""
    for _ in range(count):
        contact_id, event = events.event(timed=True)
        producer.produce(topic, _bytes(event), contact_id, **options)
        producer.poll(0)
    producer.flush(60)
