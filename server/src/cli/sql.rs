//! `millstream sql`.

use std::io::{BufRead, IsTerminal, Write};

use super::args::SqlArguments;
use super::client::Client;
use super::exit::Failure;
use super::statements::{Statement, Statements};

pub(crate) async fn run(arguments: SqlArguments) -> Result<(), Failure> {
    let script = match (&arguments.command, &arguments.file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?
        }
        (None, None) => return from_standard_input(&arguments).await,
    };
    let mut statements = Statements::new();
    statements.push(&script);
    let mut all: Vec<Statement> = std::iter::from_fn(|| statements.take_complete()).collect();
    all.extend(statements.take_last());
    if all.is_empty() {
        return Err(Failure::usage("there is no statement to execute"));
    }
    let several = all.len() > 1;
    let client = Client::connect(&arguments.connection).await?;
    for statement in all {
        execute(&client, &statement, &arguments, several).await?;
    }
    Ok(())
}

/// Executes statements as they come. A person gets a prompt and may go on after an error; a script may not.
async fn from_standard_input(arguments: &SqlArguments) -> Result<(), Failure> {
    let client = &Client::connect(&arguments.connection).await?;
    let stdin = std::io::stdin();
    let person = stdin.is_terminal();
    let mut statements = Statements::new();
    loop {
        if person {
            prompt(&statements);
        }
        let mut line = String::new();
        // Nothing else runs in this process while a line is awaited.
        let read = stdin.lock().read_line(&mut line);
        if read.map_err(|error| Failure::failed(format!("cannot read standard input: {error}")))? == 0 {
            break;
        }
        statements.push(&line);
        while let Some(statement) = statements.take_complete() {
            match execute(client, &statement, arguments, true).await {
                Err(failure) if person => drop(failure.report()),
                result => result?,
            }
        }
    }
    match statements.take_last() {
        Some(statement) => execute(client, &statement, arguments, true).await,
        None => Ok(()),
    }
}

fn prompt(statements: &Statements) {
    let mut err = std::io::stderr().lock();
    // A prompt that can't be shown is no reason to stop.
    let _ = write!(err, "{}", if statements.is_empty() { "millstream> " } else { "        ..> " })
        .and_then(|()| err.flush());
}

async fn execute(
    client: &Client,
    statement: &Statement,
    arguments: &SqlArguments,
    name_line: bool,
) -> Result<(), Failure> {
    let result = client.print(&statement.text, arguments.format).await;
    result.map_err(
        |failure| if name_line { failure.within(format!("statement at line {}", statement.line)) } else { failure },
    )
}
