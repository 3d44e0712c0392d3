//! Owns the loop at a terminal: prompt, line editing, history. Must not run commands itself.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Shell;
use super::complete::ShellHelper;

type Question = (String, oneshot::Sender<Vec<String>>);

/// Reads lines and runs them until the end; the last exit code.
pub(crate) fn run(runtime: &Runtime, shell: &mut Shell) -> Result<u8> {
    println!("Welcome to ZooKeeper!");
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .build();
    let mut editor: Editor<ShellHelper, DefaultHistory> =
        Editor::with_config(config).context("cannot use this terminal")?;
    if let Ok(printer) = editor.create_external_printer() {
        shell.events.beside_editor(Box::new(printer));
    }
    let (questions, mut asked) = mpsc::unbounded_channel::<Question>();
    let handle = runtime.handle().clone();
    editor.set_helper(Some(ShellHelper::new(Arc::new(move |path: &str| {
        let (sender, receiver) = oneshot::channel();
        if questions.send((path.to_owned(), sender)).is_err() {
            return Vec::new();
        }
        let patient = async { timeout(ShellHelper::PATIENCE, receiver).await };
        let answer = handle.block_on(patient);
        answer.ok().and_then(Result::ok).unwrap_or_default()
    }))));
    let mut code = 0;
    let mut number = 0;
    loop {
        let prompt = prompt(shell, number);
        // The editor blocks its thread; meanwhile this one answers what completion asks.
        let read = std::thread::scope(|scope| {
            let (sender, mut read) = oneshot::channel();
            let editor = &mut editor;
            scope.spawn(move || drop(sender.send(editor.readline(&prompt))));
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        line = &mut read => return line,
                        Some((path, answer)) = asked.recv() => {
                            let _ = answer.send(children(shell, &path).await);
                        }
                    }
                }
            })
        });
        match read.context("the line editor ended")? {
            Ok(line) => {
                // History that cannot be kept is no reason to stop.
                let _ = editor.add_history_entry(line.as_str());
                match runtime.block_on(shell.line(&line)) {
                    Some(now) => code = now,
                    None => return Ok(code),
                }
                number = shell.history.len();
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(code),
            Err(error) => return Err(error).context("cannot read a line"),
        }
    }
}

async fn children(shell: &Shell, path: &str) -> Vec<String> {
    let Ok(client) = shell.client() else {
        return Vec::new();
    };
    match timeout(ShellHelper::PATIENCE, client.children(path, false)).await {
        Ok(Ok((names, _))) => names,
        _ => Vec::new(),
    }
}

fn prompt(shell: &Shell, number: usize) -> String {
    format!(
        "[zk: {}({}) {number}] ",
        shell.settings.server,
        shell.state().name()
    )
}
