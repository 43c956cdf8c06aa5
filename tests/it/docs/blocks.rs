//! The blocks of commands in a page of Markdown.
//!
//! A `console` block has commands after `$ ` (more lines of one after `> `), each with what it prints below it; an `sh` block has commands
//! only. `<!-- needs: kafka -->` above a block names the service that it needs, `<!-- not run: why -->`
//! leaves it out.

/// A block of commands.
#[derive(Debug)]
pub enum Block {
    /// Marked so, with a reason.
    NotRun,
    Run {
        /// The service that must be there.
        needs: Option<String>,
        commands: Vec<Command>,
    },
}

/// One command, over as many lines as it has.
#[derive(Debug, Default)]
pub struct Command {
    pub line: usize,
    pub text: String,
    /// What it prints, where the page says so.
    pub expected: String,
}

/// Every block of commands of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut comment = "";
    for (line, info, text) in fenced(page) {
        let before = page.lines().nth(line.saturating_sub(2)).unwrap_or_default();
        if let Some(said) = before.strip_prefix("<!-- ") {
            comment = said.trim_end_matches(" -->");
        }
        let commands = match info {
            "console" => console(line, &text),
            "sh" => shell(line, &text),
            _ => continue,
        };
        let needs = comment.strip_prefix("needs: ").map(str::to_owned);
        let reason = comment.strip_prefix("not run: ");
        comment = "";
        match reason {
            Some(reason) => {
                assert!(reason.len() > 10, "line {line}: why is it not run?");
                found.push(Block::NotRun);
            }
            None => found.push(Block::Run { needs, commands }),
        }
    }
    found
}

/// The texts of all blocks of TOML.
pub fn toml_blocks(page: &str) -> Vec<String> {
    fenced(page)
        .into_iter()
        .filter(|(_, info, _)| *info == "toml")
        .map(|(_, _, text)| text)
        .collect()
}

/// Line number of the fence, what it says, and the text.
fn fenced(page: &str) -> Vec<(usize, &str, String)> {
    let mut found: Vec<(usize, &str, String)> = Vec::new();
    let mut is_open = false;
    for (line, text) in page.lines().enumerate() {
        match (text.strip_prefix("```"), found.last_mut()) {
            (Some(_), _) if is_open => is_open = false,
            (Some(info), _) => {
                is_open = true;
                found.push((line + 1, info, String::new()));
            }
            (None, Some((_, _, block))) if is_open => {
                block.push_str(text);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

fn console(first: usize, text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for (line, text) in text.lines().enumerate() {
        match (text.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => {
                let (line, text) = (first + line + 1, command.to_owned());
                commands.push(Command { line, text, expected: String::new() });
            }
            (None, Some(command)) if command.expected.is_empty() && text.starts_with("> ") => {
                command.text.push_str(&format!("\n{}", text.trim_start_matches("> ")));
            }
            (None, Some(command)) => {
                command.expected.push_str(text);
                command.expected.push('\n');
            }
            (None, None) => panic!("line {first}: a console block begins with a command"),
        }
    }
    commands
}

/// A command ends with its line, unless that ends with a backslash.
fn shell(first: usize, text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut goes_on = false;
    for (line, text) in text.lines().enumerate() {
        match commands.last_mut().filter(|_| goes_on) {
            Some(command) => command.text.push_str(&format!("\n{text}")),
            None => {
                let (line, text) = (first + line + 1, text.to_owned());
                commands.push(Command { line, text, expected: String::new() });
            }
        }
        goes_on = text.ends_with('\\');
    }
    commands.retain(|command| !command.text.is_empty() && !command.text.starts_with('#'));
    commands
}
