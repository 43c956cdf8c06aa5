"""The broker and the Redis that `tests/services/up` starts: killed, frozen, brought back."""

import base64
import collections
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

SERVICES = Path(__file__).resolve().parents[2] / "services"


class Kafka:
    """One broker; its data stays in the directory of the services."""

    # Of each topic.
    copies = 1

    def __init__(self, directory, port, env=None):
        self.directory, self.port = Path(directory), port
        self.bootstrap = f"127.0.0.1:{port}"
        self.env = {**os.environ, **(env or {})}
        self._admin = None

    def _up(self, *command):
        up = [SERVICES / "up", self.directory, *command]
        done = subprocess.run(up, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self.env)
        assert done.returncode == 0, f"tests/services/up … {command} failed: {done.stderr}"

    def start(self):
        self._up("broker", "start")
        deadline = time.time() + 60
        while time.time() < deadline:
            try:
                self.admin().list_topics(timeout=5)
                return self
            except Exception:
                time.sleep(0.3)
        raise RuntimeError("the broker does not answer")

    def kill(self):
        self._up("broker", "kill")

    def stop(self):
        self._up("broker", "stop")

    def _signal(self, number):
        os.kill(int((self.directory / "kafka" / "pid").read_text()), number)

    def freeze(self):
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT)

    def data(self):
        """The directory that the broker keeps its log in."""
        return self.directory / "kafka" / "data"

    def keep_copy(self):
        """A copy of the stopped broker's data, to be put back later."""
        shutil.copytree(self.data(), self.data().with_name("copy"))

    def put_copy_back(self):
        shutil.rmtree(self.data())
        shutil.move(self.data().with_name("copy"), self.data())

    def admin(self):
        # One that lives on: its futures end with it.
        self._admin = self._admin or AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def topic(self, name, partitions=8, **config):
        config = {key.replace("_", "."): str(value) for key, value in config.items()}
        new = NewTopic(name, partitions, self.copies, config=config)
        for future in self.admin().create_topics([new]).values():
            future.result(20)
        # The metadata of a new topic is not everywhere at once.
        wait_until(lambda: len(self.ends(name)) == partitions, 20)

    def delete_topic(self, name):
        for future in self.admin().delete_topics([name]).values():
            future.result(20)
        wait_until(lambda: name not in self.admin().list_topics(timeout=5).topics, 20)

    def raise_partitions(self, topic, partitions):
        for future in self.admin().create_partitions([NewPartitions(topic, partitions)]).values():
            future.result(10)
        wait_until(lambda: len(self.ends(topic)) == partitions, 20)

    def delete_before(self, topic, offsets):
        """What retention does, at once: {partition: first offset that stays}."""
        places = [TopicPartition(topic, part, offset) for part, offset in offsets.items()]
        for future in self.admin().delete_records(places).values():
            future.result(20)

    def marks(self, topic, isolation="read_committed"):
        """{partition: (first offset, offset after the last)}."""
        config = {"bootstrap.servers": self.bootstrap, "group.id": "oracle-marks", "log_level": 0}
        consumer = Consumer({**config, "isolation.level": isolation})
        try:
            found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            get = consumer.get_watermark_offsets
            return {part: get(TopicPartition(topic, part), timeout=10) for part in sorted(found)}
        finally:
            consumer.close()

    def ends(self, topic):
        return {part: high for part, (_, high) in self.marks(topic).items()}

    def producer(self, **more):
        config = {
            "bootstrap.servers": self.bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "message.timeout.ms": 120000,
            "socket.timeout.ms": 10000,
            "log_level": 0,
        }
        config.update({key.replace("_", "."): value for key, value in more.items()})
        return Producer(config)

    def transactions(self, name):
        """A producer that begins transactions."""
        made = self.producer(transactional_id=name, transaction_timeout_ms=30000, message_timeout_ms=20000)
        made.init_transactions(60)
        return made


