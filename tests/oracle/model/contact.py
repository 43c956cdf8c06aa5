"""One contact. Registers only ever grow (a maximum each); what is hidden is decided when it is looked at."""

import json

from .decode import FIELDS, event_hash
from .times import STEP_US, rfc3339

RING = 16


def greater(one, other):
    return max((clock for clock in (one, other) if clock is not None), default=None)


def lesser(one, other):
    return min((each for each in (one, other) if each is not None), default=None)


def rank(register):
    """Order of (clock, value) with the value as the last tie-break; cleared comes first."""
    clock, value = register
    return clock, value is not None, value or b""


class Contact:
    def __init__(self):
        self.head, self.source, self.source_version, self.version = None, "", None, 0
        self.created = self.restored = self.replaced = self.erased = None
        # The least time of events, of edits, and the greatest of both.
        self.first_event = self.first_edit = self.last = None
        self.deletes, self.registers = set(), {}
        self.untimed, self.commands = [], []

    def reset(self):
        final = [clock for clock in self.deletes if self.created is not None and clock < self.created]
        return max([clock for clock in [self.erased, *final] if clock is not None], default=None)

    def floor(self):
        return greater(self.replaced, self.reset())

    def visible(self):
        floor = self.floor()
        return {key: each for key, each in self.registers.items() if floor is None or each[0] >= floor}

    def open_deletes(self):
        reset = self.reset()
        return sorted(clock for clock in self.deletes if reset is None or clock > reset)

    def is_deleted(self):
        alive = greater(greater(self.created, self.restored), self.replaced)
        dead = greater(max(self.open_deletes(), default=None), self.reset())
        return dead is not None and (alive is None or dead > alive)

    def first(self):
        return self.first_event if self.first_event is not None else self.first_edit

    def canonical(self):
        """All that a change can be seen by."""
        return (
            (self.head, self.source, self.first(), self.last, self.first_event is None, self.source_version),
            (self.created, self.restored, self.replaced, self.reset(), tuple(self.open_deletes())),
            tuple(sorted((key, rank(each)) for key, each in self.visible().items())),
            self.is_deleted(),
        )

    def clocks(self):
        own = {self.head, self.created, self.restored, self.replaced, self.reset()}
        return own | set(self.open_deletes()) | {each[0] for each in self.visible().values()}

    def image(self, contact_id):
        """As the API shows it."""
        values = {key: value for key, (_, value) in self.visible().items() if value is not None}
        shown = {"id": contact_id}
        for name in FIELDS:
            shown[name] = values[("f", name)].decode() if ("f", name) in values else None
        attributes = sorted((name, value) for (kind, name), value in values.items() if kind == "a")
        shown["attributes"] = {name: json.loads(value) for name, value in attributes}
        reset, created = self.reset(), None
        if self.last is not None:
            created = min(max(self.first(), reset[0] if reset else 0), self.last)
        shown.update(
            status="DELETED" if self.is_deleted() else "ACTIVE",
            version=self.version,
            sourceVersion=self.source_version,
            source=self.source or None,
            createdAt=None if created is None else rfc3339(created),
            updatedAt=None if self.last is None else rfc3339(self.last),
        )
        return shown

    def apply(self, event):
        """The verdict."""
        known = self.version > 0
        command = event.command
        refusal = self._refusal(event, command) if known else self._refusal_of_new(event, command)
        if refusal:
            return refusal
        before = self.canonical() if known else None
        clock = event.clock or ((self.head[0] if self.head else 0) + STEP_US, -1, event.hash)
        was_seen = known and clock in self.clocks()
        said, differs = self._take(event, command, clock, known)
        if known and self.canonical() == before:
            if was_seen and not differs:
                return "duplicate"
            floor = self.floor()
            is_late = said or (floor is not None and clock < floor)
            return "superseded" if command else "stale" if is_late else "unchanged"
        self.version += 1
        if event.clock is None:
            self.untimed = (self.untimed + [event.hash])[-RING:]
        if command:
            self.commands = (self.commands + [(event.hash, command.body)])[-RING:]
        return "applied"

    def _refusal_of_new(self, event, command):
        needs_one = event.kind in ("deleted", "restored", "erased")
        return "not_found" if command and (needs_one or (command.expected_version or 0) > 0) else None

    def _refusal(self, event, command):
        if event.clock is None and event.hash in self.untimed:
            return "duplicate"
        if command is None:
            ours = event_hash("api", event.event_id)
            is_ours = event.id_is_given and any(each == ours for each, _ in self.commands)
            return "duplicate" if is_ours else None
        for each, body in reversed(self.commands):
            if each == event.hash:
                return "duplicate" if body == command.body else "conflict"
        is_other = command.expected_version is not None and command.expected_version != self.version
        return "conflict" if is_other else None

    def _take(self, event, command, clock, known):
        """Into the registers; whether it said anything, and anything new under a clock that was there."""
        as_seen = known and command is not None and command.expected_version is not None
        replaces = command is not None and command.replaces

        def behind(other):
            is_newer = other is None or other < clock
            return clock if is_newer else (other[0] + STEP_US, -1, clock[2])

        life = behind(self.head) if as_seen else clock
        self._raise_head(clock, event.source)
        if command is None and event.version is not None:
            self.source_version = greater(self.source_version, event.version)
        if event.time_us is not None:
            if command is not None and event.kind == "updated":
                self.first_edit = lesser(self.first_edit, event.time_us)
            else:
                self.first_event = lesser(self.first_event, event.time_us)
            self.last = greater(self.last, event.time_us)
        self._take_life(event, replaces, life)
        differs = False
        for key, value in event.values.items():
            have = self.visible().get(key)
            at = clock
            if as_seen:
                at = life if replaces else behind(greater(have[0] if have else None, self.floor()))
            given = (at, value)
            after = given if have is None or rank(given) > rank(have) else have
            if after[0] == at:
                differs |= after != given
                self._raise_head(at, event.source)
            old = self.registers.get(key)
            if old is None or rank(after) > rank(old):
                self.registers[key] = after
        return bool(event.values), differs

    def _take_life(self, event, replaces, life):
        if event.kind == "created":
            self.created = greater(self.created, life)
        elif event.kind == "restored":
            self.restored = greater(self.restored, life)
        elif event.kind == "erased":
            self.erased = greater(self.erased, life)
        elif event.kind == "deleted":
            self.deletes.add(life)
        if replaces:
            self.replaced = greater(self.replaced, life)
        if event.kind != "updated" or replaces:
            self._raise_head(life, event.source)

    def _raise_head(self, clock, source):
        if self.head is None or (clock, source.encode()) > (self.head, self.source.encode()):
            self.head, self.source = clock, source
