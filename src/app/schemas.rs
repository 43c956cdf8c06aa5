//! The JSON Schemas that the configuration names: directories of `<event type>.json`,
//! `<event type>@<version>.json` and `*.json`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Config, ConfigError, ConfigErrors};
use crate::domain::rules::ByName;
use crate::domain::schemas::Schemas;

/// A larger file is no schema.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Of every source that has a directory of them.
///
/// # Errors
/// Every directory that can't be read, or holds what is no schema.
pub(super) fn configured_schemas(config: &Config) -> Result<ByName, ConfigErrors> {
    let mut wrong = Vec::new();
    let mut all = ByName::new();
    for (name, source) in &config.webhooks.sources {
        let Some(directory) = &source.schemas else {
            continue;
        };
        match read(Path::new(directory)) {
            Ok(texts) if texts.is_empty() => {}
            Ok(texts) => drop(all.insert(name.clone(), texts)),
            Err(problem) => {
                wrong
                    .push(ConfigError::Syntax { place: format!("source.{name}.schemas"), problem });
            }
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(ConfigErrors(wrong)) }
}

fn read(directory: &Path) -> Result<BTreeMap<String, String>, String> {
    let failed = |path: &Path, error| format!("{}: {error}", path.display());
    let entries = std::fs::read_dir(directory).map_err(|error| failed(directory, error))?;
    let mut texts = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        let bytes = std::fs::metadata(&path).map_err(|error| failed(&path, error))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(format!("{} has {bytes} bytes, more than any schema", path.display()));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
        texts.insert(name.to_owned(), text);
    }
    // Here, where the file can be named.
    let each = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Schemas::compile(each).map_err(|error| {
        format!("{}: {error}", directory.join(format!("{}.json", error.name)).display())
    })?;
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_by_their_names_and_a_wrong_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file =
            |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        file("contact.updated.json", r#"{"required":["one"]}"#);
        file("README.md", "no schema");
        assert!(!read(directory.path()).unwrap().is_empty());
        file("broken.json", r#"{"type":"nothing"}"#);
        let error = read(directory.path()).unwrap_err();
        assert!(error.contains("broken.json"), "{error}");
        let error = read(&directory.path().join("none")).unwrap_err();
        assert!(error.contains("none"), "{error}");
    }
}
