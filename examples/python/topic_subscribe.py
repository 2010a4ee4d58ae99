"""Topics: prints the log lines whose key matches a pattern: `*` is one word, `#` any number.

    topic_subscribe.py "kern.*" "*.critical" "old.#"
"""

import os
import sys

import pika

binding_keys = sys.argv[1:]
if not binding_keys:
    sys.exit(f"Usage: {sys.argv[0]} [binding_key]...")

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.exchange_declare(exchange="topic_logs", exchange_type="topic")
queue = channel.queue_declare(queue="", exclusive=True).method.queue
for binding_key in binding_keys:
    channel.queue_bind(exchange="topic_logs", queue=queue, routing_key=binding_key)


def callback(ch, method, properties, body):
    print(f" [x] {method.routing_key!r}:{body.decode()!r}")


channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
print(" [*] Waiting for logs. To exit press CTRL+C")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
