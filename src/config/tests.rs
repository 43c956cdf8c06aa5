//! Loading as a whole: layers, names, and everything that is wrong at once.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::domain::sources::{Ids, Unknown, built_in};

fn file(text: &str) -> Option<FileText> {
    Some(FileText { name: "my.toml".to_owned(), text: text.to_owned() })
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flag(key: &str, value: &str) -> FlagSetting {
    FlagSetting { flag: "--set".to_owned(), key: key.to_owned(), value: value.to_owned() }
}

#[track_caller]
fn problems(sources: &Sources<'_>) -> Vec<String> {
    let errors = load(sources).expect_err("this configuration is wrong");
    errors.0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_built_in_default_is_right() {
    let config = Config::built_in(Mode::Dev).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.store.cache_bytes, 48 << 20);
    assert_eq!(config.store.path, Path::new(".contactd"));
    assert_eq!(config.embedded_log.path, Path::new(".contactd/log"));
    assert_eq!(config.apply.batch_records_max, 4096);
    assert_eq!(config.source_texts(), built_in());
    assert!(!config.follows_kafka());
    assert!(config.warnings.is_empty());
}

#[test]
fn dev_follows_a_topic_only_where_a_flag_asks_for_it() {
    let mut sources = Sources::new(Mode::Dev);
    sources.file = file("[log]\nkind = \"kafka\"");
    sources.environment =
        environment(&[("KAFKA_BROKERS", "prod:9092"), ("CONTACTD_LOG__KIND", "kafka")]);
    let config = load(&sources).unwrap();
    assert!(!config.follows_kafka());
    assert!(config.warnings.iter().any(|line| line.contains("prod:9092")), "{:?}", config.warnings);
    sources.flags.push(flag("log.kind", "kafka"));
    let config = load(&sources).unwrap();
    assert!(config.follows_kafka() && config.warnings.is_empty());
    (sources.mode, sources.flags) = (Mode::Serve, Vec::new());
    assert!(load(&sources).unwrap().follows_kafka());
}

#[test]
fn a_stop_is_told_to_balancers_in_serve_and_waits_for_nobody_in_dev() {
    let lame_duck = |sources: &Sources<'_>| load(sources).unwrap().server.lame_duck;
    assert_eq!(lame_duck(&Sources::new(Mode::Dev)), Duration::ZERO);
    let mut sources = Sources::new(Mode::Serve);
    assert_eq!(lame_duck(&sources), Duration::from_secs(5));
    sources.flags.push(flag("server.lame_duck", "0s"));
    assert_eq!(lame_duck(&sources), Duration::ZERO);
}

#[test]
fn a_path_counts_from_the_file_that_says_it() {
    let mut sources = Sources::new(Mode::Serve);
    let text = "store.path = \"data\"\nauth.users_file = \"/etc/users.toml\"\n\
        jwt.secret_file = \"jwt\"\n[source.crm]\nschemas = \"schemas\"";
    sources.file =
        Some(FileText { name: "/etc/contactd/my.toml".to_owned(), text: text.to_owned() });
    sources.environment = environment(&[("CONTACTD_OUTBOX__PATH", "outbox")]);
    let read = |path: &Path| {
        assert_eq!(path, Path::new("/etc/contactd/jwt"));
        Ok("q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s".to_owned())
    };
    sources.read_secret = &read;
    let config = load(&sources).unwrap();
    assert_eq!(config.store.path, Path::new("/etc/contactd/data"));
    assert_eq!(config.auth.users_file, Path::new("/etc/users.toml"));
    assert_eq!(config.webhooks.sources["crm"].schemas.as_deref(), Some("/etc/contactd/schemas"));
    assert_eq!(config.outbox.path, Path::new("outbox"));
    sources.flags.push(flag("store.path", "here"));
    assert_eq!(load(&sources).unwrap().store.path, Path::new("here"));
}

#[test]
fn a_path_in_a_file_of_sources_counts_from_that_file() {
    let mut sources = Sources::new(Mode::Serve);
    let text = "[sources]\npath = \"crms\"\n[source.one]\nschemas = \"ours\"".to_owned();
    sources.file = Some(FileText { name: "/etc/contactd/my.toml".to_owned(), text });
    let tables = |path: &Path| {
        assert_eq!(path, Path::new("/etc/contactd/crms"));
        let text = "[source.one]\nsecret_file = \"one\"\n[source.\"t.wo\"]\nschemas = \"two\"";
        let name = "/etc/contactd/crms/all.toml".to_owned();
        Ok(vec![FileText { name, text: text.to_owned() }])
    };
    let read = |path: &Path| {
        assert_eq!(path, Path::new("/etc/contactd/crms/one"));
        Ok("q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s".to_owned())
    };
    (sources.read_tables, sources.read_secret) = (&tables, &read);
    let mut config = load(&sources).unwrap();
    let mut schemas = |name: &str| config.webhooks.sources.remove(name).unwrap().schemas.unwrap();
    assert_eq!(schemas("one"), "/etc/contactd/ours");
    assert_eq!(schemas("t.wo"), "/etc/contactd/crms/two");
}

#[test]
fn a_flag_takes_a_list_as_a_file_does() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file("allow.admin = [\"10.0.0.0/8\", \"::1\"]");
    let as_in_file = load(&sources).unwrap().allow.admin;
    for text in ["[\"10.0.0.0/8\", \"::1\"]", " [ '10.0.0.0/8','::1', ] ", "10.0.0.0/8, ::1"] {
        let mut sources = Sources::new(Mode::Serve);
        sources.flags.push(flag("allow.admin", text));
        assert_eq!(load(&sources).unwrap().allow.admin, as_in_file, "{text}");
    }
    sources.flags.push(flag("allow.admin", "[]"));
    assert!(load(&sources).unwrap().allow.admin.is_empty());
    sources.flags.push(flag("allow.admin", "[10.0.0.0/8]"));
    assert!(problems(&sources)[0].contains("has \"[10.0.0.0/8]\", and must be addresses"));
}

