//! What operators need at 3 a.m., from a terminal: dead letters and the balance.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::house::{ADMIN_TOKEN, BINARY, House};

async fn sluice(admin: SocketAddr, arguments: &str) -> Output {
    let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let run = move || {
        Command::new(BINARY)
            .args(arguments)
            .args(["--admin", &format!("http://{admin}")])
            .env("SLUICE_TOKEN", ADMIN_TOKEN)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[track_caller]
fn printed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_balance_is_printed_and_nothing_is_buried() {
    let house = House::start("").await;
    house.sale("drop", 10, json!({ "tail_per_second": 100 })).await;
    let object = house.join("drop").await;
    let mut reserved = house.until(&object, |object| object["state"] == "reserved").await;
    reserved["token"] = object["token"].clone();
    house.pay(&reserved).await;
    let admin = house.admin;
    let table = printed(&sluice(admin, "reconcile --sale drop").await);
    let row = table.lines().find(|line| line.trim_start().starts_with("standard"));
    let row: Vec<&str> = row.expect(&table).split_whitespace().collect();
    assert_eq!((row[1], row[8], row[9]), ("10", "0", "0"), "total, drift, left: {table}");
    let again = printed(&sluice(admin, "reconcile --last --json").await);
    let found: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&found["sound"], &found["sales"][0]["sale"]), (&json!(true), &json!("drop")));
    let sku = &found["sales"][0]["skus"][0];
    let of = |column: &str| sku[column].as_u64().unwrap();
    assert_eq!(of("available") + of("owed") + of("held") + of("sold"), 10, "{sku}");

    assert!(printed(&sluice(admin, "dead-letters list").await).contains("nothing is buried"));
    let missing = sluice(admin, "dead-letters replay 7").await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no dead letter"), "{missing:?}");
    let odd = sluice(admin, "dead-letters show ../sales").await;
    assert_eq!(odd.status.code(), Some(64));
    printed(&sluice(admin, "sale freeze drop --reason 3am").await);
    assert_eq!(house.operate("GET", "/v1/sales/drop", None).await.body["state"], "frozen");
}

/// Answers every request with this.
fn answering(body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut asked = Vec::new();
            let mut some = [0; 1_024];
            while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
                match socket.read(&mut some) {
                    Ok(count @ 1..) => asked.extend_from_slice(&some[..count]),
                    Ok(0) | Err(_) => break,
                }
            }
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = socket.write_all(format!("{head}{body}").as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn what_does_not_add_up_exits_70() {
    for (body, code) in [
        (r#"{"sound":true,"sales":[]}"#, 0),
        (r#"{"sound":false,"sales":[]}"#, 70),
        // An answer that does not say so is not taken for one that does.
        ("{}", 70),
    ] {
        let output = sluice(answering(body), "reconcile").await;
        assert_eq!(output.status.code(), Some(code), "{body}: {output:?}");
    }
}
