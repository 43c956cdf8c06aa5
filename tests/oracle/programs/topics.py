"""What a topic can do to its reader."""

import json
import time

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from support import checks
from support.events import Events, send, timed
from support.registry import program
from support.services import read_topic, wait_until


def _contacts(case, instance, world, kind):
    case.report.check("stops_in_order", instance.stop() == 0, instance=instance.name, log=instance.tail())
    checks.contacts(case.report, kind, world.export(), instance.export())


def _unready(instance, seconds):
    """Whether it ends or says that it is not ready, in time."""
    return wait_until(lambda: not instance.is_alive() or not instance.is_ready(), seconds)


def _stats(instance):
    """None where it is no longer there to be asked."""
    return wait_until(instance.stats, 1) if instance.is_alive() else None


def _comes_up_ready(instance, seconds=15):
    return wait_until(lambda: instance.is_alive() and instance.is_ready(), seconds)


@program(seconds=50)
def transactions(case):
    """Aborted transactions on the contact topic are never seen; an open one holds readers back and loses nothing."""
    report, topic, draw = case.report, case.topic(4), case.random
    instance = case.instance("a", topic)
    events = Events(case.seed, [f"x{number}" for number in range(40)], "tx")
    writer = case.kafka.transactions(topic)
    for number in range(20):
        writer.begin_transaction()
        send(writer, topic, events, draw.randrange(1, 30))
        is_kept = number < 19 and draw.random() < 0.5  # the end of each partition is an aborted one
        writer.commit_transaction(20) if is_kept else writer.abort_transaction(20)

    def no_lag():
        return instance.metric("contactd_consumer_lag_records") == 0

    report.check("no_lag_behind_markers", wait_until(no_lag, 20), lag=instance.metric("contactd_consumer_lag_records"))
    report.check("ready_behind_markers", instance.is_ready(), why=instance.why_unready())
    instance.restart().must_be_ready()
    writer.begin_transaction()
    writer.produce(topic, json.dumps(timed("open", "x-open", "created", firstName="never")).encode(), "x-open")
    writer.flush(10)
    send(case.kafka.producer(), topic, events, 100)
    time.sleep(2)
    report.check("open_is_unseen", instance.get("/api/contacts/x-open").status_code == 404)

    def note():
        return instance.get("/readyz?verbose").json()["parts"].get("transactions", {}).get("note") or ""

    # It is told once it has been in front for some seconds; nobody else would do better meanwhile.
    report.check("open_is_told", wait_until(lambda: "open transaction" in note(), 20), note=note())
    report.check("ready_behind_open", instance.is_ready(), why=instance.why_unready())
    lag = instance.metric("contactd_consumer_lag_records")
    report.check("open_is_lag", lag > 0, lag=lag)
    writer.abort_transaction(20)
    report.check("no_lag_again", wait_until(no_lag, 20))
    report.check("open_is_over", wait_until(lambda: not note(), 20), note=note())
    time.sleep(1)
    report.check("aborted_is_unseen", instance.get("/api/contacts/x-open").status_code == 404)
    world = case.fold(topic)
    checks.counters(report, world, instance)
    _contacts(case, instance, world, "export")
    late = case.instance("late", topic, start=False)
    late.start("--until-caught-up")
    report.check("late_one_catches_up", late.process.wait(60) == 0, log=late.tail())
    checks.contacts(report, "late_export", world.export(), late.export())


@program(seconds=60, long=True)
def compaction(case):
    """A compacted contact topic is refused; one that has gaps from an earlier compaction is read."""
    report = case.report
    compact = {
        "cleanup_policy": "compact",
        "segment_ms": 500,
        "min_cleanable_dirty_ratio": 0.01,
        "max_compaction_lag_ms": 1000,
    }
    topic = case.topic(2, **compact)
    instance = case.instance("a", topic, start=False).start()
    time.sleep(4)
    report.check("compacted_topic_is_refused", not instance.is_alive() or not instance.is_ready(), log=instance.tail())
    instance.stop()
    events, producer = Events(case.seed, [f"k{number}" for number in range(10)], "cp"), case.kafka.producer()
    for _ in range(6):
        send(producer, topic, events, 300)
        time.sleep(1.2)
    left = wait_until(lambda: len(read_topic(case.kafka.bootstrap, topic)[0]) < 1700, 40, 1)
    report.check("broker_compacts", left)
    entry = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in case.kafka.admin().incremental_alter_configs([resource]).values():
        future.result(10)
    time.sleep(2)
    reader = case.instance("b", topic)
    send(producer, topic, events, 300)
    case.settled(topic, [reader])
    case.finish([reader], case.fold(topic), topic)


