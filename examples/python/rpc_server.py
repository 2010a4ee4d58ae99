"""Remote procedure calls: a server of Fibonacci numbers.

It answers to the queue named by `reply_to` and gives the `correlation_id` back.
"""

import os

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(os.environ.get("AMQP_PORT", 5672))))
channel = connection.channel()

channel.queue_declare(queue="rpc_queue")


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def on_request(ch, method, properties, body):
    n = int(body)
    print(f" [.] fib({n})")
    ch.basic_publish(
        exchange="", routing_key=properties.reply_to, body=str(fib(n)),
        properties=pika.BasicProperties(correlation_id=properties.correlation_id))
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue="rpc_queue", on_message_callback=on_request)
print(" [x] Awaiting RPC requests")
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
