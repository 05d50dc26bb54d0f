"""Runs a package's own unittest suite and writes what became of each test.

    unittests.py TESTS_DIRECTORY RESULTS [PREFIX…]

RESULTS gets a line a test: `pass ID`, `skip ID`, or `fail ID CAUSE`. PREFIX picks tests
whose id begins so. A test that takes longer than LIMIT_S fails.

A failed test must not fail those behind it: the tables that it left are dropped.
"""

import os
import signal
import subprocess
import sys
import unittest

LIMIT_S = 40


class TookTooLong(BaseException):
    """Not an Exception: tests catch those."""


def psql(command):
    done = subprocess.run(
        ["psql", "-XAtqc", command], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    return done.stdout.split("\n")


def drop_tables():
    for name in psql("select quote_ident(tablename) from pg_tables where schemaname = 'public'"):
        if name:
            psql(f"drop table if exists {name} cascade")


class Results(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.outcome = None

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "pass"
        signal.alarm(LIMIT_S)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        kind, _, cause = self.outcome.partition(" ")
        print(f"{kind} {test.id()} {cause}".rstrip(), file=self.out, flush=True)
        if kind == "fail":
            drop_tables()

    def failed(self, test, error):
        if isinstance(error[1], KeyboardInterrupt):
            raise error[1]
        # A module or a class that could not be set up has no start of its own.
        alone = self.outcome is None
        text = " ".join(f"{error[0].__name__}: {error[1]}".split())[:300]
        self.outcome = f"fail {text}"
        if alone:
            print(f"fail {test.id()} {text}", file=self.out, flush=True)
            self.outcome = None

    def addError(self, test, err):
        self.failed(test, err)

    def addFailure(self, test, err):
        self.failed(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.failed(test, err)

    def addSkip(self, test, reason):
        if self.outcome == "pass":
            self.outcome = f"skip {reason}"

    def addExpectedFailure(self, test, err):
        pass

    def addUnexpectedSuccess(self, test):
        self.outcome = "fail it was expected to fail"


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def give_up(_signal, _frame):
    raise TookTooLong(f"more than {LIMIT_S} s")


def main():
    directory, results, *prefixes = sys.argv[1:]
    top = os.path.dirname(os.path.abspath(directory))
    sys.path.insert(0, top)
    os.chdir(top)
    signal.signal(signal.SIGALRM, give_up)
    found = unittest.TestLoader().discover(directory, top_level_dir=top)
    chosen = unittest.TestSuite()
    for test in tests_of(found):
        if not prefixes or any(test.id().startswith(prefix) for prefix in prefixes):
            chosen.addTest(test)
    with open(results, "w", encoding="utf-8") as out:
        chosen.run(Results(out))


if __name__ == "__main__":
    main()