@program(seconds=60, long=True)
def topic_deleted(case):
    """The contact topic is deleted and made anew: shown in readiness, never mixed with what is known, refused at the next
    start; what was acknowledged meanwhile survives the rebuild that is named."""
    report, topic = case.report, case.topic(4)
    instance, producer = case.instance("a", topic), case.kafka.producer()
    send(producer, topic, Events(case.seed, [f"q{number}" for number in range(40)], "one"), 400)
    case.settled(topic, [instance])
    before = instance.stats()["nextOffsets"]
    case.kafka.delete_topic(topic)
    begun = time.time()
    is_shown = _unready(instance, 90)
    report.note(f"readiness showed the deleted topic after {time.time() - begun:.0f} s")
    report.check("deleted_topic_shows", is_shown)
    kept = []
    for number in range(25) if instance.is_alive() else []:
        answer = instance.webhook(timed(f"gone{number}", f"gone{number}", "created", acme_first_name="x"))
        kept += [f"gone{number}"] if answer.status_code == 200 else []
    case.kafka.topic(topic, 4)
    # Longer than before: the old offsets are in range again.
    send(case.kafka.producer(), topic, Events(case.seed + 1, [f"z{number}" for number in range(40)], "two"), 2000)
    _unready(instance, 30)
    stats = _stats(instance)
    mixed = stats and any(stats["nextOffsets"].get(lane, 0) > offset for lane, offset in before.items())
    report.check("topics_are_not_mixed", not mixed, before=before, now=stats and stats["nextOffsets"])
    instance.kill()
    instance.start()
    report.check("refused_at_start", not _comes_up_ready(instance), why=instance.why_unready())
    instance.kill()
    case.rebuild(instance, topic)
    world = case.fold(topic)
    checks.are_there(report, "acknowledged_survives_new_topic", kept, world)
    _contacts(case, instance, world, "export")


@program(seconds=90, long=True)
def topic_retention(case):
    """Retention passes an instance that is stopped, frozen or empty: never a silent gap."""
    report, topic = case.report, case.topic(4)
    instance, producer = case.instance("a", topic), case.kafka.producer()
    events = Events(case.seed, [f"y{number}" for number in range(40)], "rt")
    send(producer, topic, events, 400)
    case.settled(topic, [instance])
    instance.stop()
    send(producer, topic, events, 400)
    case.kafka.delete_before(topic, {lane: end - 3 for lane, end in case.kafka.ends(topic).items()})
    send(producer, topic, events, 40)
    instance.start()
    report.check("unread_head_is_noticed", not _comes_up_ready(instance), why=instance.why_unready())
    instance.stop()
    empty = case.instance("b", topic, start=False).start()
    report.check("cut_log_is_noticed", not _comes_up_ready(empty), why=empty.why_unready())
    empty.stop()
    # The reader is held up, and the head goes meanwhile.
    topic = case.topic(2)
    frozen = case.instance("c", topic)
    send(producer, topic, events, 200)
    case.settled(topic, [frozen])
    frozen.freeze()
    send(producer, topic, events, 400)
    ends = case.kafka.ends(topic)
    case.kafka.delete_before(topic, {lane: end - 1 for lane, end in ends.items()})
    frozen.thaw()
    send(producer, topic, events, 20)
    is_shown = _unready(frozen, 45)
    stats = _stats(frozen)
    jumped = stats and all(stats["nextOffsets"].get(str(lane), 0) >= end for lane, end in ends.items())
    report.check(
        "no_silent_jump", is_shown or not jumped, next=stats and stats["nextOffsets"], why=frozen.why_unready()
    )


