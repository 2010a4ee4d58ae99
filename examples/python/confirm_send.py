"""Publisher confirms: a send returns when the broker has the message, or says why not."""

import os

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.queue_declare(queue="test")
channel.exchange_declare(exchange="test", exchange_type="direct")
channel.queue_bind(queue="test", exchange="test", routing_key="test")
channel.confirm_delivery()


def send(routing_key, message):
    try:
        channel.basic_publish(exchange="test", routing_key=routing_key, body=message,
                              mandatory=True)
        print(f" [x] Message {message!r} is with the broker")
    except pika.exceptions.UnroutableError:
        print(f" [!] Message {message!r} has no queue to go to")


send("test", "first")
send("nowhere", "second")
method, properties, body = channel.basic_get(queue="test", auto_ack=True)
print(f" [x] Got {body.decode()!r}")
connection.close()
