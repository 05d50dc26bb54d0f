//! Owners and privileges, held against those who are no superusers.

use super::TestNode;
use super::roles::{refused, run};

const DENIED: &str = "42501";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_and_tables_are_locked_by_who_may_change_them() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    let given =
        ["create table t (id int primary key)", "create user bob", "grant select on t to bob"];
    run(&mut root, &given).await;
    let mut bob = node.client_of("bob");
    for statement in [
        "select * from t for update",
        "select * from t, (values (1)) v (x) for share of t",
        "begin; lock table only t, t in share mode",
        "rollback; begin; lock t",
    ] {
        refused(&mut bob, statement, DENIED, "permission denied for table t").await;
    }
    run(&mut bob, &["rollback; begin; lock t in access share mode; rollback"]).await;
    refused(&mut bob, "begin; lock nowhere", "42P01", "relation \"nowhere\" does not exist").await;
    run(&mut bob, &["rollback"]).await;
    run(&mut root, &["grant update on t to bob"]).await;
    run(&mut bob, &["select * from t for update", "begin; lock t; rollback"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_used_as_far_as_was_granted() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(
        &mut root,
        &[
            "create table t (id int primary key, v text)",
            "insert into t values (1, 'a')",
            "create view seen as select v from t",
            "create role staff",
            "create user bob in role staff",
        ],
    )
    .await;
    let mut bob = node.client_of("bob");
    let all = [
        "select * from t",
        "table t",
        "select count(*) from t",
        "select (select v from t)",
        "with x as (select * from t) select * from x",
        "select 1 where exists (select 1 from t)",
        "insert into t values (2, 'b')",
        "insert into t select 3, 'c'",
        "update t set v = 'x'",
        "delete from t",
        "truncate t",
        "merge into t using (select 1 as id) s on t.id = s.id when matched then delete",
        "copy t to stdout",
        "copy (select * from t) to stdout",
        "copy t from stdin",
        "explain select * from t",
        "create table other (id int references t)",
        "alter table t add column x int",
        "drop table t cascade",
        "create index on t (v)",
        "comment on table t is 'mine'",
        "grant select on t to bob",
        "alter table t owner to bob",
        "insert into t values (1, 'x') on conflict (id) do update set v = 'x'",
        "with gone as (delete from t returning *) select * from gone",
        "select pg_terminate_backend(1)",
        "pragma table_info(t)",
        "select * from seen",
    ];
    for statement in all {
        refused(&mut bob, statement, DENIED, "").await;
    }
    refused(&mut bob, "select * from t", DENIED, "permission denied for table t").await;
    refused(&mut bob, "select * from seen", DENIED, "permission denied for view seen").await;
    refused(&mut bob, "drop table t cascade", DENIED, "must be owner of table t").await;
    refused(&mut bob, "create table u (a int)", DENIED, "permission denied for schema public")
        .await;
    bob.parse("p", "select v from t where id = $1", &[]);
    bob.bind("", "p", &[Some("1")]);
    bob.execute("", 0);
    let said = bob.sync().await;
    assert!(said.contains("error 42501"), "{said}");
    run(&mut bob, &["begin"]).await;
    refused(&mut bob, "declare c cursor for select * from t", DENIED, "").await;
    run(&mut bob, &["rollback", "set towline.dialect = 'sqlite'"]).await;
    refused(&mut bob, "select * from t", DENIED, "SQLite").await;
    run(&mut bob, &["reset towline.dialect", "prepare q as select * from t"]).await;
    refused(&mut bob, "execute q", DENIED, "").await;

    // What a group was granted its members have; a plan that was made before runs then.
    run(&mut root, &["grant select on t to staff"]).await;
    assert_eq!(bob.value("select v from t").await, "a");
    run(&mut bob, &["execute q"]).await;
    refused(&mut bob, "insert into t values (2, 'b')", DENIED, "table t").await;
    run(&mut root, &["grant insert, update on table t to bob"]).await;
    run(&mut bob, &["insert into t values (2, 'b')", "update t set v = 'c' where id = 2"]).await;
    refused(&mut bob, "delete from t", DENIED, "table t").await;
    refused(&mut bob, "select * from t for update; delete from t", DENIED, "table t").await;
    // The view reads what its maker may, whoever asks it.
    run(&mut root, &["revoke select on t from staff", "grant select on seen to bob"]).await;
    assert_eq!(bob.value("select count(*) from seen").await, "2");
    refused(&mut bob, "update t set v = 'c' where id = 2", DENIED, "table t").await;
    run(&mut bob, &["insert into t values (3, 'd')"]).await;
    run(&mut root, &["revoke all on t from bob"]).await;
    refused(&mut bob, "insert into t values (4, 'e')", DENIED, "table t").await;
    run(&mut root, &["grant all privileges on all tables in schema public to public"]).await;
    run(&mut bob, &["delete from t", "truncate t"]).await;
    run(
        &mut root,
        &[
            "create table drawing (id serial primary key, v text)",
            "create table own (id int generated always as identity, v text)",
            "grant insert, select on drawing, own to bob",
            "create sequence s",
        ],
    )
    .await;
    run(&mut bob, &["insert into own (v) values ('x')"]).await;
    for statement in [
        "insert into drawing (v) values ('x')",
        "select nextval('s')",
        "select nextval('public.s'::regclass)",
        "select currval('s')",
        "select setval('s', 3)",
    ] {
        refused(&mut bob, statement, DENIED, "permission denied for sequence").await;
    }
    run(&mut root, &["grant usage on sequence s, drawing_id_seq to bob"]).await;
    run(&mut bob, &["insert into drawing (v) values ('x')", "select nextval('s'), currval('s')"])
        .await;
    refused(&mut bob, "select setval('s', 3)", DENIED, "permission denied for sequence s").await;
    run(&mut root, &["revoke usage on sequence s from bob", "grant update on sequence s to bob"])
        .await;
    run(&mut bob, &["select nextval('s'), setval('s', 9)"]).await;
    refused(&mut bob, "select currval('s')", DENIED, "permission denied for sequence s").await;
    refused(&mut root, "grant usage on t to bob", "0LP01", "invalid privilege type USAGE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_role_makes_is_its_own_on_every_node() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(&mut root, &["create user bob", "create user eve", "grant create on schema public to bob"])
        .await;
    let mut bob = node.client_of("bob");
    run(
        &mut bob,
        &[
            "create table mine (id serial primary key, v text unique)",
            "insert into mine (v) values ('x')",
            "create index on mine (v)",
            "create type mood as enum ('sad')",
            "create sequence drawn",
            "alter table mine add column more int default 1",
            "alter table mine alter column more type bigint",
            "create view shown as select * from mine",
            "comment on table mine is 'so'",
            "grant select on mine to eve with grant option",
            "create temp table here (a int)",
            "insert into here values (1)",
            "select * from here",
        ],
    )
    .await;
    refused(&mut bob, "create schema s", DENIED, "permission denied for database").await;
    let owners = "select string_agg(relname || ' ' || pg_get_userbyid(relowner), ', ' order by relname) \
                  from pg_class where relnamespace = 'public'::regnamespace";
    let expected = "drawn bob, mine bob, mine_id_seq bob, mine_pkey bob, mine_v_idx bob, \
                    mine_v_key bob, shown bob";
    assert_eq!(root.value(owners).await, expected);
    let follower = TestNode::new();
    follower.receive(&node);
    follower.applied(*node.hub().commit.borrow()).await;
    assert_eq!(follower.client().value(owners).await, expected);
    let shown = "select relacl::text from pg_class where relname = 'mine'";
    assert_eq!(root.value(shown).await, "{bob=arwdDxt/bob,eve=r*/bob}");
    let mut eve = node.client_of("eve");
    run(&mut eve, &["select * from mine", "grant select on mine to public"]).await;
    refused(&mut eve, "grant insert on mine to public", DENIED, "permission denied").await;
    refused(&mut eve, "drop table mine cascade", DENIED, "must be owner of table mine").await;
    refused(&mut eve, "drop type mood", DENIED, "must be owner of type mood").await;
    refused(&mut eve, "alter sequence drawn restart", DENIED, "must be owner of sequence").await;
    for (question, answer) in [
        ("has_table_privilege('eve', 'mine', 'select')", "t"),
        ("has_table_privilege('eve', 'mine', 'insert, delete')", "f"),
        ("has_table_privilege('eve', 'mine', 'select with grant option')", "t"),
        ("has_table_privilege('mine', 'insert')", "f"),
        ("has_schema_privilege('bob', 'public', 'create')", "t"),
        ("has_schema_privilege('public', 'create')", "f"),
        ("has_database_privilege('eve', current_database(), 'connect')", "t"),
        ("has_column_privilege('mine', 'v', 'select')", "t"),
    ] {
        assert_eq!(eve.value(&format!("select {question}")).await, answer, "{question}");
    }
    refused(&mut root, "drop role bob", "2BP01", "some objects depend on it").await;
    run(&mut bob, &["drop view shown"]).await;
    refused(&mut bob, "alter table mine owner to eve", DENIED, "must be member of role").await;
    run(&mut root, &["alter table mine owner to eve"]).await;
    assert_eq!(root.value(shown).await, "{eve=arwdDxt/eve,eve=r*/eve,=r/eve}");
    refused(&mut bob, "insert into mine (v) values ('y')", DENIED, "table mine").await;
    run(&mut eve, &["insert into mine (v) values ('y')"]).await;
    run(&mut root, &["reassign owned by bob, eve to current_user"]).await;
    run(&mut root, &["revoke create on schema public from bob"]).await;
    let left = root.query("select * from pg_class where pg_get_userbyid(relowner) = 'bob'").await;
    assert!(!left.contains("row "), "{left}");
    run(&mut bob, &["discard temp"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_and_databases_let_in_whom_they_may() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(
        &mut root,
        &[
            "create user bob createdb",
            "create schema s",
            "create table s.t (a int)",
            "grant select on s.t to bob",
            "create database shop",
        ],
    )
    .await;
    let mut bob = node.client_of("bob");
    refused(&mut bob, "select * from s.t", DENIED, "permission denied for schema s").await;
    run(&mut root, &["grant usage on schema s to bob"]).await;
    run(&mut bob, &["select * from s.t"]).await;
    refused(&mut bob, "create table s.u (a int)", DENIED, "permission denied for schema s").await;
    run(&mut root, &["grant create, usage on schema s to bob with grant option"]).await;
    run(&mut bob, &["create table s.u (a int)", "drop table s.u", "create database own"]).await;
    refused(&mut bob, "drop database shop", DENIED, "must be owner of database shop").await;
    run(&mut bob, &["drop database own"]).await;
    run(&mut root, &["revoke connect on database towline from public"]).await;
    let mut again = node.client_of("bob");
    refused(&mut again, "select 1", DENIED, "permission denied for database").await;
    run(&mut root, &["grant connect on database towline to bob"]).await;
    let mut again = node.client_of("bob");
    run(&mut again, &["select 1"]).await;
    assert_eq!(
        root.value("select nspacl::text from pg_namespace where nspname = 's'").await,
        "{test=UC/test,bob=U*C*/test}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_changes_what_its_owner_may_change() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(
        &mut root,
        &[
            "create table t (id int primary key, v text)",
            "create view roots as select * from t",
            "create user bob",
            "grant create on schema public to bob",
            "grant select on t to bob",
            "grant insert on roots to bob",
        ],
    )
    .await;
    let mut bob = node.client_of("bob");
    run(&mut bob, &["insert into roots values (1, 'a')"]).await;
    refused(&mut bob, "delete from roots", DENIED, "view roots").await;
    // Who may only read a table changes nothing in it through a view of his.
    run(&mut bob, &["create view bobs as select * from t"]).await;
    refused(&mut bob, "insert into bobs values (2, 'b')", DENIED, "table t").await;
    run(&mut root, &["grant delete on t to bob"]).await;
    run(&mut bob, &["delete from bobs"]).await;
    assert_eq!(root.value("select count(*) from t").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_objects_have_the_privileges_that_were_said() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(
        &mut root,
        &[
            "create user bob",
            "create user ann",
            "create schema s",
            "grant usage on schema s to bob",
            "alter default privileges grant select on tables to bob",
            "alter default privileges in schema s grant insert, update on tables to bob",
            "alter default privileges grant usage on sequences to bob with grant option",
            "alter default privileges for role ann revoke all on tables from ann",
            "create table t (id serial)",
            "create table s.u (id int)",
            "create view v as select 1 as one",
        ],
    )
    .await;
    let mut bob = node.client_of("bob");
    run(&mut bob, &["select * from t", "select * from v", "insert into s.u values (1)"]).await;
    run(&mut bob, &["select nextval('t_id_seq')", "update s.u set id = 2"]).await;
    refused(&mut bob, "insert into t values (1)", DENIED, "table t").await;
    refused(&mut bob, "delete from s.u", DENIED, "table u").await;
    let said = "select string_agg(defaclobjtype || ' ' || defaclnamespace::regnamespace || ' ' || \
                defaclacl::text, '; ' order by defaclrole, defaclnamespace, defaclobjtype) from \
                pg_default_acl where defaclobjtype = 'r'";
    assert_eq!(
        root.value(said).await,
        "r - {test=arwdDxt/test,bob=r/test}; r s {bob=aw/test}; r - {}"
    );
    refused(&mut root, "drop role ann", "2BP01", "role \"ann\" cannot be dropped").await;
    let other = "alter default privileges for role ann grant select on tables to bob";
    refused(&mut bob, other, DENIED, "permission denied to change default privileges").await;
    let within = "alter default privileges in schema s grant usage on schemas to bob";
    refused(&mut root, within, "0LP01", "cannot use IN SCHEMA clause").await;
    let unfit = "alter default privileges grant usage on tables to bob";
    refused(&mut root, unfit, "0LP01", "invalid privilege type USAGE for relation").await;
    run(
        &mut root,
        &[
            "alter default privileges revoke select on tables from bob",
            "alter default privileges for role ann grant all on tables to ann",
            "drop role ann",
            "drop schema s cascade",
            "create table w (id int)",
        ],
    )
    .await;
    refused(&mut bob, "select * from w", DENIED, "table w").await;
    let left = "select string_agg(defaclobjtype::text, ',') from pg_default_acl";
    assert_eq!(root.value(left).await, "S");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_is_used_as_far_as_was_granted() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(
        &mut root,
        &[
            "create table t (id int primary key, v text, secret text)",
            "create table u (id int primary key, secret text)",
            "insert into t values (1, 'a', 'x')",
            "create user bob",
            "grant create on schema public to bob",
            "grant select (id, v), update (v), references (id) on t to bob",
            "grant insert (id, v) on t to bob",
            "grant select (id) on u to public",
        ],
    )
    .await;
    let mut bob = node.client_of("bob");
    run(
        &mut bob,
        &[
            "select id, v from t where v = 'a' order by id",
            "select count(*) from t",
            "select q.v from (select id, v from t) q join u using (id)",
            "select 1 from t natural join (select id from u) w",
            "insert into t (id, v) values (2, 'b'), (3, 'c')",
            "insert into t values (4, 'd')",
            "insert into t (id) values (1) on conflict (id) do update set v = excluded.v || t.v",
            "insert into t (id) values (1) on conflict do nothing",
            "update t set v = 'y' where id = 2 returning id, v",
            "merge into t using (select 1 as id) s on t.id = s.id when matched then \
             update set v = 'm' when not matched then insert (id) values (9)",
            "copy t (id, v) to stdout",
            "select id from t for update",
            "create table other (id int references t)",
            "create view seen as select v from t",
            "drop table other",
        ],
    )
    .await;
    for statement in [
        "select * from t",
        "table t",
        "select t from t",
        "select to_json(t) from t",
        "select t.* from t",
        "select id from t where secret = 'x'",
        "select id from t order by secret",
        "select max(secret) from t",
        "select (select secret from t limit 1)",
        "select 1 from t join u using (id, secret)",
        "select 1 from t natural join u",
        "with q as (select secret from t) select 1 from q",
        "insert into t values (5, 'e', 'z')",
        "insert into t select * from t",
        "insert into t select 6, 'f', 'z'",
        "insert into t (id, v) values (1, 'e') on conflict (id) do update set secret = 'z'",
        "insert into t (id) values (6) returning secret",
        "update t set secret = 'z'",
        "update t set v = secret",
        "update t set (v, secret) = (select 'a', 'b')",
        "merge into t using (select 1 as id) s on t.id = s.id when matched then \
         update set secret = 'm'",
        "copy t to stdout",
        "copy t from stdin",
        "delete from t",
        "lock table t",
        "create view all_of_it as select * from t",
        "select secret from u",
    ] {
        refused(&mut bob, statement, DENIED, "").await;
    }
    for (question, answer) in [
        ("has_table_privilege('bob', 't', 'select')", "f"),
        ("has_column_privilege('bob', 't', 'v', 'select')", "t"),
        ("has_column_privilege('bob', 't', 3::int2, 'select')", "f"),
        ("has_column_privilege('bob', 't', 'v', 'update with grant option')", "f"),
        ("has_any_column_privilege('bob', 't', 'insert')", "t"),
        ("has_any_column_privilege('bob', 'u', 'update')", "f"),
        (
            "(select attacl::text from pg_attribute where attrelid = 't'::regclass and attnum = 2)",
            "{bob=arw/test}",
        ),
        (
            "(select string_agg(column_name || ' ' || privilege_type, ', ' order by column_name, \
             privilege_type) from information_schema.column_privileges where grantee = 'bob' and table_name = 't')",
            "id INSERT, id REFERENCES, id SELECT, v INSERT, v SELECT, v UPDATE",
        ),
    ] {
        assert_eq!(root.value(&format!("select {question}")).await, answer, "{question}");
    }
    let unknown = "select has_column_privilege('bob', 't', 'w', 'select')";
    refused(&mut root, unknown, "42703", "column \"w\" of relation \"t\" does not exist").await;
    refused(&mut root, "grant select (w) on t to bob", "42703", "column \"w\" of relation").await;
    refused(&mut root, "grant delete (v) on t to bob", "0LP01", "invalid privilege type DELETE")
        .await;
    refused(&mut root, "grant select (v) on sequence s to bob", "42P01", "").await;
    refused(&mut bob, "grant select (v) on t to public", DENIED, "permission denied for column")
        .await;
    refused(&mut root, "drop role bob", "2BP01", "some objects depend on it").await;
    // Columns move up, and keep their rights under another name.
    run(&mut root, &["drop view seen; alter table t drop column id cascade"]).await;
    run(&mut root, &["alter table t rename v to w"]).await;
    run(&mut bob, &["select w from t"]).await;
    refused(&mut bob, "select secret from t", DENIED, "table t").await;
    run(&mut root, &["revoke select on t from bob"]).await;
    refused(&mut bob, "select w from t", DENIED, "table t").await;
    run(&mut bob, &["update t set w = 'z'"]).await;
    run(&mut root, &["revoke all (w) on t from bob", "revoke all on schema public from bob"]).await;
    refused(&mut bob, "update t set w = 'z'", DENIED, "table t").await;
    run(&mut root, &["drop table t, u", "drop role bob"]).await;
}
