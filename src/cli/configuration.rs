//! `config print` and `config check`.

use crate::config::{BUILT_IN, Mode};

use super::arguments::ConfigCommand;
use super::output;
use super::settings::SettingsArgs;

pub(super) fn run(settings: &SettingsArgs, command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Print { default: true } => output::write_all(BUILT_IN.as_bytes()),
        ConfigCommand::Print { default: false } => {
            let config = settings.load(Mode::Serve, Vec::new())?;
            warn(&config.warnings);
            output::write_all(config.to_toml().as_bytes())
        }
        ConfigCommand::Check { file } => {
            let mut settings = settings.clone();
            settings.config = file.clone().or(settings.config);
            let config = settings.load(Mode::Serve, Vec::new())?;
            warn(&config.warnings);
            eprintln!("the configuration is right");
            Ok(())
        }
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}
