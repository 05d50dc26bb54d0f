// node-postgres: text parameters without types, unnamed statements, cursors with Flush.
// Checks the server that TOWLINE_TEST_DSN names, and prints a line a check.
'use strict';

const assert = require('node:assert/strict');
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');

const url = new URL(process.env.TOWLINE_TEST_DSN);
const options = {
  host: url.hostname,
  port: Number(url.port),
  user: url.username,
  password: url.password,
  database: url.pathname.slice(1),
  ssl: { rejectUnauthorized: false },
};

const checks = {
  async 'a session is encrypted and knows its server'(client) {
    const { rows } = await client.query("select current_setting('server_version') v");
    assert.match(rows[0].v, /^15/);
    assert.ok(client.connection.stream.encrypted);
  },

  async 'every type comes back as it went'(client) {
    await client.query(`create table js_types (
      id serial primary key, b boolean, s smallint, i integer, l bigint, r real, d double precision,
      n numeric(20, 5), t text, v varchar(20), c char(4), y bytea, da date, ti time,
      ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, ia integer[], ta text[])`);
    const when = new Date('2024-02-29T12:34:56.789Z');
    const sent = [true, -32768, 2147483647, '9223372036854775807', 1.5, 0.1, '123456789012345.67890',
      'hé "llo"', 'vc', 'ab', Buffer.from([0, 255, 1]), '2024-02-29', '12:34:56.5',
      '2024-02-29 12:34:56.789', when, 'b5f9c6c0-3c5e-4d27-9c0a-0d9f2d1c7a11',
      { a: [1, null, 'x'] }, JSON.stringify({ k: 1 }), [1, null, 3], ['a,b', '"q"', null]];
    const places = sent.map((_, index) => `$${index + 1}`).join(', ');
    const { rows: [{ id }] } = await client.query(
      `insert into js_types (b, s, i, l, r, d, n, t, v, c, y, da, ti, ts, tz, u, j, jb, ia, ta)
       values (${places}) returning id`, sent);
    const { rows: [row], fields } = await client.query({
      name: 'types', text: 'select * from js_types where id = $1', values: [id] });
    assert.equal(row.b, true);
    assert.equal(row.s, -32768);
    assert.equal(row.i, 2147483647);
    assert.equal(row.l, '9223372036854775807');
    assert.equal(row.r, 1.5);
    assert.equal(row.d, 0.1);
    assert.equal(row.n, '123456789012345.67890');
    assert.equal(row.t, 'hé "llo"');
    assert.deepEqual(row.y, Buffer.from([0, 255, 1]));
    assert.equal(row.ti, '12:34:56.5');
    assert.equal(row.tz.getTime(), when.getTime());
    assert.equal(row.u, 'b5f9c6c0-3c5e-4d27-9c0a-0d9f2d1c7a11');
    assert.deepEqual(row.j, { a: [1, null, 'x'] });
    assert.deepEqual(row.jb, { k: 1 });
    assert.deepEqual(row.ia, [1, null, 3]);
    assert.deepEqual(row.ta, ['a,b', '"q"', null]);
    const oids = Object.fromEntries(fields.map((field) => [field.name, field.dataTypeID]));
    assert.equal(oids.n, 1700);
    assert.equal(oids.tz, 1184);
    assert.equal(oids.ia, 1007);
    await client.query('drop table js_types');
  },

  async 'errors have their fields'(client) {
    await client.query('create table js_errors (id int primary key, name text not null unique)');
    await client.query("insert into js_errors values (1, 'a')");
    const fails = async (text, values, expected) => {
      const error = await client.query(text, values).then(() => null, (caught) => caught);
      assert.ok(error, text);
      for (const [key, value] of Object.entries(expected)) assert.equal(error[key], value, text);
    };
    await fails("insert into js_errors values (2, 'a')", [], {
      code: '23505', table: 'js_errors', constraint: 'js_errors_name_key',
      detail: 'Key (name)=(a) already exists.' });
    await fails('insert into js_errors values (2, null)', [], { code: '23502', column: 'name' });
    await fails('select $1::int', ['x'], { code: '22P02' });
    await fails('selec 1', [], { code: '42601', position: '1' });
    await fails('select * from nowhere', [], { code: '42P01' });
    await client.query('drop table js_errors');
  },

  async 'transactions and savepoints'(client) {
    await client.query('create table js_tx (id int primary key)');
    await client.query('begin');
    await client.query('insert into js_tx values (1)');
    await client.query('savepoint s');
    await assert.rejects(client.query('insert into js_tx values (1)'), { code: '23505' });
    await assert.rejects(client.query('select 1'), { code: '25P02' });
    await client.query('rollback to s');
    await client.query('insert into js_tx values (2)');
    await client.query('commit');
    await client.query('begin');
    await client.query('delete from js_tx');
    await client.query('rollback');
    const { rows } = await client.query('select id from js_tx order by id');
    assert.deepEqual(rows.map((row) => row.id), [1, 2]);
    await client.query('drop table js_tx');
  },

  async 'a cursor reads in parts'(client) {
    const cursor = client.query(new Cursor('select * from generate_series(1, $1::int) g', [1000]));
    let seen = 0;
    for (;;) {
      const rows = await cursor.read(300);
      if (rows.length === 0) break;
      seen += rows.length;
      assert.equal(rows.at(-1).g, seen);
    }
    assert.equal(seen, 1000);
    await cursor.close();
  },

  async 'several statements go in one query'(client) {
    const results = await client.query("select 1 a; select 'x' b; select 2 c where false");
    assert.deepEqual(results.map((result) => result.rows), [[{ a: 1 }], [{ b: 'x' }], []]);
  },

  async 'notifications arrive by themselves'(client) {
    const other = await connect();
    const heard = new Promise((resolve) => other.once('notification', resolve));
    await other.query('listen js');
    await client.query("select pg_notify('js', $1)", ['hello']);
    const { channel, payload } = await heard;
    assert.deepEqual([channel, payload], ['js', 'hello']);
    await other.end();
  },

  async 'a running statement is cancelled by timeout'(client) {
    await client.query('set statement_timeout = 200');
    await assert.rejects(client.query('select pg_sleep(30)'), { code: '57014' });
    await client.query('reset statement_timeout');
  },

  async 'a pool shares the server'() {
    const pool = new Pool({ ...options, max: 4 });
    const rows = await Promise.all([...Array(40).keys()].map((number) =>
      pool.query('select $1::int + 1 n', [number]).then((result) => result.rows[0].n)));
    assert.deepEqual(rows, [...Array(40).keys()].map((number) => number + 1));
    await pool.end();
  },

  async 'the catalog tells of tables'(client) {
    await client.query('create table js_catalog (id int primary key, name varchar(10) default $$x$$)');
    const { rows } = await client.query(
      `select column_name, data_type, character_maximum_length len from information_schema.columns
       where table_name = $1 order by ordinal_position`, ['js_catalog']);
    assert.deepEqual(rows, [
      { column_name: 'id', data_type: 'integer', len: null },
      { column_name: 'name', data_type: 'character varying', len: 10 }]);
    await client.query('drop table js_catalog');
  },
};

async function connect() {
  const client = new Client(options);
  await client.connect();
  return client;
}

async function main() {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const client = await connect();
    try {
      await check(client);
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      const where = /test_pg\.js:(\d+)/.exec(error.stack)?.[1];
      console.log(`FAILED  ${name} (line ${where}): ${error.message}`);
    } finally {
      await client.end();
    }
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
