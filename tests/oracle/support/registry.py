"""The table of programs."""

from dataclasses import dataclass

PROGRAMS = {}


@dataclass
class Program:
    """A story with an end that the model knows."""

    name: str
    run: object
    about: str
    # How long it takes on two busy cores; it is ended after three times that and two minutes more.
    seconds: int
    # Only in the long run.
    is_long: bool
    # Why it can't be green yet; such a program is shown and does not fail the run.
    owed: str


def program(seconds, long=False, owed=""):
    """Registers a function of a `Case` under its name; the docstring says what it holds."""

    def register(run):
        about = " ".join(run.__doc__.split())
        PROGRAMS[run.__name__] = Program(run.__name__, run, about, seconds, long, owed)
        return run

    return register
