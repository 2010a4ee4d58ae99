//! Checks of the broker with lapin. Takes AMQP_URL; prints a line a check.

use futures_util::{future::join_all, StreamExt};
use lapin::{
    message::{BasicGetMessage, Delivery},
    options::*,
    types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, ShortString},
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ErrorKind, ExchangeKind,
};
use std::{
    env,
    future::Future,
    process,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::{sleep, timeout};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(5);
static FAILED: AtomicBool = AtomicBool::new(false);
static NAMES: AtomicU32 = AtomicU32::new(0);

macro_rules! ensure {
    ($condition:expr) => {
        if !$condition {
            return Err(stringify!($condition).into());
        }
    };
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+).into());
        }
    };
}

async fn check(name: &str, body: impl Future<Output = Outcome>) {
    match timeout(Duration::from_secs(12), body).await {
        Ok(Ok(())) => println!("ok {name}"),
        other => {
            FAILED.store(true, Ordering::Relaxed);
            let why = match other {
                Ok(Err(error)) => error.to_string().replace('\n', " "),
                _ => "timed out".to_string(),
            };
            println!("not ok {name}: {why}");
        }
    }
}

fn url() -> String {
    env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672/%2f".into())
}

fn short(text: impl Into<String>) -> ShortString {
    ShortString::try_new(text).expect("a short string")
}

fn unique(what: &str) -> ShortString {
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    short(format!("{what}.rust.{}.{number}", process::id()))
}

async fn connect() -> Outcome<Connection> {
    Ok(Connection::connect(&url(), ConnectionProperties::default()).await?)
}

