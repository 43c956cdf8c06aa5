"""Writes against events that are newer, and instances whose clocks disagree."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from support import checks
from support.events import now_us, timed
from support.registry import program
from support.services import wait_until

from .storm import run_storm
from .storm.judge import superseded_names

STATUSES = {"applied": (200, 201, 204), "unchanged": (200, 204), "superseded": (409,), "not_found": (404,)}
AHEAD_US = 60_000_000


def _wishes(name):
    """{contact: (how it is overtaken, the write)}: kind, the newer event's values; method, path, body."""
    newer = {"title": "Newer", "attributes": {"o": {"e": 1}, "n": 1}}
    path = f"/api/contacts/{name}"
    mine = {"title": "Mine", "email": "m@x.y", "attributes": {"o": {"p": 1}, "k": 1}}
    return {
        "patch": ("updated", newer, "PATCH", f"{path}patch", mine),
        "put": ("updated", newer, "PUT", f"{path}put", mine),
        "clear": ("updated", newer, "PATCH", f"{path}clear", {"title": None, "attributes": None}),
        "lost": ("updated", newer, "PATCH", f"{path}lost", {"title": "Mine"}),
        "delete": ("created", newer, "DELETE", f"{path}delete", None),
        "gone": ("deleted", {}, "PATCH", f"{path}gone", mine),
        "replaced": ("deleted", {}, "PUT", f"{path}replaced", mine),
        "restore": ("deleted", newer, "POST", f"{path}restore/restore", None),
        "free": ("updated", {}, "PATCH", f"{path}free", mine),
    }


@program(seconds=30)
def overtaken(case):
    """Writes that stand behind newer events which their instance could not know: what was overtaken in part is done and
    names that part, what was overtaken as a whole changed nothing and is given again, behind them; one that could know is
    never overtaken."""
    report, topic = case.report, case.topic(1)
    instance = case.instance("a", topic)
    writer = case.kafka.transactions(topic)
    pool, told = ThreadPoolExecutor(16), []
    for number in range(4):
        wishes = _wishes(f"r{number}-")
        for name in wishes:
            body = {"id": f"r{number}-{name}", "firstName": "Before", "attributes": {"o": {"b": 1}}}
            report.check("made", instance.request("POST", "/api/contacts", json=body).status_code == 201)
        # What an open transaction holds is not seen, nor what stands behind it.
        writer.begin_transaction()
        for name, (kind, values, *_) in wishes.items():
            event = timed(f"e{number}-{name}", f"r{number}-{name}", kind, now_us() + AHEAD_US, "crm", **values)
            writer.produce(topic, json.dumps(event).encode(), f"r{number}-{name}")
        writer.flush(10)
        begun = _end(case, topic)

        def ask(name, method, path, body):
            request_id = f"{topic}-{number}-{name}"
            answer = instance.request(method, path, json=body, headers={"X-Request-Id": request_id})
            return request_id, answer

        asked = [pool.submit(ask, name, *wish[2:]) for name, wish in wishes.items()]
        are_there = wait_until(lambda: _end(case, topic) >= begun + len(wishes), 5, 0.02)
        report.counts["all_there_in_time"] += bool(are_there)
        writer.commit_transaction(20)
        told += [future.result() for future in asked]
    # Behind the transaction's end: once it is answered all of that is decided.
    report.check("made", instance.request("POST", "/api/contacts", json={"id": "end"}).status_code == 201)
    # By now it knows: what is written comes behind that.
    for name in ("lost", "put", "gone"):
        answer = instance.request("PATCH", f"/api/contacts/r0-{name}", json={"title": "After"})
        is_done = answer.status_code == 200 and answer.json()["title"] == "After" and "Superseded" not in answer.headers
        want = is_done if name != "gone" else answer.status_code == 404
        report.check("who_knows_is_not_overtaken", want, name=name, status=answer.status_code, body=answer.text[:200])
    case.settled(topic, [instance])
    world = case.fold(topic)
    for request_id, answer in told:
        _judge(report, world, request_id, answer)
    report.check("parts_were_overtaken", report.counts["named"] > 0)
    report.check("some_were_given_again", report.counts["given_again"] > 0)
    case.finish([instance], world, topic)


def _end(case, topic):
    """Of the only partition, with what a transaction holds."""
    return case.kafka.marks(topic, "read_uncommitted")[0][1]


def _judge(report, world, request_id, answer):
    records = world.by_request.get(request_id, [])
    # A wish that was overtaken as a whole is given again, so that the last write wins.
    is_given_again = all(record.verdict == "superseded" for record in records[:-1])
    report.counts["given_again"] += max(len(records) - 1, 0)
    if not report.check("given_again_where_overtaken", 1 <= len(records) <= 4 and is_given_again, request=request_id, records=records):
        return
    record, status = records[-1], answer.status_code
    report.counts[f"{record.verdict}_{status}"] += 1
    if status == 202:  # not decided in time
        return
    shown = {"request": request_id, "status": status, "body": answer.text[:300], "record": record}
    report.check("answer_is_the_verdict", status in STATUSES.get(record.verdict, (409, 412)), **shown)
    if status == 409 and record.verdict == "superseded":
        report.check("superseded_is_named", answer.json()["error"]["code"] == "SUPERSEDED", **shown)
    if status == 200:
        names = superseded_names(answer.headers)
        report.counts["named"] += len(names)
        report.check("superseded_names", set(names) == record.command.superseded, names=names, **shown)
        report.check("answer_is_the_image", checks.is_image(world, answer.json()), **shown)


@program(seconds=70)
def clocks_apart(case):
    """Kafka's and API traffic on a few contacts at two instances, one of them an hour ahead or behind (debug build), with
    kills: each answer, list of overtaken names, image and counter is the model's, and a late replica comes to the same."""
    case.seconds = min(case.seconds, 30)
    direction = ("ahead", "behind")[case.seed % 2]
    run_storm(case, ("kill",), ("kafka", "api"), contacts=5, faults=("", f"clock:{direction}:3600"))


@program(seconds=40)
def clock_steps_back(case):
    """An instance that was an hour ahead comes back with the right time (debug build): its next writes of what it wrote
    before, and of what it did not, are done at once and in their order."""
    report, topic = case.report, case.topic(2)
    instance = case.instance("a", topic, fault="clock:ahead:3600")
    for number in range(10):
        body = {"id": f"b{number}", "firstName": "Ahead"}
        report.check("made", instance.request("POST", "/api/contacts", json=body).status_code == 201)
    instance.env["CONTACTD_FAULT"] = case.fault
    instance.restart().must_be_ready()
    begun = time.time()
    for number in range(20):
        path, headers = f"/api/contacts/b{number}", {} if number < 10 else {"If-None-Match": "*"}
        for text in ("Right", "Again"):
            answer = instance.request("PUT", path, json={"firstName": text}, headers=headers)
            is_done = answer.status_code in (200, 201) and answer.json()["firstName"] == text
            report.check("write_is_done", is_done, path=path, status=answer.status_code, body=answer.text[:200])
            headers = {}
    report.note(f"40 writes in {time.time() - begun:.1f} s")
    case.settled(topic, [instance])
    case.finish([instance], case.fold(topic), topic)