#[test]
fn each_layer_stands_over_the_one_below() {
    let mut sources = Sources::new(Mode::Serve);
    let listen = |sources: &Sources<'_>| load(sources).unwrap().server.listen.port();
    assert_eq!(listen(&sources), 3000);
    sources.file = file("[server]\nport = 3001");
    assert_eq!(listen(&sources), 3001);
    sources.dotenv = Some(FileText { name: ".env".to_owned(), text: "PORT=3002".to_owned() });
    assert_eq!(listen(&sources), 3002);
    sources.environment = environment(&[("PORT", "3003")]);
    assert_eq!(listen(&sources), 3003);
    sources.environment = environment(&[("PORT", "3003"), ("CONTACTD_SERVER__PORT", "3004")]);
    assert_eq!(listen(&sources), 3004);
    sources.flags.push(flag("server.port", "3005"));
    assert_eq!(listen(&sources), 3005);
    sources.flags.push(flag("server.listen", "[::1]:3006"));
    assert_eq!(listen(&sources), 3006);
}

#[test]
fn a_lower_listen_address_keeps_a_higher_port() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file("[server]\nlisten = \"localhost:9999\"");
    sources.environment = environment(&[("PORT", "80")]);
    assert_eq!(load(&sources).unwrap().server.listen.to_string(), "127.0.0.1:80");
}

/// The `.env` that the projects contactd replaces were run with.
const EARLIER: &str = "# Server\nPORT=3000\nNODE_ENV=development\n\n# Database\nDB_TYPE=postgres\n\
    POSTGRES_HOST=localhost\nPOSTGRES_PORT=5432\n\n# Redis\nREDIS_HOST=localhost\nREDIS_PORT=6379\n\
    REDIS_PASSWORD=\n\nJWT_SECRET=your-secret-key\nJWT_EXPIRATION=1h\nACME_API_KEY=your-api-key\n\
    ACME_WEBHOOK_SECRET=your-webhook-secret\n\nKAFKA_BROKERS=localhost:9092\n\
    KAFKA_CLIENT_ID=acmecrm-integration\n";

