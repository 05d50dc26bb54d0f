import datetime
import decimal
import io
import uuid

import django
from django.conf import settings

from matrix import ENVIRONMENT, ERRORS, NotThere, cancelling, check, expect, main, new_leader

settings.configure(
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.postgres"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": ENVIRONMENT["PGDATABASE"],
            "HOST": ENVIRONMENT["PGHOST"],
            "PORT": ENVIRONMENT["PGPORT"],
            "USER": ENVIRONMENT["PGUSER"],
            "PASSWORD": ENVIRONMENT["PGPASSWORD"],
        }
    },
)
django.setup()

from django.contrib.postgres.fields import ArrayField  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, OperationalError, connection, models, transaction  # noqa: E402
from django.db.utils import DatabaseError  # noqa: E402

UTC = datetime.timezone.utc


class Typed(models.Model):
    yes = models.BooleanField()
    small = models.SmallIntegerField()
    whole = models.IntegerField()
    big = models.BigIntegerField()
    real = models.FloatField()
    exact = models.DecimalField(max_digits=30, decimal_places=10)
    text = models.TextField()
    short = models.CharField(max_length=10)
    raw = models.BinaryField()
    day = models.DateField()
    time = models.TimeField()
    moment = models.DateTimeField()
    long = models.DurationField()
    id_of = models.UUIDField()
    doc = models.JSONField()
    list = ArrayField(models.IntegerField())
    nothing = models.TextField(null=True)

    class Meta:
        app_label = "matrix"


class Parent(models.Model):
    name = models.CharField(max_length=20, unique=True)

    class Meta:
        app_label = "matrix"


class Child(models.Model):
    parent = models.ForeignKey(Parent, on_delete=models.CASCADE)
    amount = models.IntegerField()

    class Meta:
        app_label = "matrix"
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="positive")]


class Written(models.Model):
    i = models.IntegerField(primary_key=True)

    class Meta:
        app_label = "matrix"


VALUES = {
    "yes": True,
    "small": -32768,
    "whole": 2147483647,
    "big": -9223372036854775808,
    "real": 0.1,
    "exact": decimal.Decimal("12345678901234567890.0123456789"),
    "text": "it's \"\u00e4\u20ac\U0001f600\" \\ done",
    "short": "short",
    "raw": b"\x00\xff'\\",
    "day": datetime.date(2024, 2, 29),
    "time": datetime.time(12, 34, 56, 789000),
    "moment": datetime.datetime(2024, 1, 31, 12, 34, 56, 789000, tzinfo=UTC),
    "long": datetime.timedelta(days=3, seconds=4, microseconds=5),
    "id_of": uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "doc": {"a": [1, None]},
    "list": [1, None, 3],
    "nothing": None,
}


@check
def connect():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        expect(cursor.fetchall(), [(1,)], "SELECT 1")
    expect(connection.connection.pgconn.ssl_in_use, True, "TLS")
    wrong = connection.copy()
    wrong.settings_dict = {**connection.settings_dict, "PASSWORD": "wrong"}
    try:
        wrong.ensure_connection()
    except OperationalError as error:
        expect("password authentication failed" in str(error), True, str(error))
    else:
        raise AssertionError("a wrong password was taken")


@check
def migrate():
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in [Typed, Parent, Child, Written]:
            editor.create_model(model)
    with connection.schema_editor() as editor:
        added = models.IntegerField(default=7, db_index=True)
        added.set_attributes_from_name("added")
        editor.add_field(Parent, added)
        text = models.TextField(null=True)
        text.set_attributes_from_name("added")
        editor.alter_field(Parent, added, text)
        editor.remove_field(Parent, text)
    for at, name in enumerate(["one", "two"], 1):
        Child.objects.create(parent=Parent.objects.create(name=name), amount=at)
    found = Child.objects.order_by("id").values_list("parent__name", "amount")
    expect(list(found), [("one", 1), ("two", 2)], "a join")


@check
def types_():
    made = Typed.objects.create(**VALUES)
    found = Typed.objects.get(**{name: value for name, value in VALUES.items() if value is not None})
    expect(found.pk, made.pk, "the row")
    for name, value in VALUES.items():
        read = getattr(found, name)
        expect(bytes(read) if name == "raw" else read, value, name)


@check
def binary_types():
    raise NotThere("it leaves the format to its driver")


@check
def errors():
    for query, state in ERRORS[4:]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(query.replace("parent", "matrix_parent"))
        except DatabaseError as error:
            expect(error.__cause__.sqlstate, state, query)
        else:
            raise AssertionError(f"{query} did not fail")
    for make in [
        lambda: Parent.objects.create(name="one"),
        lambda: Child.objects.create(parent_id=1, amount=0),
        lambda: Child.objects.create(parent_id=99, amount=1),
    ]:
        try:
            make()
        except IntegrityError:
            continue
        raise AssertionError("it did not fail")


@check
def transactions():
    try:
        with transaction.atomic():
            Written.objects.create(i=-1)
            raise InterruptedError
    except InterruptedError:
        pass
    with transaction.atomic():
        Written.objects.create(i=-2)
        try:
            with transaction.atomic():
                Written.objects.create(i=-2)
        except IntegrityError:
            pass
        Written.objects.create(i=-3)
    found = Written.objects.filter(i__lt=0).order_by("i").values_list("i", flat=True)
    expect(list(found), [-3, -2], "rows")
    with transaction.atomic():
        list(Written.objects.select_for_update().filter(i=-2))


@check
def cursors():
    Written.objects.bulk_create(Written(i=i) for i in range(-2000, -1000))
    found = Written.objects.filter(i__lt=-100).order_by("i").values_list("i", flat=True)
    expect(list(found.iterator(chunk_size=100)), list(range(-2000, -1000)), "rows")


@check
def copy():
    raise NotThere("it leaves that to its driver")


@check
def cancel():
    connection.ensure_connection()
    try:
        with cancelling(connection.connection.cancel_safe), connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
    except OperationalError as error:
        expect(error.__cause__.sqlstate, "57014", "its SQLSTATE")
    else:
        raise AssertionError("it slept")
    expect(Parent.objects.count(), 2, "afterwards")


@check
def introspection():
    out = io.StringIO()
    call_command("inspectdb", "matrix_child", "matrix_typed", stdout=out)
    for line in [
        "amount = models.IntegerField()",
        "parent = models.ForeignKey('MatrixParent', models.DO_NOTHING)",
        "exact = models.DecimalField(max_digits=30, decimal_places=10)",
        "doc = models.JSONField()",
    ]:
        expect(line in out.getvalue(), True, f"{line} in {out.getvalue()}")
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "matrix_child")
    expect(constraints["positive"]["check"], True, "the check")


@check
def new_leader_():
    for number in new_leader():
        Written.objects.create(i=number)
    expect(Written.objects.filter(i__gte=0).count(), number + 1, "rows")


main()
