//! What each target begins with: from the fixtures, the hostile generators, and by hand what neither has.

use std::fs;
use std::path::{Path, PathBuf};

use contactd::domain::founding::Founding;
use contactd::domain::partitioner::Partitioner;
use contactd::domain::position::{Lane, Offset, Position};
use contactd::domain::record::NamedValues;
use contactd::domain::rules::{Marker, RuleSet, RuleText};
use contactd::query::{Cursor, CursorKeys, Direction};
use contactd::segments::{FrameNo, SegmentKind, SegmentReader};
use contactd::simulate::{LoadRecord, hostile};
use contactd::store::{contact_in_heap, snapshot_images};
use serde_json::Value;

use crate::keyed::SECRET;
use crate::world::ADMIN_KEY;
use crate::{archive, fixture, joined, records, snapshot_in};

const SEED: u64 = 7;
/// Larger ones take long, and say no more.
const BYTES_MAX: usize = 3000;
/// Damage as `damage` reads it: cut, put behind, changed.
const DAMAGES: [&[u8]; 4] = [b"", &[40, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 7, 7], &[90, 0, 0, 0, 2, 1]];

/// Writes all of them into the directory that `CONTACTD_FUZZ_SEEDS` names; without it, none.
pub fn write() {
    let Some(folder) = std::env::var_os("CONTACTD_FUZZ_SEEDS").map(PathBuf::from) else {
        return;
    };
    for (target, seeds) in all() {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).expect("a directory");
        for (number, seed) in seeds.iter().enumerate().filter(|(_, seed)| seed.len() < BYTES_MAX) {
            fs::write(folder.join(format!("seed-{number:03}")), seed).expect("a seed");
        }
    }
}

type Seeds = Vec<Vec<u8>>;