@program(seconds=100, long=True)
def log_end_lost(case):
    """A broker comes back with an older copy of its data while an instance is frozen, and goes on from there: the lost end
    is noticed."""
    report, topic = case.report, case.topic(2)
    instance, ids = case.instance("a", topic), [f"t{number}" for number in range(40)]
    send(case.kafka.producer(), topic, Events(case.seed, ids, "t"), 300)
    case.settled(topic, [instance])
    case.kafka.stop()
    case.kafka.keep_copy()
    case.kafka.start()
    send(case.kafka.producer(), topic, Events(case.seed + 1, ids, "lost"), 200)
    case.settled(topic, [instance])
    instance.freeze()
    case.kafka.kill()
    case.kafka.put_copy_back()
    case.kafka.start()
    send(case.kafka.producer(), topic, Events(case.seed + 2, ids, "new"), 600)
    instance.thaw()
    time.sleep(10)
    is_shown = _unready(instance, 30)
    report.check("lost_end_is_noticed", is_shown, next=_stats(instance), ends=case.kafka.ends(topic))
    instance.stop()
    instance.start()
    report.check("lost_end_is_noticed_at_start", not _comes_up_ready(instance), why=instance.why_unready())


@program(seconds=75, long=True)
def broker_absent(case):
    """No broker from the start, kills meanwhile: what is acknowledged is forwarded once it is there."""
    report, topic = case.report, case.topic(4)
    instance = case.instance("a", topic, start=False)
    case.kafka.stop()
    instance.start()
    events, kept, begun = Events(case.seed, [f"w{number}" for number in range(30)], "ab", 0), [], time.time()
    report.check("lives_without_broker", wait_until(lambda: instance.why_unready()[0] == 503, 20))
    while time.time() - begun < 30:
        event = events.event(timed=True)[1]
        try:
            answer = instance.webhook(event)
        except Exception:
            report.counts["unanswered"] += 1
            continue
        report.counts[f"webhook_{answer.status_code}"] += 1
        kept += [event["id"]] if answer.status_code == 200 else []
        if time.time() - begun > 10 and instance.kills < 3:
            instance.restart()
            time.sleep(1.5)
        time.sleep(0.2)
    case.kafka.start()
    instance.must_be_ready()
    case.settled(topic, [instance])
    world = case.fold(topic)
    checks.are_there(report, "forwarded", kept, world)
    case.finish([instance], world, topic)


@program(seconds=50, long=True)
def outbox_left(case):
    """After a freeze of the broker an instance under load stops keeping things in its outbox within 20 s."""
    import threading

    report, topic = case.report, case.topic()
    instance, over, seen, kept = case.instance("a", topic), threading.Event(), [], []

    def sender(number):
        count = 0
        while not over.is_set():
            count += 1
            event = timed(f"e{number}-{count}", f"c{count % 500}", acme_first_name=f"{number}-{count}")
            try:
                answer = instance.webhook(event, timeout=20)
            except Exception:
                continue
            if answer.status_code == 200:
                kept.append(event["id"])
                seen.append((time.time(), answer.json()["kept"]))

    threads = [threading.Thread(target=sender, args=(number,), daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    case.kafka.freeze()
    time.sleep(5)
    case.kafka.thaw()
    back = time.time()

    def has_left():
        ways = {way for at, way in seen if at > time.time() - 1}
        return ways == {"log"} and instance.metric("contactd_outbox_records") == 0

    is_left = wait_until(has_left, 60, 0.5)
    took = time.time() - back
    over.set()
    for thread in threads:
        thread.join(25)
    report.check("leaves_the_outbox", is_left and took < 20, seconds=took)
    case.settled(topic, [instance], 120)
    world = case.fold(topic)
    checks.are_there(report, "acknowledged_is_there", kept, world)
    case.finish([instance], world, topic)


@program(seconds=25, long=True)
def outbox_over_rebuild(case):
    """What waits in the outbox survives a kill and a rebuild."""
    report, topic = case.report, case.topic(4)
    instance = case.instance("a", topic)
    case.kafka.kill()
    kept = []
    for number in range(25):
        answer = instance.webhook(timed(f"out{number}", f"out{number}", "created", acme_first_name="x"))
        kept += [f"out{number}"] if answer.status_code == 200 else []
    instance.kill()
    case.kafka.start()
    case.rebuild(instance, topic)
    world = case.fold(topic)
    checks.are_there(report, "acknowledged_survives_rebuild", kept, world)
    case.finish([instance], world, topic)
