"""Replicas from nothing, from snapshots and from rebuilds."""

import json
import os
import random
import shutil
import subprocess
import threading
import time

import requests

from support import checks
from support.events import Events, send
from support.instance import PASSWORD, session, spawn
from support.registry import program
from support.services import wait_until

IDS = [f"r{number}" for number in range(200)]


def _sign_in_and_out(instance):
    """An access token that is revoked."""
    answer = requests.post(instance.url + "/api/auth/login", json={"username": "ada", "password": PASSWORD}, timeout=15)
    token = {"Authorization": "Bearer " + answer.json()["accessToken"]}
    requests.post(instance.url + "/api/auth/logout", headers=token, timeout=15)
    return token


def _traffic(case, topic, instances, events, count):
    """Events, poison and writes, wherever somebody lives."""
    producer, client, draw = case.kafka.producer(), session(case.key), random.Random(case.seed + count)
    for number in range(count):
        if number % 25 == 0:
            key, value = events.poison()
            producer.produce(topic, value, key)
        else:
            contact_id, event = events.event()
            producer.produce(topic, json.dumps(event).encode(), contact_id)
        producer.poll(0)
        if number % 20 == 0:
            instance = draw.choice([each for each in instances if each.is_alive()])
            body = {"title": f"T{number}", "attributes": {"pad": "x" * draw.randrange(2000)}}
            path = f"/api/contacts/{draw.choice(IDS)}"
            try:
                client.request(draw.choice(["PATCH", "PUT"]), instance.url + path, json=body, timeout=20)
            except requests.RequestException:
                case.report.counts["unanswered"] += 1
    producer.flush(60)


@program(seconds=80)
def replicas(case):
    """A replica from nothing in the middle of traffic, one from a copied snapshot, one from snapshots copied while running,
    and a rebuild: the same contacts, counters, digest, history, and revoked tokens."""
    report, topic = case.report, case.topic()
    env = {"CONTACTD_STORE__JOURNAL_SEGMENT_BYTES": "1MiB"}
    eager = {**env, "CONTACTD_STORE__SNAPSHOT_INTERVAL": "4s"}
    made = [case.instance(name, topic, start=False, env=eager if name == "a" else env) for name in "abcde"]
    first, second, from_copy, from_nothing, from_running = made
    first.add_user("ada")
    events = Events(case.seed, IDS, "g")
    first.start().must_be_ready()
    second.start().must_be_ready()
    _traffic(case, topic, made, events, 1500)
    case.settled(topic, [first, second])
    revoked = _sign_in_and_out(first)
    time.sleep(1)
    second.stop()
    taken = second.cli("store", "snapshot")
    report.check("snapshot", taken.returncode == 0, text=taken.stderr[-300:])
    second.start().must_be_ready()
    shutil.copytree(second.data / "snapshots", from_copy.data / "snapshots")
    _traffic(case, topic, made[:2], events, 1500)
    traffic = threading.Thread(target=_traffic, args=(case, topic, made[:2], events, 1500))
    from_copy.start()
    from_nothing.start()
    traffic.start()
    traffic.join()
    for instance in (from_copy, from_nothing):
        instance.must_be_ready(90)
    if (first.data / "snapshots").is_dir():
        shutil.copytree(first.data / "snapshots", from_running.data / "snapshots")
    from_running.start().must_be_ready()
    case.settled(topic, made, 90)
    _all_the_same(case, topic, made, revoked)


def _all_the_same(case, topic, made, revoked):
    report, world, first, second = case.report, case.fold(topic), made[0], made[1]

    def is_revoked(instance):
        status = requests.get(instance.url + "/api/auth/me", headers=revoked, timeout=10).status_code
        report.check("revocation_is_known", status == 401, instance=instance.name, status=status)

    digests = {}
    for instance in made:
        digests[instance.name] = checks.counters(report, world, instance)["digest"]
        report.check("digests_equal", digests[instance.name] == digests["a"], instance=instance.name)
        is_revoked(instance)
        is_restored = instance.name in "ce"
        for contact_id in case.random.sample(IDS, 40):
            checks.history(report, world, instance, contact_id, trimmed=is_restored)
        for record in case.random.sample(world.records, 40):
            _look_up(report, instance, record, topic, is_restored)
    for instance in made:
        report.check("stops_in_order", instance.stop() == 0, instance=instance.name)
        checks.contacts(report, f"export_{instance.name}", world.export(), instance.export())
        report.check("exports_identical", instance.export_text == first.export_text, instance=instance.name)
        verified = instance.cli("store", "verify")
        report.check("store_verify", verified.returncode == 0, instance=instance.name, text=verified.stderr[-400:])
    case.rebuild(second, topic)
    report.check("rebuilt_digest", checks.counters(report, world, second)["digest"] == digests["a"])
    is_revoked(second)
    second.stop()
    second.export()
    report.check("rebuild_identical", second.export_text == first.export_text)


