"""Kills, freezes and outages, by seed."""

import random
import time

from support.services import wait_until


def chaos_side(storm, kinds):
    draw, report = random.Random(storm.case.seed * 3 + 1), storm.report
    acts = [each for kind in kinds for each in ACTS[kind]]
    end = time.time() + storm.case.seconds - 8
    while acts and time.time() < end:
        time.sleep(draw.uniform(2, 8))
        if time.time() > end:
            break
        name, act = draw.choice(acts)
        report.counts["chaos_" + name] += 1
        print("chaos", name, round(end - time.time()), flush=True)
        act(storm, draw)
        for instance in storm.instances:
            if not instance.is_alive():
                code = instance.process.returncode
                report.fail("instance_died", instance=instance.name, code=code, log=instance.tail())
                instance.start()


def _kill(storm, draw, victims):
    for instance in victims:
        instance.kill()
    time.sleep(draw.choice([0, 0.3, 2, 4]))
    for instance in victims:
        instance.start()
    if draw.random() < 0.4:  # once more, while it starts
        time.sleep(draw.uniform(0, 1.5))
        draw.choice(victims).restart()


def _kill_one(storm, draw):
    _kill(storm, draw, [draw.choice(storm.instances)])


def _kill_both(storm, draw):
    _kill(storm, draw, storm.instances)


def _outage(service, way, least, most):
    """A service is killed, stopped or frozen, and comes back after so many seconds."""

    def act(storm, draw):
        victim = getattr(storm.case, service)
        getattr(victim, way)()
        time.sleep(draw.uniform(least, most))
        victim.thaw() if way == "freeze" else victim.start()

    return act


def _kill_while_broker_is_away(storm, draw):
    """The outbox fills, the instance dies with it, and again while it forwards."""
    storm.kafka.kill()
    time.sleep(draw.uniform(2, 5))
    victim = draw.choice(storm.instances)
    victim.restart(draw.uniform(0, 1))
    time.sleep(draw.uniform(1, 4))
    storm.kafka.start()
    if draw.random() < 0.6:
        time.sleep(draw.uniform(0, 2))
        victim.restart()


def _redis_flush(storm, _):
    storm.case.redis.flush()


def _kill_leader(storm, draw):
    """The broker that leads a partition of the contacts, or the control topic, dies; another one leads, and it comes back."""
    topic, part = draw.choice([(storm.topic, draw.randrange(8)), (storm.topic + ".control", 0)])
    number = wait_until(lambda: storm.kafka.leader(topic, part), 30)
    if not storm.report.check("has_leader", number, topic=topic, partition=part):
        return
    storm.kafka.nodes[number].kill()
    is_led = wait_until(lambda: storm.kafka.leader(topic, part) not in (None, number), 60)
    storm.report.check("is_led_by_another", is_led, topic=topic, partition=part, killed=number)
    time.sleep(draw.uniform(0, 4))
    storm.kafka.nodes[number].start()
    # Two of three acknowledge: the next one may only die when this one has caught up.
    storm.report.check("copies_in_sync", wait_until(storm.kafka.are_in_sync, 60), killed=number)


ACTS = {
    "kill": [("kill_one", _kill_one)] * 5 + [("kill_both", _kill_both)],
    "broker": [
        ("broker_freeze", _outage("kafka", "freeze", 1, 7)),
        ("broker_kill", _outage("kafka", "kill", 0, 4)),
        ("broker_stop", _outage("kafka", "stop", 0, 4)),
        ("kill_while_broker_is_away", _kill_while_broker_is_away),
    ],
    "leader": [("leader_kill", _kill_leader)] * 6,
    "redis": [
        ("redis_kill", _outage("redis", "kill", 0, 3)),
        ("redis_freeze", _outage("redis", "freeze", 0.2, 3)),
        ("redis_flush", _redis_flush),
    ],
}
