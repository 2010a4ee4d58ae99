"""Prints the documents with all, or any, of the headers that it is given."""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host='localhost', port=int(os.environ.get('AMQP_PORT', 5672))))
channel = connection.channel()

arguments = sys.argv[1:]
if not arguments:
    sys.stderr.write("Usage: %s all|any name=value...\n" % sys.argv[0])
    sys.exit(1)

wanted = {'x-match': arguments[0]}
wanted.update(pair.split('=', 1) for pair in arguments[1:])

channel.exchange_declare(exchange='documents',
                         exchange_type='headers')

result = channel.queue_declare(exclusive=True)
queue_name = result.method.queue

channel.queue_bind(exchange='documents',
                   queue=queue_name,
                   arguments=wanted)

print(' [*] Waiting for logs. To exit press CTRL+C')


def callback(ch, method, properties, body):
    print(" [x] %r:%r" % (properties.headers, body))


channel.basic_consume(callback,
                      queue=queue_name,
                      no_ack=True)

channel.start_consuming()
