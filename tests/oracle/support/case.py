"""What a program is given: the binary, a directory, ports, a seed, services, and a report to fill."""

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import model

from .instance import Instance
from .report import Report
from .services import Kafka, Redis, settled


@dataclass
class Case:
    """One run of one program."""

    binary: Path
    work: Path
    services: Path
    kafka_port: int
    redis_port: int
    port: int
    seed: int
    seconds: int
    report: Report
    # `CONTACTD_FAULT` of every instance: a deliberate mistake that must be noticed.
    fault: str = ""
    key: str = None
    made: list = field(default_factory=list)

    def __post_init__(self):
        self.kafka = Kafka(self.services, self.kafka_port)
        self.redis = Redis(self.services, self.redis_port)
        self.random = random.Random(self.seed)
        self.stamp = int(time.time())
        # How many partitions each topic had at first: a contact's home goes by them for ever.
        self.lanes = {}
        (self.work / "users.toml").unlink(missing_ok=True)

    def name(self, word="t"):
        """A name that no other run has."""
        return f"oracle-{self.report.program.replace('_', '-')}-{self.seed}-{self.stamp}-{word}{len(self.lanes)}"

    def topic(self, partitions=8, control=None, **config):
        """A contact topic, with its dead letters' and its control topic."""
        name = self.name()
        self.kafka.topic(name, partitions, **config)
        self.lanes[name] = partitions
        self.kafka.topic(name + ".dlq", 2)
        retention = {"retention_ms": 90 * 86_400_000, "message_timestamp_type": "LogAppendTime"}
        self.kafka.topic(name + ".control", 1, **(control or retention))
        return name

    def instance(self, name, topic=None, start=True, env=None, config=None, redis=False, kafka=True, fault=""):
        """A new instance on the topic, ready unless `start` is false; `fault`: armed in it alone."""
        args = []
        if config is not None:
            path = self.work / f"{name}.toml"
            path.write_text(config)
            args = ["--config", str(path)]
        env = {"CONTACTD_FAULT": ",".join(filter(None, [self.fault, fault])), **(env or {})}
        made = Instance(
            self.binary,
            self.work,
            name,
            self.port + len(self.made),
            kafka=self.kafka if kafka else None,
            topic=topic,
            redis=self.redis if redis else None,
            env=env,
            args=args,
        )
        self.made.append(made)
        self.key = self.key or made.make_key()
        made.key = self.key
        if start:
            made.start().must_be_ready()
        return made

    def pair(self, topic, faults=("", ""), **options):
        """Two instances on one topic; `faults`: what is armed in each."""
        both = [self.instance(name, topic, start=False, fault=fault, **options) for name, fault in zip("ab", faults)]
        for each in both:
            each.start()
        for each in both:
            each.must_be_ready()
        return both

    def settled(self, topic, instances, seconds=60, bridge=False, must=True):
        return settled(self.kafka, topic, instances, seconds, bridge, self.report if must else None)

    def rebuild(self, instance, topic):
        """The stopped instance makes its store anew, and follows again."""
        done = instance.cli("store", "rebuild", "--yes", timeout=200)
        is_done = done.returncode == 0 and "panicked" not in done.stderr
        self.report.check("rebuild", is_done, text=done.stderr[-500:])
        instance.start().must_be_ready()
        self.settled(topic, [instance])

    def fold(self, topic, rules=None):
        """The topic as the model sees it; `rules`: {number of a marker: mappings from it on}."""
        return model.fold(self.kafka.bootstrap, topic, self.lanes[topic], rules)

    def finish(self, instances, world, topic, control=True):
        """Counters and stores against the model; the instances are stopped."""
        from . import checks

        for each in instances:
            checks.counters(self.report, world, each)
        for each in instances:
            self.report.check("stops_in_order", each.stop() == 0, instance=each.name, log=each.tail())
            checks.contacts(self.report, f"export_{each.name}", world.export(), each.export())
