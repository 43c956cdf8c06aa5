//! The whole picture of docs/tour.md: a payment comes in, is told through the exchange, and files and sums stand
//! beside it.

use serde_json::json;

use crate::imports::import;
use crate::support::instance::{Instance, until};
use crate::support::rabbitmq::Queue;
use crate::support::services::{RABBITMQ, service};

const FILE: &str = "Customer no,E-mail,Given name,Company\n\
    1,ada@example.com,Ada,Analytical Engines\n\
    2,grace@example.com,Grace,Navy\n\
    3,kay@example.com,Kay,Navy\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_notified_through_the_exchange_and_files_are_added_up() {
    const TEST: &str = "a_payment_is_notified_through_the_exchange_and_files_are_added_up";
    let Some(address) = service(RABBITMQ, TEST) else { return };
    let exchange = format!("contactd-picture-{:08x}", fastrand::u32(..));
    let instance = Instance::builder()
        .with("rabbitmq.url", format!("amqp://guest:guest@{address}"))
        .with("rabbitmq.exchange", &exchange)
        .with("payments.enabled", "true")
        .start()
        .await;
    let client = instance.client();
    until("the follower runs", async || {
        let follower = client.get("/api/followers/rabbitmq").await.expect(200).json();
        (follower["state"] == "running").then_some(())
    })
    .await;
    let mut queue = Queue::bound(&address, &exchange, &exchange, "payment.#").await;

    let job = import(&client, "columns=Customer%20no%3DexternalId:erp", FILE).await;
    assert_eq!(job["counts"]["created"], 3, "{job}");
    let found = client.get("/api/contacts?externalId=erp:1").await.expect(200).json();
    let ada = found["data"][0]["id"].as_str().unwrap();
    let order = json!({
        "contactId": ada, "amount": 1999, "currency": "EUR", "card": "4242424242424242",
        "description": "Order 1729",
    });
    let paid = client.post("/api/payments", &order).await.expect(201).json();
    let payment = paid["id"].as_str().unwrap();
    let refund = json!({ "amount": 500 });
    client.post(&format!("/api/payments/{payment}/refunds"), &refund).await.expect(201);

    for (kind, status) in [
        ("payment.created", "PENDING"),
        ("payment.succeeded", "SUCCEEDED"),
        ("payment.refunded", "PARTIALLY_REFUNDED"),
    ] {
        let message = queue.next().await;
        assert_eq!(message.routing_key, format!("{kind}.api"));
        assert_eq!(message.attribute("subject"), payment);
        assert_eq!(message.body["payment"]["status"], status, "{:?}", message.body);
        assert_eq!(message.body["payment"]["contactId"], ada);
        assert_eq!(message.body["change"]["eventType"], kind);
    }
    let sums = client.get("/api/stats?by=company").await.expect(200).json();
    assert!(sums.to_string().contains("Analytical Engines"), "{sums}");
    let sums = client.get("/api/stats?by=currency").await.expect(200).json();
    let euros = &sums["payments"][0];
    assert_eq!((&euros["amount"], &euros["refunded"]), (&json!(1999), &json!(500)), "{sums}");
}