fn all() -> [(&'static str, Seeds); 25] {
    [
        ("record", of_records()),
        ("webhook", of_webhooks()),
        ("signature", of_signatures()),
        ("jwt", of_tokens()),
        ("cursor", of_cursors()),
        ("position", of_positions()),
        ("contact", of_contacts()),
        ("segments", of_segments()),
        ("journal", of_journal()),
        ("log_frame", frames("format-1/log/segments", SegmentKind::Log)),
        ("snapshot", of_snapshots()),
        ("users", of_users()),
        ("config", of_configurations()),
        ("dotenv", of_dotenv()),
        ("http", of_http()),
        ("control", of_controls()),
        ("checkpoint", of_checkpoints()),
        ("marker", of_markers()),
        ("letter", of_letters()),
        ("avro", of_avro()),
        ("source", of_sources()),
        ("csv", of_tables()),
        ("ndjson", of_lines()),
        ("vcard", of_cards()),
        ("backup", of_backups()),
    ]
}

fn hostiles(count: u64) -> impl Iterator<Item = LoadRecord> {
    (0..count).map(|number| hostile(SEED, number))
}

fn texts(texts: &[&str]) -> Seeds {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn of_records() -> Seeds {
    let record = |record: LoadRecord| {
        (record.key, record.headers[1..].to_vec(), record.value.unwrap_or_default())
    };
    let all: Vec<_> = hostiles(600).map(record).filter(|at| at.2.len() < 1000).collect();
    all.chunks(3).map(records::bytes).collect()
}

fn of_avro() -> Seeds {
    let vectors: Value = serde_json::from_slice(&fixture("avro/vectors.json")).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let unhex = |hex: String| {
        let digits = (0..hex.len()).step_by(2).filter_map(|at| hex.get(at..at + 2));
        digits.filter_map(|two| u8::from_str_radix(two, 16).ok()).collect::<Vec<u8>>()
    };
    let seeds = vectors.as_array().into_iter().flatten().flat_map(|vector| {
        let (reference, schema) = (text(&vector["references"][0]), text(&vector["schema"]));
        let encoded = vector["encoded"].as_object().into_iter().flat_map(|all| all.values());
        let one = |hex| joined(&[reference.as_bytes(), schema.as_bytes(), &unhex(text(hex))]);
        encoded.map(one).collect::<Seeds>()
    });
    seeds.collect()
}

fn of_sources() -> Seeds {
    let hubspot = r#"[{"eventId":1,"subscriptionType":"contact.propertyChange","occurredAt":1763719200000,
        "objectId":1148,"propertyName":"firstname","propertyValue":"Ada"}]"#;
    let salesforce = r#"{"data":{"payload":{"ChangeEventHeader":{"entityName":"Contact","changeType":"UPDATE",
        "recordIds":["a","b"],"nulledFields":["Phone"]},"Name":{"FirstName":"Ada"},"Phone":null}}}"#;
    let row = r#"{"schema":null,"payload":{"op":"u","after":{"id":7,"email":"a@b"},"source":{"ts_us":1}}}"#;
    let nested = r#"{"msg":{"no":"m","at":"2026-11-21T10:00:00Z","what":"saved"},"person":{"key":7,
        "name":{"full":"Ada Lovelace"},"tels":["1","2"],"grade":2,"born":"10.12.1815"}}"#;
    let own = r#"{"eventType":"contact.updated","data":{"id":"a","email":"x"}}"#;
    let madeup = "[source.x]\nunknown = \"drop\"\n[source.x.record]\ntype = \"msg.what\"\nid = \"msg.no\"\n\
                  time = \"msg.at\"\ncontact = \"person.key\"\ndata = \"person\"\n[source.x.types]\n\
                  saved = \"contact.updated\"\n[source.x.fields]\n\
                  firstName = { from = \"name.full\", do = [\"split: :1\"] }\n\
                  lastName = { from = \"name.full\", do = [\"split: :3\", \"default:none\"] }\n\
                  phone = { from = \"tels\", do = [\"join:, \"] }\n\
                  title = { from = \"grade\", values = { 1 = \"Dr\", \"*\" = \"Prof\" } }\n\
                  \"attributes.born\" = { from = \"born\", do = [\"date:%d.%m.%Y\"] }\n";
    let of = |preset: &str, more: &str| format!("[source.x]\npreset = \"{preset}\"\n{more}");
    let left_out =
        "[source.x.fields]\nemail = \"\"\nphone = { from = [\"a\", \"b[0].c\"], owner = \"us\" }\n";
    [
        (of("hubspot", left_out), hubspot),
        (of("salesforce-cdc", ""), salesforce),
        (of("debezium", "ids = \"own\"\n"), row),
        (of("connect-json", "unknown = \"refuse\"\n"), row),
        (madeup.to_owned(), nested),
        (of("contactd", left_out), own),
    ]
    .map(|(table, document)| joined(&[table.as_bytes(), b"7", document.as_bytes()]))
    .to_vec()
}

fn of_webhooks() -> Seeds {
    let cloud_event = |name: &str| {
        let pairs =
            [("specversion", "1.0"), ("id", "1"), ("type", "contact.updated"), ("source", "x")];
        let named = pairs.map(|(name, value)| (format!("ce-{name}"), Some(value.into())));
        if name == "acme" { records::headers(&named.to_vec()) } else { Vec::new() }
    };
    let mut seeds: Seeds = hostiles(300)
        .enumerate()
        .map(|(number, record)| {
            let (source, name) = ([number as u8], if number % 9 == 0 { "acme" } else { "" });
            joined(&[&source, &cloud_event(name), &record.value.unwrap_or_default()])
        })
        .collect();
    let two: Vec<_> = hostiles(2).filter_map(|record| record.value).collect();
    seeds.push(joined(&[b"", b"", &[b"[", two.join(&b',').as_slice(), b"]"].concat()]));
    seeds
}

fn of_signatures() -> Seeds {
    let hex = "a".repeat(64);
    let times = ["1795255200", "1795255200000", "2026-11-21T10:00:00Z", "1", "9e99", ""];
    let signatures = [hex.clone(), format!("sha256={hex}"), "v1,YWJj v1,eA== v2,x".to_owned()];
    let seeds = times.iter().flat_map(|time| {
        let one = |text: &String| {
            joined(&[DAMAGES[3], b"msg_1", time.as_bytes(), text.as_bytes(), b"{\"id\":1}"])
        };
        signatures.iter().map(one).collect::<Seeds>()
    });
    seeds.collect()
}