#[test]
fn an_earlier_env_file_works_as_it_is() {
    let mut sources = Sources::new(Mode::Serve);
    sources.dotenv = Some(FileText { name: ".env".to_owned(), text: EARLIER.to_owned() });
    let config = load(&sources).unwrap();
    assert_eq!(config.kafka.brokers, ["localhost:9092"]);
    assert_eq!(config.kafka.client_id, "acmecrm-integration");
    assert_eq!(config.redis.host.as_deref(), Some("localhost"));
    assert!(config.redis.password.is_none());
    // A placeholder keeps `serve` from starting, and nothing else.
    assert!(config.jwt.secret.is_none());
    let unfit = config.require_fit_to_serve().unwrap_err().to_string();
    for part in [
        ".env:15 JWT_SECRET: jwt.secret is a placeholder",
        ".env:18 ACME_WEBHOOK_SECRET: acme.webhook_secret is shorter than 24 bytes",
    ] {
        assert!(unfit.contains(part), "{unfit}");
    }
    assert_eq!(config.jwt.expiration, Duration::from_secs(3600));
    assert!(config.follows_kafka());
    assert_eq!(
        config.warnings,
        ["DB_TYPE, NODE_ENV, POSTGRES_HOST, POSTGRES_PORT set and ignored: contactd has no such \
          mode and needs no database"]
    );
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[store]\ncach_bytes = 5\npath = \"\"\n[stor]\npath = \"x\"\nother = 1\n[server]\n\
         listen = \"example.com\"\nbody_bytes_max = [1, 2]\n[source.acme.fields]\nemial = \"x\"\n",
    );
    sources.environment = environment(&[
        ("CONTACTD_STORE__CACHE_BYTES", "lots"),
        ("CONTACTD_STORE__PAHT", "/data"),
        ("CONTACTD_KAFKA_TOPIC", "contacts"),
        ("KAFKA_BROKERS", "one,two:9092"),
        ("CONTACTD_KAFKA__TOPIC", "a b"),
    ]);
    sources.flags = vec![flag("log.kind", "rabbit"), flag("cache_bytes", "1")];
    let cheap = [("auth.password_memory", "8MiB"), ("auth.password_passes", "1")];
    sources.flags.extend(cheap.map(|(key, value)| flag(key, value)));
    let mut problems = problems(&sources);
    problems.sort();
    let expected = [
        "--set: auth.password_memory is \"8MiB\", and must be a size from 19MiB to 1GiB, in bytes or \
         like \"64MiB\"",
        "--set: auth.password_passes is \"1\", and must be a whole number from 2 to 64",
        "--set: log.kind is \"rabbit\", and must be one of \"auto\", \"embedded\", \"kafka\"",
        "--set: unknown key `cache_bytes`; did you mean `store.cache_bytes`?",
        "environment CONTACTD_KAFKA_TOPIC: unknown key `CONTACTD_KAFKA_TOPIC`; did you mean \
         `CONTACTD_KAFKA__TOPIC`?",
        "environment CONTACTD_KAFKA__TOPIC: kafka.topic is \"a b\", and must be 1 to 249 letters, \
         digits, dots, underscores or hyphens",
        "environment CONTACTD_STORE__CACHE_BYTES: store.cache_bytes is \"lots\", and must be a \
         size from 0B to 1TiB, in bytes or like \"64MiB\"",
        "environment CONTACTD_STORE__PAHT: unknown key `CONTACTD_STORE__PAHT`; did you mean \
         `CONTACTD_STORE__PATH`?",
        "environment KAFKA_BROKERS: kafka.brokers has \"one\", and must be \"host:port,host:port\"",
        "my.toml:11: source.acme.fields.emial is none of id, firstName, lastName, email, phone, \
         company, title, or attributes.NAME; did you mean \"email\"?",
        "my.toml:2: unknown key `store.cach_bytes`; did you mean `store.cache_bytes`?",
        "my.toml:3: store.path is empty, and must name a directory",
        "my.toml:5: unknown section [stor]; did you mean `store`?",
        "my.toml:8: server.listen is \"example.com\", and must be an IP address, with or without a \
         port",
        "my.toml:9: server.body_bytes_max takes one value, not a list",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_file_that_is_no_toml_names_its_lines() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file("[store]\npath = \n[server\n");
    let problems = problems(&sources);
    assert!(problems.len() >= 2, "{problems:?}");
    assert!(problems.first().is_some_and(|text| text.starts_with("my.toml:2: ")), "{problems:?}");
}