async fn open() -> Outcome<(Connection, Channel)> {
    let connection = connect().await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn own_queue(channel: &Channel) -> Outcome<ShortString> {
    let options = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    Ok(channel
        .queue_declare("".into(), options, FieldTable::default())
        .await?
        .name()
        .clone())
}

async fn send(
    channel: &Channel,
    exchange: &ShortString,
    key: &ShortString,
    body: &[u8],
) -> Outcome {
    let options = BasicPublishOptions::default();
    channel
        .basic_publish(
            exchange.clone(),
            key.clone(),
            options,
            body,
            BasicProperties::default(),
        )
        .await?;
    Ok(())
}

async fn put(channel: &Channel, queue: &ShortString, body: &str) -> Outcome {
    send(channel, &"".into(), queue, body.as_bytes()).await
}

async fn take(channel: &Channel, queue: &ShortString, no_ack: bool) -> Outcome<BasicGetMessage> {
    for _ in 0..500 {
        let options = BasicGetOptions { no_ack };
        if let Some(message) = channel.basic_get(queue.clone(), options).await? {
            return Ok(message);
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err(format!("nothing in {queue}").into())
}

async fn consume(channel: &Channel, queue: &ShortString, no_ack: bool) -> Outcome<Consumer> {
    let options = BasicConsumeOptions {
        no_ack,
        ..Default::default()
    };
    Ok(channel
        .basic_consume(queue.clone(), "".into(), options, FieldTable::default())
        .await?)
}

async fn next(consumer: &mut Consumer) -> Outcome<Delivery> {
    Ok(timeout(PATIENCE, consumer.next())
        .await?
        .ok_or("the consumer has ended")??)
}

async fn quiet(consumer: &mut Consumer) -> Outcome {
    ensure!(
        timeout(Duration::from_millis(60), consumer.next())
            .await
            .is_err(),
        "unexpected delivery"
    );
    Ok(())
}

/// The reply code of the broker's refusal.
fn code<T>(result: Result<T, lapin::Error>) -> u16 {
    match result.map_err(|error| error.kind().clone()) {
        Err(ErrorKind::ProtocolError(error)) => error.get_id(),
        _ => 0,
    }
}

async fn connects() -> Outcome {
    let connection = connect().await?;
    ensure!(connection.configuration().channel_max() == 2047);
    ensure!(connection.configuration().frame_max() == 131072);
    connection.close(200, "".into()).await?;
    Ok(())
}

async fn wrong_password() -> Outcome {
    let wrong = url().replace("guest:guest", "guest:wrong");
    let got = code(Connection::connect(&wrong, ConnectionProperties::default()).await);
    ensure!(got == 403, "{got}");
    Ok(())
}

async fn missing_vhost() -> Outcome {
    let wrong = url().replace("%2f", "nowhere");
    let got = code(Connection::connect(&wrong, ConnectionProperties::default()).await);
    ensure!(got == 530, "{got}");
    Ok(())
}

async fn other_mechanisms() -> Outcome {
    let address = format!("{}?auth_mechanism=amqplain", url());
    Connection::connect(&address, ConnectionProperties::default()).await?;
    Ok(())
}

async fn small_frames() -> Outcome {
    let address = format!("{}?frame_max=8192&channel_max=3", url());
    let connection = Connection::connect(&address, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let queue = own_queue(&channel).await?;
    let body = "0123456789".repeat(10000);
    put(&channel, &queue, &body).await?;
    ensure!(take(&channel, &queue, true).await?.data == body.as_bytes());
    Ok(())
}

async fn declares() -> Outcome {
    let (_connection, channel) = open().await?;
    for kind in [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
    ] {
        let exchange = unique("x");
        for passive in [false, true] {
            let options = ExchangeDeclareOptions {
                passive,
                ..Default::default()
            };
            channel
                .exchange_declare(
                    exchange.clone(),
                    kind.clone(),
                    options,
                    FieldTable::default(),
                )
                .await?;
        }
        channel
            .exchange_delete(exchange, ExchangeDeleteOptions::default())
            .await?;
    }
    for flags in 0..8 {
        let options = QueueDeclareOptions {
            durable: flags & 1 != 0,
            auto_delete: flags & 2 != 0,
            exclusive: flags & 4 != 0,
            ..Default::default()
        };
        let queue = channel
            .queue_declare(unique("q"), options, FieldTable::default())
            .await?;
        ensure!(queue.message_count() == 0 && queue.consumer_count() == 0);
        channel
            .queue_delete(queue.name().clone(), QueueDeleteOptions::default())
            .await?;
    }
    ensure!(own_queue(&channel).await?.as_str().starts_with("amq.gen-"));
    Ok(())
}

async fn refusals() -> Outcome {
    let (connection, good) = open().await?;
    let queue = unique("q");
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    good.queue_declare(queue.clone(), exclusive, FieldTable::default())
        .await?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let channel = connection.create_channel().await?;
    let got = code(
        channel
            .queue_declare("interop.missing".into(), passive, FieldTable::default())
            .await,
    );
    ensure!(got == 404, "missing queue: {got}");
    let channel = connection.create_channel().await?;
    let got = code(
        channel
            .queue_declare(
                queue.clone(),
                QueueDeclareOptions {
                    exclusive: true,
                    auto_delete: true,
                    ..Default::default()
                },
                FieldTable::default(),
            )
            .await,
    );
    ensure!(got == 406, "inequivalent: {got}");
    let channel = connection.create_channel().await?;
    let got = code(
        channel
            .exchange_delete("".into(), ExchangeDeleteOptions::default())
            .await,
    );
    ensure!(got == 403, "default exchange: {got}");
    let (_other, channel) = open().await?;
    let got = code(
        channel
            .queue_declare(queue.clone(), passive, FieldTable::default())
            .await,
    );
    ensure!(got == 405, "locked: {got}");
    put(&good, &queue, "still").await?;
    ensure!(take(&good, &queue, true).await?.data == b"still");
    Ok(())
}

async fn round_trip() -> Outcome {
    let (_connection, channel) = open().await?;
    let queue = own_queue(&channel).await?;
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::LongString("x".into()));
    let mut list = FieldArray::default();
    list.push(AMQPValue::LongInt(1));
    list.push(AMQPValue::FieldTable(inner.clone()));
    let mut headers = FieldTable::default();
    for (key, value) in [
        ("t", AMQPValue::Boolean(true)),
        ("b", AMQPValue::ShortShortInt(-8)),
        ("B", AMQPValue::ShortShortUInt(200)),
        ("s", AMQPValue::ShortInt(-300)),
        ("u", AMQPValue::ShortUInt(60000)),
        ("I", AMQPValue::LongInt(-70000)),
        ("i", AMQPValue::LongUInt(4_000_000_000)),
        ("l", AMQPValue::LongLongInt(-5_000_000_000)),
        ("f", AMQPValue::Float(0.5)),
        ("d", AMQPValue::Double(1.25)),
        (
            "D",
            AMQPValue::DecimalValue(DecimalValue {
                scale: 2,
                value: 314,
            }),
        ),
        ("S", AMQPValue::LongString("ß".into())),
        ("A", AMQPValue::FieldArray(list)),
        ("T", AMQPValue::Timestamp(1_767_225_600)),
        ("F", AMQPValue::FieldTable(inner)),
        ("x", AMQPValue::ByteArray(ByteArray::from(vec![0u8, 255]))),
        ("V", AMQPValue::Void),
    ] {
        headers.insert(key.into(), value);
    }
    let sent = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("utf-8".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(9)
        .with_correlation_id("c".into())
        .with_reply_to("r".into())
        .with_expiration("60000".into())
        .with_message_id("m".into())
        .with_timestamp(1_767_225_600)
        .with_type("t".into())
        .with_user_id("guest".into())
        .with_app_id("a".into())
        .with_cluster_id("k".into());
    channel
        .basic_publish(
            "".into(),
            queue.clone(),
            BasicPublishOptions::default(),
            b"body",
            sent.clone(),
        )
        .await?;
    let got = take(&channel, &queue, true).await?;
    ensure!(got.properties == sent, "{:?}", got.properties);
    ensure!(got.data == b"body" && got.exchange.as_str().is_empty() && got.routing_key == queue);
    Ok(())
}

async fn consuming() -> Outcome {
    let (_connection, channel) = open().await?;
    let queue = own_queue(&channel).await?;
    for body in ["1", "2", "3", "4"] {
        put(&channel, &queue, body).await?;
    }
    channel.basic_qos(2, BasicQosOptions::default()).await?;
    let mut consumer = consume(&channel, &queue, false).await?;
    let (first, second) = (next(&mut consumer).await?, next(&mut consumer).await?);
    ensure!(first.data == b"1" && second.data == b"2");
    quiet(&mut consumer).await?;
    first.ack(BasicAckOptions::default()).await?;
    let third = next(&mut consumer).await?;
    ensure!(third.data == b"3");
    second
        .nack(BasicNackOptions {
            requeue: true,
            ..Default::default()
        })
        .await?;
    let again = next(&mut consumer).await?;
    ensure!(again.data == b"2" && again.redelivered);
    third.reject(BasicRejectOptions { requeue: false }).await?;
    let fourth = next(&mut consumer).await?;
    ensure!(fourth.data == b"4" && !fourth.redelivered);
    fourth.ack(BasicAckOptions { multiple: true }).await?;
    channel
        .basic_cancel(consumer.tag(), BasicCancelOptions::default())
        .await?;
    put(&channel, &queue, "5").await?;
    ensure!(take(&channel, &queue, true).await?.data == b"5");
    Ok(())
}

async fn recovering() -> Outcome {
    let (_connection, channel) = open().await?;
    let queue = own_queue(&channel).await?;
    put(&channel, &queue, "x").await?;
    take(&channel, &queue, false).await?;
    channel
        .basic_recover(BasicRecoverOptions { requeue: true })
        .await?;
    ensure!(take(&channel, &queue, true).await?.redelivered);
    Ok(())
}

async fn told_of_deletion() -> Outcome {
    let (connection, channel) = open().await?;
    let queue = unique("q");
    channel
        .queue_declare(
            queue.clone(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut consumer = consume(&channel, &queue, true).await?;
    let other = connection.create_channel().await?;
    other
        .queue_delete(queue, QueueDeleteOptions::default())
        .await?;
    ensure!(timeout(PATIENCE, consumer.next()).await?.is_none());
    Ok(())
}

async fn confirms() -> Outcome {
    let (_connection, channel) = open().await?;
    let queue = own_queue(&channel).await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let mut waiting = Vec::new();
    for _ in 0..1000 {
        let options = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let properties = BasicProperties::default();
        waiting.push(
            channel
                .basic_publish("".into(), queue.clone(), options, b"x", properties)
                .await?,
        );
    }
    for confirmation in timeout(PATIENCE, join_all(waiting)).await? {
        let confirmation = confirmation?;
        ensure!(confirmation.is_ack() && confirmation.take_message().is_none());
    }
    ensure!(
        channel
            .queue_purge(queue, QueuePurgeOptions::default())
            .await?
            == 1000
    );
    Ok(())
}

async fn returned() -> Outcome {
    let (_connection, channel) = open().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let options = BasicPublishOptions {
        mandatory: true,
        ..Default::default()
    };
    let confirmation = channel
        .basic_publish(
            "amq.direct".into(),
            "nobody".into(),
            options,
            b"lost",
            BasicProperties::default(),
        )
        .await?
        .await?;
    ensure!(confirmation.is_ack());
    let message = confirmation
        .take_message()
        .ok_or("the confirm came first")?;
    ensure!(message.reply_code == 312 && message.reply_text.as_str() == "NO_ROUTE");
    ensure!(message.data == b"lost");
    Ok(())
}

async fn routing() -> Outcome {
    let (_connection, channel) = open().await?;
    let (source, target) = (unique("s"), unique("t"));
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..Default::default()
    };
    channel
        .exchange_declare(
            source.clone(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        )
        .await?;
    channel
        .exchange_declare(
            target.clone(),
            ExchangeKind::Fanout,
            options,
            FieldTable::default(),
        )
        .await?;
    let queue = own_queue(&channel).await?;
    channel
        .exchange_bind(
            target.clone(),
            source.clone(),
            "a.#".into(),
            ExchangeBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    channel
        .queue_bind(
            queue.clone(),
            target,
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    for key in ["b.a", "a", "a.b.c"] {
        send(&channel, &source, &key.into(), key.as_bytes()).await?;
    }
    ensure!(take(&channel, &queue, true).await?.data == b"a");
    ensure!(take(&channel, &queue, true).await?.data == b"a.b.c");
    Ok(())
}

async fn transactions() -> Outcome {
    let (connection, channel) = open().await?;
    let watcher = connection.create_channel().await?;
    let queue = own_queue(&watcher).await?;
    channel.tx_select().await?;
    put(&channel, &queue, "no").await?;
    channel.tx_rollback().await?;
    put(&channel, &queue, "yes").await?;
    ensure!(watcher
        .basic_get(queue.clone(), BasicGetOptions::default())
        .await?
        .is_none());
    channel.tx_commit().await?;
    ensure!(take(&watcher, &queue, true).await?.data == b"yes");
    Ok(())
}

async fn direct_reply_to() -> Outcome {
    let (connection, channel) = open().await?;
    let queue = own_queue(&channel).await?;
    let mut replies = consume(&channel, &"amq.rabbitmq.reply-to".into(), true).await?;
    let properties = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
    channel
        .basic_publish(
            "".into(),
            queue.clone(),
            BasicPublishOptions::default(),
            b"ping",
            properties,
        )
        .await?;
    let asked = take(&channel, &queue, true).await?;
    let to = asked.properties.reply_to().clone().ok_or("no reply_to")?;
    put(&connection.create_channel().await?, &to, "pong").await?;
    ensure!(next(&mut replies).await?.data == b"pong");
    Ok(())
}

async fn large_bodies() -> Outcome {
    let (_connection, channel) = open().await?;
    let queue = own_queue(&channel).await?;
    for size in [1 << 20, (16 << 20) - 1] {
        let body = vec![b'z'; size];
        send(&channel, &"".into(), &queue, &body).await?;
        ensure!(
            take(&channel, &queue, true).await?.data == body,
            "{size} bytes"
        );
    }
    Ok(())
}

async fn many_channels() -> Outcome {
    let (connection, channel) = open().await?;
    let queue = own_queue(&channel).await?;
    let opened = join_all((0..200).map(|_| connection.create_channel())).await;
    for channel in &opened {
        put(channel.as_ref().map_err(Clone::clone)?, &queue, "x").await?;
    }
    for _ in 0..200 {
        take(&channel, &queue, true).await?;
    }
    Ok(())
}

async fn heartbeats() -> Outcome {
    let address = format!("{}?heartbeat=1", url());
    let connection = Connection::connect(&address, ConnectionProperties::default()).await?;
    sleep(Duration::from_millis(3200)).await;
    connection.create_channel().await?;
    Ok(())
}

#[tokio::main]
async fn main() {
    check("connect and close", connects()).await;
    check("wrong password is 403", wrong_password()).await;
    check("missing vhost is 530", missing_vhost()).await;
    check("AMQPLAIN", other_mechanisms()).await;
    check("small frames", small_frames()).await;
    check("declare every kind", declares()).await;
    check("refusals close only their channel", refusals()).await;
    check("properties and headers round trip", round_trip()).await;
    check(
        "consume with prefetch, ack, nack, reject, cancel",
        consuming(),
    )
    .await;
    check("recover", recovering()).await;
    check("consumer is told when its queue goes", told_of_deletion()).await;
    check("confirms", confirms()).await;
    check("return comes before its confirm", returned()).await;
    check("routing and exchange bindings", routing()).await;
    check("transactions", transactions()).await;
    check("direct reply-to", direct_reply_to()).await;
    check("large bodies", large_bodies()).await;
    check("many channels", many_channels()).await;
    check("heartbeats", heartbeats()).await;
    process::exit(FAILED.load(Ordering::Relaxed) as i32);
}
