"""Everything at once: traffic from all sides on two instances while everything is killed; every answer is compared."""

import json
import re
import threading
import time
import traceback

from model import MAPPINGS
from support.feed import Feed
from support.registry import program
from support.services import Cluster

from . import chaos, compare, producers, readers, writers

CONTACTS = 150
# What makes traffic, and how many of it at once.
SIDES = {"kafka": (producers.kafka_side, 1), "webhooks": (producers.webhook_side, 2), "api": (writers.api_side, 3)}


class Storm:
    """What the threads of one storm share."""

    def __init__(self, case, contacts=CONTACTS, faults=("", "")):
        self.case, self.report, self.kafka = case, case.report, case.kafka
        self.topic = case.topic(8)
        self.inputs = [f"{self.topic}-in-{letter}" for letter in "abc"]
        for name in self.inputs:
            self.kafka.topic(name, 4)
        self.config = f'[bridge]\ntopics = {json.dumps(self.inputs)}\n[input."{self.inputs[2]}"]\n'
        self.config += 'source = "erp"\n[source.erp]\ncomplete = true\n'
        self.instances = case.pair(self.topic, faults, config=self.config, redis=True)
        self.urls = [instance.url for instance in self.instances]
        self.ids = [f"c{number}" for number in range(contacts)]
        self.over, self.drained = threading.Event(), threading.Event()
        # What was acknowledged, what was refused, what was asked for.
        self.webhooks_kept, self.webhooks_refused, self.requests = [], [], []
        # Every image that was ever read, and the newest version seen at each instance.
        self.images, self.newest, self.etags = set(), [{}, {}], {}
        self.lock, self.threads = threading.Lock(), []
        # {number of a marker: mappings from it on}, where rules are adopted meanwhile.
        self.rules = {}

    def thread(self, function, *args):
        def run():
            try:
                function(self, *args)
            except Exception:
                self.report.fail("oracle_thread_died", thread=function.__name__, error=traceback.format_exc()[-800:])

        started = threading.Thread(target=run, daemon=True, name=function.__name__)
        started.start()
        self.threads.append(started)
        return started

    def saw(self, at, contact_id, version, text, begun, where):
        """An image that was read; no instance goes back."""
        with self.lock:
            self.images.add(text)
            self.report.counts["images_seen"] += 1
            if version < begun:
                where = {"instance": self.instances[at].name, "where": where}
                self.report.fail("read_went_back", id=contact_id, version=version, before=begun, **where)
            self.newest[at][contact_id] = max(version, self.newest[at].get(contact_id, 0))

    def cut(self, least, most):
        return lambda random: random.uniform(least, most)

    def feeds(self):
        seed, urls, key = self.case.seed, self.urls, self.case.key
        kinds = "?type=contact.created,contact.deleted"
        return [
            Feed(urls, key, "all", cut=self.cut(0.5, 6), seed=seed),
            Feed(urls[::-1], key, "filter", kinds, cut=self.cut(0.5, 8), seed=seed + 1),
            Feed(urls, key, "slow", slow=0.05, cut=self.cut(5, 20), seed=seed + 2),
        ]


def run_storm(case, kinds=("kill", "broker", "redis"), sides=("kafka", "webhooks", "api"), change=None, **options):
    """`kinds` of chaos; `sides` that traffic comes from; `change(storm)` in the middle; `options` of the storm."""
    storm = Storm(case, **options)
    feeds = storm.feeds()
    for feed in feeds:
        feed.start()
    time.sleep(1)
    begun = time.time()
    for side in sides:
        function, count = SIDES[side]
        for number in range(count):
            storm.thread(function, number)
    reading = [storm.thread(readers.read_side, number) for number in range(2)]
    chaos_thread = storm.thread(chaos.chaos_side, kinds)
    time.sleep(case.seconds / 3)
    params = "?snapshot=true&includeDeleted=true"
    cut = storm.cut(2, 8)
    snapshot = Feed(storm.urls, case.key, "snapshot", params, cut=cut, seed=case.seed + 3)
    snapshot.start()
    if change:
        storm.thread(change)
    time.sleep(max(0, case.seconds - (time.time() - begun)))
    storm.over.set()
    chaos_thread.join(90)
    for thread in storm.threads:
        if thread not in reading:
            thread.join(130)
    compare.everything(storm, feeds, snapshot)


@program(seconds=240)
def storm(case):
    """Two instances under Kafka, webhook, API and bridge traffic, with kills, broker and Redis outages:
    every acknowledged write is there once, every answer, read, feed event, history entry and counter is the model's."""
    run_storm(case)


@program(seconds=60)
def storm_on_one(case):
    """Clients of two instances write two contacts, with kills: creates, replaces, patches, deletes, restores, merges and
    batches, with and without conditions and keys, waited for and not; each answer is what became of it."""
    case.seconds = min(case.seconds, 30)
    run_storm(case, ("kill",), ("api",), contacts=2)


@program(seconds=180, long=True)
def leader_killed(case):
    """Three brokers, each with a copy of everything: the one that leads is killed again and again in the middle of a
    storm, and instances too; what was acknowledged stands, once."""
    case.seconds = min(case.seconds, 60)
    case.kafka = Cluster(case.work / "cluster", case.kafka_port + 4)
    try:
        case.kafka.start()
        run_storm(case, ("kill", "leader"))
    finally:
        case.kafka.end()


def _change_everything(storm):
    """More partitions; then another mapping, at one instance after the other, which one of them adopts."""
    storm.kafka.raise_partitions(storm.topic, 12)
    time.sleep(storm.case.seconds / 6)
    mapping = '[source.crm.fields]\ntitle = "level"\n'
    for instance in storm.instances:
        path = storm.case.work / f"{instance.name}.toml"
        path.write_text(storm.config + mapping)
        instance.restart().must_be_ready()
    adopted = storm.instances[1].cli("config", "adopt")
    number = re.search(r"number (\d+)", adopted.stderr)
    if storm.report.check("adopted", adopted.returncode == 0 and number, text=adopted.stderr[-400:]):
        storm.rules[int(number.group(1))] = {**MAPPINGS, "crm": {"level": "title"}}


@program(seconds=150, long=True)
def storm_in_change(case):
    """Partitions are raised and another mapping is adopted in the middle of a storm with kills; then a replica that
    starts from nothing comes to the same."""
    case.seconds = min(case.seconds, 60)
    run_storm(case, ("kill",), change=_change_everything)
