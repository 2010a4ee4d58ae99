"""Headers: prints the documents with all, or with any, of the headers that it is given.

    headers_subscribe.py all format=pdf type=report
    headers_subscribe.py any format=pdf format-version=2
"""

import os
import sys

import pika

if len(sys.argv) < 3 or sys.argv[1] not in ("all", "any"):
    sys.exit(f"Usage: {sys.argv[0]} all|any name=value...")
wanted = {"x-match": sys.argv[1]}
wanted.update(pair.split("=", 1) for pair in sys.argv[2:])

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.exchange_declare(exchange="documents", exchange_type="headers")
queue = channel.queue_declare(queue="", exclusive=True).method.queue
channel.queue_bind(exchange="documents", queue=queue, arguments=wanted)


def callback(ch, method, properties, body):
    print(f" [x] {properties.headers}:{body.decode()!r}")


channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
print(" [*] Waiting for documents. To exit press CTRL+C")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
