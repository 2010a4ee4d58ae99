"""Transactions: messages that become visible together, or not at all."""

import os

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

queue = channel.queue_declare(queue="", exclusive=True).method.queue
watcher = connection.channel()

def visible():
    """How many messages others can see now."""
    return watcher.queue_declare(queue=queue, passive=True).method.message_count


channel.tx_select()
for message in ("debit 10", "credit 10"):
    channel.basic_publish(exchange="", routing_key=queue, body=message)
channel.tx_rollback()
print(f" [x] Rolled back: {visible()} messages")

for message in ("debit 20", "credit 20"):
    channel.basic_publish(exchange="", routing_key=queue, body=message)
print(f" [x] Before the commit: {visible()} messages")
channel.tx_commit()
for _ in range(2):
    method, properties, body = watcher.basic_get(queue=queue, auto_ack=True)
    print(f" [x] Committed: {body.decode()!r}")
connection.close()
