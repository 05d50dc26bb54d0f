CREATE SCHEMA "Other";
CREATE TYPE mood AS ENUM ('sad', '007', 'it''s
two lines');
CREATE DOMAIN posint AS integer DEFAULT 7 NOT NULL CHECK (VALUE > 0);
CREATE TYPE pair AS (a integer, b text);
CREATE SEQUENCE lone START 5 INCREMENT 3;
CREATE TABLE parent (
    id serial PRIMARY KEY,
    code char(3) UNIQUE,
    "Order" text NOT NULL DEFAULT 'it''s */ /* -- two
lines',
    made timestamptz(3) DEFAULT now(),
    price numeric(10,2) CHECK (price <= 100::numeric),
    exact numeric CHECK (exact <= 100000000000000000000)
);
CREATE TABLE "Other".child (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10) PRIMARY KEY,
    parent int REFERENCES parent (id) ON DELETE CASCADE,
    twice int GENERATED ALWAYS AS (parent * 2) STORED,
    loud text GENERATED ALWAYS AS ('/*' || parent::text || '*/') STORED,
    CONSTRAINT "a name" FOREIGN KEY (parent) REFERENCES parent DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE every (
    bo bool NOT NULL DEFAULT true, i2 smallint, i4 integer DEFAULT 3 + 4, i8 bigint, o oid,
    f4 real, f8 double precision, n numeric, n3 numeric(5,3), t text, v varchar(5), c char(5),
    ch "char", na name, by bytea, d date, ti time, ti2 time(2), tt timetz, ts timestamp,
    tz timestamptz, iv interval, u uuid, j json, jb jsonb DEFAULT '{"a": 1}', m mood DEFAULT 'sad',
    p posint, s smallint, r pair, bi bit(3), bv varbit, ip inet, ia integer[], ta text[], va varchar(3)[],
    ma mood[], ir int4range
);
CREATE INDEX every_both ON every (lower(t)) WHERE i4 > 0;
CREATE INDEX every_one ON every ((jb ->> 'a') NULLS FIRST);
CREATE UNIQUE INDEX child_parent ON "Other".child (parent DESC);
CREATE VIEW z_view AS SELECT id, price FROM parent WHERE price > 1;
CREATE VIEW a_view ("A", b) AS SELECT id, price FROM z_view;
CREATE VIEW only_postgresql AS SELECT c.id::text AS id FROM "Other".child c JOIN parent p ON p.id = c.parent;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM parent;
CREATE FUNCTION twice(n int, by int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * by';
CREATE FUNCTION codes("than" numeric) RETURNS SETOF text LANGUAGE sql STABLE
    AS $$SELECT code::text FROM parent WHERE price > $1 ORDER BY id$$;
COMMENT ON COLUMN parent."Order" IS 'it''s
two lines';
COMMENT ON TABLE "Other".child IS 'a child';
INSERT INTO parent (code, "Order", price, exact) VALUES
    ('ab', DEFAULT, 20.50, 12345678901234567890.12345678901), ('c', E'\\ */\n.tables\n;\t''x''', 3, 0.10);
INSERT INTO "Other".child (parent) VALUES (1), (2), (NULL);
INSERT INTO every (i2, i4, i8, o, f4, f8, n, n3, t, v, c, ch, na, by, d, ti, ti2, tt, ts, tz, iv, u, j, jb, m,
    p, s, r, bi, bv, ip, ia, ta, va, ma, ir) VALUES
    (-32768, -2147483648, -9223372036854775808, 4294967295, 1.1, 0.1, 'NaN', -1.5, '', 'a''b', 'x', 'c', '12',
     '\x00ff2f2a2a2f27', '0044-03-15 BC', '24:00', '12:00:00.55', '12:00+02', 'infinity', '2024-02-29 12:00:00.5+02',
     '1 mon -1 day 00:00:01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '12.50', '12.50', '007', 1, 99, '(1,x)',
     '001', '0010', '10.0.0.1/8', '{1,NULL}', '{"a,b",NULL,""}', '{abc}', '{sad,007}', '[1,3)'),
    (32767, 2147483647, 9223372036854775807, 0, 'NaN', '-Infinity', '1e-20', 99.999, E'\u00e4\U0001f600', '', '', '', '',
     '', 'infinity', '00:00', '00:00', '00:00-15', '0001-01-01 BC', '-infinity', '-178000000 years',
     '00000000-0000-0000-0000-000000000000', 'null', '[1, 1.0, 1e3]', 'it''s
two lines', 1, 1, NULL, '111', '', '::1', '{}', '{}', '{}', NULL, 'empty'),
    (NULL, NULL, NULL, NULL, 'Infinity', 1e300, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
REFRESH MATERIALIZED VIEW kept;
SELECT nextval('lone'), nextval('lone');
