"""A record as an event or a command, or the reason why it is neither."""

import hashlib
import json
from dataclasses import dataclass, field

import xxhash

from . import times

# Attributes that merges alone write.
MERGE_NOTES = ("mergedFrom", "mergedInto")
FIELDS = ["firstName", "lastName", "email", "phone", "company", "title"]
ACME_FIELDS = ["acme_first_name", "acme_last_name", "acme_email", "acme_phone", "acme_company", "acme_title"]
# By source, what its fields are called here; an event without a source is read by all of them.
MAPPINGS = {"acme": dict(zip(ACME_FIELDS, FIELDS))}
KINDS = ("created", "updated", "deleted", "restored", "erased")
EVENT_ID_SEED = 0x6576656E745F6964


class Reject(Exception):
    """The reason of a dead letter."""


INTENTS = {
    "create": "created",
    "replace": "updated",
    "update": "updated",
    "upsert": "updated",
    "delete": "deleted",
    "restore": "restored",
    "erase": "erased",
    "bind": "updated",
    "unbind": "updated",
    "take_in": "updated",
    "give_way": "deleted",
}
# Those that say into whom the contact is merged.
NAME_SURVIVOR = ("bind", "unbind", "give_way")


@dataclass
class Command:
    """What a client wants, on its own condition."""

    intent: str
    # Versions that the contact must be at one of (None: any), and at none of; None stands for absent.
    if_match: set
    if_none_match: set
    clears_attributes: bool
    # An object is merged into what stands there, not put in its place.
    merges_attributes: bool
    # Into whom the contact is merged; None where that is not the matter.
    survivor: str
    # What was asked for, without stamps.
    body: bytes
    request_id: str
    principal: str
    # Once it is decided: the names that it did not get its way in.
    superseded: set = field(default_factory=set)


@dataclass
class Event:
    kind: str
    contact_id: str
    event_id: str
    # Whether the event names its id itself.
    id_is_given: bool
    source: str
    time_us: int
    version: int
    # {("f", field) or ("a", attribute): bytes, None where it is cleared}
    values: dict
    # Whether it hides everything older.
    replaces: bool = False
    # Whether its time is not its own: given by who took it in, or none at all.
    is_untimed: bool = False
    # Tells two events of one id from each other.
    body: bytes = b""
    command: Command = None
    hash: int = 0
    # (time, version or -1, hash); None without any time
    clock: tuple = field(default=None)


def event_hash(source, event_id):
    return xxhash.xxh3_64_intdigest(source.encode() + b"\x1f" + event_id.encode(), seed=EVENT_ID_SEED)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _no_key_twice(pairs):
    if len(dict(pairs)) != len(pairs):
        raise Reject("duplicate_key")
    return dict(pairs)


def _parse(value):
    if value is None:
        raise Reject("null_value")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Reject("invalid_utf8") from None
    try:
        parsed = json.loads(text, object_pairs_hook=_no_key_twice)
    except ValueError:
        raise Reject("malformed_json") from None
    if not isinstance(parsed, dict):
        raise Reject("wrong_type")
    return parsed


def _first(envelope, *names):
    return next((envelope[name] for name in names if envelope.get(name) is not None), None)


def _kind(envelope):
    kind = _first(envelope, "eventType", "event_type", "type")
    if kind is not None and not isinstance(kind, str):
        raise Reject("wrong_type")
    if kind is None or not kind.startswith("contact.") or kind[8:] not in KINDS:
        raise Reject("unknown_event_type")
    return kind[8:]


def _contact_id(envelope, data, named_event_id, key):
    found = data.get("id")
    if found is None:
        found = data.get("contact_id")
    if found is None:
        found = _first(envelope, "contact_id", "contactId")
    if found is None and named_event_id is not None:
        found = envelope.get("id")
    if found is None and key:
        found = key.decode(errors="replace")
    if found is None:
        raise Reject("missing_contact_id")
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        raise Reject("wrong_type")
    if str(found) == "" or len(str(found).encode()) > 256:
        raise Reject("invalid_id")
    return str(found)


def _id_of_bytes(source, key, value):
    digest = hashlib.sha256()
    for part in (source.encode(), key, value):
        digest.update((2**64 - 1 if part is None else len(part)).to_bytes(8, "little"))
        digest.update(part or b"")
    return digest.hexdigest()


def _time(envelope):
    try:
        time_us = times.parse(_first(envelope, "timestamp", "time"))
    except Exception:
        raise Reject("invalid_timestamp") from None
    if time_us is not None and not 0 <= time_us <= times.LATEST_US:
        raise Reject("invalid_timestamp")
    return time_us


