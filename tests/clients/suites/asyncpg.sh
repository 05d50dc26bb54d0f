#!/usr/bin/env bash
# asyncpg's own tests. Those that start PostgreSQL servers of their own are left out:
# they would not test this one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$1 results=$2
version=0.32.0
python=$("$here/sdist" "$directory" asyncpg "$version" asyncpg=="$version" distro)
# Its pools connect there, whatever the environment says.
export PGDATABASE=postgres
"$python" "$here/unittests.py" "$directory/tests" "$results"
