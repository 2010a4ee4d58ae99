"""Sends a document with headers."""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters(
    host='localhost', port=int(os.environ.get('AMQP_PORT', 5672))))
channel = connection.channel()

channel.exchange_declare(exchange='documents',
                         exchange_type='headers')

message = sys.argv[1]
headers = dict(pair.split('=', 1) for pair in sys.argv[2:])
channel.basic_publish(exchange='documents',
                      routing_key='',
                      body=message,
                      properties=pika.BasicProperties(headers=headers))
print(" [x] Sent %r:%r" % (headers, message))
connection.close()
