//! From flags, files and the environment to the configuration: the reading that
//! [`crate::config::load`] leaves to its caller.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context as _;
use clap::Args;

use crate::config::{
    self, Config, ConfigError, ConfigErrors, FileText, FlagSetting, Mode, Sources,
};

/// Flags of every command that say which configuration counts.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct SettingsArgs {
    /// Read this TOML file over the built-in default
    #[arg(long, short, global = true, value_name = "FILE", env = "CONTACTD_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Set any key, as in --set store.cache_bytes=128MiB
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) set: Vec<(String, String)>,
    /// Keep the data in this directory
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) path: Option<PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// A setting that the flag `flag` makes.
pub(super) fn flag(flag: &str, key: &str, value: impl Into<String>) -> FlagSetting {
    FlagSetting { flag: flag.to_owned(), key: key.to_owned(), value: value.into() }
}

impl SettingsArgs {
    /// The same as arguments of another process.
    pub(super) fn as_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        for (name, path) in [("--config", &self.config), ("--path", &self.path)] {
            if let Some(path) = path {
                arguments.extend([name.into(), path.into()]);
            }
        }
        for (key, value) in &self.set {
            arguments.extend(["--set".into(), format!("{key}={value}").into()]);
        }
        arguments
    }

    /// The configuration under these flags and `more` of a command's own.
    pub(super) fn load(&self, mode: Mode, more: Vec<FlagSetting>) -> anyhow::Result<Config> {
        Ok(self.read(mode, more, config::load)??)
    }

    /// The same with everything that is wrong with it, to be looked at only.
    pub(super) fn examine(&self, mode: Mode) -> anyhow::Result<(Config, Vec<ConfigError>)> {
        self.read(mode, Vec::new(), config::examine)
    }

    fn read<T>(
        &self,
        mode: Mode,
        more: Vec<FlagSetting>,
        read: impl FnOnce(&Sources<'_>) -> T,
    ) -> anyhow::Result<T> {
        let set = self.set.iter().map(|(key, value)| flag("--set", key, value));
        let path =
            self.path.iter().map(|path| flag("--path", "store.path", path.to_string_lossy()));
        let sources = Sources {
            mode,
            file: self.config.as_deref().map(config_file).transpose()?,
            dotenv: dotenv_file()?,
            environment: environment(),
            flags: set.chain(path).chain(more).collect(),
            read_secret: &|path| fs::read_to_string(path),
            read_tables: &source_files,
        };
        Ok(read(&sources))
    }
}

fn config_file(path: &Path) -> anyhow::Result<FileText> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok(FileText { name, text }),
        Err(error) => {
            let problem = format!("can't be read: {error}");
            Err(ConfigErrors(vec![ConfigError::Syntax { place: name, problem }]).into())
        }
    }
}

/// A file, or the `*.toml` of a directory, by name.
fn source_files(path: &Path) -> std::io::Result<Vec<FileText>> {
    let mut paths = vec![path.to_owned()];
    if fs::metadata(path)?.is_dir() {
        let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
        paths = entries.collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
    }
    let read = |path: PathBuf| {
        Ok(FileText { name: path.display().to_string(), text: fs::read_to_string(&path)? })
    };
    paths.into_iter().map(read).collect()
}

fn dotenv_file() -> anyhow::Result<Option<FileText>> {
    match fs::read_to_string(".env") {
        Ok(text) => Ok(Some(FileText { name: ".env".to_owned(), text })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("can't read .env"),
    }
}

/// A name or value that is no Unicode can't be one of ours, or is refused as what it is.
fn environment() -> std::collections::BTreeMap<String, String> {
    env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .collect()
}
