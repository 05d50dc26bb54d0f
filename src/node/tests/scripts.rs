//! Golden scripts: sessions by name, their statements, and what the client hears.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use test_each_file::test_each_path;
use tokio::runtime::Runtime;

use super::TestNode;
use super::client::Client;

test_each_path! { in "tests/golden/node/engine" as engine => run_script }

fn run_script(path: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let node = {
        let _inside = runtime.enter();
        TestNode::new()
    };
    runtime.block_on(node.lead(1));
    let mut runner = Runner { node: Some(node), sessions: BTreeMap::new(), runtime };
    goldenscript::run(&mut runner, path).expect("the script runs");
    runner.sessions.clear();
    drop(runner.node.take());
}

struct Runner {
    node: Option<TestNode>,
    sessions: BTreeMap<String, Client>,
    runtime: Runtime,
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &goldenscript::Command,
        context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let node = self.node.as_mut().expect("until the end");
        let name = context.prefix.clone().unwrap_or_else(|| "a".to_owned());
        let mut args = command.consume_args();
        match command.name.as_str() {
            "follow" => {
                node.follow(args.next_pos().ok_or("a term")?.parse()?);
                return Ok(String::new());
            }
            "lead" => {
                let term = args.next_pos().ok_or("a term")?.parse()?;
                self.runtime.block_on(node.lead(term));
                return Ok(String::new());
            }
            "disconnect" => {
                self.sessions.remove(&name);
                return Ok(String::new());
            }
            _ => {}
        }
        let client = self.sessions.entry(name).or_insert_with(|| node.client());
        Ok(match command.name.as_str() {
            "query" => {
                let text = args.next_pos().ok_or("a text")?;
                self.runtime.block_on(client.query(text))
            }
            "parse" => {
                let name = args.take_key("name").unwrap_or_default();
                client.parse(name, args.next_pos().ok_or("a text")?, &[]);
                String::new()
            }
            "bind" => {
                let portal = args.take_key("portal").unwrap_or_default();
                let statement = args.take_key("name").unwrap_or_default();
                let mut values = Vec::new();
                while let Some(value) = args.next_pos() {
                    values.push((value != "NULL").then_some(value));
                }
                client.bind(portal, statement, &values);
                String::new()
            }
            "describe" => {
                let kind = args.next_pos().ok_or("S or P")?.as_bytes()[0];
                let name = args.next_pos().unwrap_or_default();
                client.describe(kind, name);
                String::new()
            }
            "execute" => {
                let portal = args.take_key("portal").unwrap_or_default();
                client.execute(portal, args.take_key("max").unwrap_or("0").parse()?);
                String::new()
            }
            "close" => {
                let kind = args.next_pos().ok_or("S or P")?.as_bytes()[0];
                let name = args.next_pos().unwrap_or_default();
                client.close(kind, name);
                String::new()
            }
            "copy-data" => {
                while let Some(line) = args.next_pos() {
                    client.copy_data(format!("{line}\n").as_bytes());
                }
                String::new()
            }
            "copy-done" => {
                client.copy_done();
                self.runtime.block_on(client.send())
            }
            "sync" => self.runtime.block_on(client.sync()),
            "flush" => self.runtime.block_on(client.flush()),
            other => return Err(format!("unknown command {other}").into()),
        })
    }
}