def _version(envelope):
    version = _first(envelope, "version", "source_version", "sourceVersion")
    if version is None:
        return None
    if isinstance(version, str) and version.isdigit():
        version = int(version)
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**64:
        raise Reject("wrong_type")
    return version


def _values(data, source, mappings, is_command):
    ours, theirs, attributes, beside = {}, {}, {}, {}
    mapped = mappings.get(source, {})
    for name, value in data.items():
        if name in mapped:
            theirs[mapped[name]] = value
        elif name in FIELDS:
            ours[name] = value
        elif name == "attributes":
            if value is not None and not isinstance(value, dict):
                raise Reject("wrong_type")
            attributes.update(value or {})
        elif name not in ("id", "contact_id", "contactId"):
            beside[name] = value
    fields = {**ours, **theirs}
    for value in fields.values():
        if value is not None and not isinstance(value, str):
            raise Reject("wrong_type")
        if value is not None and any((ord(c) < 32 and c not in "\t\n\r") or ord(c) == 127 for c in value):
            raise Reject("control_character")
    values = {("f", name): None if value is None else value.encode() for name, value in fields.items()}
    for name, value in {**beside, **attributes}.items():
        if name in MERGE_NOTES and not is_command:
            continue  # whom events go to no source says
        values[("a", name)] = None if value is None else compact(value)
    return values


def _states(text):
    """`version-hash` each: a version has one content, so that the version alone tells."""
    return {int(each.strip().split("-")[0]) for each in text.decode().split(",") if each.strip()}


def _command(headers, data):
    given = headers.get("contactd_command")
    if given is None:
        return None
    intent = given.decode()
    if intent not in INTENTS:
        raise Reject("invalid_command")
    text = {name: (headers.get("contactd_" + name) or b"").decode() for name in ("request_id", "principal")}
    survivor = headers.get("contactd_merges_into") if intent in NAME_SURVIVOR else None
    if intent in NAME_SURVIVOR and survivor is None:
        raise Reject("invalid_command")
    must, must_not = headers.get("contactd_if_match"), headers.get("contactd_if_none_match")
    body = headers.get("contactd_request_hash")
    if body is None:
        asked = [intent, repr(must), repr(must_not), data]
        body = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()
    return Command(
        intent=intent,
        if_match=None if must is None else _states(must),
        if_none_match=set() if must_not is None else _states(must_not),
        survivor=None if survivor is None else survivor.decode(),
        clears_attributes="contactd_clears_attributes" in headers,
        merges_attributes="contactd_merges_attributes" in headers,
        body=body,
        **text,
    )


def decode(value, headers, key, mappings=MAPPINGS):
    """The event of a record's value; raises `Reject`."""
    envelope, ours = _parse(value), {}
    for name, content in headers or []:
        ours.setdefault(name, content)
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise Reject("wrong_type")
    kind = _kind(envelope)
    source = _first(envelope, "source") or ""
    if ours.get("contactd_source"):
        source = ours["contactd_source"].decode()
    named = _first(envelope, "event_id", "eventId")
    given = named if named is not None else envelope.get("id")
    contact_id = _contact_id(envelope, data, named, key)
    if ours.get("contactd_contact_id"):
        contact_id = ours["contactd_contact_id"].decode()  # intake found whose it is
    if given is None and ours.get("contactd_event_id"):
        given = ours["contactd_event_id"].decode()
    event_id = str(given) if given is not None else _id_of_bytes(source, key, value)
    if event_id == "":
        raise Reject("invalid_id")
    own_time = _time(envelope)
    taken_in = ours.get("contactd_time")
    event = Event(
        kind=kind,
        contact_id=contact_id,
        event_id=event_id,
        id_is_given=given is not None,
        source=source,
        time_us=int(taken_in) if own_time is None and taken_in else own_time,
        version=_version(envelope),
        values=_values(data, source, mappings, "contactd_command" in ours),
        is_untimed=own_time is None,
        body=value,
        command=_command(ours, data),
    )
    event.replaces = "contactd_complete" in ours
    if event.command:
        event.replaces = event.command.intent in ("create", "replace")
        event.is_untimed = False
        if INTENTS[event.command.intent] != kind:
            raise Reject("invalid_command")
    elif kind in ("restored", "erased"):
        raise Reject("unknown_event_type")
    elif event.replaces and kind in ("created", "updated") and not any(key[0] == "f" for key in event.values):
        raise Reject("nothing_known")
    event.hash = event_hash(source, event_id)
    if event.time_us is not None:
        event.clock = (event.time_us, -1 if event.version is None else event.version, event.hash)
    return event