def _look_up(report, instance, record, topic, is_restored):
    answer = instance.get(f"/api/events/{record.place(topic)}")
    report.counts["events_looked_up"] += 1
    if answer.status_code == 200:
        got = answer.json()["records"][0]["verdict"]
        report.check("event_by_place", got == record.verdict, instance=instance.name, record=record, got=got)
    else:
        report.check("event_unknown_only_where_restored", is_restored, instance=instance.name, body=answer.text[:300])


@program(seconds=40)
def killed_at_commit(case):
    """An instance that is killed right behind its journal's append, life after life (debug build), has judged every
    record once."""
    topic = case.topic(4)
    instance, producer = case.instance("a", topic, start=False), case.kafka.producer()
    events = Events(case.seed, IDS, "k")

    def is_killed():
        send(producer, topic, events, 50)
        return not instance.is_alive()

    for hit in (3, 2, 6, 4):
        instance.env["CONTACTD_FAULT"] = f"{case.fault},kill:journalled:{hit}"
        instance.start()
        case.report.counts["killed_at_the_point"] += bool(wait_until(is_killed, 30))
        instance.kill()
    instance.env["CONTACTD_FAULT"] = case.fault
    instance.start().must_be_ready()
    case.settled(topic, [instance])
    case.finish([instance], case.fold(topic), topic)


@program(seconds=60, long=True)
def rebuild_killed(case):
    """A rebuild that is killed four times and begun again gives the same contacts."""
    report, topic = case.report, case.topic()
    instance = case.instance("a", topic)
    instance.cli("produce", "--events", "60000", "--contacts", "10000", "--seed", str(case.seed))
    case.settled(topic, [instance], 120)
    instance.stop()
    instance.export()
    want = instance.export_text
    for _ in range(4):
        with open(os.devnull, "w") as nowhere:
            command = [instance.binary, "store", "rebuild", "--yes"]
            child = spawn(command, env=instance.env, cwd=instance.directory, stdout=nowhere, stderr=subprocess.STDOUT)
        time.sleep(case.random.uniform(0.2, 1.5))
        report.counts["rebuilds_killed"] += child.poll() is None
        child.kill()
        child.wait()
    instance.start().must_be_ready(90)
    case.settled(topic, [instance], 120)
    instance.stop()
    instance.export()
    report.check("same_after_killed_rebuilds", instance.export_text == want)
    report.check("store_verify", instance.cli("store", "verify").returncode == 0)


@program(seconds=30)
def control_garbage(case):
    """Nonsense on the control topic stops nothing, before and after a kill."""
    report, topic = case.report, case.topic(4)
    instance, producer = case.instance("a", topic), case.kafka.producer()
    garbage = [
        (b"family/x/y", b"{"),
        (None, b"x"),
        (b"bridge/misplaced", b"null"),
        (b"log/founding", b"{}"),
        (b"k", None),
        (b"\xff\xfe", b"\xff"),
        (b"family/ada/1", b'{"createdMs":1}'),
        (b"dead-letters/x", b"[]"),
        (b"k", b"x" * 900_000),
    ]
    for key, value in garbage * 4:
        producer.produce(topic + ".control", value, key)
    producer.flush(20)
    time.sleep(2)
    report.check(
        "lives_with_garbage", instance.is_alive() and instance.ready(5), why=instance.why_unready(), log=instance.tail()
    )
    made = instance.request("POST", "/api/contacts", json={"id": "x", "firstName": "y"})
    report.check("writes_with_garbage", made.status_code == 201, status=made.status_code, body=made.text[:200])
    instance.restart().must_be_ready()
    send(producer, topic, Events(case.seed, ["x", "y"], "g"), 20)
    case.settled(topic, [instance])
    world = case.fold(topic)
    case.finish([instance], world, topic)
    report.check("store_verify", instance.cli("store", "verify").returncode == 0)
