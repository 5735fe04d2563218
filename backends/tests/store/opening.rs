//! Who may open the file, and what is said to who may not.

use std::{fs, sync::Arc};

use sluice_backends::embedded::{Embedded, EmbeddedSettings, OpenError};

use crate::house::{House, make_sale, sale};

fn refused(house: &House) -> (OpenError, String) {
    let error = house.try_open(EmbeddedSettings::default()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("sluice.sqlite"), "it names the file: {message}");
    (error, message)
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_is_gone() {
    let house = House::new();
    let first = house.open();
    let (error, message) = refused(&house);
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(message.contains("stop that one"), "it names the remedy: {message}");
    let inline = Embedded::open_inline(
        &house.file(),
        Arc::new(house.clock.clone()),
        EmbeddedSettings::default(),
    );
    assert!(matches!(inline, Err(OpenError::InUse { .. })));
    // A crash frees it at once, although somebody still has its ports.
    let ports = first.ports();
    drop(first);
    drop(house.open());
    assert!(ports.ledger.sales().await.is_err(), "the old ports answer no more");
}

#[tokio::test]
async fn what_is_not_a_database_is_left_as_it_is() {
    let house = House::new();
    let text = "dear diary, ".repeat(500);
    fs::write(house.file(), &text).unwrap();
    let (error, message) = refused(&house);
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error:?}");
    assert!(message.contains("not an SQLite database; name another folder"), "{message}");
    assert_eq!(fs::read_to_string(house.file()).unwrap(), text);
}

#[tokio::test]
async fn another_programs_database_is_left_as_it_is() {
    let house = House::new();
    house.shell().execute_batch("CREATE TABLE notes (body TEXT)").unwrap();
    let before = fs::read(house.file()).unwrap();
    let (error, _) = refused(&house);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(fs::read(house.file()).unwrap(), before);
}

#[tokio::test]
async fn a_newer_schema_is_left_to_its_version() {
    let house = House::new();
    house.open().close().await;
    house.shell().execute_batch("PRAGMA user_version = 77").unwrap();
    let (error, message) = refused(&house);
    assert!(matches!(error, OpenError::Newer { found: 77, .. }), "{error:?}");
    assert!(message.contains("77") && message.contains("run that version"), "{message}");
}

#[tokio::test]
async fn a_schema_of_before_the_first_release_is_named() {
    let house = House::new();
    house.open().close().await;
    house.shell().execute_batch("PRAGMA user_version = 1").unwrap();
    let (_, message) = refused(&house);
    assert!(message.contains("before the first release"), "{message}");
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named() {
    let house = House::new();
    let file = house.folder.path().join("no-such-folder").join("sluice.sqlite");
    let opened = Embedded::open(&file, Arc::new(house.clock.clone()), EmbeddedSettings::default());
    let message = opened.unwrap_err().to_string();
    assert!(message.contains("no-such-folder") && message.contains("folder exists"), "{message}");
}

#[tokio::test]
async fn closing_writes_everything_into_the_one_file() {
    let house = House::new();
    let embedded = house.open();
    make_sale(&embedded.ports(), 10).await;
    embedded.close().await;
    let elsewhere = House::new();
    fs::copy(house.file(), elsewhere.file()).unwrap();
    let sales = elsewhere.open().ports().ledger.sale(&sale()).await.unwrap();
    assert!(sales.is_some(), "the log was written back");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_log_are_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    let embedded = house.open();
    make_sale(&embedded.ports(), 10).await;
    let log = house.folder.path().join("sluice.sqlite-wal");
    for file in [house.file(), log] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
    }
}
