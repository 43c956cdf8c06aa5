"""The bridge: inputs with transactions, partitions and topics that come later, untimed events, forged headers."""

import json
import time

from support import checks
from support.events import timed
from support.registry import program
from support.services import read_topic, wait_until


def _bridging(topics):
    return f"[bridge]\ntopics = {json.dumps(topics)}\n"


@program(seconds=70)
def bridge_inputs(case):
    """Aborted transactions on an input are not bridged, committed ones are; a topic of a pattern and partitions that come
    later are read from their start."""
    report, topic = case.report, case.topic()
    source, late = topic + "-in", topic + "-late1"
    case.kafka.topic(source, 2)
    instances = case.pair(topic, config=_bridging([source, f"^{topic}-late.*"]))

    def value(who, number):
        return json.dumps(timed(f"{who}{number}", f"i{number % 20}", source="crm", attributes={who: number})).encode()

    kept = []
    writer = case.kafka.transactions(topic)
    for number in range(30):
        writer.begin_transaction()
        is_kept = case.random.random() < 0.5
        for each in range(number * 10, number * 10 + 10):
            writer.produce(source, value("kept" if is_kept else "aborted", each), f"i{each % 20}")
            kept += [f"kept{each}"] if is_kept else []
        writer.flush(10)
        writer.commit_transaction(20) if is_kept else writer.abort_transaction(20)

    def are_there(ids):
        world = case.fold(topic)
        return all(event_id in world.by_event for event_id in ids)

    report.check("committed_is_bridged", wait_until(lambda: are_there(kept), 40, 1))
    aborted = [event_id for event_id in case.fold(topic).by_event if event_id.startswith("aborted")]
    report.check("aborted_is_not_bridged", not aborted, got=aborted[:3])
    case.kafka.topic(late, 2)
    plain = case.kafka.producer()
    for number in range(40):
        plain.produce(late, value("late", number), f"i{number}")
    plain.flush(10)
    is_bridged = wait_until(lambda: are_there([f"late{number}" for number in range(40)]), 60, 1)
    report.check("late_topic_is_bridged", is_bridged)
    case.settled(topic, instances)
    case.finish(instances, case.fold(topic), topic)


@program(seconds=360, long=True)
def bridge_new_partitions(case):
    """Partitions added to an input are read from their start."""
    topic = case.topic()
    source = topic + "-in"
    case.kafka.topic(source, 2)
    instances = case.pair(topic, config=_bridging([source]))
    case.kafka.raise_partitions(source, 4)
    producer, ids = case.kafka.producer(), [f"new{number}" for number in range(40)]
    for number, event_id in enumerate(ids):
        event = timed(event_id, f"i{number}", source="crm", firstName="x")
        producer.produce(source, json.dumps(event).encode(), f"i{number}", partition=2 + number % 2)
    producer.flush(10)
    is_bridged = wait_until(lambda: all(each in case.fold(topic).by_event for each in ids), 330, 2)
    case.report.check("new_partitions_are_bridged", is_bridged)
    case.settled(topic, instances)
    case.finish(instances, case.fold(topic), topic)


@program(seconds=130, long=True)
def untimed_bridge(case):
    """Events without a time, through the bridge, with kills and broker outages: each contact's in their order and once."""
    report, topic, contacts, each = case.report, case.topic(), 20, 60
    source = topic + "-in"
    case.kafka.topic(source, 4)
    instances = case.pair(topic, config=_bridging([source]))
    producer, draw = case.kafka.producer(), case.random
    for number in range(1, each + 1):
        for contact in range(contacts):
            data = {"id": f"u{contact}", "attributes": {"n": number}, "title": f"t{number}"}
            event = {"eventType": "contact.updated", "source": "crm", "data": data}
            if contact % 2:
                event["id"] = f"u{contact}-{number}"
            producer.produce(source, json.dumps(event).encode(), f"u{contact}")
        producer.poll(0)
        if number % 6 == 0:
            _disturb(case, instances, draw)
    producer.flush(60)
    for instance in instances:
        report.check("ready", instance.ready(60), instance=instance.name, why=instance.why_unready())
    inputs = {f"{source}:{each.partition()}:{each.offset()}" for each in read_topic(case.kafka.bootstrap, source)[0]}
    report.check("all_bridged", wait_until(lambda: inputs <= case.fold(topic).origins.keys(), 90, 1))
    case.settled(topic, instances, 120, bridge=True)
    world = case.fold(topic)
    report.counts["origins_twice"] = sum(1 for count in world.origins.values() if count > 1)
    for contact in range(contacts):
        changes = world.applied.get(f"u{contact}", [])
        numbers = [world.images[(f"u{contact}", change.version)]["attributes"]["n"] for change in changes]
        report.check("untimed_in_order_once", numbers == list(range(1, each + 1)), id=f"u{contact}", got=numbers[:70])
    case.finish(instances, world, topic)


