//! Backups.

use serde_json::json;

use super::answers::{BackupList, BackupStatus};
use crate::http::description::operation::{Answer, Operation, Tag};
use crate::http::exchange::error::Code;

fn described(operation: Operation) -> Operation {
    operation.of(Tag::Operation).fails(&[Code::NotAcceptable, Code::NotReady])
}

pub(super) fn list() -> Operation {
    let example = json!({
        "data": [{
            "name": "20261201T031500000Z", "madeAt": "2026-12-01T03:15:02.120Z",
            "position": "{{position}}", "contacts": 200_000, "bytes": 181_000_000, "damage": null,
        }],
        "status": { "running": false, "lastEndedAt": "2026-12-01T03:15:04.900Z", "lastFailure": null },
    });
    described(
        Operation::new("listBackups", "List the backups that this instance keeps")
            .about("Those in `backup.to`, whole ones only, and how the last one ended.")
            .answers(Answer::json::<BackupList>(200, "Newest first.", example)),
    )
}

pub(super) fn make() -> Operation {
    let example = json!({ "running": true, "lastEndedAt": null, "lastFailure": null });
    described(
        Operation::new("makeBackup", "Make a backup now, on the server")
            .about(
                "It goes to `backup.to`, which the configuration names and no request; \
                 `GET /api/backups` shows it when it is whole.",
            )
            .not_sent()
            .answers(Answer::json::<BackupStatus>(202, "It is being made.", example))
            .fails(&[Code::BackupsOff, Code::BackupUnderWay]),
    )
}

pub(super) fn stream() -> Operation {
    described(
        Operation::new("streamBackup", "Hand out a backup, made while it is sent")
            .about(
                "A tar archive of files as they stand in a data directory, the log of an embedded one \
                 among them, and `manifest.json` last: what ends before it is no backup. It holds \
                 personal data and hashes of passwords. `contactd backup` and `contactd restore` read \
                 and check it.",
            )
            .not_sent()
            .answers(Answer::text(200, "The archive.", "application/x-tar", None))
            .fails(&[Code::BackupUnderWay]),
    )
}
