// node-postgres, with pg-cursor and pg-copy-streams.
'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { Client } = require('pg');
const Cursor = require('pg-cursor');
const copy = require('pg-copy-streams');

const lines = (name) => fs.readFileSync(path.join(__dirname, name), 'utf8').trimEnd().split('\n');
const quoted = (literal) => `'${literal.replaceAll("'", "''")}'`;

async function connect(options = {}) {
  const ca = fs.readFileSync(process.env.PGSSLROOTCERT, 'utf8');
  const client = new Client({ ssl: { ca }, ...options });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function fails(run, state) {
  const error = await run.then(() => null, (caught) => caught);
  assert.ok(error, `no error where ${state} was due`);
  assert.equal(error.code, state, error.message);
  return error;
}

async function roundTrip(client, wanted, binary) {
  for (const [at, line] of lines('types.tsv').entries()) {
    const [name, literal] = line.split('\t');
    if (!wanted(name)) continue;
    const table = `typed${binary ? 'b' : 't'}${at}`;
    await client.query(`create table ${table} (v ${name}, w ${name})`);
    await client.query(`insert into ${table} (v) values (${quoted(literal)})`);
    const read = (column) => client.query({ text: `select ${column} from ${table}`, rowMode: 'array', binary })
      .then(({ rows }) => rows[0][0]);
    let value = await read('v');
    if (name.startsWith('json')) value = JSON.stringify(value);
    await client.query(`update ${table} set w = $1`, [value]);
    // The blanks of a JSON text are the client's.
    const as = name === 'json' ? 'jsonb' : 'text';
    const same = await client.query(`select v::${as} = w::${as} as same, w::text from ${table}`);
    assert.equal(same.rows[0].same, true, `${name}: ${same.rows[0].w}`);
    await client.query(`update ${table} set w = $1`, [null]);
    assert.equal(await read('w'), null, name);
  }
}

const checks = {
  async connect(client) {
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1);
    assert.equal(client.connection.stream.encrypted, true);
    await fails(connect({ password: 'wrong' }), '28P01');
  },
  async migrate(client) {
    await client.query('begin');
    for (const statement of lines('migrate.sql')) await client.query(statement);
    await client.query('commit');
    const { rows } = await client.query('select * from both order by 1');
    assert.deepEqual(rows, [{ name: 'one', amount: 1 }, { name: 'two', amount: 2 }]);
  },
  async types(client) { await roundTrip(client, () => true, false); },
  async 'binary types'(client) {
    // Of the others it gives the bytes.
    const known = ['boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'text'];
    await roundTrip(client, (name) => known.includes(name), true);
  },
  async errors(client) {
    const error = await fails(client.query("insert into parent (name) values ('one')"), '23505');
    assert.equal(error.constraint, 'parent_name_key');
    await fails(client.query('insert into child (parent, amount) values (99, 1)'), '23503');
    await fails(client.query('insert into child (parent, amount) values ($1, $2)', [1, 0]), '23514');
    await fails(client.query('insert into parent (name) values (null)'), '23502');
    await fails(client.query('select $1::integer', ['x']), '22P02');
    await fails(client.query('select 1 / 0'), '22012');
    await fails(client.query('select * from nowhere'), '42P01');
    assert.equal((await fails(client.query('selec 1'), '42601')).position, '1');
  },
  async transactions(client) {
    await client.query('begin');
    await client.query('insert into written values (-1)');
    await client.query('rollback');
    await client.query('begin');
    await client.query('insert into written values (-2)');
    await client.query('savepoint s');
    await fails(client.query('insert into written values (-2)'), '23505');
    await fails(client.query('select 1'), '25P02');
    await client.query('rollback to s');
    await client.query('insert into written values (-3)');
    await client.query('commit');
    const { rows } = await client.query('select i from written where i < 0 order by i');
    assert.deepEqual(rows.map((row) => row.i), [-3, -2]);
  },
  async cursors(client) {
    const cursor = client.query(new Cursor('select i from many order by i'));
    const seen = [];
    for (let rows = [null]; rows.length > 0;) {
      rows = await cursor.read(100);
      seen.push(...rows.map((row) => row.i));
    }
    assert.deepEqual(seen, [...Array(1000).keys()].map((number) => number + 1));
    await cursor.close();
  },
  async copy(client) {
    const into = client.query(copy.from('copy child (parent, amount) from stdin'));
    await pipeline(Readable.from(['1\t10\n2\t\\N\n']), into);
    const out = client.query(copy.to('copy (select parent, amount from child order by id) to stdout csv'));
    let text = '';
    for await (const chunk of out) text += chunk;
    assert.equal(text, '1,1\n2,2\n1,10\n2,\n');
  },
  async cancel(client) {
    const other = await connect();
    let over = false;
    const sleeps = fails(client.query('select pg_sleep(60)'), '57014').finally(() => { over = true; });
    // One that comes before the statement is for nothing.
    while (!over) {
      await other.query('select pg_cancel_backend($1)', [client.processID]);
      await Promise.race([sleeps, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
    await sleeps;
    await other.end();
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1);
  },
  async introspection(client) {
    const { fields } = await client.query('select * from parent limit 0');
    assert.deepEqual(fields.slice(0, 3).map((field) => field.dataTypeID), [23, 1043, 20]);
    const { rows } = await client.query(
      `select column_name, data_type from information_schema.columns
       where table_name = $1 order by ordinal_position limit 2`, ['child']);
    assert.deepEqual(rows.map((row) => row.data_type), ['integer', 'integer']);
  },
  async 'new leader'(client) {
    const change = spawn('sh', ['-c', process.env.TOWLINE_TEST_NEW_LEADER], { stdio: 'inherit' });
    let status = null;
    change.on('exit', (code) => { status = code; });
    let number = 0;
    for (let after = 0; after < 20; number += 1) {
      await client.query('insert into written values ($1)', [number]);
      if (status !== null) after += 1;
    }
    assert.equal(status, 0);
    const { rows } = await client.query('select count(*)::int as n from written where i >= 0');
    assert.equal(rows[0].n, number);
  },
};

async function main() {
  for (const name of lines('checks')) {
    let client;
    try {
      client = await connect();
      await checks[name](client);
      console.log(`ok ${name}`);
    } catch (error) {
      console.error(error.stack);
      const told = error.message.replaceAll(/\s+/g, ' ');
      console.log(`fails ${name}: ${told}`);
    } finally {
      await client?.end();
    }
  }
}

main();