#[test]
fn a_secret_comes_from_a_file_and_is_shown_nowhere() {
    let mut sources = Sources::new(Mode::Serve);
    sources.read_secret = &|path| match path.to_str() {
        Some("/run/secrets/jwt") => Ok("from-a-file-abcdefghijklmnop-0123456789\n".to_owned()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    sources.file =
        file("[kafka.properties]\n\"sasl.password\" = \"hunter2\"\nsocket.timeout.ms = 9");
    sources.environment = environment(&[
        ("JWT_SECRET_FILE", "/run/secrets/jwt"),
        ("ACME_API_KEY", "hunter3"),
        ("REDIS_URL", "redis://:hunter4@localhost"),
    ]);
    let config = load(&sources).unwrap();
    assert_eq!(
        config.jwt.secret.as_ref().unwrap().expose(),
        "from-a-file-abcdefghijklmnop-0123456789"
    );
    assert_eq!(config.kafka.properties["socket.timeout.ms"], "9");
    let shown = format!("{config:?}{}", config.to_toml());
    assert!(!shown.contains("hunter") && !shown.contains("0123456789"), "{shown}");
    assert!(shown.contains("# api_key = \"***\"  # environment ACME_API_KEY; "), "{shown}");
}

#[test]
fn a_secret_set_twice_or_in_no_file_is_an_error() {
    let mut sources = Sources::new(Mode::Serve);
    sources.environment = environment(&[
        ("JWT_SECRET", "a"),
        ("JWT_SECRET_FILE", "b"),
        ("ACME_API_KEY_FILE", "/nowhere"),
    ]);
    let problems = problems(&sources);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|text| text.contains("keep one of them")), "{problems:?}");
    assert!(problems.iter().any(|text| text.contains("can't read the secret in /nowhere")));
    // A higher layer's text stands over a lower layer's file.
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file("[acme]\napi_key_file = \"/nowhere\"");
    sources.environment = environment(&[("ACME_API_KEY", "a")]);
    assert_eq!(load(&sources).unwrap().acme.api_key.unwrap().expose(), "a");
}

#[test]
fn serve_needs_a_secret_and_dev_makes_its_own() {
    let weak = [("JWT_SECRET", "too-short"), ("JWT_SECRET_PREVIOUS", "changeme")];
    for (mode, pairs, problems, warnings) in [
        (Mode::Serve, &[][..], 1, 0),
        (Mode::Serve, &weak[..], 2, 0),
        (Mode::Dev, &[], 0, 0),
        (Mode::Dev, &weak, 0, 2),
    ] {
        let mut sources = Sources::new(mode);
        sources.environment = environment(pairs);
        let config = load(&sources).unwrap();
        assert_eq!(config.unfit_to_serve.len(), problems, "{mode:?} {pairs:?}");
        assert_eq!(config.warnings.len(), warnings, "{mode:?} {:?}", config.warnings);
        assert!(config.jwt.secret.is_none() && config.jwt.secret_previous.is_none());
        assert!(!format!("{:?}{:?}", config.unfit_to_serve, config.warnings).contains("too-short"));
    }
    let listen = |mode| load(&Sources::new(mode)).unwrap().server.listen.ip().to_string();
    assert_eq!((listen(Mode::Dev), listen(Mode::Serve)), ("127.0.0.1".into(), "0.0.0.0".into()));
}

#[test]
fn lifetimes_fit_into_each_other() {
    let mut sources = Sources::new(Mode::Serve);
    sources.environment = environment(&[
        ("JWT_EXPIRATION", "8d"),
        ("CONTACTD_AUTH__REFRESH_LIFETIME_MAX", "6d"),
        ("CONTACTD_JWT__ISSUER", " "),
    ]);
    assert_eq!(problems(&sources).len(), 3);
}

#[test]
fn what_is_printed_is_read_again_as_the_same() {
    let mut sources = Sources::new(Mode::Serve);
    sources.environment = environment(&[
        ("KAFKA_BROKERS", "a:1,b:2"),
        ("CONTACTD_SOURCE__WEB__FIELDS__FIRSTNAME", "name"),
        ("CONTACTD_KAFKA__PROPERTIES__SOCKET_TIMEOUT_MS", "9"),
    ]);
    let odd = r#""a\nb\"\\\u007f\u0085 é""#;
    sources.file = file(&format!(
        "[kafka.properties]\n{odd} = {odd}\n[source.shop.fields]\nemail = {{ from = {odd}, do = ['trim'] }}"
    ));
    let config = load(&sources).unwrap();
    let printed = config.to_toml();
    let mut again = Sources::new(Mode::Serve);
    again.file = Some(FileText { name: "printed".to_owned(), text: printed.clone() });
    let again = load(&again).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
    assert_eq!(again.kafka.brokers, config.kafka.brokers);
    assert_eq!(again.sources, config.sources);
    assert_eq!(again.kafka.properties, config.kafka.properties);
    assert_eq!(format!("{:?}", again.store), format!("{:?}", config.store));
    assert!(printed.starts_with("[server]\nlisten = \"\"\n"), "{printed}");
}

