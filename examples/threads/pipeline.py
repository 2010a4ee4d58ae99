"""Two queues between threads: what comes out of one goes into the other."""

import queue
import threading
import time

numbers = queue.Queue()
loves = queue.Queue()


class Forwarder(threading.Thread):
    def __init__(self, source, target):
        super().__init__(daemon=True)
        self.source = source
        self.target = target

    def run(self):
        while True:
            self.target.put(self.source.get())
            self.source.task_done()


class Printer(threading.Thread):
    def __init__(self, source):
        super().__init__(daemon=True)
        self.source = source

    def run(self):
        while True:
            number = self.source.get()
            print(f"I love {number} {self.name}\n", end="")
            time.sleep(1)
            self.source.task_done()


def main():
    start = time.time()
    for number in range(10):
        numbers.put(number)
    for _ in range(5):
        Forwarder(numbers, loves).start()
    for _ in range(5):
        Printer(loves).start()
    numbers.join()          # first the one that feeds,
    loves.join()            # then the one that is fed
    print(f"Elapsed Time: {time.time() - start:.2f}")


main()
