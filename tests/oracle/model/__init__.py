"""What a contact topic makes of its contacts, from its records alone: shares nothing with the program."""

from .decode import MAPPINGS
from .partitioner import home
from .times import rfc3339
from .world import World

__all__ = ["MAPPINGS", "World", "fold", "home", "rfc3339"]


def fold(bootstrap, topic, lanes=None, rules=None, until=None):
    """Reads a topic to its end and judges every record of it; `until`: {partition: the first offset that is left out}."""
    from support.services import read_topic

    messages, ends = read_topic(bootstrap, topic)
    world = World(lanes or len(ends), rules)
    for message in sorted(messages, key=lambda message: (message.partition(), message.offset())):
        if until is None or message.offset() < until.get(message.partition(), 0):
            world.feed(message)
    world.ends = ends
    return world
