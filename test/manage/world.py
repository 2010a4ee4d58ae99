"""What a broker holds while it is looked at: objects of every kind, with traffic on them."""

import threading

import pika

from brokers import wait_for

# user -> tags. `stranger` has no tag, `outsider` has one but no virtual host.
USERS = {"admin2": "administrator", "watcher": "monitoring", "maker": "policymaker", "manager": "management",
         "stranger": "", "outsider": "management"}
PASSWORD = "secret-1"
VHOST = "w/1"                           # a name that has to be encoded
V = "w%2F1"


class World:
    """`url` of its virtual host; names of what is in it stand in the fields."""

    exchange, queue, idle_queue, tag = "orders", "incoming", "idle queue", "worker-1"
    message_count = 6                   # published; the consumer keeps two, and acks one of them

    def __init__(self, broker, admin):
        self.broker, self.admin = broker, admin
        self.connection = self.thread = self.connection_name = None
        self.is_ending = threading.Event()

    def __enter__(self):
        self._declare()
        self._connect()
        self._wait_until_seen()
        return self

    def __exit__(self, *_):
        self.is_ending.set()
        self.thread.join(10)
        self.admin.delete(f"/api/vhosts/{V}")
        for user in USERS:
            self.admin.delete(f"/api/users/{user}")

    def _declare(self):
        put = self.admin.put
        put(f"/api/vhosts/{V}", {"description": "where tests look", "tags": "a,b"})
        for user, tags in {"guest": None, **USERS}.items():
            if tags is not None:
                put(f"/api/users/{user}", {"password": PASSWORD, "tags": tags})
            if user != "outsider":
                put(f"/api/permissions/{V}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
        put(f"/api/exchanges/{V}/{self.exchange}", {"type": "topic", "durable": True})
        put(f"/api/exchanges/{V}/copies", {"type": "fanout", "durable": True})
        put(f"/api/queues/{V}/{self.queue}", {"durable": True, "arguments": {"x-max-length": 1000, "x-message-ttl": 3600000}})
        put(f"/api/queues/{V}/idle%20queue", {"durable": True})
        for body in ({"routing_key": "eu.*"}, {"routing_key": "us.#", "arguments": {"x-note": "two"}}):
            self.admin.post(f"/api/bindings/{V}/e/{self.exchange}/q/{self.queue}", body)
        self.admin.post(f"/api/bindings/{V}/e/{self.exchange}/e/copies", {"routing_key": "#"})
        put(f"/api/policies/{V}/short", {"pattern": "^incoming$", "definition": {"max-length": 900}, "apply-to": "queues",
                                          "priority": 3})
        put(f"/api/operator-policies/{V}/bounds", {"pattern": "^incoming$", "definition": {"max-length": 800},
                                                    "apply-to": "queues"})
        put(f"/api/topic-permissions/{V}/manager", {"exchange": self.exchange, "write": "^eu", "read": ".*"})
        put(f"/api/vhost-limits/{V}/max-queues", {"value": 100})
        put("/api/user-limits/manager/max-channels", {"value": 50})
        put("/api/global-parameters/contact", {"value": {"mail": "nobody@example.com"}})

    def _connect(self):
        """A publisher and a consumer on one connection, kept alive by a thread of their own."""
        parameters = pika.ConnectionParameters(
            "127.0.0.1", self.broker.amqp_port, VHOST, pika.PlainCredentials("guest", "guest"),
            client_properties={"connection_name": "the world"})
        self.connection = pika.BlockingConnection(parameters)
        channel = self.connection.channel()
        channel.confirm_delivery()
        for number in range(self.message_count):
            channel.basic_publish(self.exchange, "eu.berlin", f"order {number}".encode(),
                                  pika.BasicProperties(delivery_mode=2, headers={"n": number, "who": "world"}))
        channel.basic_qos(prefetch_count=2)
        got = []
        channel.basic_consume(self.queue, lambda ch, method, *_: got.append(method.delivery_tag), consumer_tag=self.tag)
        while len(got) < 2:
            self.connection.process_data_events(1)
        channel.basic_ack(got[0])
        self.thread = threading.Thread(target=self._live)
        self.thread.start()

    def _live(self):
        while not self.is_ending.is_set():
            self.connection.process_data_events(0.2)
        self.connection.close()

    def _wait_until_seen(self):
        """Statistics are there a moment after what they count."""
        def connection():
            rows = self.admin.request("GET", f"/api/vhosts/{V}/connections").json
            return rows and "channels" in rows[0] and "recv_oct" in rows[0] and rows[0]["name"]

        def is_counted():
            queue = self.admin.request("GET", f"/api/queues/{V}/{self.queue}").json
            channels = self.admin.request("GET", f"/api/vhosts/{V}/channels").json
            idle = self.admin.request("GET", f"/api/queues/{V}/idle%20queue").json
            return (queue.get("message_stats", {}).get("ack") == 1 and queue.get("consumer_details") and "messages" in idle and
                    channels and channels[0].get("message_stats", {}).get("publish") == self.message_count)
        watch, self.admin.watch = self.admin.watch, None
        try:
            self.connection_name = wait_for("the connection in the lists", connection)
            wait_for("statistics", is_counted)
        finally:
            self.admin.watch = watch
