"""After the storm: every promise against what stands on the topic."""

import collections
import json
import time

from model import World
from support import checks
from support.services import read_topic, settled

from . import judge

MISPLACED_SECONDS = 60


def everything(storm, feeds, snapshot):
    report, case = storm.report, storm.case
    for instance in storm.instances:
        report.check("ready_at_end", instance.ready(60), instance=instance.name, why=instance.why_unready())
    settled(storm.kafka, storm.topic, storm.instances, 150, report=report)
    storm.drained.set()
    world = _all_at_home(storm)
    report.counts.update(records=len(world.records), contacts=len(world.contacts), requests=len(storm.requests))
    report.counts.update({"verdict_" + verdict: count for verdict, count in world.verdicts.items()})
    _inputs(storm, world)
    _webhooks(storm, world)
    for request in storm.requests:
        judge.request(storm, world, request)
    _event_lookups(storm, world)
    for read in map(json.loads, storm.images):
        report.counts["images_compared"] += 1
        if not checks.is_image(world, read):
            report.fail("read_differs", id=read["id"], version=read["version"], want_got=checks.nearest(world, read))
    _feeds(storm, world, feeds, snapshot)
    stats = [checks.counters(report, world, instance) for instance in storm.instances]
    report.check("digests_equal", stats[0]["digest"] == stats[1]["digest"], a=stats[0]["digest"], b=stats[1]["digest"])
    _late_replica(storm, world, stats[0])
    for contact_id in list(world.contacts):
        checks.history(report, world, case.random.choice(storm.instances), contact_id)
    for instance in storm.instances:
        _lists(storm, world, instance)
    _stores(storm, world)


def _all_at_home(storm) -> World:
    """Until no misplaced record is owed a way home, and all inputs are bridged."""
    deadline = time.time() + MISPLACED_SECONDS
    inputs = set(_input_places(storm))
    while True:
        world = storm.case.fold(storm.topic, storm.rules)
        owed = world.misplaced(storm.topic)
        if (not owed and inputs <= world.origins.keys()) or time.time() > deadline:
            break
        time.sleep(2)
    for record in owed:
        storm.report.fail("misplaced_not_brought_home", record=record)
    settled(storm.kafka, storm.topic, storm.instances, 60, report=storm.report)
    return storm.case.fold(storm.topic, storm.rules)


def _input_places(storm):
    for topic in storm.inputs:
        for message in read_topic(storm.kafka.bootstrap, topic)[0]:
            yield f"{topic}:{message.partition()}:{message.offset()}"


def _inputs(storm, world):
    for place in _input_places(storm):
        storm.report.check("input_bridged", place in world.origins, at=place)
    storm.report.counts["origins_twice"] = sum(1 for count in world.origins.values() if count > 1)


def _webhooks(storm, world):
    """Each acknowledged event is on the topic, and was not set aside there."""
    for event_id, kept, instance, at in storm.webhooks_kept:
        records, where = world.by_event.get(event_id), {"event": event_id, "kept": kept, "instance": instance, "at": at}
        storm.report.check("acknowledged_webhook_is_there", records, **where)
        if records and all(record.verdict == "dead_lettered" for record in records):
            storm.report.fail("acknowledged_webhook_dead_lettered", **where, records=records)
    for event_id in storm.webhooks_refused:
        if event_id.endswith("-bad") and world.by_event.get(event_id):
            storm.report.fail("refused_webhook_kept", event=event_id)


def _event_lookups(storm, world):
    sample = storm.case.random.sample(world.records, min(200, len(world.records)))
    for record in sample:
        for instance in storm.instances:
            answer = instance.get(f"/api/events/{record.place(storm.topic)}")
            storm.report.counts["events_looked_up"] += 1
            if answer.status_code != 200 or answer.json()["records"][0]["verdict"] != record.verdict:
                storm.report.fail(
                    "event_by_place",
                    instance=instance.name,
                    record=record,
                    status=answer.status_code,
                    body=answer.text[:300],
                )


def _feeds(storm, world, feeds, snapshot):
    report = storm.report
    total = sum(map(len, world.applied.values()))
    deadline = time.time() + 20
    while time.time() < deadline and len(feeds[0].events) < total:
        time.sleep(0.2)
    time.sleep(2)
    for feed in [*feeds, snapshot]:
        feed.over = True
    for feed in [*feeds, snapshot]:
        feed.join(30)
        report.counts["feed_connects"] += feed.connects
    for feed in feeds:
        is_filtered = feed.name == "filter"
        checks.feed(report, world, feed, lambda record: not is_filtered or record.kind in ("created", "deleted"))
    states = dict(snapshot.states)
    for _, data, _ in snapshot.events:
        contact = data["contact"]
        have = states.get(contact["id"], {"version": 0})["version"]
        if contact["version"] != have + 1:
            report.fail("snapshot_feed_gap", id=contact["id"], have=have, next=contact["version"])
        states[contact["id"]] = contact
    report.check(
        "snapshot_once",
        snapshot.snapshots == 1,
        snapshots=snapshot.snapshots,
        gone=snapshot.gone,
        refusals=snapshot.refusals[:3],
    )
    # What follows the clocks moves on without a change: then each is an older look at its version.
    follows_clocks = ("createdAt", "updatedAt", "source", "sourceVersion")
    checks.contacts(report, "snapshot_then_changes", world.export(), states, ignore=follows_clocks)
    for contact in states.values():
        report.check("snapshot_then_changes_image", checks.is_image(world, contact), contact=contact)


def _late_replica(storm, world, want):
    late = storm.case.instance("late", storm.topic, config=storm.config)
    settled(storm.kafka, storm.topic, [late], 60, report=storm.report)
    got = checks.counters(storm.report, world, late)
    storm.report.check("late_digest", got["digest"] == want["digest"], got=got["digest"], want=want["digest"])
    storm.report.check("stops_in_order", late.stop() == 0, instance=late.name)


def _lists(storm, world, instance):
    listed = checks.pages(instance, "/api/contacts", includeDeleted="true", sort="id")
    ids = collections.Counter(contact["id"] for contact in listed)
    twice = [contact_id for contact_id, count in ids.items() if count > 1]
    storm.report.check("list_repeats_nothing", not twice, instance=instance.name, ids=twice[:5])
    checks.contacts(storm.report, f"list_{instance.name}", world.export(), {each["id"]: each for each in listed})
    reasons = collections.Counter(letter["reason"] for letter in checks.pages(instance, "/api/dead-letters"))
    storm.report.check(
        "dead_letters", reasons == world.reasons, instance=instance.name, want_got=checks.diff(world.reasons, reasons)
    )


def _stores(storm, world):
    report = storm.report
    for instance in storm.instances:
        report.check("stops_in_order", instance.stop() == 0, instance=instance.name, log=instance.tail())
        checks.contacts(report, f"export_{instance.name}", world.export(), instance.export())
        verified = instance.cli("store", "verify")
        report.check("store_verify", verified.returncode == 0, instance=instance.name, text=verified.stderr[-800:])
        for line in instance.logged("ERROR")[:3]:
            report.note(f"log of {instance.name}: {line[:260]}")
        report.counts["kills_" + instance.name] = instance.kills
    first, second = storm.instances
    report.check("exports_identical", first.export_text == second.export_text)
    published = len(read_topic(storm.kafka.bootstrap, storm.topic + ".dlq")[0])
    owed = sum(world.reasons.values())
    report.check("dead_letters_published", published >= owed, want=owed, got=published)
