import sqlalchemy as sa
from sqlalchemy import orm

from matrix import ENVIRONMENT, ERRORS, NotThere, check, expect, main, new_leader, quoted, types


def engine(**options):
    url = sa.URL.create("postgresql+psycopg", **options)
    return sa.create_engine(url)


class Base(orm.DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "parent"
    id = orm.mapped_column(sa.Integer, primary_key=True)
    name = orm.mapped_column(sa.String(20), unique=True, nullable=False)
    kept = orm.mapped_column(sa.Enum("sad", "it's ok", name="mood"), server_default="sad")
    made = orm.mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    children = orm.relationship("Child", back_populates="owner")


class Child(Base):
    __tablename__ = "child"
    id = orm.mapped_column(sa.Integer, primary_key=True)
    parent = orm.mapped_column(sa.ForeignKey("parent.id", ondelete="CASCADE"), nullable=False, index=True)
    amount = orm.mapped_column(sa.Integer, sa.CheckConstraint("amount > 0"))
    owner = orm.relationship("Parent", back_populates="children")


class Written(Base):
    __tablename__ = "written"
    i = orm.mapped_column(sa.Integer, primary_key=True, autoincrement=False)


ENGINE = engine()


@check
def connect():
    with ENGINE.connect() as connection:
        expect(connection.scalar(sa.text("SELECT 1")), 1, "SELECT 1")
        expect(connection.dialect.server_version_info[0], 15, "its version")
        expect(connection.connection.driver_connection.pgconn.ssl_in_use, True, "TLS")
    try:
        engine(password="wrong", host=ENVIRONMENT["PGHOST"]).connect()
    except sa.exc.OperationalError as error:
        expect("password authentication failed" in str(error), True, str(error))
    else:
        raise AssertionError("a wrong password was taken")


@check
def migrate():
    Base.metadata.create_all(ENGINE)
    with orm.Session(ENGINE) as session:
        session.add_all(
            Parent(name=name, children=[Child(amount=at)]) for at, name in enumerate(["one", "two"], 1)
        )
        session.commit()
        joined = sa.select(Parent.name, Child.amount).join(Parent.children).order_by(Child.id)
        expect(list(session.execute(joined)), [("one", 1), ("two", 2)], "a join")


@check
def types_():
    with ENGINE.begin() as connection:
        for at, (name, literal) in enumerate(types()):
            connection.exec_driver_sql(f"CREATE TABLE typed{at} (v {name}, w {name})")
            connection.exec_driver_sql(f"INSERT INTO typed{at} (v) VALUES ({quoted(literal)})")
            table = sa.Table(f"typed{at}", sa.MetaData(), autoload_with=connection)
            value = connection.scalar(sa.select(table.c.v))
            connection.execute(table.update().values(w=value))
            same = sa.select(table.c.v.cast(sa.Text) == table.c.w.cast(sa.Text))
            expect(connection.scalar(same), True, name)
            connection.execute(table.update().values(w=sa.null()))
            expect(connection.scalar(sa.select(table.c.w)), None, name)


@check
def binary_types():
    raise NotThere("it leaves the format to its driver")


@check
def errors():
    for query, state in ERRORS[4:]:
        with ENGINE.connect() as connection:
            try:
                connection.exec_driver_sql(query)
            except sa.exc.DBAPIError as error:
                expect(error.orig.sqlstate, state, query)
            else:
                raise AssertionError(f"{query} did not fail")
    try:
        with orm.Session(ENGINE) as session:
            session.add(Parent(name="one"))
            session.commit()
    except sa.exc.IntegrityError as error:
        expect(error.orig.sqlstate, "23505", "a name that is there")
    else:
        raise AssertionError("a name is there twice")


@check
def transactions():
    with orm.Session(ENGINE) as session:
        session.add(Written(i=-1))
        session.flush()
        session.rollback()
        session.add(Written(i=-2))
        try:
            with session.begin_nested():
                session.execute(sa.insert(Written).values(i=-2))
        except sa.exc.IntegrityError:
            pass
        session.add(Written(i=-3))
        session.commit()
        found = session.scalars(sa.select(Written.i).where(Written.i < 0).order_by(Written.i))
        expect(list(found), [-3, -2], "rows")


@check
def cursors():
    with ENGINE.connect().execution_options(yield_per=100) as connection:
        found = connection.scalars(sa.select(sa.func.generate_series(1, 1000)))
        expect(list(found), list(range(1, 1001)), "rows")


@check
def copy():
    raise NotThere("it leaves that to its driver")


@check
def cancel():
    raise NotThere("it leaves that to its driver")


@check
def introspection():
    there = sa.inspect(ENGINE)
    expect(
        [(it["name"], str(it["type"]), it["nullable"]) for it in there.get_columns("parent")],
        [
            ("id", "INTEGER", False),
            ("name", "VARCHAR(20)", False),
            ("kept", "VARCHAR(7)", True),
            ("made", "TIMESTAMP", True),
        ],
        "columns",
    )
    expect(there.get_pk_constraint("child")["constrained_columns"], ["id"], "the key")
    expect(there.get_foreign_keys("child")[0]["options"], {"ondelete": "CASCADE"}, "foreign keys")
    expect(there.get_unique_constraints("parent")[0]["column_names"], ["name"], "unique")
    expect([it["name"] for it in there.get_indexes("child")], ["ix_child_parent"], "indexes")
    expect(there.get_check_constraints("child")[0]["sqltext"], "amount > 0", "checks")
    expect(there.get_enums()[0]["labels"], ["sad", "it's ok"], "labels")


@check
def new_leader_():
    with ENGINE.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for number in new_leader():
            connection.execute(sa.insert(Written).values(i=number))
        count = sa.select(sa.func.count()).where(Written.i >= 0)
        expect(connection.scalar(count), number + 1, "rows")


main()