fn of_tokens() -> Seeds {
    let header = r#"{"typ":"at+jwt","alg":"HS256","kid":"KID"}"#;
    let claims = r#"{"exp":NOW,"nbf":1,"iat":1,"jti":"j","iss":"contactd","aud":"contactd","sub":"ada","roles":["viewer"],"sid":"s","stamp":"STAMP"}"#;
    let headers = [
        header,
        r#"{"typ":"AT+JWT","alg":"none","kid":"KID"}"#,
        r#"{"typ":"at+jwt","alg":"HS512","kid":"KID","crit":["b64"],"jwk":{"kty":"oct","k":"AA"}}"#,
        "{",
    ];
    let mut seeds: Seeds =
        headers.iter().map(|header| joined(&[header.as_bytes(), claims.as_bytes(), b""])).collect();
    for other in [
        claims.replace("NOW", "18446744073709551615").replace("\"nbf\":1", "\"nbf\":NOW"),
        claims.replace("[\"viewer\"]", "[\"admin\"]"),
        claims.replace("\"aud\":\"contactd\"", "\"aud\":[\"contactd\",\"x\"]"),
        claims.replace("\"sub\":\"ada\"", "\"sub\":null"),
    ] {
        seeds.push(joined(&[header.as_bytes(), other.as_bytes(), b"eyJ0eXAiOiJKV1QifQ.e30.AAAA"]));
    }
    seeds
}

fn of_cursors() -> Seeds {
    let keys = CursorKeys::of_secrets(SECRET.as_bytes(), &[]);
    let of = |direction, key: &[u8]| {
        let cursor = Cursor { direction, skip: 3, key: key.to_vec() };
        joined(&[cursor.encode("id asc", &keys).as_bytes(), b"id asc", b"\x02\x00"])
    };
    let body = [&[2, 1], [0; 10].as_slice(), b"\0\x02aac1"].concat();
    vec![
        of(Direction::Next, b"\0\x02aac1"),
        of(Direction::Previous, b""),
        joined(&[b"AgA", b"name desc", &body]),
        joined(&[b"", b"", b"\x01\x00\0\0\0\0\0\0\0\0\0\0"]),
    ]
}

fn of_positions() -> Seeds {
    let behind = Position::behind(0xfeed, Lane(3), Offset(17)).encode();
    let more = texts(&[
        "p1-000000000000feed-0.11-3.ffffffffffffffff",
        "p1-000000000000feed",
        "w1-000000000000feed-ffff.0",
        "17-00000000000000ab",
        "18446744073709551615-ffffffffffffffff",
    ]);
    [vec![behind.into_bytes()], more].concat()
}

/// Every contact of the fixtures, control entries and attempts too.
fn images() -> Vec<(u8, Vec<u8>, Vec<u8>)> {
    let mut images = Vec::new();
    for path in [snapshot_in("format-1/store/snapshots"), snapshot_in("store_v1/snapshots")] {
        // Of an older format there may be nothing to read here.
        let _ = snapshot_images(&path, |prefix, id, body| {
            images.push((prefix, id.to_vec(), body.to_vec()));
        });
    }
    images
}

fn of_contacts() -> Seeds {
    let images = images().into_iter().filter(|image| image.0 == b'c');
    let with = |(number, (_, id, body)): (usize, (u8, Vec<u8>, Vec<u8>))| {
        let how = DAMAGES[number % DAMAGES.len()];
        let stored = [&[1], [0; 16].as_slice(), &body].concat();
        let heap = contact_in_heap(&id, &body);
        [joined(&[how, &id, &body]), joined(&[how, &id, &stored]), joined(&[how, &id, &heap])]
    };
    images.enumerate().flat_map(with).collect()
}

fn of_segments() -> Seeds {
    let frames: [&[u8]; 3] = [&[1, 2, 3, 4, 5], &[200, 201, 202, 203], &[0, 0, 0, 1, 0, 0]];
    let with = |how: &&[u8]| {
        let how = [&[1], *how].concat();
        frames.map(|frames| joined(&[&how, frames]))
    };
    DAMAGES.iter().flat_map(with).collect()
}

