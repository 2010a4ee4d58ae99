"""Routing: prints the log lines of the severities that it is given.

    direct_subscribe.py warning error
"""

import os
import sys

import pika

severities = sys.argv[1:]
if not severities:
    sys.exit(f"Usage: {sys.argv[0]} [info] [warning] [error]")

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.exchange_declare(exchange="direct_logs", exchange_type="direct")
queue = channel.queue_declare(queue="", exclusive=True).method.queue
for severity in severities:
    channel.queue_bind(exchange="direct_logs", queue=queue, routing_key=severity)


def callback(ch, method, properties, body):
    print(f" [x] {method.routing_key!r}:{body.decode()!r}")


channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
print(" [*] Waiting for logs. To exit press CTRL+C")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
