"""One contact under events and commands, by the rules of the log.

Registers only grow (a maximum each); what is hidden is decided when the contact is looked at. What a
rule bounds is bounded here in the rule's own words: deletes, cleared keys, the ring of events that
have no time of their own.
"""

import bisect
import json

from .decode import FIELDS, compact
from .times import rfc3339

DELETES_KEPT = 33
CLEARED_KEYS_MAX, CLEARED_BYTES_MAX = 64, 2048
RING_US, RING_MIN, RING_MAX = 600_000_000, 16, 256
AHEAD_US = 300_000_000
# The attribute that an erase leaves.
MERGED_INTO = ("a", "mergedInto")


def greatest(*clocks):
    return max((clock for clock in clocks if clock is not None), default=None)


def least(*times):
    return min((each for each in times if each is not None), default=None)


def rank(register):
    """Order of (clock, value) with the value as the last tie-break; cleared comes first."""
    clock, value = register
    return clock, value is not None, value or b""


def _cleared_bytes(cleared):
    """A cleared key as it is kept: with a tag, its length and a clock."""
    _, (_, name) = cleared
    return len(name.encode()) + 28


def merge_patch(patch, target):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(value, merged.get(name))
    return merged


class Contact:
    def __init__(self):
        self.head, self.source, self.source_version = None, "", None
        self.version, self.changed_us = 0, None
        self.created = self.restored = self.replaced = self.erased = self.reset = self.horizon = None
        # The least time of events, of edits, and the greatest of both.
        self.first_event = self.first_edit = self.last = None
        # All deletes that no restore took back, ascending; the floor hides, nothing is dropped.
        self.deletes, self.registers, self.ring = [], {}, []
        # Into whom it is being merged.
        self.bound_to = None

    # What is seen of it

    def final_delete(self):
        """What an erase, a restore, a newer `created` or too many deletes have made final."""
        before = None
        if self.created is not None:
            at = bisect.bisect_left(self.deletes, self.created)
            before = self.deletes[at - 1] if at else None
        crowded = self.deletes[-DELETES_KEPT] if len(self.deletes) >= DELETES_KEPT else None
        return greatest(self.erased, self.reset, before, crowded)

    def floor(self):
        return greatest(self.replaced, self.final_delete())

    def visible(self):
        floor = self.floor()
        return {key: each for key, each in self.registers.items() if floor is None or each[0] >= floor}

    def values(self):
        return {key: value for key, (_, value) in self.visible().items() if value is not None}

    def is_deleted(self):
        alive = greatest(self.created, self.restored, self.replaced)
        dead = greatest(self.deletes[-1] if self.deletes else None, self.final_delete())
        return dead is not None and (alive is None or dead > alive)

    def seen(self):
        """What makes a version: a value, the status."""
        return self.values(), self.is_deleted()

    def clocks(self):
        """Those that stand on it: an event under one of them is a repeat."""
        final = self.final_delete()
        own = {self.head, self.created, self.restored, self.replaced, final}
        own |= {clock for clock in self.deletes[-DELETES_KEPT:] if final is None or clock > final}
        return own | {each[0] for each in self.visible().values()}

    def first(self):
        return self.first_edit if self.first_event is None else self.first_event

    def image(self, contact_id):
        """As the API shows it."""
        values, shown = self.values(), {"id": contact_id}
        for name in FIELDS:
            shown[name] = values[("f", name)].decode() if ("f", name) in values else None
        attributes = sorted((name, value) for (kind, name), value in values.items() if kind == "a")
        shown["attributes"] = {name: json.loads(value) for name, value in attributes}
        begun, created = self.final_delete(), None
        if self.last is not None:
            created = min(max(self.first(), begun[0] if begun else 0), self.last)
        shown.update(
            status="DELETED" if self.is_deleted() else "ACTIVE",
            version=self.version,
            sourceVersion=self.source_version,
            source=self.source or None,
            createdAt=None if created is None else rfc3339(created),
            updatedAt=None if self.last is None else rfc3339(self.last),
            changedAt=None if self.changed_us is None else rfc3339(self.changed_us),
        )
        return shown

    def _is_merged(self):
        """Nothing has brought it back since it was merged into another."""
        clock, value = self.visible().get(MERGED_INTO, (None, None))
        alive = greatest(self.created, self.restored, self.replaced)
        return self.is_deleted() and value is not None and (alive is None or clock > alive)

    def is_erased(self):
        """Nothing newer than the erase has brought it back."""
        alive = greatest(self.created, self.restored, self.replaced)
        return self.erased is not None and (alive is None or self.erased > alive)

    # Events

    def apply(self, event, record_us):
        """An event's verdict."""
        if event.is_untimed and self._is_repeat(event):
            return "duplicate"
        clock = event.clock or self._behind(event.hash)
        before, was_seen = self.seen(), clock in self.clocks()
        took, differs = self._take(event, event.values, clock)
        floor = self.floor()
        self._forget_cleared_keys()
        if event.is_untimed:
            self._remember(event, record_us)
        if self.version == 0 or self.seen() != before:
            return self._changed(record_us)
        if was_seen and not differs:
            return "duplicate"
        if floor is not None and clock < floor:
            return "stale"
        if took:
            return "unchanged"
        return "stale" if event.values else "unchanged"

    def _changed(self, record_us):
        self.version, self.changed_us = self.version + 1, record_us
        return "applied"

    def _behind(self, event_hash):
        """The clock right after the greatest."""
        return ((self.head[0] if self.head else 0) + 1, -1, event_hash)

    def _is_repeat(self, event):
        return any(each[:2] == (event.hash, event.body) for each in self.ring)

    def _remember(self, event, record_us):
        """Ten minutes of record time, at least 16 and at most 256."""
        while len(self.ring) >= RING_MIN and (len(self.ring) >= RING_MAX or self.ring[0][2] < record_us - RING_US):
            self.ring.pop(0)
        self.ring.append((event.hash, event.body, record_us))

    # Commands

    def decide(self, event, record_us):
        """A command's verdict, on the state as it is here; what is refused changes nothing."""
        command = event.command
        refusal = self._refusal(command)
        if refusal:
            return refusal
        if command.intent in ("bind", "unbind"):
            self._bind(command)
            return "unchanged"
        is_new = self.version == 0
        if command.intent in ("update", "upsert") and not is_new and not event.values and not command.clears_attributes:
            return "unchanged"
        undo = self._copy()
        clock = self._counted(event, command, record_us)
        before = self.seen()
        self._take(event, self._wanted(event, command), clock)
        if not self._stands(event, command, clock):
            self.__dict__.update(undo)
            return "superseded"
        if command.intent == "give_way":
            self.bound_to = None
        self._forget_cleared_keys()
        command.superseded = self._lost(event, command, clock)
        return self._changed(record_us) if is_new or self.seen() != before else "unchanged"

    def _bind(self, command):
        """No value and no clock."""
        if command.intent == "bind":
            self.bound_to = command.survivor
        elif self.bound_to == command.survivor:
            self.bound_to = None

    def _copy(self):
        copied = dict(self.__dict__)
        copied.update(deletes=list(self.deletes), registers=dict(self.registers), ring=list(self.ring))
        return copied

    def _refusal(self, command):
        is_there, is_active = self.version > 0, self.version > 0 and not self.is_deleted()
        if command.intent == "create":
            is_fit = not is_active
        elif command.intent == "upsert":
            is_fit = is_active or not is_there
        elif command.intent in ("restore", "erase", "unbind", "give_way"):
            is_fit = is_there
        else:
            is_fit = is_active
        if not is_fit:
            return "conflict" if command.intent in ("create", "upsert") else "not_found"
        state = self.version if is_there else None
        is_met = command.if_match is None or state in command.if_match
        if command.intent in ("erase", "take_in"):
            is_met = is_met and self.bound_to is None
        elif command.intent == "bind":
            is_met = is_met and self.bound_to in (None, command.survivor)
        elif command.intent == "give_way":
            is_met = is_met and self.bound_to == command.survivor
        return None if is_met and state not in command.if_none_match else "conflict"

    def _counted(self, event, command, record_us):
        """The stamp that counts: no later than its record and the contact allow."""
        behind = (self.head[0] if self.head else 0) + 1
        stamp = min(event.time_us, max(record_us + AHEAD_US, behind))
        if command.if_match is not None:
            stamp = max(stamp, behind)  # made from this very state
        return (stamp, -1, event.hash)

    def _wanted(self, event, command):
        """Values as they come to be on this state."""
        wanted, have = {}, self.values()
        if command.intent == "erase" and self._is_merged():
            wanted[MERGED_INTO] = have[MERGED_INTO]
        if command.clears_attributes:
            wanted.update({key: None for key in have if key[0] == "a"})
        for key, value in event.values.items():
            if key[0] == "a" and value is not None and command.merges_attributes:
                # What a new one replaces is hidden.
                is_seen = key in have and not event.replaces
                target = json.loads(have[key]) if is_seen else None
                value = compact(merge_patch(json.loads(value), target))
            wanted[key] = value
        return wanted

    def _stands(self, event, command, clock):
        wants_deleted = command.intent in ("delete", "erase", "give_way")
        if self.is_deleted() != wants_deleted:
            return False
        if command.intent in ("create", "replace"):
            return clock >= self.floor()
        if command.intent in ("update", "upsert", "take_in"):
            return not event.values or any(each[0] == clock for each in self.visible().values())
        return command.intent != "erase" or not set(self.values()) - {MERGED_INTO}

    def _lost(self, event, command, clock):
        """What of a wish that stands something newer overtook, by name."""
        visible, named = self.visible(), set(event.values)
        if event.replaces:
            named |= {("f", name) for name in FIELDS}
        if event.replaces or command.clears_attributes:
            named |= {key for key in self.values() if key[0] == "a"}
        return {key[1] for key in named if key in visible and visible[key][0] != clock}

    # Into the registers

    def _take(self, event, values, clock):
        """Whether anything took the clock, and whether it said something new under one that was there."""
        self._raise_head(clock, event.source)
        if event.command is None and event.version is not None:
            self.source_version = greatest(self.source_version, event.version)
        if event.clock is not None:
            is_new = self.version == 0
            if event.command is not None and event.kind == "updated" and not is_new:
                self.first_edit = least(self.first_edit, clock[0])
            else:
                self.first_event = least(self.first_event, clock[0])
            self.last = greatest(self.last, clock[0])
        took = self._take_life(event, clock)
        if event.kind != "erased" and self.is_erased():
            return took, False  # what is said of it is not kept
        differs, visible = False, self.visible()
        for key, value in values.items():
            have, given = visible.get(key), (clock, value)
            if have is None and key[0] == "a" and self.horizon is not None and clock <= self.horizon:
                continue
            after = given if have is None or rank(given) > rank(have) else have
            took |= have is None or have[0] != after[0]
            differs |= after[0] == clock and after != given
            old = self.registers.get(key)
            if old is None or rank(after) > rank(old):
                self.registers[key] = after
        return took, differs

    def _take_life(self, event, clock):
        before = (self.created, self.restored, self.erased, self.replaced, len(self.deletes))
        # A row says that it is the whole contact, not that it was made anew.
        stays_erased = event.command is None and event.replaces and self.is_erased()
        if event.kind == "created" and stays_erased:
            pass
        elif event.kind == "created":
            self.created = greatest(self.created, clock)
        elif event.kind == "restored":
            self.reset, self.restored = self.final_delete(), greatest(self.restored, clock)
            self.deletes = [each for each in self.deletes if each > self.restored]
        elif event.kind == "erased":
            self.erased = greatest(self.erased, clock)
        elif event.kind == "deleted" and clock not in self.deletes:
            gone = greatest(self.restored, self.final_delete())
            if gone is None or clock > gone:
                bisect.insort(self.deletes, clock)
        if event.replaces and not stays_erased:
            self.replaced = greatest(self.replaced, clock)
        return before != (self.created, self.restored, self.erased, self.replaced, len(self.deletes))

    def _forget_cleared_keys(self):
        """The oldest cleared keys beyond the bound raise the horizon."""
        cleared = sorted((each[0], key) for key, each in self.visible().items() if key[0] == "a" and each[1] is None)
        while len(cleared) > CLEARED_KEYS_MAX or sum(map(_cleared_bytes, cleared)) > CLEARED_BYTES_MAX:
            clock, key = cleared.pop(0)
            self.horizon = greatest(self.horizon, clock)
            del self.registers[key]

    def _raise_head(self, clock, source):
        if self.head is None or (clock, source.encode()) > (self.head, self.source.encode()):
            self.head, self.source = clock, source
