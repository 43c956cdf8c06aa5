"""What a program found: violations with enough beside them to be looked into, counts, notes."""

import collections
import json
import threading

SHOWN_MAX = 8


class Report:
    def __init__(self, program, seed):
        self.program, self.seed = program, seed
        self.violations, self.kinds = [], collections.Counter()
        self.counts, self.notes = collections.Counter(), []
        self._lock = threading.Lock()

    def fail(self, kind, **what):
        with self._lock:
            self.kinds[kind] += 1
            if self.kinds[kind] <= SHOWN_MAX:
                self.violations.append({"kind": kind, **what})
                print("VIOLATION", kind, json.dumps(what, default=str)[:1500], flush=True)

    def check(self, kind, is_so, **what):
        self.counts["checks"] += 1
        self.counts["check:" + kind] += 1
        if not is_so:
            self.fail(kind, **what)
        return is_so

    def note(self, text):
        self.notes.append(text)
        print("NOTE", text, flush=True)

    def result(self):
        return {
            "program": self.program,
            "seed": self.seed,
            "violations": dict(self.kinds),
            "shown": self.violations,
            "counts": dict(sorted(self.counts.items())),
            "notes": self.notes,
        }
