"""Clients of the feed that stop taking for a while."""

import socket
import time

from support import checks
from support.events import Events, send, timed
from support.feed import Feed
from support.registry import program


class LazyFeed(Feed):
    """Reads by hand, and sometimes not at all for some seconds."""

    def __init__(self, instances, *args, **options):
        super().__init__([instance.url for instance in instances], *args, **options)
        self.instances = instances

    def run(self):
        turn = 0
        while not self.over:
            instance, turn = self.instances[turn % 2], turn + 1
            try:
                with socket.create_connection(("127.0.0.1", instance.port), 5) as connection:
                    self.talk(connection)
            except (OSError, ValueError):
                time.sleep(0.2)

    def talk(self, connection):
        connection.settimeout(6)
        again = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        head = f"GET /api/feed{self.params} HTTP/1.1\r\nHost: x\r\nX-API-Key: {self.key}\r\nAccept: text/event-stream\r\n{again}\r\n"
        connection.sendall(head.encode())
        self.connects += 1
        stream = connection.makefile("rb")
        if b" 200 " not in stream.readline():
            return
        while stream.readline() not in (b"\r\n", b""):
            pass
        waiting, nap = b"", time.time() + self.random.uniform(0.2, 2) if self.slow else None
        while not self.over:
            if nap and time.time() > nap:
                time.sleep(self.random.uniform(3, 6))
                nap = None
            size = int(stream.readline(), 16)
            if size == 0:
                return
            waiting = self.blocks(waiting + stream.read(size))
            stream.readline()


@program(seconds=80, long=True)
def feed_stalls(case):
    """Clients that stop taking are told to come back, and have every change once and in order at the end, over two
    instances and their kills; a stop while the outbox waits keeps what is in it."""
    report, topic = case.report, case.topic()
    env = {
        "CONTACTD_FEED__STALL_TIMEOUT": "2s",
        "CONTACTD_FEED__BUFFER_BYTES": "1MiB",
        "CONTACTD_FEED__HEARTBEAT": "2s",
    }
    instances = case.pair(topic, env=env)
    params = "?after=" + instances[0].stats()["position"]
    feeds = [
        LazyFeed(instances, case.key, "lazy1", params, slow=1, seed=case.seed),
        LazyFeed(instances, case.key, "lazy2", params, slow=1, seed=case.seed + 1),
        LazyFeed(instances, case.key, "eager", params, seed=case.seed + 2),
    ]
    for feed in feeds:
        feed.start()
    events, producer = Events(case.seed, [f"c{number}" for number in range(400)], "f"), case.kafka.producer()
    for part in range(4):
        send(producer, topic, events, 3000)
        time.sleep(2)
        if part in (1, 2):
            instances[part % 2].restart()
    for instance in instances:
        instance.must_be_ready()
    case.settled(topic, instances)
    world = case.fold(topic)
    total, deadline = sum(map(len, world.applied.values())), time.time() + 70
    while time.time() < deadline and any(len(feed.events) < total for feed in feeds):
        time.sleep(0.5)
    for feed in feeds:
        feed.over = True
    for feed in feeds:
        feed.join(10)
        report.counts["connects_" + feed.name], report.counts["resets"] = feed.connects, len(feed.resets)
        checks.feed(report, world, feed)
    case.kafka.kill()
    kept = instances[0].webhook(timed("z", "z", acme_first_name="z")).status_code == 200
    code = instances[0].stop(60)
    report.check("stops_without_broker", code == 0, code=code)
    case.kafka.start()
    instances[0].start().must_be_ready()
    case.settled(topic, instances)
    world = case.fold(topic)
    report.check("kept_over_a_stop", not kept or "z" in world.by_event)
    case.finish(instances, world, topic)