#[test]
fn sasl_without_a_name_and_kafka_without_brokers_are_errors() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[log]\nkind = \"kafka\"\n[kafka]\nsecurity_protocol = \"SASL_SSL\"\nsasl_mechanism = \"SCRAM-SHA-512\"",
    );
    let problems = problems(&sources);
    let about = |text: &str| problems.iter().any(|problem| problem.contains(text));
    assert!(about("kafka.brokers (KAFKA_BROKERS) is not set"), "{problems:?}");
    assert!(about("kafka.sasl_username is not set, and SCRAM-SHA-512 needs it"), "{problems:?}");
}

#[test]
fn a_line_of_a_preset_can_be_taken_out_and_put_elsewhere() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[source.acme.fields]\nemail = \"\"\nphone = { do = [\"e164:DE\"] }\ntitle = \"acme_role\"\n\
         attributes.since = \"acme_since\"",
    );
    let text = load(&sources).unwrap().source_texts().remove("acme").unwrap();
    let from = |ours: &str| text.fields.get(ours).map(|field| field.from.concat());
    assert_eq!(from("email").as_deref(), Some(""), "it is not taken");
    assert_eq!(from("phone").as_deref(), Some("acme_phone"));
    assert_eq!(text.fields["phone"].steps, ["e164:DE"]);
    assert_eq!(from("title").as_deref(), Some("acme_role"));
    assert_eq!(from("attributes.since").as_deref(), Some("acme_since"));
    assert_eq!(from("company").as_deref(), Some("acme_company"));
}

#[test]
fn everything_wrong_with_a_source_is_told_with_its_line_and_what_was_meant() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[source.crm]\npreset = \"hubspo\"\nsignatur = \"hmac\"\nunknown = \"throw\"\nkey = \"avro\"\n\
         [source.crm.record]\ntime = \"a..b\"\nname = \"n\"\ntyp = \"t\"\n[source.crm.types]\n\
         \"x.y\" = \"contact.saved\"\n[source.crm.fields]\nfirstName = \"name\"\nlastName = \"name\"\n\
         phone = { from = \"p\", do = [\"e164:XX\"] }\nemail = { fro = \"mail\" }\ntitle = { do = [\"trim\"] }\n\
         company = { from = \"c\", owner = \"them\" }\n[source.web]\nsignature = \"hmac\"\n[source.web.hmac]\n\
         signed = \"{timestamp}.{bdy}\"\nencodin = \"hex\"",
    );
    let problems = problems(&sources).join("\n");
    for part in [
        "my.toml:2: source.crm.preset is \"hubspo\", and must be one of contactd",
        "did you mean \"hubspot\"?",
        "my.toml:3: unknown key `source.crm.signatur`; did you mean `signature`?",
        "my.toml:4: source.crm.unknown is \"throw\", and must be one of keep, drop, refuse",
        "my.toml:5: source.crm.key is \"avro\"",
        "my.toml:7: source.crm.record.time has \"a..b\", which is no path such as a.b[0].c",
        "my.toml:9: unknown key `source.crm.record.typ`; did you mean `record.type`?",
        "my.toml:11: source.crm.types.x.y is \"contact.saved\", and must be contact.created",
        "my.toml:14: source.crm.fields.lastName takes \"name\", which firstName takes already",
        "my.toml:15: source.crm.fields.phone has \"e164:XX\", and must name a country",
        "my.toml:16: unknown key `source.crm.fields.email.fro`; did you mean `from`?",
        "my.toml:17: source.crm.fields.title says nowhere what it is made from",
        "my.toml:18: source.crm.fields.company has the owner \"them\"",
        "my.toml:22: source.web.hmac.signed has {bdy}, which is none of",
        "source.web.hmac.header is not set",
        "my.toml:23: unknown key `source.web.hmac.encodin`; did you mean `hmac.encoding`?",
    ] {
        assert!(problems.contains(part), "no {part:?} in:\n{problems}");
    }
}

