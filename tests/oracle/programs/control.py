"""The control topic: what it holds outlasts its retention."""

import time

import requests

from support import checks
from support.events import Events, send
from support.instance import PASSWORD
from support.registry import program
from support.services import read_topic

RETENTION_S = 30


def _forget(case, control):
    """What retention does to the control topic, at once."""
    oldest = time.time() - RETENTION_S
    kept = [
        message.offset()
        for message in read_topic(case.kafka.bootstrap, control)[0]
        if message.timestamp()[1] / 1000 > oldest
    ]
    low, high = case.kafka.marks(control)[0]
    first = min(kept, default=high)
    if first > low:
        case.kafka.delete_before(control, {0: first})


@program(seconds=100)
def control_retention(case):
    """The control topic forgets records after 30 s: what was founded and what was revoked is known for longer, to who was
    there, to who restarts and to a replica that starts from nothing."""
    report = case.report
    topic = case.topic(4, control={"retention_ms": RETENTION_S * 1000, "message_timestamp_type": "LogAppendTime"})
    first = case.instance("a", topic, start=False)
    first.add_user("ada")
    first.start().must_be_ready()
    second = case.instance("b", topic)
    send(
        case.kafka.producer(partitioner="consistent_random"),
        topic,
        Events(case.seed, [f"c{n}" for n in range(40)], "c"),
        200,
    )
    signed_in = requests.post(
        first.url + "/api/auth/login", json={"username": "ada", "password": PASSWORD}, timeout=20
    ).json()
    revoked = {"Authorization": "Bearer " + signed_in["accessToken"]}
    requests.post(first.url + "/api/auth/logout", headers=revoked, timeout=20)
    until = time.time() + RETENTION_S * 2.5
    while time.time() < until:
        time.sleep(5)
        _forget(case, topic + ".control")
    low, _ = case.kafka.marks(topic + ".control")[0]
    report.check("control_topic_forgets", low > 0, first=low)
    second.restart().must_be_ready()
    late = case.instance("late", topic, start=False).start()
    if not report.check("new_one_learns_the_founding", late.ready(60), why=late.why_unready()):
        return
    every = [first, second, late]
    case.settled(topic, every)
    world = case.fold(topic)
    report.check("all_brought_home", not world.misplaced(topic), owed=world.misplaced(topic)[:3])
    for instance in every:
        status = requests.get(instance.url + "/api/auth/me", headers=revoked, timeout=10).status_code
        report.check("revocation_outlasts_retention", status == 401, instance=instance.name, status=status)
        refreshed = requests.post(
            instance.url + "/api/auth/refresh", json={"refreshToken": signed_in["refreshToken"]}, timeout=20
        )
        report.check(
            "ended_sign_in_stays_ended",
            refreshed.status_code == 401,
            instance=instance.name,
            status=refreshed.status_code,
        )
    digests = {checks.counters(report, world, instance)["digest"] for instance in every}
    report.check("digests_equal", len(digests) == 1)
    case.finish(every, world, topic)
