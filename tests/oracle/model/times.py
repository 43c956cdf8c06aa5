"""Times as whole units since 1970, and as text."""

import datetime

# The last microsecond of 2200.
LATEST_US = 7_289_654_399_999_999
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def parse(given):
    """Microseconds since 1970; a number is seconds, milli-, micro- or nanoseconds, by its size."""
    if given is None:
        return None
    if isinstance(given, str) and given.isdigit():
        given = int(given)
    if isinstance(given, (int, float)):
        return _epoch_us(given)
    delta = datetime.datetime.fromisoformat(given.replace("Z", "+00:00")) - EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def _epoch_us(number):
    if number < 100_000_000_000:
        return int(number * 1_000_000)
    if number < 100_000_000_000_000:
        return int(number * 1000)
    return int(number) if number < 100_000_000_000_000_000 else int(number) // 1000


def rfc3339(us):
    """As the API writes it: three decimals, six where they are needed."""
    when = EPOCH + datetime.timedelta(microseconds=us)
    finer = us % 1_000_000
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + (f"{finer:06}Z" if finer % 1000 else f"{finer // 1000:03}Z")
