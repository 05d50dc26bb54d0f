-- Statements that Towline and PostgreSQL 15 answer alike: one a line. `scripts/differential
-- record` asks a PostgreSQL server and writes corpus.expected.
create table item (id int primary key, name varchar(20), price numeric(10,2), tags text[], made date, doc jsonb)
insert into item values (1, 'apple', 1.50, '{fruit,red}', '2024-01-31', '{"a": 1, "b": [1, 2]}'), (2, 'pear', 2.25, '{fruit}', '2024-02-29', '{"a": 2}'), (3, 'nail', 0.05, null, '2023-12-25', null), (4, 'bolt', 0.05, '{}', null, '[]')
create table sale (id int primary key, item_id int references item, qty int, at timestamp)
insert into sale values (1, 1, 10, '2024-03-01 10:00'), (2, 1, 5, '2024-03-02 11:30'), (3, 2, 7, '2024-03-02 12:00'), (4, 3, 100, '2024-03-03 00:00:00.5')
select 7 / 2, -7 / 2, 7 % 3, -7 % 3, 7.0 / 2, 2 ^ 10, 10 / 3.0, 1e3, .5 + 1
select 1 / 0
select 2147483647 + 1
select 9223372036854775807 + 1
select 32767::int2 + 1::int2
select 0.1 + 0.2, 1.10 * 2, 1.0 / 3, 100::numeric / 7, round(2.5), round(-2.5), round(3.14159, 2), trunc(3.999, 1), ceil(1.2), floor(-1.2)
select 12345678901234567890.123456789 + 1, 1e20::numeric, 'NaN'::numeric, 'infinity'::float8, '-inf'::float4
select abs(-5), sign(-2.5), mod(11, 4), power(2, 0.5), sqrt(2), exp(1), ln(10), log(100), log(2, 8), cbrt(27), pi(), degrees(pi()), radians(180)
select greatest(1, 3, 2), least('b', 'a'), coalesce(null, 2), nullif(1, 1), gcd(12, 18), lcm(4, 6), factorial(5), width_bucket(5.35, 0.024, 10.06, 5), div(9, 4)
select 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, 256 >> 2
select true and null, true or null, not null::bool, true <> false, 't'::bool, 'off'::bool, 1::bool, true::int
select 'a' || 'b', 'a' || 1, 'x' || null, length('héllo'), char_length('abc'), octet_length('é'), upper('abc'), lower('ABC'), initcap('hello wORLD')
select substring('hello' from 2 for 3), substring('hello' from '[aeiou]'), substr('hello', 2), left('hello', 2), right('hello', 2), left('hello', -2), position('l' in 'hello'), strpos('hello', 'lo')
select trim('  x  '), ltrim('xxa', 'x'), rtrim('axx', 'x'), trim(both 'x' from 'xax'), btrim('xyaxy', 'xy'), lpad('7', 3, '0'), rpad('a', 3, 'xy'), repeat('ab', 3), reverse('abc')
select replace('aXbX', 'X', '-'), translate('12345', '143', 'ax'), split_part('a,b,c', ',', 2), split_part('a,b,c', ',', -1), overlay('Txxxxas' placing 'hom' from 2 for 4), ascii('A'), chr(233), md5('a'), concat('a', null, 1), concat_ws('-', 'a', null, 'b')
select format('%s is %I and %L', 'x', 'A b', 'it''s'), quote_ident('a b'), quote_literal('it''s'), quote_nullable(null), to_hex(255), encode('abc'::bytea, 'base64'), encode('\x01ff'::bytea, 'hex'), decode('AQ==', 'base64')
select 'abc' like 'a%', 'abc' not like 'b%', 'ABC' ilike 'abc', 'a_c' like 'a\_c', 'abc' similar to '(a|b)%', 'abc' ~ '^a', 'ABC' ~* 'b', 'abc' !~ 'z'
select regexp_replace('foobar', 'o+', 'X'), regexp_replace('foobar', 'o', 'X', 'g'), regexp_match('foobar', '(o+)(b)'), regexp_split_to_array('a,b,c', ','), regexp_matches('abcabc', 'b', 'g')
select starts_with('alphabet', 'alph'), string_to_array('a,b,,c', ','), string_to_array('a,b', null), array_to_string(array[1, null, 3], ',', '*'), unnest(string_to_array('x y', ' '))
select E'a\tb\n', U&'\0041', 'a''b', $$dollar$$, 'con' 'cat'
select '2024-02-30'::date
select date '2024-01-31' + 1, date '2024-03-01' - date '2024-02-01', date '2024-01-31' + interval '1 month', timestamp '2024-01-01 10:00' - timestamp '2023-12-31 09:30', time '10:00' + interval '90 minutes'
select extract(year from date '2024-02-29'), extract(dow from date '2024-02-29'), extract(doy from date '2024-12-31'), extract(week from date '2024-01-01'), extract(epoch from timestamp '2000-01-01'), date_part('hour', timestamp '2024-01-01 13:45'), extract(isodow from date '2024-03-03'), extract(quarter from date '2024-08-01')
select date_trunc('month', timestamp '2024-05-17 10:11:12'), date_trunc('week', date '2024-05-17'), date_trunc('hour', interval '1 day 02:03:04'), date_bin('15 minutes', timestamp '2024-01-01 10:07', timestamp '2024-01-01')
select age(timestamp '2024-03-01', timestamp '2023-01-31'), interval '1 year 2 months 3 days 04:05:06.7', interval '90 minutes' * 2, interval '1 day' / 2, justify_hours(interval '30 hours'), justify_days(interval '40 days'), -interval '1 day 2 hours'
select make_date(2024, 2, 29), make_time(8, 15, 23.5), make_timestamp(2024, 1, 2, 3, 4, 5.6), make_interval(days => 10, hours => 2), to_timestamp(0) at time zone 'UTC'
select timestamptz '2024-07-01 12:00+00' at time zone 'America/New_York', timestamp '2024-07-01 12:00' at time zone 'Europe/Berlin' at time zone 'UTC', timezone('Asia/Tokyo', timestamptz '2024-01-01 00:00+00')
select to_char(timestamp '2024-03-05 14:07:09.123', 'YYYY-MM-DD HH24:MI:SS.MS'), to_char(timestamp '2024-03-05 14:07:09', 'FMDay, FMDDth Month YYYY HH12:MI am'), to_char(date '2024-03-05', 'Dy DD Mon YY Q IW'), to_char(interval '15h 2m 12s', 'HH24:MI:SS')
select to_char(1234.5, '9,999.99'), to_char(-12, '999'), to_char(0.5, 'FM0.00'), to_char(1234567, 'FM9,999,999'), to_char(12, 'RN'), to_char(5, '000'), to_char(3.14159, '9.99EEEE')
select to_date('05 Dec 2000', 'DD Mon YYYY'), to_timestamp('2024-01-02 03:04:05', 'YYYY-MM-DD HH24:MI:SS') at time zone 'UTC', to_number('12,454.8-', '99G999D9S')
select (date '2024-01-01', date '2024-02-01') overlaps (date '2024-01-15', date '2024-03-01'), isfinite(date 'infinity'), date 'infinity' > date '2024-01-01'
select array[1,2,3], array[[1,2],[3,4]], '{a,"b c",NULL}'::text[], array[1,2] || 3, array[1,2] || array[3], 0 || array[1]
select (array[10,20,30])[2], (array[10,20,30])[2:3], array_length(array[1,2,3], 1), cardinality(array[[1,2],[3,4]]), array_ndims(array[[1],[2]]), array_upper(array[1,2], 1), array_dims(array[1,2,3])
select array_append(array[1], 2), array_prepend(0, array[1]), array_cat(array[1], array[2]), array_remove(array[1,2,1], 1), array_replace(array[1,2,1], 1, 9), array_position(array['a','b'], 'b'), array_positions(array[1,2,1], 1)
select array[1,2] @> array[1], array[1] <@ array[1,2], array[1,2] && array[2,3], 2 = any(array[1,2]), 3 > all(array[1,2]), array[1,2] = array[1,2], array[1,2] < array[1,3]
select '{"a": {"b": [1, 2, 3]}, "c": null}'::jsonb -> 'a' -> 'b' -> 1, '{"a": {"b": 5}}'::jsonb #>> '{a,b}', '{"a": "x"}'::json ->> 'a', '[1,2]'::jsonb -> -1, '{"a": 1}'::jsonb ? 'a', '{"a": 1, "b": 2}'::jsonb - 'a', '{"a": 1}'::jsonb || '{"b": 2}', '{"a": {"b": 1}}'::jsonb @> '{"a": {}}'
select jsonb_build_object('a', 1, 'b', array[1,2]), json_build_array(1, 'x', null), to_jsonb('x'::text), to_json(array[1,2]), jsonb_typeof('[]'), jsonb_array_length('[1,2]'), jsonb_set('{"a": 1}', '{a}', '5'), jsonb_insert('{"a": [1]}', '{a,0}', '0'), jsonb_strip_nulls('{"a": null, "b": 1}'), jsonb_pretty('{"a": 1}'), row_to_json(row(1, 'a'))
select jsonb_object_keys('{"b": 1, "a": 2}'), jsonb_array_elements('[1, 2]')
select * from json_each_text('{"a": 1, "b": "x"}')
select * from jsonb_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') as t(a int, b text)
select key, value from jsonb_each('{"a": 1, "b": [2]}') order by key desc
select row_to_json(t) from (select id, name from item where id = 1) t
select json_agg(t order by id) from (select id, name from item where id < 3) t
select json_object_agg(name, price order by id), jsonb_agg(id order by id desc), array_agg(name order by name), string_agg(name, ', ' order by id) from item
select count(*), count(tags), count(distinct price), sum(price), avg(price), min(name), max(made), bool_and(price > 0), every(id > 0), bit_or(id), stddev(id), variance(id), corr(id, price), stddev_pop(id) from item
select sum(qty), avg(qty), sum(qty) filter (where qty > 6) from sale
select item_id, count(*), sum(qty) from sale group by item_id having sum(qty) > 6 order by 1
select item_id, date_trunc('day', at) d, sum(qty) from sale group by rollup (item_id, d) order by 1 nulls last, 2 nulls last
select item_id, qty, sum(qty), grouping(item_id), grouping(qty) from sale group by grouping sets ((item_id), (qty), ()) order by 4, 5, 1, 2
select item_id, qty > 6 as big, count(*) from sale group by cube (item_id, big) order by 1 nulls last, 2 nulls last
select percentile_cont(0.5) within group (order by qty), percentile_disc(0.5) within group (order by qty), mode() within group (order by item_id) from sale
select name, price, rank() over (order by price), dense_rank() over (order by price), row_number() over (order by price, id), lag(name) over (order by id), lead(name, 1, 'none') over (order by id), first_value(name) over (order by id), ntile(2) over (order by id), percent_rank() over (order by price), cume_dist() over (order by price) from item order by id
select id, sum(qty) over (order by id rows between 1 preceding and current row), avg(qty) over w, count(*) over (partition by item_id) from sale window w as (order by id) order by id
select distinct on (item_id) item_id, qty from sale order by item_id, qty desc
select i.name, s.qty from item i left join sale s on s.item_id = i.id order by i.id, s.id
select i.name, l.qty from item i left join lateral (select qty from sale s where s.item_id = i.id order by qty desc limit 1) l on true order by i.id
select i.name, l.n, l.total from item i cross join lateral (select count(*) n, sum(qty) total from sale s where s.item_id = i.id) l order by i.id
select i.id, x.v from item i, lateral (values (i.id), (i.id * 10)) x(v) where i.id < 3 order by 1, 2
select i.name, t.tag, t.n from item i, unnest(i.tags) with ordinality as t(tag, n) order by i.id, t.n
select * from generate_series(1, 3) as g(n), generate_series(date '2024-01-01', date '2024-01-03', interval '1 day') as d(day) order by 1, 2 limit 4
select generate_series(1, 3), 'x'
select 1 union select 2 union all select 2 order by 1
select qty from (values (1), (1), (2), (3)) v(qty) except all select 1 order by 1
select * from (values (1), (1), (2)) v intersect all select * from (values (1), (1), (1)) w
select id from item intersect select item_id from sale order by 1
with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select sum(n), max(n) from r
with a as (select id from item where id < 3), b as (select id * 10 as id from a) select * from a union all select * from b order by 1
with moved as (delete from sale where id = 4 returning *) select id, qty from moved
with added as (insert into sale values (4, 3, 100, '2024-03-03 00:00:00.5') returning id, qty) select * from added
with u as (update sale set qty = qty + 1 where id = 4 returning id, qty) select i.name, u.qty from u join sale s on s.id = u.id join item i on i.id = s.item_id
update item i set price = price + s.total from (select item_id, sum(qty)::numeric / 100 total from sale group by item_id) s where s.item_id = i.id returning i.id, i.price, s.total
delete from sale s using item i where i.id = s.item_id and i.name = 'nail' returning s.id, i.name
insert into item (id, name) values (1, 'dup') on conflict (id) do update set name = excluded.name || '!' where item.id = 1 returning id, name
insert into item (id, name) values (1, 'dup') on conflict do nothing
insert into item (id, name) values (1, 'dup')
insert into item (id, name) values (9, 'a name that is much too long for it')
insert into sale values (9, 99, 1, null)
insert into item (id) values (null)
merge into item t using (values (1, 'one'), (7, 'seven')) s(id, name) on t.id = s.id when matched then update set name = s.name when not matched then insert (id, name) values (s.id, s.name)
merge into item t using (values (7), (8)) s(id) on t.id = s.id when matched and t.id = 7 then delete when not matched then do nothing
select id, name from item order by id
select case when id = 1 then 'one' when id is null then 'none' else 'many' end, case id when 1 then 'x' end from item where id in (1, 2) order by id
select id from item where (id, name) in ((2, 'pear'), (3, 'x')) order by 1
select exists (select 1 from item where id = 77), (select max(id) from item), array(select id from item order by id desc)
select id from item where id between 2 and 3 and name is distinct from 'x' and not (price is null) order by 1
select id from item where id between symmetric 3 and 2 order by 1
select 1 where 'a' < 'B' collate "C"
select * from item where nosuch = 1
select * from nosuch
select nosuch(1)
select 'a' + 1
select 1 + 'x'
select from where
select 1 as a, 2 as a order by a
select count(*) from item group by
select id, count(*) from item
select sum(name) from item
select 'abc'::int
select 99999999999::int
select 'x'::uuid
select '{1,2'::int[]
select '{"a":'::json
select cast('12' as smallint), '1.5'::float4, 3.7::int, -3.5::int, 2.5::int, '  7 '::int, 1.5e3::int8, 'abc'::char(5), 'abcdef'::varchar(3), 'abc'::char(5) = 'abc', length('ab '::char(5))
select '12.345'::numeric(5,2), 1234.5::numeric(5,2)
select 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '\xdeadbeef'::bytea, 'abc'::bytea, B'101', '12:34'::time, '2024-01-01'::timestamp, 'epoch'::timestamp
select pg_typeof(1), pg_typeof('a'), pg_typeof(1.5), pg_typeof(now()), pg_typeof(array[1]), pg_typeof(null), pg_typeof(1::int8 + 1), pg_typeof(date '2024-01-01' - 1)
select pg_typeof(sum(id)), pg_typeof(avg(id)), pg_typeof(count(*)), pg_typeof(max(name)) from item
select current_schema(), current_database() is not null, version() like 'PostgreSQL 15%', current_setting('server_version_num')::int > 150000
select num_nulls(1, null), num_nonnulls(1, null), row(1, 2) = row(1, 2), row(1, null) is null, (1, 2) < (1, 3)
select a.n, b.n from (values (1), (2)) a(n) full join (values (2), (3)) b(n) on a.n = b.n order by 1, 2
select * from (values (1, 'a'), (2, 'b')) v(x, y) natural join (values (2, 'c')) w(x, z)
select x, count(*) from (values (1), (2), (2)) v(x) group by x order by count(*) desc fetch first (1) rows only
select x from (values (1), (2), (2), (3)) v(x) order by x offset 1 fetch next 1 rows with ties
select x from (values (3), (1), (2)) v(x) order by x desc limit all offset 1
create table c_t (a char(3), b varchar(3), d timestamp(0), e numeric(4,1), f real)
insert into c_t values ('x', 'abc', '2024-01-01 10:00:00.6', 12.25, 1.1) returning *
select a || '|', length(a), a = 'x', f::float8 from c_t
alter table c_t add column g int default 5 check (g > 0), alter column b type text, drop column d
select * from c_t
alter table c_t alter column e set not null, alter column e set default 1.5, rename column f to ff
alter table c_t alter column g type text using 'n' || g
insert into c_t (a) values ('y') returning *
create unique index c_u on c_t (lower(b)) where b is not null
insert into c_t (a, b) values ('q', 'ABC')
create view c_v as select a, upper(b) as ub from c_t
select * from c_v order by 1
create or replace view c_v as select a, upper(b) as ub, g from c_t
drop table c_t
drop table c_t cascade
create table g_t (id int generated always as identity (start with 10 increment by 5), w int, h int, area int generated always as (w * h) stored)
insert into g_t (w, h) values (2, 3), (4, 5) returning *
insert into g_t (id, w) values (1, 1)
create sequence sq start 5 increment 2
select nextval('sq'), nextval('sq'), currval('sq'), lastval()
select setval('sq', 100), nextval('sq')
truncate item, sale
select count(*) from item
create table gs (a int, b text, c numeric(8,2), d date)
insert into gs values (1, 'x', 1.50, '2024-01-01'), (1, 'x', 2.50, null), (1, null, 3, '2024-01-02'), (2, 'y', null, '2024-01-01'), (null, 'y', 4, null), (null, null, null, null)
create table gs_empty (a int, b text)
select a, b, count(*), sum(c), avg(c), min(d), grouping(a, b) from gs group by rollup (a, b) order by grouping(a, b), a nulls last, b nulls last
select a, b, count(*), count(c), grouping(a), grouping(b) from gs group by cube (a, b) order by 5, 6, 1 nulls last, 2 nulls last
select b, max(c), grouping(b) from gs group by grouping sets ((b), ()) having count(*) > 1 order by 3, 1 nulls last
select count(*), sum(a), min(b) from gs_empty group by grouping sets (())
select a, count(*) from gs_empty group by rollup (a)
select a, count(*) from gs_empty group by grouping sets ((a), (), ())
select a, b, count(*) from gs group by a, rollup (b) order by 1 nulls last, 3, 2 nulls last
select a, b, d, count(*) from gs group by grouping sets ((a, b), (d), rollup (a)) order by 1 nulls last, 2 nulls last, 3 nulls last, 4
select a, count(*) from gs group by grouping sets ((a), (a)) order by 1 nulls last
select coalesce(b, 'all') as b, count(*), pg_typeof(sum(c)), pg_typeof(grouping(b)) from gs group by rollup (b) order by 2, 1
select a + 1 as n, array_agg(b order by b) from gs group by rollup (a + 1) order by 1 nulls first, 2
select a, count(distinct b), count(*) filter (where c > 2) from gs group by cube (a) order by 1 nulls last, 3
select distinct grouping(a) from gs group by rollup (a) order by 1
select a, count(*) from gs group by rollup (a) order by 2 desc, 1 nulls last limit 2
select b, count(*) from gs where a = 99 group by rollup (b)
select d, sum(a), sum(c) from gs group by rollup (d) order by d, grouping(d)
select a from gs group by grouping sets (a, b) order by a
select grouping(a) from gs
select a, grouping(c) from gs group by rollup (a)
select percentile_cont(0.5) within group (order by a), percentile_disc(0.5) within group (order by c), mode() within group (order by b) from gs
select percentile_cont(0.25) within group (order by c), pg_typeof(percentile_cont(0.25) within group (order by c)), pg_typeof(percentile_disc(0.25) within group (order by c)) from gs
select percentile_disc(0.5) within group (order by d), percentile_disc(0.5) within group (order by b desc), mode() within group (order by d desc) from gs
select percentile_cont(0.5) within group (order by a), percentile_disc(0.5) within group (order by b), mode() within group (order by a) from gs_empty
select percentile_disc(array[0, 0.5, 1]) within group (order by a) from gs
select b, percentile_cont(0.9) within group (order by c desc) from gs group by b order by b
select percentile_cont(1.5) within group (order by a) from gs
select percentile_disc(null) within group (order by a) from gs
select percentile_cont(0.5) within group (order by a) filter (where a > 1) from gs
select rank(2) within group (order by a) from gs
select a from gs except all select 1 order by 1
select a, b from gs except all select 1, 'x' order by 1 nulls last, 2 nulls last
select a from gs intersect all select a from gs order by 1
select a from gs except all (values (null::int), (2)) order by 1
select a from gs intersect all (values (null::int), (null), (null), (1)) order by 1
select a from gs_empty except all select a from gs
select a from gs except all select a from gs_empty order by 1
select 1 as v intersect all select 1.0
select c from gs except all select 4 order by 1
select 1 except all select 1 union all select 2
select a from gs union all select a from gs intersect all select 1 order by 1
select a from gs except all select a, b from gs
select a from gs except all select b from gs
select a, b from gs order by a fetch first 2 rows with ties
select a from gs order by a nulls first fetch first row with ties
select a, c from gs order by a desc, c fetch first 3 rows with ties
select a from gs order by a offset 3 rows fetch next 1 rows with ties
select a from gs_empty order by a fetch first 3 rows with ties
select a from gs order by a fetch first 0 rows with ties
select a from gs fetch first 1 rows with ties
select min(b), count(*) from gs group by a order by count(*) fetch first 1 rows with ties
select g.a, l.n, l.m from gs g, lateral (select count(*) n, max(h.c) m from gs h where h.a = g.a) l order by 1, 2, 3
select g.a, l.b from gs g left join lateral (select h.b from gs h where h.a > g.a order by h.b) l on true order by 1, 2
select g.a, s from gs g cross join lateral generate_series(1, g.a) s order by 1, 2
select g.b, l.* from gs g join lateral (select g.a * 2 as twice, g.c + 1 as more, g.d as same) l on l.twice > 1 order by 2, 3
select x.n, y.m from (values (1), (2)) x(n), lateral (select x.n * k as m from (values (10), (20)) v(k) where k > x.n * 10 - 5) y order by 1, 2
select x.n, y.* from (values (1), (2)) x(n) left join lateral (select 1 as one where x.n = 2) y on true order by 1
select g.a, u from gs g, lateral unnest(array[g.b, 'z']) u where g.a = 1 order by 1, 2
create table mt (id int primary key, v text, n numeric(6,2) default 7)
insert into mt values (1, 'one', 1), (2, null, 2), (3, 'three', null)
merge into mt using (values (1, 'uno'), (4, 'four'), (5, null)) s(id, v) on mt.id = s.id when matched then update set v = s.v, n = n + 1 when not matched then insert (id, v) values (s.id, s.v)
merge into mt t using (select 2 as id, null::text as v) s on t.id = s.id when matched and s.v is null then do nothing when matched then delete
merge into mt t using gs_empty s on t.id = s.a when matched then delete when not matched then insert values (s.a, s.b, 0)
merge into mt t using (values (1), (1)) s(id) on t.id = s.id when matched then update set v = 'twice'
merge into mt t using (values (9, 'a'), (9, 'b')) s(id, v) on t.id = s.id when not matched then insert (id, v) values (s.id, s.v)
merge into mt t using (values (null::int, 'n')) s(id, v) on t.id = s.id when not matched then insert (id, v) values (s.id, s.v)
merge into mt t using mt s on t.id = s.id + 1 when matched and t.v is not null then update set v = s.v when not matched then do nothing
merge into mt t using (values (3), (6)) s(id) on t.id = s.id when matched then delete when not matched and s.id > 5 then insert default values
merge into mt t using (values (8)) s(id) on t.id = s.id when not matched then insert (id, v, n) values (s.id, default, 12.345)
merge into nowhere using gs s on true when matched then delete
select * from mt order by id
with d as (delete from mt where id = 8 returning id, n, n * 2 as twice) select *, pg_typeof(twice) from d
with d as (delete from mt where id = 99 returning id) select count(*) from d
with i as (insert into mt (id, v) values (20, null), (21, 'b') returning *) select count(*), count(v), sum(n) from i
with i as (delete from mt where id = 999) select count(*) from mt where id < 10
with u as (update mt set v = 'u' where id >= 20 returning id, v) insert into gs_empty select id, v from u
select * from gs_empty order by a
with d as (delete from gs_empty returning *) insert into mt select a + 100, b, a from d returning id, v, n
with i as (insert into mt values (1, 'dup') returning id) select * from i
with recursive r(n) as (select 200 union all select n + 1 from r where n < 202), i as (insert into mt (id) select n from r returning id) select max(id) from i
with a as (insert into mt (id) values (300) returning id), b as (insert into mt (id) values (301) returning id) select id from a union all select id from b order by 1
select count(*), sum(n) from mt
update mt set v = s.b from (values (1, 'j'), (99, 'k'), (null, 'l')) s(a, b) where mt.id = s.a returning mt.id, s.*, mt.v
update mt t set n = t.n + g.c from gs g where g.a = t.id and g.b = 'x' and g.c > 2 returning t.id, t.n, g.a, g.d
update mt set v = null from gs_empty e where e.a = mt.id returning mt.*, e.b
delete from mt using (values (20, 'gone'), (21, null)) s(id, why) where s.id = mt.id returning mt.id, s.why, mt.v
delete from mt t using gs g where t.id = 77 and g.a = t.id returning *
delete from mt where id > 100 returning id, (select count(*) from gs) as c
insert into mt (id, v) values (1, 'x'), (50, 'y') on conflict (id) do update set v = excluded.v || mt.v returning *
insert into mt (id) select a from gs where a = 99 returning *
update mt set (v, n) = (select b, c from gs where a = 2) where id = 2 returning *
select count(*) from (select 1 as v union select 1.0) u
select 1 as v intersect select 1.0
select 1 as v except select 1.0
select distinct v = 1 from (values (1.0), (1.00)) t(v)
select count(*) from (select distinct v from (values (1.0), (1.00), (2)) t(v)) u
select count(*) from (values (1.0), (1.00)) t(v) group by v
select count(*) from (select v from (values (1.50), (2.5)) t(v) union select 1.5) u
select count(distinct v) from (select c * 1.00 as v from gs union all select c * 1.0 from gs) u
select count(*) from (select c * 1.00 as v from gs union all select c * 1.0 from gs) u group by v order by 1
select grouping(a), count(*) from gs group by a order by a
-- Networks, bits, shapes, ranges.
create table ext (id int primary key, ip inet, net cidr, mac macaddr, b bit(4), vb bit varying(6), p point, c circle, r int4range, d daterange, n numrange)
insert into ext values (1, '10.0.0.9', '10.0.0.0/24', '08:00:2b:01:02:03', '0101', '11', '(1,2)', '<(1,2),3>', '[1,5)', '[2020-01-01,2020-01-31]', '[1.5,2.5]'), (2, '10.0.0.10/24', '10.1.0.0/16', '08002b010204', B'1111', B'101', '3,4', '<(0,0),1>', '[5,10]', '(,2019-01-01)', '(1.50,1.5]'), (3, '::1', '::/0', null, null, '', null, null, 'empty', null, '(,)')
select * from ext order by id
select id from ext order by ip
select id from ext order by net desc
select id from ext order by r, id
select id from ext order by n, id
select id from ext where ip = '10.0.0.9/32'
select id from ext where ip << '10.0.0.0/8' order by id
select id from ext where net >>= '10.0.0.9' order by id
select id, ip && net from ext order by id
select ip::text, host(ip), masklen(ip), family(ip), network(ip), netmask(ip), broadcast(ip), hostmask(ip), abbrev(ip) from ext order by id
select net::inet, abbrev(net), ip::cidr from ext order by id
select set_masklen('10.1.2.3'::inet, 16), set_masklen('10.1.2.3'::inet, 40)
select max(ip) is not null, count(distinct ip) from ext
select b & B'0110', b | B'0110', b # B'0110', ~b, b << 1, b >> 1, b || vb, length(vb), octet_length(vb) from ext order by id
select b::int, 5::bit(8), (-1)::bit(4), X'1F', B'101'::bit(5), B'10101'::varbit(3), get_bit(b, 1), set_bit(b, 0, 1), bit_count(b) from ext order by id
insert into ext (id, b) values (9, B'10101')
insert into ext (id, vb) values (9, B'1010101')
select '1'::bit(3) = B'100', B'10' < B'100', B'101' = B'101'::varbit
select get_bit(B'101', 3)
select p, c, p::text from ext order by id
select '(1,2)'::point = '(1,2)'::point
select '((0,0),(1,1))'::box, '[(0,0),(1,1)]'::lseg, '((0,0),(1,1))'::path, '((0,0),(1,1))'::polygon, '{1,2,3}'::line
select r @> 3, r @> '[2,3]', 3 <@ r, r && '[4,6]', r -|- '[5,6]', r << '[7,9]', r >> '[0,0]', lower(r), upper(r), isempty(r), lower_inc(r), upper_inc(r), lower_inf(r), upper_inf(r) from ext order by id
select r + '[5,6]', r * '[2,6]', r - '[4,20]' from ext where id < 3 order by id
select r + '[50,60]' from ext where id = 1
select '[1,10)'::int4range - '[3,4]'
select d @> '2020-01-15'::date, lower(d), upper(d) + 1, d from ext order by id
select n @> 1.5, upper(n), lower(n) from ext order by id
select int4range(1, 5), int4range(1, 5, '[]'), int8range(null, 7), numrange(1.0, 2.50, '(]'), daterange('2020-01-01', null), tsrange('2020-01-01', '2020-01-02'), range_merge('[1,2)'::int4range, '[5,6)')
select int4range(5, 1)
select int4range(1, 5, '')
select int4range(1, 5, null)
select '[1,3)'::int4range = '[1,2]'::int4range, '[1,3)'::int4range < '[1,4)', 'empty'::int4range < '(,1)', int4range(3, 9) > int4range(1, 9)
select array['[1,2)'::int4range, 'empty'], '{10.0.0.1,::1}'::inet[], array[B'1', B'0']
select pg_typeof(ip), pg_typeof(net), pg_typeof(b), pg_typeof(vb), pg_typeof(p), pg_typeof(r), pg_typeof(d) from ext where id = 1
select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'ext'::regclass and attnum > 0 order by attnum
select 1::inet
select '10.0.0.1'::inet + 1.5
select r = 1 from ext
create unique index ext_ip on ext (ip)
insert into ext (id, ip) values (10, '10.0.0.9/32')
select ip from ext where ip in ('10.0.0.9', '::1') order by ip
select ip, count(*) from ext group by ip order by ip
select r, count(*) from ext group by r order by r
select point(1, 2.5), box(point(0, 0), point(1, 1)), lseg('(0,0)'::point, point(0.1, 1e30)), circle(p, 2), point(null, 1) from ext order by id
-- Composites.
create type mood as enum ('sad', 'ok', 'happy')
create type address as (street text, number int, mood mood)
create type person as (name text, home address, scores int[])
create type address as (a int)
create type twice as (a int, a text)
create table people (id int primary key, p person, a address, many address[])
insert into people values (1, row('Ann', row('High St', 3, 'ok'), array[1,2]), ('Low St', 4, 'happy'), array[row('x', 1, 'sad')::address]), (2, '("Bob ""B""",,)', '("a,b",,)', '{"(y,2,ok)"}'), (3, null, null, null)
select * from people order by id
select (p).name, ((p).home).street, (p).scores[2], (a).number + 1, (many[1]).street from people order by id
select (p).nothing from people
select (a).mood, (a).mood = 'happy' from people order by id
select id from people where (a).number = 4
select id from people where a = row('Low St', 4, 'happy')::address
select a is null, a is not null from people order by id
update people set a = row('New', 1, null) where id = 3 returning a
insert into people (id, a) values (4, row('x'))
insert into people (id, a) values (4, row('x', 1, 'ok', 2))
insert into people (id, a) values (4, '(x,1)')
insert into people (id, a) values (4, '(x,one,ok)')
insert into people (id, a) values (4, 'x')
insert into people (id, a) values (4, row('x', 1, 'angry'))
insert into people (id, a) values (4, 7)
select row('s', 1, 'sad')::address, null::address, '(q,2,)'::address, array[row('s', 1, 'sad')::address, null]
select (row('s', 1, 'sad')::address).street, pg_typeof(row('s', 1, 'sad')::address)
select typname, typtype, typcategory, typlen from pg_type where typname in ('address', 'person', '_address') order by 1
select relname, relkind, relnatts from pg_class where relname = 'address'
select attname, format_type(atttypid, atttypmod), attnum from pg_attribute where attrelid = (select typrelid from pg_type where typname = 'person') order by attnum
select count(*) from people group by a order by 1
drop type address
drop table people
drop type mood
drop type person
drop type address
drop type mood
-- Moments in a session's zone.
set time zone 'America/Toronto'
select extract(epoch from '2020-01-01 00:00:00+00'::timestamptz), date_part('epoch', '2020-01-01 00:00:00+00'::timestamptz), extract(hour from '2020-01-01 00:00:00+00'::timestamptz), extract(timezone from '2020-07-01 00:00:00+00'::timestamptz), extract(timezone_hour from '2020-01-01 00:00:00+00'::timestamptz)
select '2020-07-01 00:00:00+00'::timestamptz::timetz, ('2020-01-01 00:00:00+00'::timestamptz)::time, '2020-01-01 00:00:00+00'::timestamptz::date
select extract(epoch from '2020-01-01 00:00:00'::timestamp), extract(epoch from '2020-01-01'::date), extract(day from '2020-01-01 00:00:00+00'::timestamptz), date_part('month', '2020-01-01 00:00:00+00'::timestamptz)
select extract(epoch from '10:00-05'::timetz), extract(hour from '10:30-05'::timetz), extract(timezone from '10:30-05'::timetz), date_part('minute', '10:30+05:30'::timetz)
select extract(day from '10:00-05'::timetz)
set time zone 'UTC'
-- Decimals of results.
create table lp (id int primary key, a numeric(10,2), b numeric)
insert into lp values (1, 3.50, 2.50), (2, 10, 0.1), (3, 0.00, 1.0), (4, 1.00, 0)
select a * 1, a * 2.0, a * b, a + b, a - 1.00, a / 3, 1 * a, b * 1.000 from lp order by id
select a + 0, 0.000 + a, a - 0, b - b, a + 0.000, 0 - b from lp order by id
select sum(a), avg(a), sum(a * 1.10), max(a), sum(a) / 2, sum(b * 1), sum(0 * a) from lp
select 3.50 * 1, 1.10 * 1.10, 2.0 * 3, 3.5 + 0.00, 0 + 1.50, 1.50 - 0.000, 0.0 * 0.00, 1.0 * 1.00
-- More of the calendar, of strings, numbers, arrays, JSON and windows.
set time zone 'America/New_York'
select '2024-03-10 01:30'::timestamptz + interval '1 hour', '2024-03-10 00:30'::timestamptz + interval '1 day', '2024-11-03 00:30'::timestamptz + interval '24 hours', '2024-11-03 01:30'::timestamptz
select date_trunc('day', '2024-03-10 12:00'::timestamptz), date_trunc('hour', '2024-11-03 05:30+00'::timestamptz), date_trunc('month', '2024-03-10 12:00'::timestamptz, 'Asia/Tokyo')
select '2024-07-01 12:00+00'::timestamptz at time zone 'Europe/Paris', '2024-07-01 12:00'::timestamp at time zone 'Europe/Paris', '12:00'::time at time zone 'UTC' is not null
select extract(isodow from '2024-03-10 23:30'::timestamptz), extract(dow from '2024-03-11 02:00+00'::timestamptz), extract(doy from '2024-12-31 23:59'::timestamptz), extract(week from '2024-12-31'::date)
select to_char('2024-03-10 14:05:06.789'::timestamptz, 'YYYY-MM-DD HH24:MI:SS.MS TZ OF'), to_char('2024-07-10 14:05'::timestamptz, 'Day, DD Mon YYYY HH12:MI am tz TZH:TZM')
select to_char('2024-03-05'::date, 'FMDay FMDDth FMMonth YYYY, IYYY-IW-ID J Q WW CC'), to_char('2024-03-05'::date, 'day DY dy MONTH mon RM rm')
select to_timestamp('2024-03-10 14:05:06', 'YYYY-MM-DD HH24:MI:SS'), to_date('10 Mar 2024', 'DD Mon YYYY'), to_timestamp(1700000000), to_timestamp(1700000000.5)
select age('2024-03-10'::timestamp, '2023-12-25'::timestamp), age('2000-02-29'::date, '1999-03-01'::date), justify_days(interval '65 days'), justify_hours(interval '50 hours'), justify_interval(interval '1 mon -1 hour')
select generate_series('2024-03-09'::timestamptz, '2024-03-12'::timestamptz, interval '1 day')
select generate_series('2024-01-31'::date, '2024-05-31'::date, interval '1 month')
select '2024-03-10'::timestamptz - '2024-03-09'::timestamptz, '2024-03-11 00:00'::timestamptz - '2024-03-10 00:00'::timestamptz, '2024-03-11'::date - '2024-03-10'::date
select make_timestamptz(2024, 7, 1, 12, 0, 0), make_timestamp(2024, 2, 29, 1, 2, 3.5), make_date(2024, 2, 29), make_time(1, 2, 3.25), make_interval(days => 3, hours => 2)
select ('2024-01-01'::date, '2024-06-01'::date) overlaps ('2024-05-01'::date, '2024-07-01'::date)
select 'now'::timestamptz = now(), 'today'::date = current_date, 'epoch'::timestamptz, 'infinity'::timestamptz, '-infinity'::date
select interval '1 year 2 months 3 days 4:05:06.789', interval '-1 day +02:03', interval 'P1Y2M3DT4H5M6S', interval '1.5 hours', interval '3 weeks', interval '1-2', interval '10', interval '2 days ago'
select interval '1 month' * 1.5, interval '1 day' / 3, interval '1 hour' * 2 + interval '10 min', -interval '1 day', interval '30 days' = interval '1 month', interval '24 hours' = interval '1 day'
select date_part('epoch', interval '1 month'), extract(epoch from interval '1 day 1 sec'), extract(month from interval '14 months'), extract(millisecond from time '10:11:12.345')
select timestamptz '2024-03-10 12:00' :: date, (timestamptz '2024-03-11 02:00+00')::date, '2024-03-10'::date::timestamptz, current_timestamp = now()
select date_bin('15 minutes', '2024-03-10 14:07'::timestamp, '2024-01-01'::timestamp)
select '2024-03-10 12:00+05:30'::timestamptz, '2024-03-10 12:00 Europe/Paris'::timestamptz, '2024-03-10 12:00 PST'::timestamptz, '12:00 PM'::time, '04:05:06.7 -8'::timetz
select '24:00'::time, '00:00:60'::time, '2024-02-30'::date
select '2024-13-01'::date
select isfinite('infinity'::timestamp), isfinite(interval '1 day'), date '2024-01-01' + time '10:00', date '2024-01-01' + 5, date '2024-01-01' - interval '1 month'
set time zone 'UTC'
set time zone 'America/New_York'
select ('2024-01-01'::timestamp, interval '5 months') overlaps ('2024-05-15'::timestamp, '2024-07-01'::timestamp), ('2024-01-01'::date, null) overlaps ('2023-01-01'::date, '2024-02-01'::date), (null, '2024-02-01'::date) overlaps ('2024-03-01'::date, null)
select make_interval(days => 3, hours => 2), make_interval(1, 2), make_date(year => 2024, month => 2, day => 3), make_interval(secs => 1.5)
select make_timestamptz(2024, 7, 1, 12, 0, 0), make_timestamptz(2024, 7, 1, 12, 0, 0, 'UTC')
select to_timestamp('2024-07-10 14:05:06', 'YYYY-MM-DD HH24:MI:SS'), to_timestamp('05 Dec 2000', 'DD Mon YYYY')
select age('2024-07-11 02:00+00'::timestamptz, '2024-03-10 00:00'::timestamptz), age(now()) < interval '1 day', age('2020-01-01'::timestamp) > interval '4 years'
select date_bin('1 day', '2024-03-10 14:07+00'::timestamptz, '2024-01-01 00:00+00'::timestamptz), date_bin('-1 day', now(), now())
select * from generate_series('2024-11-02 12:00'::timestamptz, '2024-11-04 12:00', '12 hours')
select * from generate_series('2024-03-01'::timestamp, '2024-03-03', '1 day') with ordinality
set time zone 'UTC'
select format('%s %I %L %%', 'a b', 'Col', 'it''s'), format('%2$s %1$s', 'a', 'b'), format('%-5s|%5s|', 'a', 'b'), format('%s', null), format('%L', null)
select split_part('a,b,c', ',', 2), split_part('a,b,c', ',', -1), string_to_array('a,b,,c', ','), string_to_array('abc', null), array_to_string(array[1,null,3], ',', 'x'), regexp_split_to_array('a1b2c', '\d')
select regexp_matches('a1b2', '([a-z])(\d)', 'g')
select 'abc' like 'a%', 'a_c' like 'a\_c', 'abc' ilike 'A_C', 'abc' similar to '(a|b)%', 'abc' ~ '^a', 'ABC' ~* 'b', 'abc' !~ 'd', 'a%c' like 'a!%c' escape '!'
select overlay('abcdef' placing 'XX' from 2 for 3), translate('abc', 'ab', 'x'), initcap('hello wORLD'), ascii('a'), chr(65), to_hex(255), md5('a'), encode('\x01ff'::bytea, 'hex'), encode('abc'::bytea, 'base64'), decode('AQ==', 'base64'), concat('a', null, 1), concat_ws('-', 'a', null, 'b')
select lpad('abc', 2), rpad('abc', 5), repeat('a', -1), left('abc', -1), right('abc', 0), reverse(''), strpos('abc', ''), position('' in 'abc'), char_length('äö'), octet_length('äö'), bit_length('a'), upper('straße'), lower('ÄÖ')
select round(2.5), round(3.5), round(-2.5), round(2.567, 2), round(1234.5, -2), trunc(2.7), trunc(-2.789, 2), ceil(2.1), floor(-2.1), round(2.5::float8), round(3.5::float8), sign(-3), mod(-7, 3), div(7, 2), gcd(12, 18), lcm(4, 6), factorial(5), width_bucket(5.35, 0.024, 10.06, 5)
select 1/0
select 1.0/0
select 0.1 + 0.2, 0.1::float8 + 0.2::float8, 1e20::float8, 1e15::float8, 123456789012345678::float8, 0.00001::float8, 1.0::float4, 3.14159265::float4, 'NaN'::float8, '-Infinity'::float8, 100::float8, -0.0::float8
select 1.5::int, 2.5::int, -1.5::int, 1.5::numeric::int, '1.5'::numeric(3,1), 123.456::numeric(5,1), 99.95::numeric(3,1), 1e3::numeric, 1.10::numeric, 'abc'::varchar(2), 'abc'::char(5) || 'x', ' 12 '::int, 't'::bool, 'yes'::bool, 'off'::bool, 1::bool, true::int, 'x'::"char"
select 99.99::numeric(3,1)
select cast('12a' as int)
select nullif(1, 1), nullif('a', 'b'), coalesce(null, 2), greatest(1, null, 3), least('b', 'a'), case when null then 1 else 2 end, case 1 when 1 then 'one' end, (select 1 where false), num_nulls(1, null), num_nonnulls(1, null)
select null = null, null is distinct from null, 1 is distinct from null, null and false, null or true, not null, true and null, (1, null) = (1, null), (1, 2) < (1, 3), row(1, 2) = row(1, 2), (1, null) is null, row(null, null) is null
select array[1,2] @> array[1], array[1] <@ array[1,2], array[1,2] && array[2,3], 1 = any(array[1,2]), 3 <> all(array[1,2]), array[1,2] = array[1,2], array[1,2] < array[1,3], array[3] > array[1,2], '{a,"b c",NULL}'::text[], array[null]::int[], array[]::int[], '{}'::int[]
select unnest(array[1,2]), unnest(array['a','b','c'])
select * from unnest(array[1,2], array['a']) as t(x, y)
select jsonb '{"a": 1, "b": [1, 2]}' -> 'b' -> 0, jsonb '{"a": {"b": 2}}' #> '{a,b}', jsonb '{"a": "x"}' ->> 'a', jsonb '{"a": 1}' @> '{"a": 1}', jsonb '{"a": 1}' ? 'a', jsonb '["a"]' ?| array['a','b'], jsonb '{"a": 1}' || '{"b": 2}', jsonb '{"a": 1, "b": 2}' - 'a', jsonb '[1,2]' - 0, jsonb '{"a": {"b": 1}}' #- '{a,b}'
select jsonb_set('{"a": 1}', '{a}', '2'), jsonb_set('{"a": 1}', '{b}', '2', false), jsonb_insert('{"a": [1]}', '{a, 0}', '0'), jsonb_pretty('{"a": [1, 2]}'), jsonb_typeof('[]'), jsonb_array_length('[1, 2]'), jsonb_strip_nulls('{"a": null}'), to_jsonb(row(1, 'a')), jsonb_build_object('a', 1, 'b', array[1,2]), jsonb_build_array(1, 'a', null), json_build_object('a', 1.50), row_to_json(row(1, 'x'))
select * from jsonb_each('{"a": 1, "b": "x"}')
select * from jsonb_each_text('{"a": 1, "b": "x"}')
select * from jsonb_array_elements('[1, "a", null]')
select * from jsonb_array_elements_text('[1, "a", null]') with ordinality
select jsonb_object_keys('{"a": 1, "b": 2}')
select * from jsonb_to_record('{"a": 1, "b": "x"}') as t(a int, b text)
select * from jsonb_to_recordset('[{"a": 1}, {"a": 2}]') as t(a int)
-- JSON: the order of jsonb, spaces that json keeps, records, paths.
create table paper (id int primary key, doc jsonb, raw json)
insert into paper values (1, '{"n": 1, "tags": ["a", "b"]}', '{"n":1,  "tags":["a","b"]}'), (2, '{"n": 1.0, "tags": ["a", "b"]}', '[1,  {"x": 2}]'), (3, '[]', '"s"'), (4, 'null', null), (5, '[1, 2]', '{}'), (6, '"text"', '{}'), (7, '{"n": 2, "tags": []}', '{"a":null}'), (8, '12', '{}'), (9, 'true', '{}')
select id, doc from paper order by doc, id
select count(distinct doc), count(*) from paper
select doc, count(*) from paper where id in (1, 2, 7) group by doc order by 2, 1
select id from paper where doc > '{"n": 1}' order by id
select id from paper where doc = '{"tags": ["a", "b"], "n": 1.00}' order by id
select id from paper where doc between '[]' and '"z"' order by id
select id from paper where doc -> 'n' = '1' order by id
select max(id) from paper where doc < '[1, 2]' and doc >= 'null'
select raw = raw from paper
select ('[1, "2", null]'::jsonb)['1'], ('{"a": [1, 2]}'::jsonb)['a'][-1], ('{"1": 5}'::jsonb)[1]
select '{"a": {"b": 1}}'::jsonb #> array['a', null], '{"a": 1}'::json #>> array[null], '{"a": {"b":  1}}'::json #> '{a}'
select * from json_each('{"a":[1,2], "b": {"c":  1}, "a": null}')
select * from json_each_text('{"a":[1,2], "b": null, "c": "x\ny"}')
select * from json_array_elements('[1,[2,  3],{"a":1}]')
select * from jsonb_array_elements_text('[1,[2,  3],{"a":1},null]')
select json_each('[1]')
select jsonb_each('[1]')
select json_each_text('1')
select json_array_elements('{}')
select jsonb_array_elements('{}')
select jsonb_array_elements('1')
select json_object_keys('[]')
select * from json_to_record('{"a":{"k":1},"b":[1,2],"c":null,"d":"2024-01-02"}') as t(a json, b int[], c text, d date)
select * from jsonb_to_record('{"a":{"k":1},"b":[[1,2],[3,null]]}') as t(a json, b int[], z text)
select * from json_to_recordset('[{"a":{"k":  1}},{"a":[]}]') as t(a jsonb)
select * from json_to_record('[1]') as t(a int)
select * from jsonb_to_recordset('[1]') as t(a int)
select * from json_to_record('{"b":5}') as t(b int[])
create type ink as (colour text, drops int, made date)
select * from json_populate_record(null::ink, '{"colour": "red", "drops": "7"}')
select * from jsonb_populate_record(row('blue', 1, '2024-01-01')::ink, '{"drops": 2}')
select * from jsonb_populate_recordset(null::ink, '[{"colour": "red"}, {"drops": 3, "made": "2024-02-29"}]')
select (jsonb_populate_record(null::ink, '{"colour": "red", "drops": 7}')).drops
select id, doc from jsonb_populate_record(null::paper, '{"id": 11, "doc": {"x": 1}}')
select * from jsonb_to_record('{"i": {"colour": "red", "drops": 4}}') as t(i ink)
select to_json(timestamptz '2024-05-06 07:08:09.5+02'), to_json(timestamp '2024-05-06 07:08:09'), to_json(date '2024-05-06'), to_json(time '07:08'), to_jsonb(timetz '07:08+02'), to_json(interval '1 day')
select to_json('pg_class'::regclass), to_json(1.50), to_json(1.5::float4), to_json('NaN'::float8), to_jsonb('\x01ff'::bytea), to_json('a"b'::text), to_json(null::int)
select array_to_json(array[jsonb '{"a": 1}', '[2]']), to_json(array[json '{"a":1}']), array_to_json(array[timestamp '2024-01-02 03:04:05']), array_to_json(array[true, null]), array_to_json(array[1.50, 2]), array_to_json('{{1,2},{3,4}}'::int[], true), array_to_json(array['1', 'x'])
select row_to_json(row(1, 'a'), true), json_build_object('a', array[1,2], 'b', row(1, array['x'])), json_build_array(array[[1,2],[3,4]]), jsonb_build_object('t', timestamptz '2024-05-06 07:08:09+02')
select json_agg(t order by x) from (values (1, 'a'), (2, 'b')) t(x, y)
select json_agg(array[x] order by x), json_agg(x order by x), jsonb_agg(t order by x) from (values (1, 'a'), (2, 'b')) t(x, y)
select array_to_json(array_agg(t order by x)), array_to_json(array_agg(x order by x), true) from (values (1, 'a'), (2, 'b')) t(x, y)
select array_to_json(array_agg(row_to_json(t))) from (select 1 as a where false) t
select json_object('{a,1,b,2}'), json_object('{{a,1},{b,null}}'), json_object('{a,b}', '{1,"x y"}'), jsonb_object('{b,a}', '{1,2}'), jsonb_object('{}')
select json_object('{a,b,c}')
select json_object('{{a},{b}}')
select json_object('{a,b}', '{1}')
select json_object('{null}', '{1}')
select json_build_object(null, 1)
select json_build_object('a')
select json_object_agg(x, 1) from (values (null::text)) t(x)
select jsonb_set_lax('{"a": 1}', '{a}', null), jsonb_set_lax('{"a": 1}', '{b}', null, false), jsonb_set_lax('{"a": 1}', '{a}', null, true, 'delete_key'), jsonb_set_lax('{"a": 1}', '{a}', null, true, 'return_target'), jsonb_set_lax('{"a": 1}', '{a}', '2')
select jsonb_set_lax('{"a": 1}', '{a}', null, true, 'raise_exception')
select jsonb_extract_path('{"a":{"b":1}}', 'a'), jsonb_extract_path_text('{"a":[1,{"b":1}]}', 'a', '1'), json_extract_path('{"a":{"b":  1}}', 'a'), json_extract_path_text('{"a":"x"}', 'a'), json_extract_path('{}', null)
select jsonb_set('{"a": 1}', array['a', null], '2')
select jsonb_contains('{"a": 1, "b": 2}', '{"a": 1}'), jsonb_contained('{}', '{"a": 1}'), jsonb_exists('{"a": 1}', 'a'), jsonb_exists_any('{"a": 1}', '{x,a}'), jsonb_exists_all('{"a": 1}', '{x,a}'), jsonb_concat('[1]', '2'), jsonb_delete('{"a": 1, "{b}": 2}', '{b}'::text), jsonb_delete_path('{"a": {"b": 1}}', '{a,b}')
select jsonb '{"a": 1, "b": 2, "c": 3}' - array['a', 'c'], jsonb '["a", "b"]' - 'a', jsonb '[1, 2]' - -1
select json '{"a": 1}' ? 'a'
select jsonb '{"a": [1, 2, 3]}' @? '$.a[*] ? (@ > 2)', jsonb '{"a": 1}' @@ '$.a == 1', jsonb '{"a": 1}' @@ '$.a', jsonb '[1]' @? 'strict $.a'
select jsonb_path_exists('{"a": 1}', '$.a ? (@ > $x)', '{"x": 0}'), jsonb_path_match('{"a": 1}', '$.a < 2'), jsonb_path_query_array('[1, "b", [2, 3]]', '$[*]'), jsonb_path_query_first('{"a": [5, 6]}', '$.a[last]'), jsonb_path_query_array('{"a": [{"b": 1}, {"b": [2]}]}', '$.a.b')
select * from jsonb_path_query('{"a": [1, 2, {"b": 3}]}', '$.a[*]')
select jsonb_path_query('{"a": {"b": {"c": 1}}}', '$.**.c')
select jsonb_path_query('[1, "x", null, true, {}, []]', '$[*].type()')
select jsonb_path_query('[1.5, -1.5]', '$[*].floor()'), jsonb_path_query('[1.5, -1.5]', '$[*].ceiling()'), jsonb_path_query('["1e2", 3]', '$[*].double()'), jsonb_path_query('[-2, 3]', '$.abs()')
select jsonb_path_query('{"a": 1, "b": [2]}', '$.keyvalue()')
select jsonb_path_query('{"a": 2, "b": 7}', '($.a + $.b * 2 - 1) % 4'), jsonb_path_query('[7, 8]', '-$[*]'), jsonb_path_query('{"a": 7}', '$.a / 2')
select jsonb_path_query_array('["abc", "abd", "aBdC", "babc"]', '$[*] ? (@ like_regex "^ab.*c" flag "i")'), jsonb_path_query_array('["abc", "bc"]', '$[*] ? (@ starts with "ab")'), jsonb_path_query_array('[1, "a", null]', '$[*] ? (@ == null || @ == "a")'), jsonb_path_query_array('[1, "a"]', '$[*] ? ((@ > 0) is unknown)'), jsonb_path_query_array('[{"a": 1}, {"b": 2}]', '$[*] ? (!exists (@.a))')
select jsonb_path_query('[1]', 'strict $[1]')
select jsonb_path_query('{}', 'strict $.a')
select jsonb_path_query('1', 'strict $.a')
select jsonb_path_query('{}', 'strict $.a', '{}', true)
select jsonb_path_query('1', '$ / 0')
select jsonb_path_query('"a"', '$ + 1')
select jsonb_path_query('"a"', '-$')
select jsonb_path_query('"a"', '$.floor()')
select jsonb_path_query('1', '$x')
select jsonb_path_query('1', '$', '[]')
select jsonb_path_match('1', '$')
select jsonb_path_exists('{}', 'strict $.a', silent => true), jsonb_path_query_array('[1, 2]', '$[*] ? (@ > $x)', vars => '{"x": 1}'), jsonb_set('{}', '{a}', '1', create_if_missing => false), jsonb_set_lax('{"a": 1}', '{a}', null, null_value_treatment => 'delete_key'), jsonb_insert('[1]', '{0}', '2', insert_after => true)
select * from jsonb_path_query('[1]', 'strict $[1]', silent => true)
select jsonb_build_object(null, 1)
select '[]'::jsonb #- '{a}', '[1]'::jsonb #- '{0}'
select '"a"'::jsonb #- '{a}'
select ('[1]'::jsonb)[0:1]
select ('[1]'::jsonb)[1.0]
select json_populate_record(null::record, '{}')
select json_populate_record(row(1, 2), '{"f1": 0}')
select '$.a[1, 2 to last - 1].b ? (@ > 1 && (@.c == "x" || !(@.d < 2))).**{2 to last}.type()'::jsonpath, 'strict $ + 1'::jsonpath, '$x."y z".*[*]'::jsonpath, 'exists($.a) && ($.b > 1) is unknown'::jsonpath, '-1.50e1'::jsonpath, '$ ? (@ like_regex "^a" flag "is")'::jsonpath
select '$.a['::jsonpath
select '@'::jsonpath
select 'last'::jsonpath
select '1a'::jsonpath
select ''::jsonpath
drop table paper
drop type ink
select jsonb_agg(x), json_agg(x), jsonb_object_agg(x, x * 2), array_agg(x order by x desc), string_agg(x::text, ',' order by x), bool_and(x > 0), bool_or(x > 1), every(x > 0), count(*) filter (where x > 1), sum(x), avg(x), min(x), max(x), stddev(x), variance(x), bit_and(x), bit_or(x) from (values (1), (2), (3)) t(x)
select x, row_number() over (order by x desc), rank() over (order by y), dense_rank() over (order by y), lag(x) over (order by x), lead(x, 1, 0) over (order by x), first_value(x) over (order by x), last_value(x) over (order by x), nth_value(x, 2) over (order by x), ntile(2) over (order by x), sum(x) over (order by x rows between 1 preceding and current row), percent_rank() over (order by x), cume_dist() over (order by x) from (values (1, 1), (2, 1), (3, 2)) t(x, y) order by x
select sum(x) over w, count(*) over (partition by y) from (values (1, 1), (2, 1), (3, 2)) t(x, y) window w as (partition by y order by x) order by x
select distinct on (y) y, x from (values (1, 1), (2, 1), (3, 2)) t(x, y) order by y, x desc
select y, count(*), grouping(y) from (values (1, 1), (2, 1), (3, 2)) t(x, y) group by rollup(y) order by y nulls first
select * from (values (1, 'a'), (null, 'b'), (3, null)) t(x, y) order by x desc, y
select * from (values (3), (1), (2)) t(x) order by x limit 2 offset 1
select * from (values (1), (2)) a(x) full join (values (2), (3)) b(y) on x = y order by x, y
select * from (values (1), (2)) a(x) natural join (values (2), (3)) b(x)
select * from (values (1,2)) a(x,y) join (values (1,3)) b(x,z) using (x)
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n), string_agg(n::text, '') from t
select 1 union select 2 union all select 2 except select 1 order by 1
select exists(select 1), 1 in (1, 2), 3 not in (1, null), 2 in (select 1 union select 2), array(select generate_series(1, 3))
select current_schema, current_user = session_user, pg_typeof(1), pg_typeof('a'), pg_typeof(1.5), pg_typeof(null), pg_typeof(now()), version() like 'PostgreSQL%', current_setting('server_version_num')::int >= 150000
select 'a' < 'B', 'a' < 'b', 'Z' < 'a', 'ä' > 'z', 'a' = 'a ', 'a'::char(3) = 'a', 'abc' collate "C" < 'abd'
select gen_random_uuid() is not null, uuid '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid < 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid
-- extremes of enums, parts of bytea and bits, truth values in concat
create type size as enum ('small', 'medium', 'large')
create table shirts (id int, size size, lsn pg_lsn)
insert into shirts values (1, 'large', '1/0'), (2, 'medium', 'A/0'), (3, 'small', '9/FF')
select min(size), max(size) from shirts
select size, max(size) over (order by id) from shirts order by id
select min(size) filter (where id < 3) from shirts
select substr('abc', 2), substring('abc' from 2), substring('\x010203'::bytea from 2 for 1)
select btrim('\x0001020000'::bytea, '\x00'), ltrim('\x0001020000'::bytea, '\x00'), rtrim('\x0001020000'::bytea, '\x00')
select substring(b'110010' from 2 for 3), overlay('\x010203'::bytea placing '\xff' from 2)
select get_bit('\x05'::bytea, 2), set_bit('\x05'::bytea, 1, 1), get_bit(b'100', 0), set_bit(b'100', 2, 1), set_byte('\x0102'::bytea, 0, 255)
select get_byte('\x01'::bytea, 1)
select concat(1, true, null, false), concat_ws('-', true, 2), format('%s', false)
-- joins by name
create table j1 (a int, b int, c int)
create table j2 (d int, b int)
insert into j1 values (1, 10, 100), (2, 20, 200)
insert into j2 values (7, 10), (8, 30)
select * from j1 join j2 using (b)
select * from j1 left join j2 using (b) order by b
select * from j1 right join j2 using (b) order by b
select *, j1.b as left_b, j2.b as right_b from j1 full join j2 using (b) order by b
select * from j1 natural join j2
select * from j1 x (a, d, c) join j2 y (e, d) using (d)
select x.* from (j1 join j2 using (b)) as x
select p, q from (j1 join j2 using (b)) as x (p, q)
select * from j1 join j2 using (b) join j2 again using (b)
select b, count(*) from j1 full join j2 using (b) group by b order by b
-- distinct aggregates
select string_agg(distinct v, ',') from (values ('b'), ('a'), ('b')) t (v)
select string_agg(distinct v, ', ' order by v desc) from (values ('b'), ('a'), ('b')) t (v)
select array_agg(distinct v) from (values (3), (1), (null), (3)) t (v)
-- statistics
select round(corr(y, x)::numeric, 10), round(regr_slope(y, x)::numeric, 10), regr_count(y, x) from (values (1, 2), (2, 4.5), (3, null), (4, 7)) t (x, y)
select covar_pop(y, x), covar_samp(y, x), regr_sxx(y, x), regr_avgy(y, x) from (values (1, 2), (2, 4), (4, 8)) t (x, y)
select var_pop(x), stddev_samp(x) from (values ('inf'::float8), (1)) t (x)
-- mathematics
select sind(30), cosd(60), tand(45), cotd(45), asind(0.5), acosd(0.5), atand(1), atan2d(1, 1)
select round(sinh(1)::numeric, 12), round(cosh(1)::numeric, 12), round(tanh(1)::numeric, 12), round(asinh(1)::numeric, 12), round(acosh(2)::numeric, 12), round(atanh(0.5)::numeric, 12)
select acosh(0)
-- regular expressions by place
select regexp_substr('one two three', '\w+', 1, 2), regexp_substr('one two', '(\w)(\w)', 1, 2, '', 2), regexp_substr('ONE', 'n', 1, 1, 'i')
select regexp_instr('abcabc', 'b'), regexp_instr('abcabc', 'b', 1, 2), regexp_instr('abcabc', 'b', 1, 2, 1), regexp_instr('abc', 'z')
select regexp_replace('aaaa', 'a', 'b', 2), regexp_replace('aaaa', 'a', 'b', 1, 3), regexp_replace('AaAa', 'a', 'b', 2, 0, 'i')
select regexp_instr('abc', 'b', 0)
-- arrays
select ('{{1,2,3},{4,5,6},{7,8,9}}'::int[])[1:2][2], ('{{1,2,3},{4,5,6}}'::int[])[:][2:3], ('{1,2,3}'::int[])[2:]
select array_fill(7, array[2, 2]), array_fill(null::int, array[2]), array_fill('x'::text, array[1])
select 'foo' like any (array['f%', 'b%']), 'foo' like all (array['f%', 'b%']), 'foo' not like all (array['x%', 'b%']), 'FOO' ilike any (array['f%'])
-- moments
select to_char(timestamp '2020-01-02 03:04:05', E'"at \\"noon\\"" HH'), to_char(timestamp '-infinity', 'YYYY'), to_char(timestamp '0044-03-15 BC', 'CC')
select to_char(12, E'99 "say \\"hi\\""')
select (time '00:00', time '01:00') overlaps (time '00:30', time '01:30'), (time '00:00', interval '1 hour') overlaps (time '01:30', interval '1 hour')
select interval 'P00-0.1-00T2562047788:00:54.775807'
select length(current_time(0)::text) - length(current_time(3)::text) <= 0, extract(microseconds from localtime(0))::int % 1000000
-- types as functions
select int4('5'), regclass('pg_class'), text(12), float8('1.5')
-- joins beside commas, literals over lines, ONLY
select * from (values (1), (2)) a (p), j1 right join j2 using (b) order by 1, 2
select * from (values (1), (2)) a (p), j1 join j2 using (b), j2 again order by 1, 2, 6
select * from only j1, only j2 where j1.b = j2.b
create temp table department (id int primary key, parent int references department, name text)
insert into department values (1, 1, 'a')
-- views that change their table
create table wide (a int primary key, b text default 'none', c int not null default 7)
insert into wide select i, 'row ' || i from generate_series(-2, 2) i
create view near as select a, b as bb, a * 10 as x from wide where a > 0
create view inner_checked as select bb as t, a as id, x from near where a < 10 with local check option
create view all_checked as select bb as t, a as id, x from near where a < 10 with cascaded check option
insert into near values (3, 'three')
insert into near (a, x) values (8, 4)
insert into inner_checked (id, t) values (4, 'four') returning *
insert into inner_checked (id, t) values (-4, 'four') returning *
insert into all_checked (id, t) values (-5, 'five') returning *
insert into all_checked (id, t) values (15, 'five')
update all_checked set id = id + 20 where id = 4
update all_checked set t = t || '!' where id = 4 returning all_checked.*, x + 1
update inner_checked as q set t = q.t || '?' from wide where wide.a = q.id and wide.a = 2 returning q.t, wide.a, q.x
delete from inner_checked where id = 1 returning *
delete from near using wide where wide.a = near.a and wide.a = 2 returning near.bb, wide.b
insert into all_checked (id, t) values (4, 'again') on conflict (id) do update set t = excluded.t || all_checked.t returning *
insert into all_checked (id, t) values (4, 'again') on conflict (id) do update set id = 30
select * from wide order by a
create view counted as select count(*) from wide
insert into counted values (1)
delete from counted
create view doubled as select distinct a from wide with check option
update near set x = 3
select table_name, is_updatable, is_insertable_into, check_option from information_schema.views where table_name in ('near', 'inner_checked', 'all_checked', 'counted') order by 1
select table_name, column_name, is_updatable from information_schema.columns where table_name in ('near', 'counted') order by 1, 2
-- a subquery in RETURNING sees its own columns first
create table named (a int, n text)
insert into named values (1, 'x'), (3, 'y')
update wide set c = 8 where a in (3, 4) returning a, (select n from named where named.a = wide.a)
-- floats
select sum(x), avg(x), stddev(x) from (values (0.1::float8), (0.2), (0.3)) v(x)
select sum(x), avg(x), min(x), max(x) from (values ('nan'::float8), (0.2), (0.3)) v(x)
select sum(x::float4), avg(x::float4) from (values (0.1::float8), (0.2), (0.3)) v(x)
select x, sum(x) over (order by x rows between 1 preceding and current row) from (values (0.1::float8), (0.2), (0.3), (1e20)) v(x)
select 'inf'::float8 - 'inf'::float8, 'inf'::float8 * 0, 'nan'::float8 + 1, - 'nan'::float8, 'inf'::float8 / 'inf'::float8
select 1e308::float8 * 10
select 1e-300::float8 * 1e-300::float8
select power('-2'::numeric, '3'), power(2.0, '3'), power('2', 3), mod('7', 3), mod(7.5, '2')
select i, lag(i, 1, 0.7) over (order by i), lead(i * 2, 1, -1.4) over (order by i) from (values (1), (2)) v(i)
select f1 from (values (1::bigint)) t1(f1) left join (values (1::int)) t2(f1) using (f1)
select f1 from (values (1::int), (2)) t1(f1) join (values (1.0), (2.5)) t2(f1) using (f1)
-- frames over values
create table spread (d date, ts timestamp, f float8, i int)
insert into spread values ('2020-01-01', '2020-01-01 10:00', 1, 1), ('2020-01-02', '2020-01-01 12:00', 2.5, 2), ('2020-01-05', '2020-01-01 12:30', 2.75, 4)
select d, sum(i) over (order by d range between '1 day' preceding and '3 days' following) from spread
select d, sum(i) over (order by d desc range between current row and interval '1 day' following) from spread
select ts, sum(i) over (order by ts range between '45 minutes' preceding and current row) from spread
select f, sum(i) over (order by f range between 0.5 preceding and current row) from spread
-- where subscripts begin
select ('[0:2]={1,2,3}'::int[])[0], ('[0:2]={1,2,3}'::int[])[1:2], array_lower('[0:2]={1,2,3}'::int[], 1), array_dims('[0:2]={1,2,3}'::int[] || 4)
select ('[0:2][0:2]={{1,2,3},{4,5,6},{7,8,9}}'::int[])[1:2][2], ('{{1,2},{3,4}}'::int[])[1:NULL][1]
-- empty matches
select regexp_replace('abbbc', 'b*', 'X', 'g'), regexp_count('abc', 'b*'), regexp_instr('abc', 'b*', 1, 3), regexp_split_to_array('abc', 'b*')
select regexp_matches('abc', 'b*', 'g')
select 'abc' similar to '_bc' escape null
create table counted_out as select g from generate_series(1, 5) g
-- values in order
select '{10}'::text[] < '{9}'::text[], '{10}'::int[] < '{9}'::int[], '{1.0}'::numeric[] < '{1}'::numeric[]
select a from (values ('{10}'::int[]), ('{9}')) v(a) order by a
select max(a), min(a) from (values ('{10,9}'::int[]), ('{9}')) v(a)
select max(i), min(i) from (values ('9 days'::interval), ('15 days')) v(i)
select max(x::text), count(distinct x::text) from (values (10.0), (9.0), (9)) v(x)
select x::text from (values (1.50), (1.5)) v(x) where x::text = '1.5'
select sum(n) over (order by i rows between current row and unbounded following) from (values (1, 1.01), (2, 2), (3, 3)) v(i, n)
select lpad('7', 5, ' '), lpad('7', 3, '01'), rpad('7', 3, '01')
select 3 = any(null::int[]), not (3 = any(null::int[])), 3 <> all(null::int[]), 1 < any(null::int[])
select 'infinity'::date + 3, '-infinity'::date - 3
select replace('abc', '', null), replace('abc', '', 'x'), replace('abcabc', 'bc', '')
select to_jsonb(null::int[]), json_build_array(null::int[]), case when true then 'a'::varchar else 'b'::text end, nullif('a'::varchar, 'b')
-- types of intervals
select interval '1 2:03' day to hour, interval '1 2:03:04' day to minute, interval '1 2:03:04' hour to minute, interval '1 2:03' minute to second, interval '1 -2:03' minute to second
select '1 day 01:23:45.6789'::interval(0), interval '12:34.5678' minute to second(2), interval '1.234' second(2), '1 mon 2 days 03:04:05'::interval day to minute, '14 mons 2 days'::interval year, '14 mons 2 days'::interval year to month
create table spans (a interval(2), b interval day to second(3), c interval year to month, d interval)
insert into spans values ('1.23456 s', '1 day 2.34567 s', '14 mons 3 days', '1 day') returning *
select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'spans'::regclass and attnum > 0 order by attnum
select substring('abc123' from '123'), substring('abc123', '12'), substring('abcdefg' similar 'a#"(b_d)#"%' escape '#'), substring('abcdefg', 'a*#"%#"g*', '#')
select substring('a' || case when 'a' similar to 'a' escape '#' then 'b' end from 1 for 2)
select regexp_match('xfoobar', 'foo|foobar'), regexp_replace('ab', 'a|ab', 'X'), regexp_match('XY1234Z', 'Y*?([0-9]{1,3})'), regexp_match('XY1234Z', 'Y*([0-9]{1,3})')
select 'abab' ~ '(ab)\1', regexp_match('foobar', 'o(?=b)'), regexp_replace('foobarfoo', 'foo(?!bar)', 'X'), regexp_match('aBc', '(?i)b')
select 'a' ~ 'a**'
select 'a' ~ '(?<!a'
-- what ON CONFLICT infers an index from
create table account (id int primary key, email text, tenant int, gone boolean not null default false)
create unique index account_email on account (lower(email)) where not gone
create unique index account_tenant on account (tenant desc) where gone and tenant > 0
create unique index account_sum on account ((id + tenant), email)
insert into account values (1, 'A@b.c', 1), (2, 'd@e.f', 2)
insert into account values (3, 'a@B.c', 3) on conflict (lower(email)) where not gone do update set tenant = account.tenant + 10 returning *
insert into account values (3, 'a@B.c', 3) on conflict (LOWER( email )) where not gone and id > 0 do nothing
insert into account values (3, 'a@B.c', 3) on conflict (lower(email)) do nothing
insert into account values (3, 'a@B.c', 3) on conflict (lower(email)) where gone do nothing
insert into account values (4, 'x', 7, true) on conflict (tenant) where tenant > 0 and gone do nothing
insert into account values (5, 'y', 7, true) on conflict (tenant) where tenant > 0 and gone do update set email = excluded.email || account.email returning *
insert into account values (5, 'y', 7, true) on conflict (tenant) do nothing
insert into account values (6, 'xx', 5, true) on conflict (email, (id + tenant)) do update set gone = false returning id
insert into account values (1, 'n', 9) on conflict (id) where gone do update set email = 'one' returning id, email
insert into account values (1, 'n', 9) on conflict (nothing, lower(email)) do nothing
select * from account order by id
-- subscripts and casts of arrays
create table grid (a int[], b text[], at int)
insert into grid values ('{{1,2},{3,4}}', '{x,y,z}', 1)
select grid.a[2][1], a[1][2], a[2], a[3][1], grid.b[2:3], grid.b[at], b[at + 1:], differential.grid.b[2] from grid
select (array[[1,2],[3,4]])[2][1], (array['a','b'])[2], ('{{1,2},{3,4}}'::int[])[1][1]
select cast(array['k', 'v', 1] as text[]), array[1, 2.5]::int[], array['1', 2]::int[], array[[1, 2], ['3', '4']]::int[], array[null]::text[], array[]::int[]
select '{"k": {"v": [1, 2]}}'::jsonb #- array['k', 'v', 1]::text[]
-- ranges that end and begin within others
select int4range(1, 5) &< int4range(3, 5), int4range(1, 6) &< int4range(3, 5), int4range(1, 5) &> int4range(1, 3), int4range(0, 5) &> int4range(1, 3)
select int4range(1, null) &< int4range(3, null), int4range(null, 3) &> int4range(1, 2), 'empty'::int4range &< int4range(1, 2), numrange(1, 2, '[]') &< numrange(0, 2)
select daterange('2020-01-01', '2020-02-01') &> '[2019-01-01,2021-01-01)'
-- intervals as other languages print them
select '12 days, 0:00:34.000056'::interval, '1 year, 2 mons, 3 days'::interval, '-1 day, 23:00:00'::interval
-- domains without AS
create domain plain_domain integer not null default 42
create domain checked_domain int check (value > 0)
create table of_domains (a plain_domain, b checked_domain)
insert into of_domains (b) values (7) returning *
select pg_get_constraintdef(oid) from pg_constraint where contypid = 'checked_domain'::regtype
-- identity columns that are ordinary ones then
create table identified (id int generated by default as identity primary key, v text, n varchar(5))
insert into identified (v) values ('a')
alter table identified alter column id drop identity
alter table identified alter column id drop identity
alter table identified alter column id drop identity if exists, alter column v set default 'w'
insert into identified (v) values ('b')
insert into identified (id) values (2) returning *
alter table identified alter column id add generated by default as identity (start with 10)
alter table identified alter column n type varchar(9) collate "C", alter column v drop default
insert into identified (n) values ('ninechars') returning *
-- defaults, as they are shown
create table defaulted (a varchar(20) default 'x', b text default 'y', c int default 5, e boolean default true, f numeric default 1.5, h jsonb default '{}', i char(3) default 'abc', j int default -1, l text[] default '{}', m bigint default '7')
select column_name, column_default from information_schema.columns where table_name = 'defaulted' order by ordinal_position
-- names as the search path has them
create schema aside
create table aside.parent (id int primary key)
create table aside.child (id int references aside.parent)
create type aside.feeling as enum ('good')
select 'aside.child'::regclass, 'aside.feeling'::regtype, format_type('aside.feeling[]'::regtype, null), pg_type_is_visible('aside.feeling'::regtype), pg_type_is_visible('int4'::regtype), pg_get_constraintdef(oid) from pg_constraint where conrelid = 'aside.child'::regclass
set search_path = aside, differential
select 'aside.child'::regclass, 'aside.feeling'::regtype, format_type('aside.feeling[]'::regtype, null), pg_type_is_visible('aside.feeling'::regtype), pg_get_constraintdef(oid) from pg_constraint where conrelid = 'aside.child'::regclass
set search_path = aside
select 'differential.identified'::regclass, 'public.feeling'::regtype
set search_path = differential
drop schema aside cascade
select '"pg_catalog"."int4"'::regtype, 'pg_catalog."varchar"'::regtype, '"_int4"'::regtype, '"pg_catalog"."int4"[]'::regtype, 'pg_catalog.char'::regtype, to_regtype('"pg_catalog"."nothing"')
-- settings
set statement_timeout = 10500
show statement_timeout
set statement_timeout = '120s'
show statement_timeout
reset statement_timeout
show max_prepared_transactions
rollback prepared 'nothing'
-- columns that share a name inside
select * from (select 1, 2) x
select x.*, x from (select 1 as a, 2 as a, 3 as "A", 4 as a) x
select a from (select 1 as a, 2 as a) x
with x as (select 1 as a, 2 as a) select y.*, z.* from x y, x z
select * from (select 1, 2 union all select 3, 4) x order by 1
select * from (select * from (values (1, 2)) a (v, w) join (values (1, 3)) b (v, w) on a.v = b.v) x
select count(*) from (select 1 as a, 2 as a union select 1, 3) x
select distinct on (t.a) a, b as a, b from (values (1, 2), (1, 3), (2, 1)) t (a, b) order by t.a, t.b
select row_to_json(x) from (select 1, 2 as b, 'c' as c) x
-- DISTINCT ON and ORDER BY
select distinct on (a, b) a, b, c from (values (1, 2, 3), (1, 2, 1)) t (a, b, c) order by b, a, c
select distinct on (a, b) a, b, c from (values (1, 2, 3), (1, 2, 1)) t (a, b, c) order by a, c, b
select distinct on (a) a, b from (values (1, 2), (1, 3)) t (a, b) order by b
select distinct on (a) a, b from (values (1, 2), (1, 3)) t (a, b) order by a, b, a
-- what can't be locked
create table lockable (a int)
select distinct a from lockable for update
select a from lockable group by a for update
select count(*) from lockable for share
select row_number() over () from lockable for update
select a from lockable union select 1 from lockable for update
select a from lockable for update
-- values for generated columns
create table doubled (a int, b int generated always as (a * 2) stored, c int)
insert into doubled values (1, default, 3)
insert into doubled values (2, default), (3, default)
insert into doubled values (4, 5)
insert into doubled values (4, 5, 6)
insert into doubled select 4, 5
insert into doubled select 5
insert into doubled (a, c) values (6, 7)
merge into doubled t using (values (9)) s (x) on t.a = s.x when not matched then insert values (s.x, default, 1)
merge into doubled t using (values (10)) s (x) on t.a = s.x when not matched then insert values (s.x, 1)
select * from doubled order by a
-- transactions that go on
commit and chain
rollback and chain
begin read only
commit and chain
insert into lockable values (1)
rollback
begin read only
savepoint s
set transaction read write
rollback
begin
savepoint s
set transaction read only
rollback to s
insert into lockable values (2)
rollback
-- cursors of what was undone
begin
declare outer_one cursor for select 1
savepoint s
declare inner_one scroll cursor for select 2
select name, statement, is_holdable, is_binary, is_scrollable from pg_cursors order by name
rollback to s
fetch outer_one
fetch inner_one
rollback
-- prepared statements
prepare of_two (int, text) as select $1, $2
prepare of_none as select 1
select name, statement, parameter_types, from_sql from pg_prepared_statements order by prepare_time
deallocate of_two
select name from pg_prepared_statements where prepare_time <= now() + interval '1 hour'
deallocate all
select count(*) from pg_prepared_statements
-- rows that are drawn once
with q (x) as (select random() from generate_series(1, 5)) select count(*) from (select x from q union select x from q) s
select bool_and(a = b) from (select x as a, x as b from (select random() as x from generate_series(1, 3)) s) t
select x::text = x::text from (select gen_random_uuid() as x from generate_series(1, 2)) s
select count(*) from (select random() as x from generate_series(1, 100)) s where x > 0.5 and x < 0.5
-- groups by expressions, qualified or not
select lower(t.a), count(*) from (values ('A'), ('a')) t (a) group by lower(a)
select t.a % 2, count(t.a) from (values (1), (2), (3)) t (a) group by a % 2 order by t.a % 2
select upper(t.a) from (values ('A'), ('a')) t (a) group by lower(a)
select 1 as one from (values (1)) t (a) having 1 > 2
select 'x' as one from (values (1), (2)) t (a) having 1 < 2
select a from (values (1), (2)) t (a) having true
-- options of columns that contradict each other
create table contrary (a int default 5 generated by default as identity)
create table contrary (a serial generated by default as identity)
create table contrary (a int generated always as identity generated by default as identity)
create table contrary (a int default 1 default 2)
create table contrary (a int not null null)
create table contrary (a int generated always as identity null)
create table contrary (a int, b int generated always as (a * 2) stored generated always as (a * 3) stored)
create table contrary (a int, b int default 5 generated always as (a * 2) stored)
create table contrary (a int, b int generated always as (b * 2) stored)
create table contrary (a int, b int generated always as (a * 2) stored, c int generated always as (b * 3) stored)
create table with_identity (a int generated always as identity, b int not null default 1, c int, d int generated always as (a) stored)
alter table with_identity alter a set default 1
alter table with_identity alter a drop default
alter table with_identity alter a drop not null
alter table with_identity alter a add generated always as identity
alter table with_identity alter b add generated always as identity
alter table with_identity alter c add generated always as identity
alter table with_identity alter a type text
alter table with_identity alter d set default 1
alter table with_identity alter d drop default
-- MERGE whose clause can't be reached
merge into lockable t using (values (1)) s (a) on t.a = s.a when matched then delete when matched then do nothing
merge into lockable t using (values (1)) s (a) on t.a = s.a when matched then do nothing when not matched then do nothing
-- a view that draws
create sequence drawn
create view drawing as select nextval('drawn') as n
select * from drawing
-- set operations where a value stands
select 1 where 1 = any((select 1) union (select 2)), 2 as b
select 1 where 1 = any((select 1) union (select 2)) and 3 > all ((select 1) union select 2)
select ((select 1 as a) intersect (select 1)), ((select 2) except (select 2)) is null
select x, ((select x where x > 1) union all (select 9 where x < 2)) from generate_series(1, 2) x
-- types that are made again
begin
create type made_again as enum ('a', 'b')
create table of_made (m made_again)
insert into of_made values ('a')
rollback
begin
create type made_again as enum ('c', 'a')
create table of_made (m made_again)
insert into of_made values ('c'), ('a')
select m, m > 'c' from of_made order by m
rollback
-- a key that is left out
create table keyed (id int primary key, v text)
insert into keyed (v) values ('a')
insert into keyed values (default, 'a')
insert into keyed default values
insert into keyed (v) select 'a'
insert into keyed (id, v) values (1, 'a') on conflict (id) do nothing
update keyed set id = default
alter table keyed alter id set default 5
insert into keyed (v) values ('b') returning *
select inet '1.2.3.4', int4range '[1,3)', macaddr '08:00:2b:01:02:03', name 'x'
-- numbers without an end, and very long ones
select div('inf'::numeric, 3), div(7, '-inf'::numeric), 7.5 % 'inf'::numeric, mod('inf'::numeric, 2), div('nan'::numeric, 0)
select div('inf'::numeric, 0)
select mod('-inf'::numeric, 0)
select log(3, 'inf'::numeric), log('inf'::numeric, 3), log('inf'::numeric, 'inf'), log('nan'::numeric, 3)
select log(3, '-inf'::numeric)
select power('inf'::numeric, 0), power(1, 'nan'::numeric), power('-inf'::numeric, 3), power('-inf'::numeric, -3), power(0.5, 'inf'::numeric), power(-3, '-inf'::numeric), power('-inf'::numeric, 'inf')
select power('-inf'::numeric, 1.5)
select power(0, '-inf'::numeric)
select (-1.0) ^ 3000000001, 1.5 ^ 2000.5, 2.5 ^ -1, exp(-700.25), exp(432.1)
select ln(0.9994), ln(1.0007), ln(3e-200), log(7.1e-50), log(1.5e-30, 2.25e40), log(0.998, 3e20)
select round(4.4e3000, -2999) = 0, trunc(9.9e3000, -3000) = 9e3000, round(5.5e3000, -3002), round(5e-3000, 2999) = 1e-2999
select sinh('nan'::float8), cos('nan'::float8), atan2('nan', 1), tanh('nan'), degrees('nan'), sin(0.5), atan2(1, 2), sinh(1.5), radians(90)
select sin('inf'::float8)
select exp(-800::float8)
select '1e-60'::float8::float4
select -('-9223372036854775808'::int8)
select -('-32768'::int2)
select -2147483648, -(-5::int2), 4294967295::int8::oid
select 4294967296::int8::oid
select 1_000
select 0x1F
select 12monkeys
select 1.5e, 2
select 1.5e3, .5, 3.
-- numbers in a template
select to_char(0, 'FM9.99'), to_char(0, 'FM990.09'), to_char(0.0, 'FMS9.9'), to_char(100, 'FM999.'), to_char(7, '9.9th'), to_char(7, 'FM9th'), to_char(0.5, '9G999D999G999')
-- moments in a template
select to_timestamp('2019 31 3', 'IYYY IW ID'), to_timestamp('2019123', 'YYYYDDD'), to_date('2019 23 4', 'YYYY WW D'), to_date('2 5 19', 'W MM YY')
select to_timestamp('20190502 070809.123', 'YYYYMMDD HH24MISS.FF2'), to_timestamp('2019-05-02 7 PM', 'YYYY-MM-DD HH AM'), to_timestamp('1999 -03:30', 'YYYY TZH:TZM')
select to_date('5-0212', 'Y-MMDD'), to_date('19 1 99', 'CC MM YY'), to_date('-33', 'YYYY'), to_date('33 BC', 'YYYY BC'), to_date('3,456', 'Y,YYY'), to_date('XI 3 2011', 'RM DD YYYY')
select to_date('  2011   x12', 'YYYYxMM'), to_date('2011--12', 'YYYY-MM'), to_date('2011 12', 'FXYYYY MM'), to_date('2011"12', 'YYYY"year"MM')
select to_timestamp('2011-12-13 25', 'YYYY-MM-DD HH24')
select to_timestamp('2011-12-13 13', 'YYYY-MM-DD HH12')
select to_timestamp('2011-12-13 1:60', 'YYYY-MM-DD HH:MI')
select to_date('2011 366', 'YYYY DDD')
select to_date('2011 40 2', 'YYYY IW D')
select to_date('May 5', 'Month MM')
select to_date('2011-Mai', 'YYYY-Mon')
select to_date('201x', 'YYYYMM')
select to_timestamp('2011 CET', 'YYYY TZ')
select to_char(interval '14 months', 'RM rm'), to_char(interval '-2 months', 'RM'), to_char(interval '2 years', 'FMRM')
select to_char(interval '2 days', 'Day')
-- parts of moments
select extract(msec from timestamp '2020-01-01 00:00:01.5'), extract(qtr from date '2020-05-05'), date_trunc('y', timestamp '2020-04-01'), date_trunc('hr', timestamp '2020-04-01 05:06'), date_part('c', date '2020-01-01'), extract(timezone_m from timestamptz '2020-01-01 00:00+05:30')
select extract(epoch from timestamp '294270-01-01'), date_part('epoch', timestamptz '294270-01-01 00:00+00')
select interval '-2147483648 months', interval '-9223372036854775808 us', interval '2 millenniums'
select interval '2147483648 years'
select date_bin('365000 days', timestamp '4400-01-01 bc', timestamp '4000-01-01 bc')
-- addresses
select '::4.3.2.1'::inet, '::2'::inet, '::1'::inet, '1::2'::inet, host('::9:1/100'::inet)
select inet '10.0.0.250' + 10, 3 + inet '::ff', inet '10.0.1.0/24' - 1, inet '10.0.1.5' - inet '10.0.0.250', inet '::5' - '::1:5'
select ~inet '192.168.1.6', inet '10.1.2.3/16' & '255.255.0.0', inet '10.0.0.1' | '0.0.3.0/24', ~inet '::f'
select concat(inet '1.2.3.4', true), concat_ws(',', inet '1.2.3.0/24', cidr '1.2.3.4'), format('%s', inet '::1'), inet '1.2.3.4' || 'x'
select relname from pg_class where relname operator(pg_catalog.=) any (array['pg_class', 'pg_type']) order by 1
select inet '255.255.255.255' + 1
select inet '10.0.0.1' & '::1'
select inet '10.0.0.1' - inet '::1'
select ~macaddr '08:00:2b:01:02:03', macaddr '08:00:2b:01:02:03' & 'ff:ff:ff:00:00:00', macaddr8 '08:00:2b:01:02:03:04:05' | '01:00:00:00:00:00:00:00', trunc(macaddr '08:00:2b:01:02:03'), trunc(macaddr8 '08:00:2b:01:02:03:04:05'), macaddr8_set7bit('00:34:56:ab:cd:ef:01:02'::macaddr8)
select '08:00:2b:ff:fe:01:02:03'::macaddr8::macaddr
select '08:00:2b:01:02:03:04:05'::macaddr8::macaddr
select '0800:2b01:0203'::macaddr
select '08:00-2b:01:02:03'::macaddr8
-- bits
select ~b'0110'::varbit, b'0110'::varbit << 1, pg_typeof(b'1'::varbit >> 1)
-- types of transactions and log
select '010'::xid, '0x1f'::xid, '-1'::xid, 'none'::xid, '-1'::xid8, '12'::xid8 < '101'::xid8
select '0/FF'::pg_lsn, '00/0aB'::pg_lsn
select 'G/0'::pg_lsn
select '\101'::"char", '\000'::"char" = '', '\344'::text::"char", 'long'::"char"
-- literals
select U&'d!0061t!+000061' UESCAPE '!', U&'\0061\00e9', U&"n\0061me" from (select 1 as "name") s
select unistr('\0441\+00043B\u043e\U0000043D\\'), unistr('\d83d\de00')
select unistr('\db99x')
select unistr('\+2FFFFF')
select unistr('\zz')
-- one match only
select regexp_like('abc', 'b', 'g')
select regexp_substr('abc', 'b', 1, 1, 'g')
select regexp_instr('abc', 'b', 1, 1, 0, 'g')
select regexp_split_to_array('abc', 'b', 'g')
select array_fill(1, null, array[1])
select array_fill(1, array[1, 2], array[1])
-- functions that give rows, beside what counts rows
create table few_rows (id int, a text, b text)
insert into few_rows values (1, 'a', 'x'), (2, 'a', 'y'), (3, 'b', 'x')
select a, count(*), min(id), unnest('{7,7,8}'::int[]) u from few_rows group by a order by 1, 4
select a, sum(id), generate_series(1, count(*)) from few_rows group by 1 order by 1, 3
select count(*) as n, generate_series(1, 2) g from few_rows order by g
select id, lag(id) over (order by id), count(*) over (), generate_series(1, 2) from few_rows order by id, 4
select id, row_number() over w, unnest(array[id, -id]) from few_rows window w as (order by id desc) order by 1, 3
select unnest(array[a, b]) as v, count(*) from few_rows group by v order by 1
select a, generate_series(1, 2) g, count(*) from few_rows group by a, g order by 1, 2
select a, max(id), generate_series(1, 2) from few_rows group by a having count(*) > 1 order by max(id) desc, 3 limit 1
select a as b, generate_series(1, 2) from few_rows group by few_rows.a order by b, 2
-- shapes
select point '(1,2)' <-> point '(4,6)', box '(0,0),(2,2)' @> point '(1,1)', point '(1,1)' <@ circle '<(0,0),1>', box '(0,0),(2,2)' && '(1,1),(3,3)', circle '<(0,0),1>' << circle '<(3,0),1>', polygon '((0,0),(0,2),(2,2),(2,0))' @> point '(1,0.5)'
select point '(1,1)' ~= '(1,1.0000001)', box '(1,1),(0,0)' ~= box '(0,0),(1,1)', polygon '((0,0),(0,1),(1,1))' ~= '((1,1),(0,1),(0,0))', point '(1,1)' <<| point '(1,2)', box '(0,0),(1,1)' |>> '(0,-2),(1,-1)', box '(0,0),(1,1)' &< '(0,0),(2,2)', circle '<(0,0),2>' |&> '<(0,0),1>'
select area(box '(0,0),(2,3)'), area(circle '<(0,0),2>'), area(path '((0,0),(0,2),(2,2))'), center(box '(0,0),(2,3)'), diameter(circle '<(0,0),2>'), radius(circle '<(0,0),2>'), width(box '(0,0),(2,3)'), height(box '(0,0),(2,3)'), npoints(path '[(0,0),(1,1)]'), length(lseg '[(0,0),(3,4)]'), isopen(path '[(0,0),(1,1)]'), isclosed(path '[(0,0),(1,1)]'), pclose(path '[(0,0),(1,1)]'), popen(path '((0,0),(1,1))')
select @@ circle '<(1,2),3>', @-@ path '((0,0),(3,4))', # polygon '((0,0),(1,1),(2,0))', lseg '[(0,0),(1,0)]' <-> point '(3,0)', line '{1,0,-2}' <-> point '(5,5)', circle '<(0,0),1>' <-> circle '<(4,0),1>', box '(0,0),(1,1)' <-> box '(4,4),(5,5)', polygon '((0,0),(0,1),(1,1))' <-> point '(3,1)', path '[(0,0),(1,0)]' <-> path '[(0,2),(1,2)]'
select point '(1,2)' + '(3,4)', point '(1,2)' - point '(3,4)', point '(1,2)' * point '(0,1)', point '(1,2)' / point '(0,2)', box '(0,0),(1,1)' + point '(2,2)', circle '<(1,1),1>' * point '(2,0)', path '[(0,0),(1,1)]' - point '(1,0)'
select point '(1,2)' / point '(0,0)'
select box '(0,0),(1,1)'::circle, circle '<(0,0),1>'::point, polygon '((0,0),(0,2),(2,2),(2,0))'::box, box '(0,0),(2,1)'::polygon, point(circle '<(1,2),3>'), box(point '(1,2)'), lseg(box '(0,0),(1,1)')
select box '(0,0),(1,1)' = box '(5,5),(6,6)', box '(0,0),(1,1)' < box '(0,0),(2,1)', lseg '[(0,0),(1,1)]' <> lseg '[(0,0),(1,2)]', circle '<(0,0),1>' >= circle '<(9,9),1>'
select point '(1,2)' = point '(1,2)'
create table places (id int, at point)
insert into places values (1, '(5,5)'), (2, '(1,1)'), (3, '(9,1)')
select id from places order by at <-> point '(0,0)' limit 2
select id from places where at <@ box '(0,0),(6,6)' order by id
-- frames without some rows
select x, sum(x) over (order by x rows between unbounded preceding and unbounded following exclude current row), count(*) over (order by x / 2 groups between 1 preceding and current row exclude ties), sum(x) over (rows between 1 preceding and 1 following exclude no others) from generate_series(1, 4) x order by x
select x, sum(x) over w from generate_series(1, 4) x window w as (order by x / 2 range between unbounded preceding and unbounded following exclude group) order by x
select sum(x) over (groups 1 preceding) from generate_series(1, 2) x
select count(*) over w from generate_series(1, 2) x window w as (order by x), w as ()
select count() from few_rows
-- names, ends of types, widths
select parse_ident('Public."Odd ""Name".c'), parse_ident('a b', false)
select parse_ident('a b')
select parse_ident('a.')
select parse_ident('"a')
create type span as enum ('low', 'mid', 'high')
select enum_first(null::span), enum_last('low'::span), enum_range(null::span), enum_range('mid'::span, 'high'), enum_range(null, 'mid'::span), enum_range('high'::span, 'low'), pg_typeof(enum_range(null::span))
select format('[%2$*1$s]', 5, 'a'), format('[%*1$s]', -4, 'b'), format('[%-*s]', 3, 'c')
select trim(both from '  a '), trim(leading from '  a '), trim(trailing from ' a  ')
select 'a_c'::bytea like '%\_c', '\x00ff41'::bytea like '\x00255f'::bytea, 'a%c'::bytea not like 'a$%c' escape '$', 'abc'::bytea like 'ab'
select pg_lsn '0/20' - pg_lsn '0/10', pg_lsn '0/10' + 16::numeric, 16::numeric + pg_lsn '0/10', pg_lsn '1/0' - 1::numeric, '0/20' - pg_lsn '0/F'
select pg_lsn '0/1' - 2::numeric
select date '2020-01-02' + timetz '11:00-05', timetz '01:30+02' + date '2020-01-02', date '2020-01-02' - time '01:30'
select num_nonnulls(variadic null::text[]), num_nulls(variadic array[1, null])
select bit '101', bit '1' || bit '01', char 'ab ' || 'c', character 'abc'
select 1 in ((select 1), 2), 3 not in ((select 1), 2), 5 in ((select 1))
select a from (values (1), (2), (3)) v(a) order by a fetch first (1 + 1) rows only
create table ident (id int generated always as identity, a text)
insert into ident (a) values ('one')
alter table ident alter column id restart with 100
insert into ident (a) values ('hundred')
alter table ident alter id set generated by default set increment 10 restart with 200
insert into ident (id, a) values (7, 'seven')
insert into ident (a) values ('more'), ('still more')
select * from ident order by a
alter table ident alter a restart
alter table ident alter a set generated always
drop table ident
create domain filled as int not null
select a::filled from (values (1), (2)) v(a)
select a::filled from (values (1), (null)) v(a)
drop domain filled
create view drawn_rows as select random() as r, gen_random_uuid() as u
select r = r, u = u from drawn_rows
drop view drawn_rows
-- years before Christ and from 10000 on, in order
create table eras (id int, d date, t timestamp, z timestamptz)
create index eras_d on eras (d)
insert into eras values (1, '0044-03-15 BC', '0044-03-15 10:00 BC', '0044-03-15 10:00:00+00 BC'), (2, '4713-11-24 BC', '4713-11-24 00:00 BC', '4713-11-24 00:00+00 BC'), (3, '0001-01-01', '0001-01-01', '0001-01-01 00:00+00'), (4, '9999-12-31', '9999-12-31 23:59:59.5', '9999-12-31 23:59:59.5+00'), (5, '10000-01-01', '10000-01-01 00:00', '10000-01-01 00:00+00'), (6, '5874897-12-31', '294276-12-31', '294276-12-31 00:00+00'), (7, '2024-02-29', '2024-02-29', '2024-02-29 00:00+00'), (8, 'infinity', 'infinity', 'infinity'), (9, '-infinity', '-infinity', '-infinity'), (10, '0001-12-31 BC', '0001-12-31 BC', '0001-12-31 00:00+00 BC')
select * from eras order by d
select id from eras order by t desc
select id from eras order by z
select min(d), max(t), min(z) from eras where isfinite(d)
select id from eras where d < '0001-01-01' and t > '0100-01-01 BC' order by id
select id from eras where z between '5000-01-01' and '20000-01-01 00:00+00' order by z
select d::text, t::text, z::text, to_json(d), to_json(t), to_jsonb(z), concat(d, '/', t), row(d, t) from eras where id in (1, 5, 7) order by id
select array_agg(d order by d), array_agg(t order by t)::text, array_to_string(array_agg(z order by z), ';') from eras where id <= 5
select daterange(min(d), max(d)), tsrange(min(t), max(t), '[]') from eras where id in (1, 5)
select d - date '2000-01-01', d + 1, t + interval '1 year', extract(year from d), to_char(t, 'YYYY BC'), date_trunc('century', t), d::timestamp, t::date from eras where id in (1, 5, 10) order by id
select '{"0044-03-15 BC",10000-01-01,NULL}'::date[], ('{0044-03-15 BC}'::text[])::date[], ('{10000-01-01}'::date[])::text[], '[0044-03-15 BC,12000-01-01)'::daterange
select date '0001-12-31 BC' + 1, date '9999-12-31' + 1, greatest(date '10000-01-01', date '2000-01-01'), least(date '0002-01-01 BC', date '0001-01-01 BC')
select json_agg(d order by d), jsonb_build_object('t', min(t)) from eras where id in (2, 6)
drop table eras
select array_to_string(array[timestamptz '2024-07-01 12:00+02', null], ',', '-'), array[time '10:00', '11:00']::text, array[timestamptz '2024-07-01 12:00+02']::text
-- amounts of money
select '12'::money, money '$1,234.567', '-$.5'::money, '(3)'::money, ' 7 $'::money, '92233720368547758.07'::money, ''::money
select '1.2.3'::money
select 'a'::money
select '92233720368547758.08'::money
create table paid (id int primary key, amount money default 10, tip money)
insert into paid (id, tip) values (1, '1.50')
insert into paid values (2, 5, 2.255), (3, '-3', null), (4, 1000000, '$7')
select * from paid order by amount
select sum(amount), min(amount), max(tip), count(tip) from paid
select id from paid where amount > '5' order by id
select id, amount + tip, amount - tip, amount * 2, 3 * tip, amount * 1.5, tip / 4, amount / 3::float8, tip / '2'::money, amount * '2', amount::numeric, amount::text from paid where tip is not null order by id
select '5'::money / 0
select '5'::money / '0'::money
select '5'::money % 2
select - '5'::money
select '5'::money::int
select 5.5::float8::money
select 12::money, 12::bigint::money, 1.005::numeric::money, '12.34'::text::money, '5'::money = 5::money, '5'::money between '1' and '9'
select array['1'::money, '2.5'], (array['1'::money, '2.5'])[2] + '1', to_json('1'::money), row('1'::money, 2), unnest('{$1.00,"$2,000.00"}'::money[]), array_agg(amount) from paid where id = 1
select jsonb_build_array('1'::money), concat('1'::money, 'x'), format('%s', '3'::money), '1'::money || 'x', pg_typeof('1'::money * 2)
drop table paid
-- numbers that are read by templates
select to_number('123,000', '999G'), to_number('123456', '999'), to_number('1,234.5', '9G999D9'), to_number('<12>', '99PR'), to_number('-12', 'S99'), to_number('12-', '99S'), to_number('12-', '99MI'), to_number('$ 12.5', 'L99.9'), to_number('12th', '99TH'), to_number('+5', 'SG9'), to_number(' 5 6', '99'), to_number('12.34', '99V99'), to_number('1234', '999V9'), to_number('a1b', '9999'), to_number('1-2', '9X9'), to_number('', '') is null
select to_number('1234.5678', '999.99')
select to_number('abc', '999')
select to_number('12', '99EEEE')
select to_number('XII', 'RN')
-- zones and keywords
select name, abbrev, utc_offset, is_dst from pg_timezone_names where name in ('UTC', 'Asia/Tokyo', 'Asia/Kolkata') order by name
select count(*) > 500, count(distinct name) > 500 from pg_timezone_names
select abbrev, utc_offset, is_dst from pg_timezone_abbrevs where abbrev in ('CEST', 'MSK', 'PST', 'NFT') order by 1
select count(*) from pg_timezone_abbrevs
select timestamptz '2014-10-26 00:00:00 MSK', timestamptz '2020-01-01 12:00 NZDT', timestamptz '2011-03-27 00:00 UTC' at time zone 'MSK'
select * from pg_get_keywords() where word in ('select', 'abort', 'between', 'as', 'left') order by word
select count(*), string_agg(distinct catcode::text, '' order by catcode::text) from pg_get_keywords() k
-- types in front of their literals anywhere
create table dated (a int check (a > int4 '0'), b uuid default uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', c inet default inet '10.0.0.1', d date default date '2020-01-01', e numeric generated always as (a * numeric '1.5') stored)
insert into dated (a) values (1)
select * from dated
create view dated_view as select float8 '1.5' as f, inet '10.0.0.2' as i
select * from dated_view
drop view dated_view
drop table dated
-- parts of shapes
select (point '(1,2)')[0], (point '(1,2)')[1], (point '(1,2)')[2], (box '(3,4),(1,2)')[0], (lseg '[(0,1),(2,3)]')[1], (line '{1,2,3}')[2]
-- numbers that are none
with v(x) as (values ('nan'::numeric), ('inf'), ('-inf'), ('1.5')) select x, x::float8, x::float4, x > 1.0::float8 from v
select 'nan'::numeric::float8, 'inf'::numeric::float4, 16777217::float4 = 16777216::float4, radius(circle '<(0,0),NaN>')
select 'inf'::numeric::int4
select width_bucket('nan', 3.0, 4.0, 8)
select width_bucket(2.0, 3.0, '-inf', 8)
select width_bucket('inf'::numeric, 1, 10, 10), width_bucket('-inf'::float8, 1, 10, 10), width_bucket('inf'::numeric, 10, 1, 10)
select to_char('inf'::numeric, 'MI9999999999.99'), to_char('-inf'::float8, 'MI99.99'), to_char('nan'::numeric, '9999.9'), to_char('inf'::numeric, '9.999EEEE')
select gcd(-2147483648, 0)
select lcm(2147483647, 2147483646)
select gcd(12, 18::int8), lcm(4, 6), pg_typeof(gcd(1, 2)), pg_typeof(lcm(1, 2::int8))
-- the rest
select bit '101' & b, varbit '101' | b, pg_typeof(varbit '1' # varbit '0') from (values (bit '110')) v(b)
select date_bin('200000000 days', '2024-02-01'::timestamp, '2024-01-01'::timestamp)
select time '15:36:39 America/New_York'
select timetz '15:36:39 America/New_York'
select time '15:36:39 EST', timetz '2020-01-01 15:36:39 America/New_York', time '2020-01-01 15:36:39 America/New_York'
select array[1] , unnest(array[1, 2]), 'a'::varchar, array_agg(a) from (values (1)) v(a)
select parse_ident('foo.boo[]', strict => false)
-- names that change under views
create table four (a int, b int, c int, d int)
insert into four values (1, 2, 3, 4)
create view reads_four as select c as c_of_four from four
alter table four rename column c to cc
alter table four add column e int default 5
alter table four drop column a
alter table four add check (b > 0)
select * from reads_four
alter table four drop column cc
select pg_get_viewdef('reads_four'::regclass) is not null as there
drop table four cascade
create table renamed (id int primary key, x text, y text)
create view reads_renamed as select * from renamed where id > 0
create view reads_view as select r.id, x from reads_renamed r
insert into renamed values (1, 'one', 'uno')
alter table renamed rename to was_renamed
alter table was_renamed rename column x to z
alter table was_renamed add column x text default 'new'
create table renamed (id int primary key, x text, y text)
insert into renamed values (99, 'other', 'otro')
alter table was_renamed add check (id <> 5)
select * from reads_renamed
insert into reads_renamed values (2, 'two', 'dos')
select * from reads_view order by id
select * from was_renamed order by id
alter view reads_renamed rename to renamed_view
alter view renamed_view rename x to xx
select * from renamed_view order by id
select * from reads_view order by id
alter table renamed_view rename column id to number
alter view if exists no_such_view rename to other
alter view no_such_view rename to other
alter view was_renamed rename to other
alter materialized view renamed_view rename to other
create materialized view kept_rows as select id, z from was_renamed
alter materialized view kept_rows rename column z to zz
alter materialized view kept_rows rename to rows_kept
refresh materialized view rows_kept
select * from rows_kept order by id
alter table was_renamed drop column z
alter table was_renamed drop column y cascade
alter table was_renamed set schema differential
select relname, relkind from pg_class where relname in ('renamed', 'was_renamed', 'renamed_view', 'reads_view', 'rows_kept') order by 1
drop table was_renamed cascade
drop table renamed
create table commented (a int, b int, c int, d bit(3), e bit varying(5))
comment on column commented.b is 'of b'
comment on column commented.c is 'of c'
alter table commented drop column b
alter table commented add column b int
select attname, col_description(attrelid, attnum) from pg_attribute where attrelid = 'commented'::regclass and attnum > 0 and not attisdropped order by attname
create type shade as enum ('dark', 'light')
alter table commented add column f shade[]
select column_name, data_type, udt_name, character_maximum_length from information_schema.columns where table_name = 'commented' order by column_name
select '{dark}'::shade[]::shade
drop table commented
drop type shade
select d is not null as today from current_date d
select * from current_schema
create table shown_defaults (a uuid default (gen_random_uuid()), b bool default '1', c bool default 'f', d text default ('x'), e bool default false, f int default (3))
select column_name, column_default from information_schema.columns where table_name = 'shown_defaults' order by 1
drop table shown_defaults
create table draws_ids (id serial primary key, n int generated always as identity)
create sequence ids_drawn
alter table draws_ids alter column id set default nextval('ids_drawn')
drop sequence ids_drawn
drop sequence draws_ids_n_seq
drop sequence draws_ids_id_seq
insert into draws_ids default values returning *
drop table draws_ids
drop sequence ids_drawn
-- padding, where it counts
create table blanks (c char(5), v varchar(5))
insert into blanks values ('ab', 'ab')
select json_build_array(c), to_json(c), json_build_object('a', c), jsonb_build_array(c), row_to_json(b), json_agg(c) from blanks b group by c, b
select concat(c, 'x'), concat_ws('-', c, 'x'), format('[%s]', c), octet_length(c), length(c), c || 'x', upper(c), string_agg(c, ','), max(c), coalesce(c, 'zz') from blanks group by c
select c like 'ab', c like 'ab%', c like 'ab   ', c ilike 'AB', c not like 'ab', c ~ 'b$', c ~ 'b *$', c similar to 'ab', v like 'ab' from blanks
drop table blanks
-- rows of functions beside others
create table vectors (id int primary key, a int[])
insert into vectors values (1, array[5, 6]), (2, array[]::int[]), (3, null)
create table names_of (n int, name text)
insert into names_of values (5, 'five'), (7, 'seven')
select v.id, k.x, k.i, n.name from vectors v cross join lateral (select unnest(v.a), generate_subscripts(v.a, 1) + 1) as k(x, i) left join names_of n on n.n = k.x order by 1, 2
select v.id, k.x from vectors v left join lateral (select unnest(v.a)) as k(x) on true order by 1, 2
select v.id, k.x from vectors v left join lateral (select v.id * 2) as k(x) on true order by 1
drop table vectors, names_of
create table named_checks (a int check (a > 0), b int, c int check (a < c), check (b > 1), check (a > b), check (1 > 0), check (b < 9))
alter table named_checks add check (a < 100), add d int check (b > d), add e int check (e > 3)
select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'named_checks'::regclass order by 1
create unique index partly on named_checks (a) where b > 2
insert into named_checks values (3, 2, 5) on conflict (a) do nothing
insert into named_checks values (5, 3, 9)
insert into named_checks values (5, 4, 9) on conflict (a) where b > 2 do update set c = 10 returning a, b, c
create or replace view checks_seen as select a, b from named_checks
create or replace view checks_seen as select a, b, c from named_checks
create or replace view checks_seen as select a, b from named_checks
create or replace view checks_seen as select a, c as b, b as c, d from named_checks
create or replace view checks_seen as select a, c, b from named_checks
create or replace view checks_seen as select a, b::bigint, c from named_checks
drop table named_checks cascade
create sequence drawn_default
create table defaults_drawn (a int default nextval('drawn_default'), b int default -currval('drawn_default'))
insert into defaults_drawn default values
insert into defaults_drawn (a) values (7) returning a, b
drop table defaults_drawn
drop sequence drawn_default
create table filled_in (a int, b int generated always as (a * 2) stored)
copy filled_in (a, b) to stdout
drop table filled_in
create table keys_of_text (t text primary key)
create table refers_by_int (i int references keys_of_text)
create table refers_by_name (t varchar(3) references keys_of_text)
drop table keys_of_text cascade
drop table refers_by_name
begin
create table walked (id int primary key, v text)
insert into walked values (1, 'a'), (2, 'b'), (3, 'c')
declare walk cursor for select id, v from walked for update
fetch 2 from walk
update walked set v = v || '!' where current of walk returning id, v
fetch walk
delete from walked where current of walk
update walked set v = 'x' where current of walk
select * from walked order by id
rollback
-- names of what an OID stands for, wherever rows come from
select distinct t from (values ('int4'::regtype), ('text'), ('int4')) v(t) order by 1
select t from (select 'int8'::regtype t union select 'int4') s order by t
select 'int8'::regtype union all select 'int4' order by 1
with s as (select 'bool'::regtype t) select t, t::oid from s
select array['int4'::regtype, 'text'], array_agg(t) from (values ('int4'::regtype)) v(t)
select 'int4'::regtype = any ('{text,int4}'::regtype[]), unnest(array['pg_class'::regclass])
select regprocedure('abs(numeric)'), to_regprocedure('pg_catalog.abs(int4)'), to_regprocedure('abs(text)'), 'lower(text)'::regprocedure::oid = 870
select 'abs(text)'::regprocedure
select num_nulls()
select case when true then generate_series(1, 3) end
select coalesce(unnest(array[1, null]), 0)
select min(generate_series(1, 3))
select min(generate_series(1, 3)) from few_rows
select sum(generate_series(1, 3)) over () from few_rows
select 1 + count(unnest(array[1, 2])), a from few_rows group by a
select upper(unnest(array['a', 'b'])), abs(generate_series(-1, 1))
select upper(unnest(array['a', 'b']))
select max(id) filter (where generate_series(1, 2) > 1) from few_rows
select string_agg(a::text, ',' order by generate_series(1, 2)) from few_rows
select sum(sum(id)) from few_rows
select sum(count(*)) over () from few_rows group by a
select sum(id) from few_rows where sum(id) > 1
select count(*) from few_rows group by count(*)
select id from few_rows where row_number() over () = 1
select 1 from few_rows having row_number() over () = 1
select sum(row_number() over ()) from few_rows
select row_number() over (order by row_number() over ()) from few_rows
select lag(row_number() over ()) over () from few_rows
select 1 from few_rows limit sum(1)
select 1 from few_rows join few_rows b on sum(b.id) = 1
select * from generate_series(1, sum(1))
select count(*) filter (where sum(id) > 1) from few_rows
select percentile_cont(sum(id)) within group (order by id) from few_rows
select max(id order by sum(id)) from few_rows
values (count(*))
insert into few_rows values (count(*))
insert into few_rows (id) values (1) returning count(*)
insert into few_rows (id) values (1) returning generate_series(1, 2)
update few_rows set id = sum(1)
update few_rows set id = row_number() over ()
delete from few_rows where count(*) = 1
create table places (a int check (sum(a) > 0))
create table places (a int default count(*))
create table places (a int, b int generated always as (sum(a)) stored)
create table places (a int, b int generated always as (row_number() over ()) stored)
create index on few_rows (sum(id))
create index on few_rows (id) where count(*) > 0
create table placed (a int, b text)
insert into placed values (generate_series(1, 3), 'x') returning a, b
insert into placed values (generate_series(1, 3), 'x'), (1, 'y')
select * from placed order by a
drop table placed
select generate_series(1, 2) + generate_series(1, 3), unnest(array['a'])
select generate_series(timestamp '2020-01-01', '2020-01-03', '1 day'), generate_series(1.5, 2.5), generate_series(3000000000, 3000000001)
select id, generate_series(1, id), generate_series(id, 3) from few_rows order by 1, 2, 3
create table seen (id int primary key, at int not null, note text, n numeric, day date)
insert into seen values (1, 2, 'b', 1.50, '2024-01-02'), (2, 1, 'a', 1.5, '2024-01-01'), (3, 2, 'a', null, null), (4, 1, null, 10, '2024-01-01'), (5, 3, 'c', 9, '2023-12-31'), (6, 2, null, 1.500, '2024-01-03')
select distinct on (at) at, id, note from seen order by at, id desc
select distinct on (at) at, id, note from seen order by at, id desc limit 2
select distinct on (at) at, id from seen order by at desc, id
select distinct on (note) note, id from seen order by note, id
select distinct on (note) note, id from seen order by note nulls first, id desc
select distinct on (at, note) id, at from seen order by note, at, id
select distinct on (at, id) id, at from seen order by id, at
select distinct on (at) id, at, rank() over (order by id desc) from seen order by at, n desc, id
select distinct on (at) s.n as at, s.id from seen s order by s.at, s.id
select distinct on (n * 1) n, id from seen order by n * 1, id
select distinct on (at) at, count(*) from seen group by at, note order by at, count(*) desc
select at, (select array_agg(s.id) from (select distinct on (x.note) x.id from seen x where x.at = seen.at order by x.note, x.id) s) from seen order by id
select id from seen order by at fetch first 2 rows with ties
select id, sum(id) over (order by note, id) from seen order by at desc fetch first 1 rows with ties
create table absent (k int, note text, n numeric, day date, at int not null)
insert into absent values (1, 'a', 1.5, '2024-01-01', 1), (null, 'b', null, null, 2), (2, null, 9.0, '2023-12-31', 2)
select id from seen s where not exists (select 1 from absent a where a.k = s.id) order by id
select id from seen s where not exists (select * from absent a where s.note = a.note) order by id
select id from seen s where not exists (select 1 from absent a where a.n = s.n) order by id
select id from seen s where not (exists (select 1 from absent where absent.day = (s.day) limit 1)) order by id
select id from seen s where not exists (select 1 from absent a where a.note = s.note and a.at = s.at) order by id
select id from seen s where not exists (select 1 from absent a where a.note = s.note and a.n = s.n and (a.at = 1 or a.k = 2)) order by id
select id from seen s where not exists (select 1 from absent a where a.at = s.at and a.k > s.id) order by id
select id from seen s where not exists (select 1 from absent a where a.k = s.id and exists (select 1 from seen t where t.id = a.at)) order by id
select id from seen s where not exists (select 1 from absent a where a.k = s.id limit 0) order by id
select id from seen s where not exists (select count(*) from absent a where a.k = s.id) order by id
select id from seen s where not exists (select 1 from absent a where a.k = s.id group by a.k) order by id
select id from seen s where not exists (select 1 from seen t where t.at = s.id) order by id
select id, not exists (select 1 from absent a where a.k = s.id) from seen s order by id
select not exists (select 1 from seen)
select id, exists (select 1 from absent a where a.note = s.note and a.n = s.n), exists (select from absent where k = id) from seen s order by id
select id from seen s where exists (select 1 from absent a where a.k = s.id) or exists (select 1 from absent a where a.day = s.day and a.k = 1) order by id
with a as (select k from absent) select id from seen where not exists (select 1 from a where k = id) order by id
select k from absent where not exists (select 1 from seen where at = k) order by k
select s.id, t.id from seen s left join seen t on t.id = s.at and not exists (select 1 from absent a where a.k = t.id) order by 1
delete from seen s where not exists (select 1 from absent a where a.n = s.n) and s.id = 4 returning id
update seen s set note = 'none' where not exists (select 1 from absent a where a.day = s.day) returning id, note
select n from (values (1.5), (-1.5), (1.50), (0), (-0.0), (10), (9.99), (-10), (-9.99), (0.001), ('NaN'), ('Infinity'), ('-Infinity'), (100000000000000000000000000000000000000000), (1.05), (1.5000001)) v(n) order by n, scale(n)
create table tagged (id int primary key, tags text[], ints int[], nums numeric[], days date[], names varchar(5)[])
insert into tagged values (1, '{a,b}', '{1,2}', '{1.5,2}', '{2024-01-01}', '{x}'), (2, '{"a b",NULL}', '{NULL}', '{1.50,NULL}', '{NULL}', '{y,NULL}'), (3, '{}', '{}', '{}', '{}', '{}'), (4, null, null, null, null, null), (5, '{{a,b},{c,"null"}}', '{{1},{7}}', '{-0.0}', '{2024-02-29,infinity}', '{"a,b"}')
select id, 'a' = any(tags), 'a' <> all(tags), 'a b' = any(tags), 'null' = any(tags), null = any(tags) from tagged order by id
select id, 1 = any(ints), 7 <> all(ints), 1.0 = any(ints), '2' = any(ints), null = any(ints) from tagged order by id
select id, 1.50 = any(nums), 2 = any(nums), 0 = any(nums), '2.00' <> all(nums) from tagged order by id
select id, '2024-01-01' = any(days), date 'infinity' = any(days), 'x' = any(names), 'a,b'::text = any(names) from tagged order by id
select id from tagged where 'b' = any(tags) or 2 = any(string_to_array('1,2', ',')::int[]) and id = 3 order by id
select id, tags @> array['a'], tags @> array['a', null], tags && array['c', null], tags @> '{}', array['a', 'b'] @> tags from tagged order by id
select id, nums @> '{1.5}', nums && array[2.00], ints @> ints, ints && ints from tagged order by id
create table docs (id int primary key, d jsonb)
insert into docs values (1, '{"k": 42, "n": {"a": 1, "b": [1, {"c": 2}]}, "": "\u00e9\"x"}'), (2, '{"k": 42.0}'), (3, '[1, "k", {"k": 42}]'), (4, '"k"'), (5, '{"k": "42"}'), (6, '{"k": {}}'), (7, 'null'), (8, null), (9, '{"k": null, "A\\n": [[]]}'), (10, '{}')
select id, d @> '{"k": 42}', d @> '{}', d @> '[]', d @> '"k"', d @> '{"k": {}}', d @> '{"k": null}' from docs order by id
select id from docs where d @> '{"n": {"b": [{"c": 2}], "a": 1.0}}' or d @> '[{"k": 42}]' or d @> '{"": "é\"x"}' or d @> '{"A\\n": [[]]}' order by id
select a.id, b.id from docs a join docs b on a.d @> b.d order by 1, 2
select id, d ?| '{k,n}', d ?& array['k', 'n'], d - '{k,n}'::text[], d #> '{n,b,1}', d #>> '{n,a}', d #> array['n', null] from docs where id < 7 and id <> 4 order by id
select id, d @? '$.k ? (@ > 41)', d @@ '$.n.a == 1', jsonb_path_query_array(d, '$.**.c') from docs order by id
-- what a parameter names is looked up
prepare found as select relname, $1::regclass from pg_class where oid = $1::regclass
execute found('pg_type')
execute found('"pg_type"')
execute found('nowhere')
deallocate found
prepare kin as select $1::regtype, $1::regtype::oid, $2::regnamespace::oid
execute kin('int', 'pg_catalog')
execute kin('nothing', 'pg_catalog')
deallocate kin
create table by_name (r regclass, t regtype)
prepare put as insert into by_name values ($1, $2) returning r::oid = 'pg_type'::regclass, t::oid
execute put('pg_type', 'int[]')
deallocate put
select r, t, t::oid from by_name
drop table by_name
-- marks between the fields of a date say nothing
select '''2020-01-02'''::date, '(2020-01-02)'::date, '"2020-01-02 03:04:05+02"'::timestamptz, '[03:04]'::time, '2020_01_02'::date, '2020-01-02;03:04'::timestamp
select '2020-01-02 +'::date
select make_interval(months := 3, days := 5), make_date(day := 5, year := 2020, month => 3)
with recursive t(n) as (select 1 union all (select n + 1 from t where n < 4)) select n from t
with recursive t(n) as (select 1 union ((select n % 3 + 1 from t))) select n from t order by 1
create recursive view climbed (n) as select 1 union all select n + 1 from climbed where n < 3
select * from climbed
create or replace recursive view climbed (n) as values (1) union all select n + 1 from climbed where n < 4
select count(*), max(n) from climbed
drop view climbed
-- so are the rows that a change gives
create table by_name (r regclass, t regtype)
insert into by_name values ('pg_type', 'int[]'), ('pg_class', 'text') returning *
update by_name set t = 'bool' where r = 'pg_class'::regclass returning r, t, t::oid
update by_name set t = 'int' from (values ('pg_class'::regclass)) v(x) where r = x returning r, x, t
with w as (update by_name set t = 'name' where t = 'int'::regtype returning *) select r, t, t::oid from w
delete from by_name using (values (1)) v(x) where r = 'pg_class'::regclass returning r, t, x
create function put_by_name() returns setof regclass language sql as $$ insert into by_name values ('pg_proc', 'int') returning r $$
select put_by_name()
select * from put_by_name()
delete from by_name returning r, r::oid > 0, case when true then t end
drop function put_by_name()
drop table by_name
-- conditions, defaults and keys of indexes in print
create table in_print (a int default -1, b bigint default 5, n numeric(10, 2) default 0, r float8 default '1.5', s text default 'x', v varchar(20) default 'y', c char(3) default 'z', d date default '2020-1-2', ts timestamp default (now() at time zone 'utc'), f bool default 't', j jsonb default '{"a":1}', t text default null, g numeric generated always as (n * a) stored, h text generated always as (upper(v) || 'x') stored)
select column_name, column_default, generation_expression from information_schema.columns where table_name = 'in_print' order by ordinal_position
select adnum, pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'in_print'::regclass order by adnum
alter table in_print add constraint p1 check (a > 0 and b < 10 or not f), add constraint p2 check (n >= 0), add constraint p3 check (v in ('a', 'b')), add constraint p4 check (s not in ('a')), add constraint p5 check (length(v) between 1 and 9), add constraint p6 check (v ilike 'a%'), add constraint p7 check (a is not null or j ? 'x'), add constraint p8 check (case when f then a > 1 else r > 2 end)
select conname, pg_get_constraintdef(oid), pg_get_constraintdef(oid, true) from pg_constraint where conrelid = 'in_print'::regclass order by 1
select check_clause from information_schema.check_constraints where constraint_name like 'p_' order by constraint_name
create index in_print_lower on in_print (lower(v), (a + b) desc, s collate "C") where n > 0 and f
select pg_get_indexdef('in_print_lower'::regclass), pg_get_indexdef('in_print_lower'::regclass, 2, false)
create domain printed_domain as varchar(9) check (value <> '' and length(value) > 2)
select pg_get_constraintdef(oid), pg_get_constraintdef(oid, true) from pg_constraint where contypid = 'printed_domain'::regtype
drop domain printed_domain
-- access methods and operator classes
create table by_method (i int, s text, v varchar, j jsonb, p point, x json, a int[])
create index m1 on by_method using gin (j jsonb_path_ops)
create index m2 on by_method using gin (j jsonb_ops, a)
create index m3 on by_method using hash (s)
create index m4 on by_method using gist (p) include (i)
create index m5 on by_method using brin (i) with (pages_per_range = 4)
create index m6 on by_method (v varchar_pattern_ops, s text_pattern_ops desc, s text_ops, (lower(v)) text_pattern_ops)
select c.relname, a.amname, pg_get_indexdef(c.oid), i.indclass from pg_class c join pg_am a on a.oid = c.relam join pg_index i on i.indexrelid = c.oid where i.indrelid = 'by_method'::regclass and c.relname <> 'm5' order by 1
select o.opcname, o.opcdefault from pg_index i, unnest(i.indclass) k join pg_opclass o on o.oid = k where i.indexrelid = 'm6'::regclass order by 1, 2
select pg_index_has_property('m1'::regclass, 'index_scan'), pg_index_has_property('m4'::regclass, 'clusterable'), pg_indexam_has_property(403, 'can_order'), pg_indexam_has_property(2742, 'can_unique'), pg_indexam_has_property(403, 'nothing')
select p, pg_index_column_has_property('m6'::regclass, 2, p), pg_index_column_has_property('m1'::regclass, 1, p), pg_index_column_has_property('m4'::regclass, 1, p), pg_index_column_has_property('m4'::regclass, 2, p) from unnest(array['asc', 'desc', 'nulls_first', 'orderable', 'distance_orderable', 'returnable', 'search_array', 'search_nulls', 'nothing']) p
create unique index on by_method using hash (s)
create index on by_method using hash (i, s)
create index on by_method using gin (j desc)
create index on by_method using gin (j) include (i)
create index on by_method using gin (i)
create index on by_method using gin (i jsonb_path_ops)
create index on by_method (i unheard_ops)
create index on by_method using unheard (i)
create index on by_method (x)
drop table by_method
drop table in_print
-- a window's frame keeps what it leaves out
create view leaves_out as select sum(x) over (order by x rows between 1 preceding and 1 following exclude ties) from generate_series(1, 3) x
select pg_get_viewdef('leaves_out') like '%EXCLUDE TIES)%'
drop view leaves_out
-- a sequence's type, and what it leaves of the bounds
create sequence of_type as integer
alter sequence of_type as smallint
select data_type, min_value, max_value from pg_sequences where sequencename = 'of_type'
alter sequence of_type as bigint maxvalue 100000
alter sequence of_type as smallint
alter sequence of_type minvalue 10
alter sequence of_type restart with 100001
alter sequence of_type increment by 0
alter sequence of_type cache 0
select data_type, start_value, min_value, max_value from pg_sequences where sequencename = 'of_type'
drop sequence of_type
create sequence of_type as smallint increment by -1
select data_type, start_value, min_value, max_value from pg_sequences where sequencename = 'of_type'
alter sequence of_type as integer no maxvalue
select data_type, start_value, min_value, max_value from pg_sequences where sequencename = 'of_type'
drop sequence of_type
create table of_names (xmin int)
create table of_names (a int default (avg(1)))
create table of_names (a int)
alter table of_names add column ctid int
alter table of_names rename column a to cmax
alter table of_names alter column a set default sum(2)
drop table of_names
-- sequences and keys under other names
create table renamed_from (id bigserial primary key, n int default nextval('renamed_from_id_seq'), v text unique)
alter table renamed_from rename to renamed_to
alter index renamed_from_pkey rename to renamed_to_pkey
alter table renamed_from_v_key rename to renamed_to_v_key
alter table renamed_from_id_seq rename to renamed_to_id_seq
insert into renamed_to (v) values ('a') returning id <> n
select 'renamed_to_pkey'::regclass, pg_get_indexdef('renamed_to_v_key'::regclass)
select conname from pg_constraint where conrelid = 'renamed_to'::regclass order by 1
select pg_get_serial_sequence('renamed_to', 'id')
insert into renamed_to (v) values ('a')
alter sequence renamed_to_id_seq rename to renamed_again
insert into renamed_to (v) values ('b') returning v
drop table renamed_to
create sequence set_one
create sequence set_other
select nextval('set_one'), nextval('set_other')
select setval('set_one', 50)
select currval('set_one'), lastval()
select setval('set_other', 60), currval('set_other')
select lastval(), setval('set_other', 70, false)
select lastval(), currval('set_other'), nextval('set_other')
drop sequence set_one, set_other
select generate_series(1, generate_series(1, 2))
select id from few_rows order by generate_series(1, 2), id
select row_number() over (order by generate_series(1, 2)) from few_rows
select a from few_rows o group by a having exists (select 1 from few_rows i where sum(o.id) > i.id) order by a
select generate_series(1, 3) over () from few_rows
select lower('A') over () from few_rows
select unnest(distinct array[1, 1]) from few_rows
select upper('a') filter (where true)
select nothing_known(1) over () from few_rows
select sum(id) + generate_series(1, 2) over () from few_rows
create table fk_up (id int primary key, n interval default '3 years 02:00', m interval[] default '{1 day}')
create table fk_down (id int primary key, up int references fk_up)
alter table fk_up disable trigger all
alter table fk_down disable trigger all
insert into fk_down values (1, 1), (2, 2)
insert into fk_up values (1)
alter table fk_up enable trigger all
alter table fk_down enable trigger all
insert into fk_down values (3, 3)
select * from fk_down order by id
alter table fk_down disable trigger nosuch
alter table fk_down enable trigger user
set session_replication_role = replica
insert into fk_down values (3, 3)
set session_replication_role = nothing
set session_replication_role = origin
insert into fk_down values (4, 4)
set intervalstyle = iso_8601
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'fk_up'::regclass and adnum = 2
reset intervalstyle
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'fk_up'::regclass and adnum = 2
select '(2.0, 3), (4.0, 6.0)'::line, '[(1,2),(1,5)]'::line, '1,2,7,2'::line
select '(1,2),(1,2)'::line
create extension pgcrypto
create extension "uuid-ossp"
select digest('abc', 'sha1'), digest('abc'::bytea, 'MD5'), encode(digest('', 'sha512'), 'hex')
select digest('abc', 'sha0')
select hmac('data', 'key', 'sha256'), hmac('\x00ff'::bytea, repeat('k', 200)::bytea, 'sha384'), digest(null, 'md5')
select length(gen_random_bytes(16)), pg_typeof(gen_random_bytes(1)), gen_random_bytes(8) = gen_random_bytes(8)
select gen_random_bytes(1025)
select uuid_generate_v3(uuid_ns_dns(), 'a.example'), uuid_generate_v5(uuid_ns_url(), 'http://a.example/'), uuid_nil()
select uuid_generate_v5('6ba7b812-9dad-11d1-80b4-00c04fd430c8', 'x') = uuid_generate_v5(uuid_ns_oid(), 'x'), uuid_ns_x500()
select substr(uuid_generate_v1()::text, 15, 1), substr(uuid_generate_v1mc()::text, 15, 1), uuid_generate_v1() = uuid_generate_v1()
select distinct on (a) a, b from (values (2, 1), (null, 2), (1, 3)) t (a, b)
select distinct on (a, b) a, b from (values (2, 1), (1, null), (1, 3), (2, 0)) t (a, b) order by b desc
select distinct on (2, a || 'x') a, b from (values ('b', 1), ('a', 1), ('b', 0)) t (a, b) limit 2
select a from (select distinct on (lower(a)) a from (values ('b'), ('C'), ('A')) t (a)) s
select length(repeat('x', 70)::name), length('yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy'::name), repeat('z', 64)::name = repeat('z', 63), (array[repeat('é', 40)]::text[]::name[])[1]
prepare blank_padded(bpchar) as select $1 = 'ab'::bpchar, $1 = 'ab ', length($1), octet_length($1)
execute blank_padded('ab  ')
create table counted_by (id int generated always as identity (maxvalue 100), n smallint generated by default as identity)
alter table counted_by alter column n type bigint
select seqtypid::regtype, seqmax from pg_sequence where seqrelid = 'counted_by_n_seq'::regclass
create sequence owned_nowhere owned by counted_by.nothing
alter sequence counted_by_n_seq owned by none
create table referred_key (k int primary key)
create table referring_key (k int references referred_key, l int)
alter table referred_key drop constraint referred_key_pkey
drop table referred_key
drop sequence counted_by_n_seq
create materialized view refreshed as select 1 as one
refresh materialized view concurrently refreshed
create unique index on refreshed (one)
refresh materialized view concurrently refreshed
create table zero_kept (a float8)
insert into zero_kept values ('-0')
select a from zero_kept
