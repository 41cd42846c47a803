"""The parts of an exactly-once loop over confluent-kafka, each a process of its own that the lane may kill.

exactly_once.py topics BOOTSTRAP
exactly_once.py feed   BOOTSTRAP COUNT RATE
exactly_once.py move   BOOTSTRAP TRANSACTIONAL_ID GROUP_PROTOCOL
exactly_once.py judge  BOOTSTRAP COUNT

`feed` writes the numbers below COUNT into the topic `in`, number n into partition n % 4. `move` takes each number n
to the topic `out` as `n:2n`, into the same partition, in a transaction that commits its offset as well. `judge` reads `out` with
read_committed until each partition is complete: every number once and in order, whatever was killed.
"""

import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
# librdkafka forgets the brokers it knows when the last of them is gone, and then a transaction that waits for its group's
# coordinator waits for ever. With one broker that is what its restart looks like, so it has to keep what it knows.
KEEP_BROKERS = {"metadata.recovery.strategy": "none"}
GROUP = "loop"
LIMIT_S = 150


def topics(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1) for name in ("in", "out")]
    for future in admin.create_topics(wanted).values():
        future.result()


def feed(bootstrap, count, rate):
    producer = Producer({
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "linger.ms": 5,
        "delivery.timeout.ms": LIMIT_S * 1000,
    })
    failures = []

    def delivered(error, _message):
        if error is not None:
            failures.append(str(error))

    begin = time.monotonic()
    for number in range(count):
        while time.monotonic() < begin + number / rate:
            producer.poll(0.001)
        producer.produce("in", str(number).encode(), partition=number % PARTITIONS, on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(LIMIT_S)
    if left or failures:
        raise SystemExit(f"{left} records left, failures: {failures[:3]}")
    print("fed", count, flush=True)


class Mover:
    """One instance of the application: a member of the group with a transactional id of its own."""

    def __init__(self, bootstrap, transactional_id, protocol):
        settings = {
            **KEEP_BROKERS,
            "bootstrap.servers": bootstrap,
            "group.id": GROUP,
            "group.protocol": protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
        if protocol == "classic":
            settings["session.timeout.ms"] = 6000
            settings["heartbeat.interval.ms"] = 500
        self.consumer = Consumer(settings)
        self.producer = Producer({
            **KEEP_BROKERS,
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": 20000,
            "linger.ms": 0,
        })
        self.stopped = False
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        self.stopped = True

    def run(self):
        self.retried(lambda: self.producer.init_transactions(30))
        self.consumer.subscribe(["in"])
        print("moving", flush=True)
        moved = 0
        while not self.stopped:
            batch = [message for message in self.consumer.consume(100, 0.2) if message.error() is None]
            if not batch:
                continue
            if self.move(batch):
                moved += len(batch)
                print("moved", moved, flush=True)
            else:
                self.rewind()
        self.consumer.close()

    def move(self, batch):
        """Whether the batch is moved; if not, its transaction is aborted."""
        next_offsets = {}
        try:
            self.producer.begin_transaction()
            for message in batch:
                number = int(message.value())
                value = f"{number}:{2 * number}".encode()
                self.producer.produce("out", value, partition=message.partition())
                next_offsets[message.partition()] = message.offset() + 1
            offsets = [TopicPartition("in", partition, offset) for partition, offset in next_offsets.items()]
            metadata = self.consumer.consumer_group_metadata()
            self.retried(lambda: self.producer.send_offsets_to_transaction(offsets, metadata, 30))
            self.retried(lambda: self.producer.commit_transaction(30))
            return True
        except KafkaException as thrown:
            error = thrown.args[0]
            print("aborting:", error, flush=True)
            if error.fatal() or not error.txn_requires_abort():
                raise
            self.retried(lambda: self.producer.abort_transaction(30))
            return False

    def rewind(self):
        """Goes back to what is committed."""
        while not self.stopped:
            assigned = self.consumer.assignment()
            if not assigned:
                return
            try:
                for partition in self.consumer.committed(assigned, 10):
                    start = partition.offset if partition.offset >= 0 else 0
                    self.consumer.seek(TopicPartition("in", partition.partition, start))
                return
            except KafkaException as thrown:
                print("rewinding:", thrown, flush=True)

    def retried(self, call):
        """Calls until it succeeds, or fails for good."""
        while True:
            try:
                return call()
            except KafkaException as thrown:
                if not thrown.args[0].retriable() or self.stopped:
                    raise
                print("again:", thrown, flush=True)


def judge(bootstrap, count):
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "judge",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": False,
    })
    consumer.assign([TopicPartition("out", partition, 0) for partition in range(PARTITIONS)])
    due = list(range(PARTITIONS))
    seen = 0
    deadline = time.monotonic() + LIMIT_S
    # A little longer than until all are there: what comes then is a duplicate.
    grace = None
    while grace is None or time.monotonic() < grace:
        for message in consumer.consume(500, 0.2):
            if message.error() is not None:
                continue
            number, double = (int(part) for part in message.value().split(b":"))
            partition = message.partition()
            place = f"partition {partition} offset {message.offset()}"
            if number != due[partition]:
                word = "again" if number < due[partition] else "too early"
                raise SystemExit(f"{place}: {number} came {word}, {due[partition]} was due")
            if double != 2 * number:
                raise SystemExit(f"{place}: {message.value()!r}")
            due[partition] += PARTITIONS
            seen += 1
        if seen >= count and grace is None:
            grace = time.monotonic() + 3
        if grace is None and time.monotonic() > deadline:
            raise SystemExit(f"{seen} of {count} came in {LIMIT_S} s; due next: {due}")
    if seen != count:
        raise SystemExit(f"{seen} came, {count} were fed")
    print("exact", seen, flush=True)


def main():
    what, bootstrap, *rest = sys.argv[1:]
    if what == "topics":
        topics(bootstrap)
    elif what == "feed":
        feed(bootstrap, int(rest[0]), float(rest[1]))
    elif what == "move":
        Mover(bootstrap, rest[0], rest[1]).run()
    elif what == "judge":
        judge(bootstrap, int(rest[0]))
    else:
        raise SystemExit(f"no part is called {what}")


if __name__ == "__main__":
    main()
