"""All contacts of a log: every record's verdict, every image of every version."""

import collections
from dataclasses import dataclass

from .contact import AHEAD_US, Contact
from .decode import FIELDS, MAPPINGS, Command, Reject, decode, event_hash
from .partitioner import home

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
    source: str = None
    version: int = None
    request_id: str = None
    origin: str = None
    command: Command = None

    def place(self, topic):
        return f"{topic}:{self.partition}:{self.offset}"


class Lane:
    """What a lane keeps besides its contacts: the attempts it decided, the rules in force."""

    def __init__(self, mappings):
        self.mappings, self.marker = mappings, None
        # {event hash: [(stamp, body, verdict, version)]}
        self.attempts = collections.defaultdict(list)

    def done(self, event_hash):
        """The attempt under an event id whose wish was done."""
        tried = self.attempts.get(event_hash, [])
        return next((each for each in tried if each[2] in ("applied", "unchanged")), None)

    def has(self, event_hash, stamp):
        return any(each[0] == stamp for each in self.attempts.get(event_hash, []))


class World:
    """`lanes`: how many there were at founding; `rules`: {number of a marker: mappings from it on}."""

    def __init__(self, lanes, rules=None):
        self.home_lanes, self.rules = lanes, rules or {}
        self.lanes = collections.defaultdict(lambda: Lane(MAPPINGS))
        self.contacts, self.images = {}, {}
        # {(contact id, version): when it had last been erased}
        self.erased = {}
        # {(contact id, version): every image under it}: what follows the clocks moves without a version.
        self.shown = collections.defaultdict(list)
        self.verdicts, self.reasons, self.markers = (collections.Counter() for _ in range(3))
        self.records, self.origins = [], collections.Counter()
        self.by_event, self.by_request, self.applied = (collections.defaultdict(list) for _ in range(3))

    def feed(self, message):
        """One record, in the order of its lane."""
        record = Record(message.partition(), message.offset())
        headers = {}
        for name, value in message.headers() or []:
            headers.setdefault(name, value)
        if headers.get("contactd_origin"):
            record.origin = headers["contactd_origin"].decode()
            self.origins[record.origin] += 1
        if "contactd_marker" in headers:
            record.verdict = self._marker(self.lanes[record.partition], headers)
            self.markers[record.verdict] += 1  # no event: in no figure
            return
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
        lane = self.lanes[record.partition]
        key, value = message.key(), message.value()
        event = decode(value, message.headers() or [], key, lane.mappings)
        record.contact_id, record.event_id, record.kind = event.contact_id, event.event_id, event.kind
        record.source = event.source
        if event.command:
            record.command, record.request_id = event.command, event.command.request_id
            self.by_request[record.request_id].append(record)
        if key is None or home(event.contact_id, self.home_lanes) != record.partition:
            if "contactd_founding" in headers:
                raise Reject("key_missing" if key is None else "misrouted_key")
            return "rehomed"
        record_us = message.timestamp()[1] * 1000
        contact = self.contacts.get(event.contact_id) or Contact()
        if event.command:
            verdict = self._command(lane, contact, event, record_us)
        elif event.time_us is not None and event.time_us > record_us + AHEAD_US:
            raise Reject("timestamp_in_future")
        elif len(value) > VALUE_BYTES_MAX:
            raise Reject("too_large")
        elif event.id_is_given and lane.done(event_hash("api", event.event_id)):
            verdict = "duplicate"  # tells us of our own change
        else:
            verdict = contact.apply(event, record_us)
        if contact.version > 0:
            self.contacts[event.contact_id] = contact
        record.version = contact.version
        self._show(contact, event.contact_id, verdict, record)
        return verdict

    def _marker(self, lane, headers):
        number = int(headers["contactd_marker"])
        if lane.marker is None or number > lane.marker:
            lane.marker, lane.mappings = number, self.rules.get(number, lane.mappings)
            return "applied"
        return "unchanged" if number == lane.marker else "stale"

    def _command(self, lane, contact, event, record_us):
        done = lane.done(event.hash)
        if done:
            return "duplicate" if done[1] == event.command.body else "conflict"
        if lane.has(event.hash, event.time_us):
            return "duplicate"
        verdict = contact.decide(event, record_us)
        lane.attempts[event.hash].append((event.time_us, event.command.body, verdict, contact.version))
        return verdict

    def _show(self, contact, contact_id, verdict, record):
        if contact.version == 0:
            return
        image = contact.image(contact_id)
        shown = self.shown[(contact_id, contact.version)]
        if image not in shown[-1:]:
            shown.append(image)
        if verdict == "applied":
            self.images[(contact_id, contact.version)] = image
            self.erased[(contact_id, contact.version)] = contact.erased
            self.applied[contact_id].append(record)

    def export(self):
        return {contact_id: contact.image(contact_id) for contact_id, contact in self.contacts.items()}

    def image_now(self, contact_id, version):
        """What is shown of a version by now: nothing that was said before the contact was erased."""
        image, then = self.images.get((contact_id, version)), self.erased.get((contact_id, version))
        now = self.contacts[contact_id].erased if contact_id in self.contacts else None
        if image is None or now is None or (then is not None and then >= now):
            return image
        return image | {name: None for name in FIELDS} | {"attributes": {}}

    def verdict_of_event(self, event_id):
        """What an event look-up tells of several records of one event."""
        verdicts = [record.verdict for record in self.by_event[event_id]]
        return "applied" if "applied" in verdicts else verdicts[-1]

    def by_source(self):
        """{source: {verdict: how often}}; a dead letter may not have been read as far as its source."""
        found = collections.defaultdict(collections.Counter)
        for record in self.records:
            if record.verdict != "dead_lettered":
                found[record.source][record.verdict] += 1
        return {source: dict(verdicts) for source, verdicts in found.items()}

    def misplaced(self, topic):
        """Records away from home that nobody has brought home."""
        owed = [record for record in self.records if record.verdict == "rehomed"]
        return [record for record in owed if record.place(topic) not in self.origins]
