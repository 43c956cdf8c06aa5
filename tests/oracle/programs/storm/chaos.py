"""Kills, freezes and outages, by seed."""

import random
import time

ACTS = {
    "kill": ["kill_one"] * 5 + ["kill_both"],
    "broker": ["broker_freeze", "broker_kill", "broker_stop", "kill_while_broker_is_away"],
    "redis": ["redis_kill", "redis_flush", "redis_freeze"],
}


def chaos_side(storm, kinds):
    draw, report = random.Random(storm.case.seed * 3 + 1), storm.report
    acts = [act for kind in kinds for act in ACTS[kind]]
    end = time.time() + storm.case.seconds - 8
    while acts and time.time() < end:
        time.sleep(draw.uniform(2, 8))
        if time.time() > end:
            break
        act = draw.choice(acts)
        report.counts["chaos_" + act] += 1
        print("chaos", act, round(end - time.time()), flush=True)
        globals()[act](storm, draw)
        for instance in storm.instances:
            if not instance.is_alive():
                report.fail(
                    "instance_died", instance=instance.name, code=instance.process.returncode, log=instance.tail()
                )
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


def kill_one(storm, draw):
    _kill(storm, draw, [draw.choice(storm.instances)])


def kill_both(storm, draw):
    _kill(storm, draw, storm.instances)


def broker_freeze(storm, draw):
    storm.kafka.freeze()
    time.sleep(draw.uniform(1, 7))
    storm.kafka.thaw()


def broker_kill(storm, draw):
    storm.kafka.kill()
    time.sleep(draw.uniform(0, 4))
    storm.kafka.start()


def broker_stop(storm, draw):
    storm.kafka.stop()
    time.sleep(draw.uniform(0, 4))
    storm.kafka.start()


def kill_while_broker_is_away(storm, draw):
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


def redis_kill(storm, draw):
    storm.case.redis.kill()
    time.sleep(draw.uniform(0, 3))
    storm.case.redis.start()


def redis_flush(storm, draw):
    storm.case.redis.flush()


def redis_freeze(storm, draw):
    storm.case.redis.freeze()
    time.sleep(draw.uniform(0.2, 3))
    storm.case.redis.thaw()
