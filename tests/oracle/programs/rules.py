"""Rules that stand on the log: another mapping that reaches instances one after the other."""

import json
import re

from model import MAPPINGS
from support import checks
from support.events import timed
from support.registry import program
from support.services import wait_until

MAPPING = '[source.crm.fields]\nfirstName = "crm_name"\n'


@program(seconds=50)
def rules_adopted(case):
    """Instances restarted one after the other with another mapping judge alike: by the log's rules until it is adopted, by
    the new ones from one place of each lane on; a late replica and a rebuild come to the same."""
    report, topic = case.report, case.topic(4)
    first, second = case.pair(topic, config="")
    producer, count = case.kafka.producer(), 0

    def send():
        nonlocal count
        for _ in range(60):
            count += 1
            event = timed(f"e{count}", f"m{count % 20}", source="crm", crm_name=f"N{count}", lastName=f"L{count}")
            producer.produce(topic, json.dumps(event).encode(), f"m{count % 20}")
        producer.flush(20)

    def same(rules=None):
        case.settled(topic, [first, second])
        world = case.fold(topic, rules)
        digests = {checks.counters(report, world, instance)["digest"] for instance in (first, second)}
        report.check("digests_equal", len(digests) == 1)
        return world

    send()
    for instance in (first, second):
        (case.work / f"{instance.name}.toml").write_text(MAPPING)
        instance.restart().must_be_ready()
        send()
        same()
    adopted = first.cli("config", "adopt")
    number = re.search(r"number (\d+)", adopted.stderr)
    if not report.check("adopted", adopted.returncode == 0 and number, text=adopted.stderr[-400:]):
        return
    rules = {int(number.group(1)): {**MAPPINGS, "crm": {"crm_name": "firstName"}}}
    lanes = case.lanes[topic]

    def all_marked():
        world = case.fold(topic, rules)
        return len([lane for lane in world.lanes.values() if lane.marker == int(number.group(1))]) == lanes

    report.check("every_lane_is_marked", wait_until(all_marked, 30, 0.5))
    send()
    world = same(rules)
    mapped = [contact for contact in world.export().values() if contact["firstName"]]
    report.check("new_mapping_holds", len(mapped) == 20, got=len(mapped))
    again = second.cli("config", "adopt")
    report.check("nothing_to_adopt", again.returncode == 0, text=again.stderr[-300:])
    late = case.instance("late", topic)  # its own files say otherwise
    case.settled(topic, [late])
    world = case.fold(topic, rules)
    case.finish([first, second, late], world, topic)
    case.rebuild(second, topic)
    case.finish([second], world, topic)
