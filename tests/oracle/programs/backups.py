"""Backups taken under load and brought back elsewhere, and imports that a kill interrupts."""

import json
import shutil
import threading
import time

import requests

import model
from support import checks
from support.events import Events
from support.instance import session
from support.registry import program
from support.services import wait_until

IDS = [f"b{number}" for number in range(300)]
ROWS = 30_000


def _load(case, topic, instance, over):
    """Events, poison and writes until it is over; a write that is not answered counts as nothing."""
    events, producer, client, number = Events(case.seed, IDS, "g"), case.kafka.producer(), session(case.key), 0
    while not over.is_set():
        number += 1
        if number % 25 == 0:
            key, value = events.poison()
            producer.produce(topic, value, key)
        else:
            contact_id, event = events.event()
            producer.produce(topic, json.dumps(event).encode(), contact_id)
        producer.poll(0)
        if number % 20 == 0:
            path, body = f"/api/contacts/{case.random.choice(IDS)}", {"title": f"T{number}"}
            try:
                client.request("PATCH", instance.url + path, json=body, timeout=20)
            except requests.RequestException:
                case.report.counts["unanswered"] += 1
        if number % 200 == 0:
            time.sleep(0.05)
    case.report.counts["events"] = number
    producer.flush(60)


def _told(case, done, what):
    case.report.check(what, done.returncode == 0, text=done.stderr[-500:])
    return done


def _backup(case, instance, name):
    """Of the running instance, and its manifest."""
    path = case.work / name
    instance.env.update(CONTACTD_URL=instance.url, CONTACTD_API_KEY=case.key)
    _told(case, instance.cli("backup", str(path)), "backup_is_made")
    verified = _told(case, instance.cli("backup", "verify", str(path), "--json"), "backup_is_verified")
    return path, json.loads(verified.stdout)


def _next_offsets(position):
    """{partition: the next offset} of a Position."""
    lanes = [part.split(".") for part in position.split("-")[2:]]
    return {int(lane, 16): int(offset, 16) for lane, offset in lanes}


def _restored(case, topic, name, path):
    """An instance that is not started, on what was brought back into its directory."""
    made = case.instance(name, topic, start=False)
    shutil.rmtree(made.data, ignore_errors=True)
    _told(case, made.cli("restore", str(path), "--data-dir", str(made.data)), "backup_is_restored")
    return made


@program(seconds=90)
def backups(case):
    """Backups of an instance that takes events and writes, into directories and archives: each, brought back to a directory of
    its own, holds what the model makes of the topic up to the backup's position; served, it catches up; and where the machine's
    directory is lost, nothing is."""
    report, topic, over = case.report, case.topic(), threading.Event()
    instance = case.instance("a", topic, env={"CONTACTD_STORE__SNAPSHOT_INTERVAL": "3s"})
    load = threading.Thread(target=_load, args=(case, topic, instance, over))
    load.start()
    made = []
    try:
        for name in ("first", "second.tar.zst", "third"):
            time.sleep(4)
            made.append(_backup(case, instance, name))
    finally:
        over.set()
        load.join()
    restored = []
    for number, (path, manifest) in enumerate(made):
        at = _next_offsets(manifest["position"])
        world = model.fold(case.kafka.bootstrap, topic, case.lanes[topic], until=at)
        each = _restored(case, topic, f"r{number}", path)
        checks.contacts(report, f"restored_{number}", world.export(), each.export())
        report.counts["records_in_backups"] += len(world.records)
        restored.append(each)
    moved = [sum(_next_offsets(manifest["position"]).values()) for _, manifest in made]
    report.check("taken_under_load", moved == sorted(set(moved)), positions=moved)
    # The machine is gone, and with it the directory.
    instance.kill()
    shutil.rmtree(instance.data)
    _told(case, instance.cli("restore", str(made[-1][0]), "--data-dir", str(instance.data)), "lost_one_is_restored")
    for each in (instance, restored[0]):
        each.start().must_be_ready()
    case.settled(topic, [instance, restored[0]])
    case.finish([instance, restored[0]], case.fold(topic), topic)


def _give(instance, file):
    answer = instance.request("POST", "/api/imports?name=people.csv", data=file, timeout=60)
    assert answer.status_code == 202, answer.text[:300]
    return answer.json()["id"]


def _job(instance, job):
    return instance.get(f"/api/imports/{job}").json()


@program(seconds=60)
def interrupted_imports(case):
    """A file's import is killed in the middle, and given to the other instance: every row is there once, an edit that was made
    meanwhile stands, and the first instance goes on to the same end."""
    report, topic = case.report, case.topic()
    first, second = case.pair(topic)
    rows = [f"i{number},Title {number},{number}@example.com" for number in range(ROWS)]
    file = ("id,title,email\n" + "\n".join(rows) + "\n").encode()
    job = _give(first, file)
    began = wait_until(lambda: _job(first, job)["counts"]["rows"] > ROWS // 20, 60, 0.01)
    first.kill()
    given = sum(case.kafka.ends(topic).values())
    report.check("killed_in_the_middle", began and given < ROWS, given=given)
    edit = {"title": "Edited"}
    edited = wait_until(lambda: second.request("PATCH", "/api/contacts/i0", json=edit).status_code == 200, 60)
    report.check("edited", edited)
    report.check("same_job", _give(second, file) == job)
    done = wait_until(lambda: _job(second, job)["state"] == "done", 120)
    report.check("done_on_the_other", done, job=_job(second, job))
    first.start().must_be_ready()
    report.check("done_on_the_first", wait_until(lambda: _job(first, job)["state"] == "done", 120), job=_job(first, job))
    case.settled(topic, [first, second])
    world = case.fold(topic)
    for number in range(ROWS):
        applied = [record for record in world.applied[f"i{number}"] if not record.command]
        if len(applied) != 1:
            report.fail("row_applied_once", row=number, applied=len(applied))
    report.counts["checks"] += ROWS
    contact = first.contact("i0")
    report.check("edit_stands", contact["title"] == "Edited" and contact["email"] == "0@example.com", contact=contact)
    case.finish([first, second], world, topic)
