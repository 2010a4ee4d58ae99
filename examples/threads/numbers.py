"""A queue between threads: ten workers share ten numbers; each takes a second over one."""

import queue
import threading
import time

numbers = queue.Queue()


class Worker(threading.Thread):
    def __init__(self, numbers):
        super().__init__(daemon=True)
        self.numbers = numbers

    def run(self):
        while True:
            number = self.numbers.get()
            print(f"i'm num {number}\n", end="")
            time.sleep(1)
            self.numbers.task_done()


def main():
    start = time.time()
    for _ in range(10):
        Worker(numbers).start()
    for number in range(10):
        numbers.put(number)
    numbers.join()          # until every number is done
    print(f"Elapsed Time: {time.time() - start:.2f}")


main()
