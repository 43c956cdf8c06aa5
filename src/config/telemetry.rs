//! What the program says about itself, and where.

use std::net::SocketAddr;

use super::fields::Fields;
use super::fields::{YES_OR_NO, named_socket};
use super::sections::{AccessLogTarget, LogFormat, TelemetryConfig};

pub(super) fn telemetry(fields: &mut Fields<'_>, api: SocketAddr) -> TelemetryConfig {
    let formats = [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
    let log = fields.text("telemetry.log");
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&log) {
        fields.refuse("telemetry.log", format!("is \"{log}\", and is no filter: {error}"));
    }
    let expected = "empty, or an IP address with a port, like \"127.0.0.1:9464\"";
    let listen = fields.read("telemetry.listen", expected, |text| match text {
        "" => Some(None),
        text => named_socket(text).map(Some),
    });
    if listen == Some(api) && api.port() != 0 {
        fields.refuse(
            "telemetry.listen",
            "is the API's own address; leave it empty, or take another port",
        );
    }
    let bytes_max = fields.size("telemetry.access_log_bytes", 64 << 10..=1 << 40);
    let access_log = match fields.text("telemetry.access_log").as_str() {
        "" => None,
        "stdout" => Some(AccessLogTarget::StandardOutput),
        path => {
            let path = fields.path_said_by("telemetry.access_log", path);
            Some(AccessLogTarget::File { path, bytes_max })
        }
    };
    TelemetryConfig {
        log,
        access_log,
        listen,
        log_format: fields.choice("telemetry.log_format", LogFormat::Auto, &formats),
        require_role: fields.choice("telemetry.require_role", false, &YES_OR_NO),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{FlagSetting, Mode, Sources, load};

    #[test]
    fn metrics_have_an_address_that_is_not_the_apis() {
        let with = |text: &str| {
            let flag = |key: &str, value: &str| FlagSetting {
                flag: "--set".to_owned(),
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let flags = vec![flag("telemetry.listen", text), flag("server.listen", "[::1]:3001")];
            let config = load(&Sources { flags, ..Sources::new(Mode::Dev) });
            config.map(|config| config.telemetry.listen).map_err(|errors| errors.0[0].to_string())
        };
        assert_eq!(with(""), Ok(None));
        assert_eq!(with("localhost:9464"), Ok(Some(([127, 0, 0, 1], 9464).into())));
        for (wrong, problem) in [
            (
                "9464",
                "--set: telemetry.listen is \"9464\", and must be empty, or an IP address with",
            ),
            ("127.0.0.1", "an IP address with a port"),
            ("[::1]:3001", "telemetry.listen is the API's own address"),
        ] {
            let error = with(wrong).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
