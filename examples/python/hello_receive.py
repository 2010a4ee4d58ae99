"""Hello world: prints what comes out of the queue `hello`."""

import os

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.queue_declare(queue="hello")


def callback(ch, method, properties, body):
    print(f" [x] Received {body.decode()!r}")


channel.basic_consume(queue="hello", on_message_callback=callback, auto_ack=True)
print(" [*] Waiting for messages. To exit press CTRL+C")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
