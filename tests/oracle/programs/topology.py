"""Partitions raised, other people's partitioners, replicas that start before, in and after."""

import threading
import time

import requests

from support import checks
from support.events import Events, send
from support.registry import program
from support.services import wait_until


def _at_home(case, topic, instances):
    """Until nothing is owed a way home; the world then."""
    world = wait_until(lambda: (lambda found: found if not found.misplaced(topic) else None)(case.fold(topic)), 60, 1)
    case.report.check(
        "all_brought_home", world is not None, owed=case.fold(topic).misplaced(topic)[:3] if not world else None
    )
    case.settled(topic, instances)
    return case.fold(topic)


def _replicas_agree(case, topic, running):
    """A late replica and a rebuild of the first come to the same as the model and each other."""
    report = case.report
    world = _at_home(case, topic, running)
    late = case.instance(f"late{len(case.made)}", topic)
    running = [*running, late]
    case.settled(topic, running)
    world = case.fold(topic)
    ends = sum(world.ends.values())
    time.sleep(5)
    report.check("no_endless_copies", ends == sum(case.kafka.ends(topic).values()), before=ends)
    stats = [checks.counters(report, world, instance) for instance in running]
    for each in stats[1:]:
        report.check("digests_equal", each["digest"] == stats[0]["digest"], a=stats[0]["digest"], b=each["digest"])
    for instance in running:
        instance.stop()
        checks.contacts(report, f"export_{instance.name}", world.export(), instance.export())
    case.rebuild(running[0], topic)
    running[0].stop()
    checks.contacts(report, "export_rebuilt", world.export(), running[0].export())
    report.check("rebuild_identical", running[0].export_text == running[-1].export_text)


@program(seconds=70)
def partitioner_late(case):
    """One instance follows from the empty topic on, records come by another partitioner, another instance comes late: all
    agree where a contact's home is, and a write at one is read at the other by its Position."""
    report, topic = case.report, case.topic()
    first = case.instance("first", topic)
    events = Events(case.seed, [f"p{number}" for number in range(80)], "p")
    send(case.kafka.producer(), topic, events, 60)
    send(case.kafka.producer(partitioner="consistent_random"), topic, events, 600)
    case.settled(topic, [first])
    second = case.instance("second", topic)
    _at_home(case, topic, [first, second])
    for number in range(40):
        name = f"w{number}"
        made = second.request("POST", "/api/contacts", json={"id": name, "firstName": "one", "phone": "1"})
        put = second.request(
            "PUT",
            f"/api/contacts/{name}",
            json={"firstName": "two"},
            headers={"Position": made.headers.get("Position", "")},
        )
        read = first.get(f"/api/contacts/{name}", headers={"Position": put.headers.get("Position", "")})
        is_read = read.status_code == 200 and read.json()["firstName"] == "two" and read.json()["phone"] is None
        report.check("read_your_writes_at_the_other", is_read, wrote=put.text[:150], read=read.text[:150])
    for number in range(0, 40, 2):
        second.request("DELETE", f"/api/contacts/p{number}?erase=true")
    _replicas_agree(case, topic, [first, second])


@program(seconds=90)
def added_partitions(case):
    """Partitions are raised in the middle of writes of every kind: reads and writes go on, nothing comes out otherwise than
    it went in, and a late replica and a rebuild come to the same."""
    report, topic = case.report, case.topic(4)
    instances = case.pair(topic)
    events = Events(case.seed, [f"e{number}" for number in range(40)], "g", 0)
    producer = case.kafka.producer(topic_metadata_refresh_interval_ms=500)
    send(producer, topic, events, 400)
    over = threading.Event()

    def write():
        number = 0
        while not over.is_set():
            number += 1
            _write_of_every_kind(case, instances[number % 2], number)
            time.sleep(0.05)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    time.sleep(3)
    case.kafka.raise_partitions(topic, 8)
    for _ in range(8):
        send(producer, topic, events, 60)
        time.sleep(0.6)
    over.set()
    writer.join(60)
    for instance in instances:
        report.check("goes_on", instance.is_alive() and instance.ready(30), instance=instance.name, log=instance.tail())
    _replicas_agree(case, topic, instances)


def _write_of_every_kind(case, instance, number):
    name = f"made{number}"

    def ask(method, path, **options):
        try:
            answer = instance.request(method, "/api/contacts" + path, **options)
        except requests.RequestException as error:
            case.report.fail("write_unanswered", error=repr(error)[:100])
            return
        if answer.status_code not in (200, 201, 204):
            case.report.fail(
                "write_while_partitions_are_raised",
                method=method,
                path=path,
                status=answer.status_code,
                body=answer.text[:200],
            )

    ask(
        "POST",
        "",
        json={"id": name, "firstName": "Made", "lastName": f"L{number}", "phone": "1", "attributes": {"k": number}},
    )
    kind = number % 6
    if kind == 1:
        ask("PUT", f"/{name}", json={"firstName": "Put"})
    elif kind == 2:
        ask("PATCH", f"/{name}", json={"phone": None, "title": "T"})
    elif kind in (3, 4):
        ask("DELETE", f"/{name}")
        if kind == 4:
            ask("POST", f"/{name}/restore")
    elif kind == 5:
        ask("DELETE", f"/{name}?erase=true")
