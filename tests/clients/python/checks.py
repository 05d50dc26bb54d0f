"""Runs the checks of one client library against the server that TOWLINE_TEST_DSN names.

A check is a function; its name is the sentence that it proves. Each gets a fresh
connection. The first line of the output names the server, every further line a
check; the exit status is 1 when one failed.
"""

import asyncio
import inspect
import os
import sys
import traceback

CHECKS = []


def check(function):
    """Marks a function as a check."""
    CHECKS.append(function)
    return function


def dsn():
    """The server's address as a URL."""
    found = os.environ.get("TOWLINE_TEST_DSN")
    if not found:
        sys.exit("TOWLINE_TEST_DSN must name the server: postgresql://user:password@host:port/database")
    return found


def equal(found, expected, what=""):
    """Fails unless both are equal, types included."""
    same = found == expected and type(found) is type(expected)
    # Not a number is not equal to itself.
    both_nan = found != found and expected != expected
    if not (same or both_nan):
        raise AssertionError(f"{what}: found {found!r}, expected {expected!r}")


def fails_with(state, error_type, run, state_of):
    """Fails unless `run` raises `error_type` with this SQLSTATE; gives the error."""
    try:
        run()
    except error_type as error:
        equal(state_of(error), state, f"SQLSTATE of {error}")
        return error
    raise AssertionError(f"no error where {state} was due")


def main(connect, close):
    """Runs all checks, or those whose names hold an argument of the command line."""
    wanted = sys.argv[1:]
    failed = []
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        if wanted and not any(word in function.__name__ for word in wanted):
            continue
        try:
            if inspect.iscoroutinefunction(function):
                asyncio.run(asyncio.wait_for(_run_async(function, connect, close), 60))
            else:
                connection = connect()
                try:
                    function(connection)
                finally:
                    close(connection)
            print(f"ok      {name}", flush=True)
        except Exception as error:  # Whatever it is, it is this check's failure.
            failed.append(name)
            where = traceback.extract_tb(error.__traceback__)[-1]
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                     if frame.filename == inspect.getfile(function)]
            line = lines[-1] if lines else where.lineno
            print(f"FAILED  {name} (line {line}): {type(error).__name__}: {error}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(CHECKS)} checks failed: {'; '.join(failed)}")


async def _run_async(function, connect, close):
    connection = await connect()
    try:
        await function(connection)
    finally:
        await close(connection)
