"""Times as whole units since 1970, and as text."""

import datetime

# One clock step in microseconds: finer digits are cut.
STEP_US = 1000
LATEST_US = 253402300799999_999
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def parse(given):
    """Microseconds since 1970; a number is seconds, or milliseconds where it is large."""
    if given is None:
        return None
    if isinstance(given, str) and given.isdigit():
        given = int(given)
    if isinstance(given, (int, float)):
        us = int(given * 1_000_000) if given < 100_000_000_000 else int(given * 1000)
    else:
        delta = datetime.datetime.fromisoformat(given.replace("Z", "+00:00")) - EPOCH
        us = (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds
    return us - us % STEP_US


def rfc3339(us):
    """As the API writes it."""
    when = EPOCH + datetime.timedelta(microseconds=us)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (us % 1_000_000 // 1000)
