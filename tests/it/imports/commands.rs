//! `contactd import`, as a person types it.

use std::process::Command;

use contactd::auth::Role;

use crate::support::access;
use crate::support::instance::Instance;

struct Told {
    code: i32,
    out: String,
    error: String,
}

async fn contactd(instance: &Instance, args: &[&str]) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contactd"));
    command.current_dir(instance.path()).args(args).env("JWT_SECRET", access::JWT_SECRET);
    command.env("CONTACTD_URL", format!("http://{}", instance.address));
    command.env("CONTACTD_API_KEY", access::key(Role::Editor));
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&ended.stdout), text(&ended.stderr));
    Told { code: ended.status.code().unwrap(), out, error }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_the_columns_imports_mends_and_undoes() {
    let instance = Instance::start().await;
    let file = instance.path().join("contacts.csv");
    std::fs::write(&file, "E-mail,Given name,Colour\nada@example.com,Ada,red\n,Bob\n").unwrap();
    let told = contactd(&instance, &["import", "contacts.csv"]).await;
    assert_eq!(told.code, 2, "{}", told.error);
    assert!(told.error.contains("Given name -> firstName"), "{}", told.error);
    assert!(told.error.contains("email=ada@example.com"), "{}", told.error);
    assert!(told.error.contains("give --yes"), "{}", told.error);
    let told = contactd(&instance, &["import", "contacts.csv", "--dry-run"]).await;
    assert!(told.out.contains("would be new"), "{}{}", told.out, told.error);
    let told = contactd(&instance, &["import", "contacts.csv", "--yes"]).await;
    assert_eq!(told.code, 5, "{}", told.error);
    assert!(told.out.contains("new contacts"), "{}", told.out);
    assert!(told.error.contains("contacts.refused.csv"), "{}", told.error);
    let refused = std::fs::read_to_string(instance.path().join("contacts.refused.csv")).unwrap();
    assert!(refused.contains(",Bob,,\"too_few_cells: "), "{refused}");
    let id = told.out.lines().find_map(|line| line.strip_prefix("import ")).unwrap().to_owned();
    let told = contactd(&instance, &["import", "contacts.csv"]).await;
    assert!(told.error.contains("was imported before"), "{}", told.error);
    let told = contactd(&instance, &["import", "--undo", &id]).await;
    assert!(told.out.contains("deleted, as the import made them"), "{}{}", told.out, told.error);
    let found = instance.client().get("/api/contacts?email=ada@example.com").await.expect(200);
    assert_eq!(found.json()["data"].as_array().unwrap().len(), 0);
}
