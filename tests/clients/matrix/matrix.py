"""What the matrix' Python programs share: see README.md beside this file."""

import contextlib
import os
import subprocess
import sys
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = os.environ
FOUND = {}


class NotThere(Exception):
    """The client has no such thing."""


def check(function):
    """Marks what does the check of its name."""
    FOUND[function.__name__.strip("_").replace("_", " ")] = function
    return function


def lines(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read().splitlines()


def statements():
    """The migration, statement by statement."""
    return [line.rstrip(";") for line in lines("migrate.sql")]


def types():
    """(type, literal) of every type."""
    return [line.split("\t") for line in lines("types.tsv")]


def quoted(literal):
    return "'" + literal.replace("'", "''") + "'"


def expect(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {found!r} instead of {wanted!r}")


#: What must fail, and with which SQLSTATE.
ERRORS = [
    ("INSERT INTO parent (name) VALUES ('one')", "23505"),
    ("INSERT INTO child (parent, amount) VALUES (99, 1)", "23503"),
    ("INSERT INTO child (parent, amount) VALUES (1, 0)", "23514"),
    ("INSERT INTO parent (name) VALUES (NULL)", "23502"),
    ("SELECT 'x'::integer", "22P02"),
    ("SELECT 1 / 0", "22012"),
    ("SELECT * FROM nowhere", "42P01"),
    ("SELECT nothing FROM parent", "42703"),
    ("SELEC 1", "42601"),
]


def new_leader():
    """Gives numbers to write while another node becomes the leader, and some more."""
    change = subprocess.Popen(ENVIRONMENT["TOWLINE_TEST_NEW_LEADER"], shell=True)
    number, after = 0, 0
    while after < 20:
        yield number
        number += 1
        if change.poll() is not None:
            after += 1
    expect(change.returncode, 0, "the change of leader")


@contextlib.contextmanager
def cancelling(cancel):
    """Calls `cancel` until what is within is over: one that comes before is for nothing."""
    over = threading.Event()

    def again():
        while not over.wait(0.1):
            cancel()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main():
    """Does the checks in their order and tells of each in a line."""
    for name in lines("checks"):
        try:
            if name not in FOUND:
                raise NotThere("")
            FOUND[name]()
            print(f"ok {name}", flush=True)
        except NotThere as reason:
            print(f"none {name}: {reason}", flush=True)
        except Exception as error:
            told = " ".join(str(error).split())
            print(f"fails {name}: {type(error).__name__}: {told}", flush=True)
            traceback.print_exc(file=sys.stderr)
