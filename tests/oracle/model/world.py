"""All contacts of a topic: every record's verdict, every image of every version."""

import collections
from dataclasses import dataclass

from .contact import Contact
from .decode import Command, Reject, decode
from .partitioner import home

TOLERANCE_US = 300_000_000
VALUE_BYTES_MAX = 65536


@dataclass
class Record:
    """What became of one record."""

    partition: int
    offset: int
    verdict: str = None
    reason: str = None
    contact_id: str = None
    event_id: str = None
    kind: str = None
    version: int = None
    request_id: str = None
    origin: str = None
    command: Command = None

    def place(self, topic):
        return f"{topic}:{self.partition}:{self.offset}"


class World:
    def __init__(self, lanes):
        self.lanes, self.contacts, self.images = lanes, {}, {}
        self.verdicts, self.reasons = collections.Counter(), collections.Counter()
        self.records, self.origins = [], collections.Counter()
        self.by_event, self.by_request, self.applied = (collections.defaultdict(list) for _ in range(3))

    def feed(self, message):
        """One record, in the order of its lane."""
        record = Record(message.partition(), message.offset())
        headers = message.headers() or []
        origin = next((value for name, value in headers if name == "contactd_origin"), None)
        if origin:
            record.origin = origin.decode()
            self.origins[record.origin] += 1
        try:
            record.verdict = self._judge(message, headers, record)
        except Reject as reject:
            record.verdict, record.reason = "dead_lettered", str(reject)
            self.reasons[record.reason] += 1
        if record.event_id:
            self.by_event[record.event_id].append(record)
        self.verdicts[record.verdict] += 1
        self.records.append(record)

    def _judge(self, message, headers, record):
        key, value = message.key(), message.value()
        event = decode(value, headers, key)
        record.contact_id, record.event_id, record.kind = event.contact_id, event.event_id, event.kind
        if key is None:
            raise Reject("key_missing")
        if home(event.contact_id, self.lanes) != record.partition:
            raise Reject("misrouted_key")
        if event.time_us is not None and event.time_us > message.timestamp()[1] * 1000 + TOLERANCE_US:
            raise Reject("timestamp_in_future")
        if len(value) > VALUE_BYTES_MAX:
            raise Reject("too_large")
        contact = self.contacts.get(event.contact_id) or Contact()
        verdict = contact.apply(event)
        if contact.version > 0:
            self.contacts[event.contact_id] = contact
        record.version = contact.version
        if event.command:
            record.command, record.request_id = event.command, event.command.request_id
            self.by_request[record.request_id].append(record)
        if verdict == "applied":
            self.images[(event.contact_id, contact.version)] = contact.image(event.contact_id)
            self.applied[event.contact_id].append(record)
        return verdict

    def export(self):
        return {contact_id: contact.image(contact_id) for contact_id, contact in self.contacts.items()}

    def verdict_of_event(self, event_id):
        """What an event look-up tells of several records of one event."""
        verdicts = [record.verdict for record in self.by_event[event_id]]
        return "applied" if "applied" in verdicts else verdicts[-1]

    def misplaced(self, topic):
        """Records away from home that nobody has brought home."""
        away = ("key_missing", "misrouted_key")
        owed = [record for record in self.records if record.reason in away and record.origin is None]
        return [record for record in owed if record.place(topic) not in self.origins]