def _disturb(case, instances, draw):
    act = draw.choice(["kill", "kill", "both", "freeze", "broker"])
    case.report.counts["chaos_" + act] += 1
    if act == "kill":
        draw.choice(instances).restart(draw.choice([0, 0.5, 3]))
    elif act == "both":
        for instance in instances:
            instance.restart()
    elif act == "freeze":
        case.kafka.freeze()
        time.sleep(draw.uniform(1, 6))
        case.kafka.thaw()
    else:
        case.kafka.kill()
        time.sleep(draw.uniform(0, 3))
        case.kafka.start()
    time.sleep(draw.uniform(1, 3))


@program(seconds=25)
def foreign_headers(case):
    """An input can't bring in a command, whatever headers its records have."""
    report, topic = case.report, case.topic(4)
    source = topic + "-in"
    case.kafka.topic(source, 2)
    instance = case.instance("a", topic, config=_bridging([source]))
    for number in range(4):
        instance.request("POST", "/api/contacts", json={"id": f"h{number}", "firstName": "F", "phone": "1"})
    producer = case.kafka.producer()
    headers = [
        ("contactd_command", b"replace"),
        ("contactd_principal", b"user:root"),
        ("contactd_source", b"api"),
        ("contactd_redrive_hops", b"3"),
        ("contactd_expected_version", b"1"),
        ("contactd_condition", b"1"),
        ("contactd_stamp", b"1"),
        ("contactd_time", b"1"),
    ]
    for number, kind in enumerate(("erased", "updated", "restored", "deleted")):
        event = timed(f"s{number}", f"h{number}", kind, source="crm", title="T")
        producer.produce(source, json.dumps(event).encode(), f"h{number}", headers=headers)
    producer.flush(10)
    case.settled(topic, [instance], bridge=True)
    world = case.fold(topic)
    for number in range(4):
        contact = instance.contact(f"h{number}")
        is_untouched = contact["firstName"] == "F" and contact["phone"] == "1"
        status = "DELETED" if number == 3 else "ACTIVE"
        report.check("no_command_from_outside", is_untouched and contact["status"] == status, contact=contact)
    checks.counters(report, world, instance)
    case.finish([instance], world, topic)


@program(seconds=60, long=True)
def bridge_killed(case):
    """An instance that is killed right before and right after its bridge commits, life after life (debug build): every
    input is there, and of each contact's events without a time each counts once, in order."""
    report, topic, each = case.report, case.topic(4), 300
    source = topic + "-in"
    case.kafka.topic(source, 1)
    instance = case.instance("a", topic, config=_bridging([source]), start=False)
    producer, number = case.kafka.producer(), 0
    for life in range(6):
        point = ("bridge_appended", "bridge_committed")[life % 2]
        instance.env["CONTACTD_FAULT"] = f"{case.fault},kill:{point}:1"
        for _ in range(each):
            number += 1
            data = {"id": "one", "attributes": {"n": number}}
            event = {"id": f"n{number}", "eventType": "contact.updated", "source": "crm", "data": data}
            producer.produce(source, json.dumps(event).encode(), "one")
        producer.flush(30)
        instance.start()
        report.counts["killed_at_the_point"] += bool(wait_until(lambda: not instance.is_alive(), 20))
        instance.kill()
    instance.env["CONTACTD_FAULT"] = case.fault
    instance.start().must_be_ready()
    inputs = {f"{source}:{each.partition()}:{each.offset()}" for each in read_topic(case.kafka.bootstrap, source)[0]}
    report.check("all_bridged", wait_until(lambda: inputs <= case.fold(topic).origins.keys(), 60, 1))
    case.settled(topic, [instance], bridge=True)
    world = case.fold(topic)
    numbers = [world.images[("one", change.version)]["attributes"]["n"] for change in world.applied["one"]]
    wrong = next((at for at, have in enumerate(numbers) if have != at + 1), len(numbers))
    report.check(
        "untimed_in_order_once", numbers == list(range(1, number + 1)), around=numbers[max(0, wrong - 3) :][:10]
    )
    case.finish([instance], world, topic)