class Cluster(Kafka):
    """Three brokers; each topic has a copy on each of them, and a write is acknowledged once two have it."""

    copies = 3

    def __init__(self, directory, port):
        super().__init__(directory, port)
        ports = [port + 4 * number for number in range(3)]
        voters = ",".join(f"{number + 1}@127.0.0.1:{first + 3}" for number, first in enumerate(ports))
        cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        self.nodes = {}
        for number, first in enumerate(ports, 1):
            env = {
                "CONTACTD_TEST_KAFKA_PORT": str(first),
                "CONTACTD_TEST_KAFKA_NODE": str(number),
                "CONTACTD_TEST_KAFKA_VOTERS": voters,
                "CONTACTD_TEST_KAFKA_CLUSTER": cluster,
            }
            self.nodes[number] = Kafka(self.directory / f"node-{number}", first, env)
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes.values())

    def start(self):
        """None of them is up before most of them are."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(Kafka.start, self.nodes.values()))
        return self

    def topic(self, name, partitions=8, **config):
        super().topic(name, partitions, min_insync_replicas=2, **config)

    def leader(self, topic, partition):
        """The number of the broker that has the partition; None while there is none."""
        found = self.admin().list_topics(topic, timeout=5).topics[topic].partitions[partition].leader
        return found if found in self.nodes else None

    def are_in_sync(self):
        topics = self.admin().list_topics(timeout=5).topics.values()
        return all(len(part.isrs) == self.copies for topic in topics for part in topic.partitions.values())

    def end(self):
        for node in self.nodes.values():
            node.kill()


class Redis:
    """The redis-server of the services."""

    def __init__(self, directory, port):
        self.directory, self.port = Path(directory), port
        self.url = f"redis://127.0.0.1:{port}/0"

    def _pid(self):
        return int((self.directory / "redis" / "pid").read_text())

    def start(self):
        Kafka(self.directory, 0)._up()
        return self

    def kill(self):
        os.kill(self._pid(), signal.SIGKILL)

    def flush(self):
        subprocess.run(["redis-cli", "-p", str(self.port), "FLUSHALL"], check=True, capture_output=True)

    def freeze(self):
        os.kill(self._pid(), signal.SIGSTOP)

    def thaw(self):
        os.kill(self._pid(), signal.SIGCONT)


def read_topic(bootstrap, topic, timeout=60):
    """All committed records of a topic and {partition: end}."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "oracle-" + topic,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        parts = sorted(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
        marks = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20) for p in parts}
        consumer.assign([TopicPartition(topic, part, marks[part][0]) for part in parts])
        records, ended = [], {part for part in parts if marks[part][0] == marks[part][1]}
        deadline = time.time() + timeout
        while len(ended) < len(parts):
            if time.time() > deadline:
                raise RuntimeError(f"topic {topic} was not read to its end: {ended} of {parts}")
            for message in consumer.consume(5000, 0.5):
                if not message.error():
                    records.append(message)
                elif message.error().code() == -191:  # the end of a partition
                    ended.add(message.partition())
                else:
                    raise RuntimeError(str(message.error()))
        return records, {part: marks[part][1] for part in parts}
    finally:
        consumer.close()


def wait_until(condition, seconds, every=0.1):
    """Whether the condition came true in time; what it raises counts as not yet."""
    deadline = time.time() + seconds
    while time.time() < deadline:
        try:
            found = condition()
            if found:
                return found
        except Exception:
            pass
        time.sleep(every)
    return None


def settled(kafka, topic, instances, seconds=120, bridge=True, report=None):
    """Until all instances are where the topic ends, nothing waits in an outbox or a bridge, and that stays so."""
    deadline, calm, last, why = time.time() + seconds, 0, None, "?"
    while time.time() < deadline:
        try:
            ends = kafka.ends(topic)
            why = _unsettled(ends, instances, bridge)
            calm = calm + 1 if not why and ends == last else 0
            last = ends
            if calm >= 8:
                return True
        except Exception as error:
            why, calm = repr(error)[:200], 0
        time.sleep(0.25)
    if report:
        report.fail("not_settled", why=why)
    return False


def _unsettled(ends, instances, bridge):
    for instance in instances:
        have = collections.defaultdict(int, instance.stats()["nextOffsets"])
        behind = {part: (have[str(part)], end) for part, end in ends.items() if have[str(part)] != end}
        if behind:
            return f"{instance.name} is at {behind}"
        waiting = instance.metric("contactd_outbox_records")
        if waiting:
            return f"{instance.name} has {waiting:.0f} records in its outbox"
        lag = instance.metric("contactd_bridge_lag_records") if bridge else 0
        if lag and lag == lag:
            return f"the bridge of {instance.name} is {lag:.0f} records behind"
    return None
