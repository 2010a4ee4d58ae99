"""A message queue made of a list: bounded, first in first out, and two messages at once or none.

What a broker does between machines, in fifty lines between threads.
"""

import threading


class ListQueue:
    def __init__(self, size):
        self.size = size
        self.messages = []
        self.changed = threading.Condition()

    def send(self, *messages):
        """Adds all of `messages`, one after the other, when there is room for all of them."""
        if len(messages) > self.size:
            raise ValueError(f"{len(messages)} messages never fit into {self.size}")
        with self.changed:
            self.changed.wait_for(lambda: len(self.messages) + len(messages) <= self.size)
            self.messages.extend(messages)
            self.changed.notify_all()

    def receive(self):
        """Takes the oldest message; waits for one when there is none."""
        with self.changed:
            self.changed.wait_for(lambda: self.messages)
            message = self.messages.pop(0)
            self.changed.notify_all()
            return message


def receiver(queue, count):
    for _ in range(count):
        print(f"received {queue.receive()}")


def main():
    queue = ListQueue(2)
    thread = threading.Thread(target=receiver, args=(queue, 6))
    thread.start()
    for number in range(4):
        queue.send(f"message {number}")
    queue.send("debit 10", "credit 10")
    thread.join()
    print("every message came once, in order")


main()