fn frames(folder: &str, kind: SegmentKind) -> Seeds {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder);
    let reader = SegmentReader::open(&folder, kind).expect("a fixture");
    reader.iter_from(FrameNo(0)).map(|frame| frame.expect("a frame").1).collect()
}

/// Heads and blocks, without the format, length and checksum before them.
fn of_journal() -> Seeds {
    let split = |frame: Vec<u8>| {
        let len = u32::from_le_bytes(*frame.get(1..)?.first_chunk()?) as usize;
        let (head, blocks) = frame.get(9..)?.split_at_checked(len)?;
        Some(joined(&[head, blocks]))
    };
    let frames = frames("format-1/store/journal", SegmentKind::Journal);
    // One entry that says nothing but its verdict.
    let entry = [&[12, 0, 0, 0, 2], [0; 11].as_slice()].concat();
    let head = [[0; 71].as_slice(), &[16, 16, 1], &crc32fast::hash(&entry).to_le_bytes()].concat();
    frames.into_iter().filter_map(split).chain([joined(&[&head, &entry])]).collect()
}

fn of_snapshots() -> Seeds {
    let raw = b"\x02\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0idbod";
    let stored = lz4_flex::block::compress(raw);
    let entries = [raw.len() as u32, 1].map(u32::to_le_bytes).concat();
    DAMAGES.iter().map(|how| joined(&[how, &entries, &stored])).collect()
}

fn of_users() -> Seeds {
    let whole = format!(
        "changed_by = \"uid:0\"\nchanged = \"2026-11-21T10:00:00Z\"\n[[user]]\nname = \"ada\"\nemail = \"Ada@example.com\"\nroles = [\"admin\", \"viewer\"]\npassword = \"{}\"\ncreated = \"x\"\ndisabled = \"y\"\nenabled = \"z\"\n[[key]]\nname = \"k\"\nroles = [\"ingest\"]\nprefix = \"ck_1\"\nsha256 = \"{}\"\ncreated = \"x\"\nexpires = \"2027-11-21T10:00:00Z\"\n",
        crate::world::PASSWORD_HASH,
        "ab".repeat(32)
    );
    let more =
        texts(&["", "user = []\nkey = []", "[[user]]\nname = 1", "[user]\n", "a = [[[[{}]]]]"]);
    [vec![whole.into_bytes()], more].concat()
}

/// The sections of the built-in file, and what it has none of.
fn of_configurations() -> Seeds {
    let sections = contactd::config::BUILT_IN.split("\n[").skip(1);
    let without_comments = |section: &str| {
        let lines = format!("[{section}");
        let lines = lines.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.collect::<Vec<_>>().join("\n").into_bytes()
    };
    let more = texts(&[
        "[source.\"a b\".fields]\nid = \"Key\"\nemail = \"e.mail\"\n",
        "[input.orders.eu]\nsource = \"x\"\n[source.x]\nkey = \"json:$.id\"\n[bridge]\nmax_age = \"7d\"\n",
        "[kafka.properties]\n\"socket.timeout.ms\" = 5\n\"a\\nb\" = '''x\ny'''\n",
        "store.path = \"/tmp/\\u00e9\"\nserver.listen = \"[::1]:0\"\nlimits.webhook = \"1/1h\"\n",
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\", '::1']\ncors_origins = [\"*\"]\n",
        "[source.y]\nsignature = \"standard\"\n",
    ]);
    sections.map(without_comments).chain(more).collect()
}

fn of_dotenv() -> Seeds {
    texts(&[
        "\u{feff}A=1\r\nexport B = two words # why\nC='a # b'\nD=\"x\\n\\\"y\\\"\" # c\nE=\nF=a#b\nG=#x\n",
        "# c\nB=\"-----BEGIN\r\nmiddle # no\r\n-----END\" # why\r\nC='x\n\n# y'\nexport D=\"a\\\nb\"",
        "A='open\nB=\"x\" y\n",
    ])
}

