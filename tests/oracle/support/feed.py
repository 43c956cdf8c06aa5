"""A client of the feed that is cut off and comes back with its last id, at the next of its instances."""

import json
import random
import threading
import time

from .instance import session


class Feed(threading.Thread):
    """Collects events; `cut(random)` says after how many seconds it breaks a connection off."""

    def __init__(self, urls, key, name, params="", slow=0.0, cut=None, seed=0):
        super().__init__(daemon=True, name=name)
        self.urls, self.key, self.params, self.slow, self.cut = urls, key, params, slow, cut
        self.random = random.Random(seed)
        self.events, self.states, self.resets, self.refusals = [], {}, [], []
        self.last, self.over, self.connects, self.snapshots, self.gone = "", False, 0, 0, 0

    def run(self):
        client, turn = session(self.key), 0
        while not self.over:
            url, turn = self.urls[turn % len(self.urls)], turn + 1
            headers = {"Accept": "text/event-stream"}
            if self.last:
                headers["Last-Event-ID"] = self.last
            try:
                answer = client.get(url + "/api/feed" + self.params, headers=headers, stream=True, timeout=(3, 25))
            except Exception:
                time.sleep(0.1)
                continue
            with answer:
                if answer.status_code == 200:
                    self.connects += 1
                    self.read(answer)
                else:
                    self.refusals.append((url, answer.status_code, answer.text[:300]))
                    self.gone += answer.status_code == 410
                    time.sleep(0.3)

    def read(self, answer):
        until = time.time() + self.cut(self.random) if self.cut else None
        waiting = b""
        try:
            for chunk in answer.iter_content(None):
                waiting = self.blocks(waiting + chunk)
                if self.slow:
                    time.sleep(self.slow)
                if self.over or (until and time.time() > until):
                    return
        except Exception:
            time.sleep(0.1)

    def blocks(self, received):
        *whole, rest = received.split(b"\n\n")
        for block in whole:
            self.block(block.decode())
        return rest

    def block(self, text):
        kind, data, place = None, [], None
        for line in text.split("\n"):
            if line.startswith("event:"):
                kind = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].lstrip(" "))
            elif line.startswith("id:"):
                place = line[3:].strip()
        if kind and data:
            self.event(kind, json.loads("\n".join(data)), place)
        if place:
            self.last = place

    def event(self, kind, data, place):
        if kind == "state":
            self.states[data["contact"]["id"]] = data["contact"]
        elif kind == "snapshot":
            self.snapshots, self.states = self.snapshots + 1, {}
        elif kind == "reset":
            self.resets.append(data)
        elif kind != "ready":
            self.events.append((kind, data, place))
