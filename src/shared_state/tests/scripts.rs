//! The script in Redis against the arithmetic in Rust, on the same clock.

use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};

use crate::config::RateLimit;
use crate::shared_state::gcra::Gcra;
use crate::shared_state::limiter::take_script;

/// The shared Redis of the tests, if there is one.
async fn connected(test: &str) -> Option<MultiplexedConnection> {
    let Some(address) = std::env::var("CONTACTD_TEST_REDIS").ok().filter(|text| !text.is_empty())
    else {
        let required =
            std::env::var("CONTACTD_TEST_REQUIRE_SERVICES").is_ok_and(|text| text == "1");
        assert!(!required, "{test}: CONTACTD_TEST_REDIS is not set");
        use std::io::Write as _;
        let why = "CONTACTD_TEST_REDIS is not set (tests/services/up)";
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
        return None;
    };
    let client = Client::open(format!("redis://{address}")).unwrap();
    Some(client.get_multiplexed_async_connection().await.unwrap())
}

#[tokio::test]
async fn redis_and_the_instance_decide_alike_on_the_same_clock() {
    let test = "redis_and_the_instance_decide_alike_on_the_same_clock";
    let Some(mut connection) = connected(test).await else {
        return;
    };
    let script = take_script();
    for limit in ["1000/1s", "50000/1s burst 7", "3/10ms burst 1", "1000000/1s burst 100", "20/1h"]
    {
        let gcra = Gcra::new(&RateLimit::parse(limit).unwrap(), 1);
        let key = format!("contactd-test:{}", fastrand::u64(..));
        let mut arrival_us = 0;
        for step in 0..300_u64 {
            let wanted = 1 + step * 7 % 11;
            let mut call = script.key(&key);
            call.arg(gcra.interval_us).arg(gcra.capacity_us).arg(wanted);
            let answer: (u64, u64, u64) = call.invoke_async(&mut connection).await.unwrap();
            let (granted, used_us, now_us) = answer;
            let taken = gcra.take(arrival_us, now_us, wanted);
            arrival_us = taken.arrival_us;
            assert_eq!((granted, used_us), (taken.granted, arrival_us - now_us), "{limit} {step}");
        }
        let life: i64 = cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!(life < 3_600_001 && life != -1, "{limit}: lives {life} ms");
        let _: () = cmd("DEL").arg(&key).query_async(&mut connection).await.unwrap();
    }
}