fn of_http() -> Seeds {
    let host = format!("Host: x\r\nX-API-Key: {ADMIN_KEY}\r\n");
    let body = r#"{"id":"c9","firstName":"Ada","attributes":{"a":[1,{"b":null}]}}"#;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{host}\r\n");
    let with = |line: &str, more: &str, body: &str| {
        let len = body.len();
        let json = "Content-Type: application/json\r\n";
        format!("{line} HTTP/1.1\r\n{host}{json}{more}Content-Length: {len}\r\n\r\n{body}")
    };
    let paths = [
        "/api/contacts/c0",
        "/api/contacts?limit=2&sort=name&order=asc&status=ACTIVE&q=ada",
        "/api/contacts?cursor=AgAA&email=a%40b.c&offset=1",
        "/api/contacts/c%300/history?limit=1",
        "/api/events/e0",
        "/api/stats",
        "/api/feed?type=contact.created",
        "/api/dead-letters?reason=schema&limit=5",
        "/api/auth/me",
        "/api/rules",
        "/schemas/contact.created.json",
        "/livez",
        "/docs/",
        "/../%2e%2e/%00?%zz",
    ];
    let mut seeds: Vec<String> = paths.iter().map(|path| get(path)).collect();
    let chunked =
        "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{\"id\"\r\n3\r\n:1}\r\n0\r\nA: b\r\n\r\n";
    seeds.extend([
        with("PUT /api/contacts/c0", "If-Match: \"1-00000000000000ab\"\r\n", body),
        with("PATCH /api/contacts/c1", "If-None-Match: W/\"x\", *\r\n", r#"{"title":null}"#),
        with("POST /api/contacts", "Idempotency-Key: k\r\nExpect: 100-continue\r\n", body),
        with("POST /api/contacts/batch", "", &format!(r#"{{"items":[{body}]}}"#)),
        with("POST /api/auth/login", "", r#"{"username":"ada","password":"x"}"#),
        with("POST /api/auth/refresh", "", r#"{"refreshToken":"rt1.YWRh.f.1.s.p"}"#),
        with("POST /api/webhooks/acme", "X-Acme-Signature: 00\r\nX-Acme-Timestamp: 1\r\n", body),
        with("POST /api/dead-letters/redrive", "", r#"{"filter":{"reason":"schema"}}"#),
        format!("POST /api/contacts HTTP/1.1\r\n{host}{chunked}"),
        format!("{}{}", get("/livez"), get("/readyz").replace("GET", "HEAD")),
        format!("GET /api/contacts/c0 HTTP/1.1\r\n{host}Position: p1-000000000000feed-0.11\r\nAccept-Encoding: gzip;q=1\r\nAccept: application/problem+json\r\nX-Request-Id: a\r\n\r\n"),
        format!("OPTIONS /api/contacts HTTP/1.1\r\n{host}Origin: http://x\r\nAccess-Control-Request-Method: PUT\r\n\r\n"),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET http://x/livez HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.b.c\r\nX-Forwarded-For: ::1\r\n\r\n".to_owned(),
        "POST /api/contacts/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ]);
    seeds.into_iter().map(String::into_bytes).collect()
}

fn of_controls() -> Seeds {
    let entries = images().into_iter().filter(|image| image.0 == b'k').map(|image| image.2);
    let values = [
        r#"{"id":"w1","key":"family/ada/1","expectedRevision":0,"livesFor":1000,"revokes":true,"value":{"a":1},"principal":"user:ada","requestId":"r"}"#,
        r#"{"id":"w2","key":"family/ada/1","expectedRevision":1,"expiresAt":1795255200001,"value":null}"#,
        r#"{"id":"w3","key":"family/ada/1","restated":{"revision":3,"changedAt":5,"removed":false,"recent":[[1,2,3]],"view":{"next":1,"at":1795255200000}},"value":[1]}"#,
        r#"{"id":"w4","key":"log/restated","value":{"from":1}}"#,
        r#"{"id":"w5","key":"log/founding","value":{"partitioner":"murmur2","lanes":4}}"#,
    ]
    .map(str::as_bytes);
    let seeds = entries.zip(values.iter().cycle()).zip(values.iter().cycle().skip(2));
    seeds.map(|((entry, one), two)| joined(&[&entry, one, two, values[1]])).take(20).collect()
}

fn of_checkpoints() -> Seeds {
    let files = ["format-1/store/checkpoint", "format-1/store/identity", "store_v1/checkpoint"];
    let of = |(name, how): (&str, &[u8])| {
        let bytes = fixture(name);
        joined(&[how, &bytes[12..bytes.len() - 4]])
    };
    files.into_iter().zip(DAMAGES.into_iter().skip(1)).map(of).collect()
}

fn of_markers() -> Seeds {
    let homes = Founding::first(Partitioner::Murmur2, 4);
    let mut text = RuleText::built_in();
    let rules = RuleSet::compile(text.clone()).expect("the built-in rules");
    let (headers, _): (NamedValues, _) = Marker::record(1, 1, homes, &rules, Some("ada"));
    let headers = records::headers(&headers);
    let schema = r#"{"type":"object","required":["id"],"properties":{"id":{"pattern":"^a+$"}}}"#;
    text.schemas.entry("x".to_owned()).or_default().insert("*".to_owned(), schema.to_owned());
    let json = |text: &RuleText| serde_json::to_vec(text).expect("JSON");
    let values = [
        json(&RuleText::built_in()),
        json(&text),
        br#"{"applyVersion":77}"#.to_vec(),
        homes.to_json(),
        br#"{"id":"b","digest":"00","position":"p1-000000000000feed","gaps":[[0,1,2]]}"#.to_vec(),
    ];
    values.iter().map(|value| joined(&[&headers, value])).collect()
}

/// Format, then numbers and texts behind their lengths.
fn of_letters() -> Seeds {
    let headers = records::headers(&vec![("contactd_redrive_hops".to_owned(), Some(b"2".into()))]);
    let head = b"\x01\x05\x00\x00\x07\x01\x09\x03\x03why\x01\x01k\x01\x02{}\x02\xfb\x01\x02";
    let letter = [head.as_slice(), &[headers.len() as u8], &headers].concat();
    vec![letter, b"\x01".to_vec()]
}

fn of_tables() -> Seeds {
    texts(&[
        "id,firstName,lastName,email,phone,company,title,status,createdAt,updatedAt,version,externalId:erp,n\r\n\
         c1,Ada,\" L \",,'+44,,,ACTIVE,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,3,7,\"{\"\"a\"\":1}\"\r\n",
        "\u{feff}Title;E-mail Address;Notes\nDr.;grace@example.com;\"says \"\"hello\"\"\nand goes\"\n\"open;x\n;;;\n",
        "sep=|\nid|title\n1|'=1+1\n1|x|y\n2\nid|title\n",
    ])
}

fn of_lines() -> Seeds {
    texts(&[
        "{\"id\":\"c1\",\"firstName\":null,\"attributes\":{\"\":1e400,\"email\":\"x\"},\"externalIds\":{\"erp\":\"7\"}}\n",
        "{\"E-mail\":\"a@b\",\"status\":\"DELETED\"}\n[1]\n{\"a\":\n\n{\"id\":7}",
    ])
}

fn of_cards() -> Seeds {
    texts(&[
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID;VALUE=text:c1\r\nFN:a\r\nN:;;;;\r\nX-CONTACTD-VERSION:3\r\n\
         X-CONTACTD-FIELDS:{\"title\":\"a\\\\r\"}\r\nX-CONTACTD-ATTRIBUTES:{\"n\":1\\,\"m\":[]}\r\nEND:VCARD\r\n",
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BC;J=\n=C3=BC;;;\n\
         item1.TEL;type=pref:tel:1\nPHOTO:AAAA\n AAAA\nORG:a\\,b;c\nEND:VCARD\njunk\nBEGIN:VCARD\n",
    ])
}

fn of_backups() -> Seeds {
    let whole = archive();
    let manifest = whole.windows(2).rposition(|at| at == b"}\n").expect("a manifest");
    let begin = whole[..manifest].windows(11).rposition(|at| at == b"{\"manifest\"").unwrap_or(0);
    let sealed = &whole[begin..manifest + 2];
    let head = &whole[..whole.len().min(1024)];
    DAMAGES.iter().map(|how| joined(&[how, sealed, head])).collect()
}
