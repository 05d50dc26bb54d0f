//! EXPLAIN: SQLite's plan, as lines or as the JSON document that PostgreSQL's clients
//! read, with PostgreSQL's names for what SQLite does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use super::run::Run;
use super::session::{EngineSession, Stop};
use super::utility::{Answer, describe, text_row};
use crate::gateway::Out;
use crate::log::{Value, ValueRef};
use crate::node::errors;
use crate::node::plan::Plan;
use crate::storage::sqlite::{Sqlite, SqliteError};

/// What EXPLAIN is of.
pub(super) struct Explained<'a> {
    pub plan: &'a Arc<Plan>,
    pub params: &'a [Value],
    /// Asks SQLite for its plan.
    pub step: &'a str,
    pub text: &'a str,
}

/// A plan, and what running it took.
struct Described {
    nodes: Vec<Node>,
    ran: Option<(Duration, u64)>,
}

/// A line of SQLite's plan.
struct Node {
    id: i64,
    parent: i64,
    detail: String,
}

impl EngineSession {
    /// EXPLAIN: SQLite's query plan, indented.
    pub(super) async fn explain(
        &mut self,
        plan: &Arc<Plan>,
        explained: Explained<'_>,
        (json, analyze): (bool, bool),
        run: Run,
        out: &mut Out,
    ) -> Result<Answer, Stop> {
        let Explained { plan: inner, params, step, text } = explained;
        let told = |error| Stop::Sql(errors::translate(&error, inner, params));
        let analyzed = analyze.then_some(text);
        // What the transaction has made is seen on the writer alone.
        let loan = self.open.as_mut().and_then(|open| open.loan.as_mut());
        let described = if let Some(loan) = loan {
            let mut taken = loan.take().map_err(|revoked| revoked.error())?;
            describe_on(&mut taken, step, analyzed, params)
        } else {
            let mut reader = self.reader().await?;
            self.surround(&mut reader, inner);
            describe_on(&mut reader, step, analyzed, params)
        };
        let described = described.map_err(told)?;
        describe(&plan.translated.columns, run, out);
        if json {
            text_row(out, &[&described.as_json(text)]);
        } else {
            for line in described.lines() {
                text_row(out, &[&line]);
            }
        }
        Ok("EXPLAIN".into())
    }
}

/// Asks for the plan by `text`; `analyzed` is run to its end.
fn describe_on(
    sqlite: &mut Sqlite,
    text: &str,
    analyzed: Option<&str>,
    params: &[Value],
) -> Result<Described, SqliteError> {
    let mut nodes = Vec::new();
    let mut statement = sqlite.prepare(text)?;
    statement.bind_all(params)?;
    while statement.step()? {
        let integer = |index| match statement.column(index) {
            ValueRef::Integer(value) => value,
            _ => 0,
        };
        let (id, parent) = (integer(0), integer(1));
        if let ValueRef::Text(detail) = statement.column(3) {
            nodes.push(Node { id, parent, detail: detail.to_owned() });
        }
    }
    drop(statement);
    let Some(text) = analyzed else { return Ok(Described { nodes, ran: None }) };
    let begin = Instant::now();
    let mut rows = 0;
    let mut statement = sqlite.prepare(text)?;
    statement.bind_all(params)?;
    while statement.step()? {
        rows += 1;
    }
    Ok(Described { nodes, ran: Some((begin.elapsed(), rows)) })
}

impl Described {
    /// A line a node, the deeper the further in.
    fn lines(&self) -> impl Iterator<Item = String> {
        let mut depths: Vec<(i64, usize)> = vec![(0, 0)];
        let plan = self.nodes.iter().map(move |node| {
            let above = depths.iter().find(|(id, _)| *id == node.parent);
            let depth = above.map_or(0, |(_, depth)| *depth);
            depths.push((node.id, depth + 1));
            format!("{}{}", "  ".repeat(depth), node.detail)
        });
        let ran = self.ran.iter().map(|(time, rows)| {
            format!("Execution Time: {:.3} ms, {rows} rows", time.as_secs_f64() * 1e3)
        });
        plan.chain(ran)
    }

