//! Every command with its help, as the terminal shows it.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::arguments::Arguments;

/// Columns of the help, whatever terminal this runs on.
const COLUMNS: usize = 100;

pub(super) fn page() -> String {
    let mut root = Arguments::command().term_width(COLUMNS);
    root.build();
    let mut contents = String::new();
    let mut text = String::new();
    add(&root, &mut contents, &mut text);
    format!(
        "Every command, as `contactd help COMMAND` shows it. The flags under *Configuration* stand in the \
         first one, and every command takes them.\n\n{contents}{text}"
    )
}

fn add(command: &Command, contents: &mut String, text: &mut String) {
    let name = command.get_bin_name().unwrap_or("contactd").to_owned();
    let is_root = !name.contains(' ');
    let shown = |arg: Arg| {
        let hidden = !is_root && (arg.is_global_set() || arg.get_id() == "help");
        // What the environment holds is nobody else's.
        arg.hide_env_values(true).hide(hidden)
    };
    let help = command.clone().mut_args(shown).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = help.join("\n");
    // Writing to a String can't fail.
    let _ = writeln!(contents, "- [{name}](#{})", name.replace(' ', "-"));
    let _ = write!(text, "\n## {name}\n\n```text\n{}\n```\n", help.trim_end());
    let is_shown = |it: &&Command| it.get_name() != "help" && !it.is_hide_set();
    for subcommand in command.get_subcommands().filter(is_shown) {
        add(subcommand, contents, text);
    }
}
