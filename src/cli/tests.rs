//! The command line as it is understood.

use clap::{CommandFactory as _, Parser as _};

use super::arguments::{Arguments, Command, ConfigCommand, StoreCommand};
use super::value_parsers::{rate, share};

#[track_caller]
fn parse(line: &str) -> Arguments {
    Arguments::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn nothing_said_means_dev_with_its_defaults() {
    let Command::Dev(args) = parse("contactd").command.unwrap_or_default() else {
        panic!("not dev");
    };
    let Some(Command::Dev(said)) = parse("contactd dev").command else {
        panic!("not dev");
    };
    assert_eq!(format!("{args:?}"), format!("{said:?}"));
    assert!(!args.ephemeral && !args.no_demo);
}

#[test]
fn configuration_flags_may_stand_after_the_command() {
    let arguments = parse("contactd serve --config my.toml --set store.path=x --set log.kind=auto");
    assert_eq!(arguments.settings.config.unwrap().to_str(), Some("my.toml"));
    assert_eq!(arguments.settings.set.len(), 2);
    let before = parse("contactd --path data config print");
    assert_eq!(before.settings.path.unwrap().to_str(), Some("data"));
    assert!(matches!(
        before.command,
        Some(Command::Config(ConfigCommand::Print { default: false }))
    ));
}

#[test]
fn wrong_numbers_are_refused() {
    assert_eq!(share("0.5"), Ok(0.5));
    assert!(share("1.5").is_err() && share("-0.1").is_err() && share("NaN").is_err());
    assert_eq!(rate("2000"), Ok(2000.0));
    assert!(rate("0").is_err() && rate("inf").is_err() && rate("x").is_err());
    let refused = |line: &str| Arguments::try_parse_from(line.split_whitespace()).is_err();
    assert!(refused("contactd produce --contacts 0"));
    assert!(refused("contactd dev --no-demo --rate 5"));
    assert!(refused("contactd store"));
    assert!(refused("contactd --set nonsense"));
}

#[test]
fn a_rebuild_is_not_done_by_accident() {
    let Some(Command::Store(StoreCommand::Rebuild { yes, .. })) =
        parse("contactd store rebuild").command
    else {
        panic!("not rebuild");
    };
    assert!(!yes);
}

#[test]
fn every_command_has_help_and_every_flag_an_explanation() {
    fn look(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        if command.get_about().is_none() {
            missing.push(path.clone());
        }
        for argument in command.get_arguments() {
            if argument.get_help().is_none() {
                missing.push(format!("{path} --{}", argument.get_id()));
            }
        }
        for command in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            look(command, &path, missing);
        }
    }
    let mut missing = Vec::new();
    look(&Arguments::command(), "", &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}