    /// `[{"Plan": {…}}]` for the statement `text`.
    fn as_json(&self, text: &str) -> String {
        let mut below = self.below(0);
        let mut plan = match (below.len(), changes(text)) {
            (1, None) => below.remove(0),
            (_, None) => with_plans("Result".into(), below),
            (_, Some(operation)) => {
                let mut plan = with_plans("ModifyTable".into(), below);
                plan.insert("Operation".to_owned(), operation.into());
                plan
            }
        };
        let mut document = Map::new();
        if let Some((time, rows)) = self.ran {
            let ms = time.as_secs_f64() * 1e3;
            plan.insert("Actual Startup Time".to_owned(), json!(0.0));
            plan.insert("Actual Total Time".to_owned(), json!(ms));
            plan.insert("Actual Rows".to_owned(), json!(rows));
            plan.insert("Actual Loops".to_owned(), json!(1));
            document.insert("Execution Time".to_owned(), json!(ms));
        }
        document.insert("Plan".to_owned(), Json::Object(plan));
        Json::Array(vec![Json::Object(document)]).to_string()
    }

    fn below(&self, parent: i64) -> Vec<Map<String, Json>> {
        let children = self.nodes.iter().filter(|node| node.parent == parent && node.id != parent);
        children.map(|node| node.as_json(self.below(node.id))).collect()
    }
}

impl Node {
    fn as_json(&self, below: Vec<Map<String, Json>>) -> Map<String, Json> {
        let mut words = self.detail.split(' ');
        let (verb, relation) = (words.next(), words.next());
        let index = self.detail.split_once(" INDEX ").filter(|_| self.detail.contains(" USING "));
        let kind = match (verb, index) {
            (Some("SCAN"), None) => "Seq Scan",
            (Some("SCAN" | "SEARCH"), Some(_)) => "Index Scan",
            (Some("SEARCH"), None) => "Tid Scan",
            _ => return with_plans(self.detail.as_str().into(), below),
        };
        let mut plan = with_plans(kind.into(), below);
        if let Some(relation) = relation {
            plan.insert("Relation Name".to_owned(), relation.into());
            plan.insert("Alias".to_owned(), relation.into());
        }
        if let Some((_, index)) = index {
            let name = index.split(' ').next().unwrap_or_default();
            plan.insert("Index Name".to_owned(), name.into());
        }
        plan.insert("SQLite".to_owned(), self.detail.as_str().into());
        plan
    }
}

fn with_plans(kind: Json, below: Vec<Map<String, Json>>) -> Map<String, Json> {
    let mut plan = Map::new();
    plan.insert("Node Type".to_owned(), kind);
    if !below.is_empty() {
        plan.insert("Plans".to_owned(), below.into_iter().map(Json::Object).collect());
    }
    plan
}

/// PostgreSQL's name for the change that a statement of SQLite's makes.
fn changes(text: &str) -> Option<&'static str> {
    [("INSERT", "Insert"), ("UPDATE", "Update"), ("DELETE", "Delete")]
        .into_iter()
        .find_map(|(word, name)| text.starts_with(word).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_have_postgresqls_names() {
        let node = |id, parent, detail: &str| Node { id, parent, detail: detail.to_owned() };
        let nodes = vec![node(3, 0, "SCAN t"), node(5, 0, "SEARCH u USING INDEX u_i (a=?)")];
        let described = Described { nodes, ran: None };
        assert_eq!(
            described.as_json("SELECT 1"),
            r#"[{"Plan":{"Node Type":"Result","Plans":[{"Alias":"t","Node Type":"Seq Scan","Relation Name":"t","SQLite":"SCAN t"},{"Alias":"u","Index Name":"u_i","Node Type":"Index Scan","Relation Name":"u","SQLite":"SEARCH u USING INDEX u_i (a=?)"}]}}]"#
        );
        assert_eq!(described.lines().collect::<Vec<_>>()[0], "SCAN t");
    }
}