#[test]
fn tables_in_files_of_their_own_stand_below_what_is_said_elsewhere() {
    let read = |texts: [&'static str; 2]| {
        move |path: &Path| {
            assert_eq!(path, Path::new("crms"));
            let named = ["crms/a.toml", "crms/b.toml"].into_iter().zip(texts);
            let file = |(name, text): (&str, &str)| FileText {
                name: name.to_owned(),
                text: text.to_owned(),
            };
            Ok(named.map(file).collect())
        }
    };
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file("[sources]\npath = \"crms\"\n[source.a]\npreset = \"debezium\"");
    let right = read([
        "[source.a]\npreset = \"hubspot\"\nunknown = \"drop\"",
        "[source.b]\npreset = \"hubspot\"",
    ]);
    sources.read_tables = &right;
    let config = load(&sources).unwrap();
    assert_eq!(
        (&*config.sources["a"].preset, &*config.sources["b"].preset),
        ("debezium", "hubspot")
    );
    assert_eq!(config.sources["a"].text.unknown, Unknown::Drop);
    let wrong = read([
        "[source.a]\nunknown = \"x\"\n[jwt]\nsecret = \"y\"",
        "[source.a]\nunknown = \"drop\"",
    ]);
    sources.read_tables = &wrong;
    let told = problems(&sources);
    for part in [
        "crms/a.toml:2: source.a.unknown is \"x\"",
        "crms/a.toml:4: jwt.secret stands in a file of sources",
        "crms/b.toml:2: source.a.unknown stands at crms/a.toml:2 too",
    ] {
        assert!(told.iter().any(|problem| problem.contains(part)), "no {part:?} in {told:?}");
    }
}

#[test]
fn the_example_env_file_is_read_and_changes_nothing() {
    let mut sources = Sources::new(Mode::Serve);
    let text = include_str!("../../.env.example").to_owned();
    sources.dotenv = Some(FileText { name: ".env.example".to_owned(), text });
    let config = load(&sources).unwrap();
    assert!(config.warnings.is_empty());
    assert!(!config.follows_kafka());
}

#[test]
fn a_webhook_secret_that_serve_would_refuse_is_refused_where_it_stands() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[source.crm]\nsignature = \"standard\"\nsecret = \"whsec_this is no base64 at all\"\n\
         secret_previous = \"whsec_AAAAAAAAAAAAAAAAAAAAAAAA\"\n[source.acme]\nsignature = \"standard\"\n",
    );
    sources.environment =
        environment(&[("ACME_WEBHOOK_SECRET", "an acme secret that is no base64")]);
    let problems = load(&sources).unwrap_err().to_string();
    for part in [
        "my.toml:3: source.crm.secret is no secret of Standard Webhooks",
        "my.toml:4: source.crm.secret_previous decodes to 18 bytes, and must have 24",
        "ACME_WEBHOOK_SECRET: acme.webhook_secret is no secret of Standard Webhooks",
    ] {
        assert!(problems.contains(part), "no {part:?} in:\n{problems}");
    }
    assert!(!problems.contains("AAAA"), "{problems}");
}

#[test]
fn own_ids_must_stand_somewhere_and_only_they_are_matched() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[source.a]\nids = \"own\"\n[source.a.record]\ntype = \"t\"\n[source.b]\nmatch = [\"email\"]\n\
         [source.c]\npreset = \"hubspot\"\nmatch = \"phone\"\n[source.d]\nids = \"theirs\"\n",
    );
    let told = problems(&sources);
    for part in [
        "my.toml:2: source.a.ids is \"own\", and nothing says where its records have that id",
        "my.toml:6: source.b.match needs ids = \"own\"",
        "my.toml:9: source.c.match has \"phone\", and may have \"email\" alone",
        "my.toml:11: source.d.ids is \"theirs\", and must be one of ours, own",
    ] {
        assert!(told.iter().any(|problem| problem.contains(part)), "no {part:?} in {told:?}");
    }
    sources.file = file(
        "[source.a]\npreset = \"hubspot\"\nmatch = [\"email\"]\n[source.b]\npreset = \"debezium\"\n\
         [source.c]\nids = \"own\"\nkey = \"text\"\n[source.c.record]\ntype = \"t\"\n",
    );
    let config = load(&sources).unwrap();
    let ids = ["a", "b", "c"].map(|name| config.sources[name].text.ids);
    assert_eq!(ids, [Ids::Own, Ids::Ours, Ids::Own]);
    assert!(config.sources["a"].matches_email && !config.sources["c"].matches_email);
}
