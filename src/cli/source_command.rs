//! What can be asked of sources.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum SourceCommand {
    /// List the configured sources and the presets
    List,
    /// Print a source's table with everything that its preset says, or a preset
    #[command(
        after_help = "Example:\n  contactd source show hubspot > crm.toml    # to begin one's own"
    )]
    Show {
        /// A configured source, or a preset
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Print what becomes of each field of a source's records, and why
    #[command(
        after_help = "One record, a batch as the source sends it, or one after the other. Exit code 5 \
        where one would be refused.\n\nExamples:\n  contactd source test hubspot batch.json\n  contactd source \
        test crm row.avro --schema row.avsc\n  contactd source test crm row.avro --registry"
    )]
    Test {
        /// A configured source, or a preset
        #[arg(value_name = "NAME")]
        name: String,
        /// The file with the records; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The Avro schema that the record was written by: the file holds one, with its registry's frame or
        /// without
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
        /// Ask the configured schema registry what the record was written by: the file holds one, with the
        /// schema's id before it
        #[arg(long, conflicts_with = "schema")]
        registry: bool,
    },
}
