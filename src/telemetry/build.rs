//! Which build this is.

/// The build, as `--version`, `/healthz` and `contactd_build_info` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// The package's version.
    pub version: &'static str,
    /// Abbreviated commit; `unknown` where it was built outside a checkout.
    pub commit: &'static str,
}

impl Build {
    /// This binary's.
    pub const THIS: Self = Self {
        version: env!("CARGO_PKG_VERSION"),
        commit: match option_env!("CONTACTD_COMMIT") {
            Some(commit) => commit,
            None => "unknown",
        },
    };
}
