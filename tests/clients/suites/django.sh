#!/usr/bin/env bash
# Django's own tests of what goes to the database, through psycopg 3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$1 results=$2
version=5.2.19
python=$("$here/sdist" "$directory" Django "$version" \
    Django=="$version" "psycopg[binary]" Pillow PyYAML jinja2 tzdata)
# It makes and drops databases of its own.
cat >"$directory/tests/towline_settings.py" <<'SETTINGS'
import os

ADDRESS = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "postgres",
    "USER": os.environ["PGUSER"],
    "PASSWORD": os.environ["PGPASSWORD"],
    "HOST": os.environ["PGHOST"],
    "PORT": os.environ["PGPORT"],
}
DATABASES = {"default": ADDRESS, "other": {**ADDRESS, "NAME": "other"}}
SECRET_KEY = "x"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
SETTINGS
cd "$directory/tests"
status=0
"$python" runtests.py --settings=towline_settings --parallel=1 --noinput -v 2 \
    aggregation annotations backends basic bulk_create constraints \
    datetimes db_functions expressions introspection lookup migrations model_fields queries schema \
    select_for_update transactions update >"$directory/output" 2>&1 || status=$?
# `name (module.Class.name) ... ok`, with a line of description before the dots at times.
awk '
    match($0, /^[a-z_A-Z0-9]+ \([a-zA-Z0-9_.]+\)/) {
        id = substr($0, RSTART, RLENGTH)
        sub(/^[^(]*\(/, "", id)
        sub(/\)$/, "", id)
    }
    id != "" && match($0, / \.\.\. (ok|ERROR|FAIL|expected failure)$/) {
        print $0 ~ /(ok|expected failure)$/ ? "pass" : "fail", id
        id = ""
    }
    id != "" && / \.\.\. skipped / {
        print "skip", id
        id = ""
    }' "$directory/output" | sort -u >"$results"
# 1: some tests failed.
[ "$status" -le 1 ]
