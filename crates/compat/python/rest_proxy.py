"""Cases of the REST Proxy with the stock HTTP client `requests`.

rest_proxy.py CASE URL [URL...]

Each case makes topics of its own, so that cases run one after another against one cluster. The parts of the case in which
a proxy is killed are `before-the-kill` and `after-the-kill`; the lane does the killing.
"""

import base64
import json
import sys
import time

import requests

V2 = "application/vnd.kafka.v2+json"
LIMIT_S = 60
AVRO = json.dumps({
    "type": "record", "name": "User",
    "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": ["null", "int"]}],
})
JSON_SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
PROTOBUF = 'syntax = "proto3"; message Order { string id = 1; int64 total = 2; }'
FORMATS = [
    ("avro", AVRO, {"name": "alice", "age": {"int": 7}}),
    ("jsonschema", JSON_SCHEMA, {"n": 1}),
    ("protobuf", PROTOBUF, {"id": "a", "total": "5"}),
]


def media(form):
    return f"application/vnd.kafka.{form}.v2+json"


class Proxy:
    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method, path, body=None, content_type=V2, accept=V2):
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type, "Accept": accept}
        answer = self.session.request(method, self.url + path, data=data, headers=headers, timeout=LIMIT_S)
        return answer.status_code, answer.json() if answer.content else None

    def ok(self, method, path, body=None, content_type=V2, accept=V2):
        status, answer = self.call(method, path, body, content_type, accept)
        assert status < 300, (path, status, answer)
        return answer

    def refused(self, code, method, path, body=None, content_type=V2, accept=V2):
        status, answer = self.call(method, path, body, content_type, accept)
        assert status >= 400 and answer["error_code"] == code, (path, status, answer)
        assert answer["message"]

    def cluster(self):
        cluster = self.ok("GET", "/v3/clusters", accept="application/json")["data"][0]["cluster_id"]
        return f"/v3/clusters/{cluster}"

    def v3(self, method, path, body=None):
        return self.ok(method, self.cluster() + path, body, "application/json", "application/json")

    def v3_refused(self, code, method, path):
        self.refused(code, method, self.cluster() + path, accept="application/json")

    def found(self, path):
        # A group, or a part of it; none while it is not there.
        status, answer = self.call("GET", self.cluster() + path, accept="application/json")
        assert status in (200, 404), (path, status, answer)
        return answer if status == 200 else None

    def follow(self, answer):
        # Every link below the groups leads to what says that it is there.
        todo, seen = links(answer), set()
        while todo:
            url = todo.pop()
            if url in seen or "-groups/" not in url:
                continue
            seen.add(url)
            part = self.ok("GET", url.removeprefix(self.url), accept="application/json")
            assert part["metadata"]["self"] == url, (url, part)
            todo.extend(links(part))
        return seen

    def topic(self, name, partitions=1):
        self.v3("POST", "/topics", {"topic_name": name, "partitions_count": partitions})
        # A cluster may take a moment to tell all its brokers.
        until(lambda: name in self.ok("GET", "/topics"))

    def produce(self, topic, values, form="json", **schema):
        body = {"records": [{"value": value} for value in values], **schema}
        answer = self.ok("POST", f"/topics/{topic}", body, media(form))
        assert all(offset["error_code"] is None for offset in answer["offsets"]), answer
        return answer

    def consumer(self, group, name, **settings):
        body = {"name": name, "format": "json", "auto.offset.reset": "earliest", "fetch.min.bytes": 1, **settings}
        self.ok("POST", f"/consumers/{group}", body)
        return f"/consumers/{group}/instances/{name}"

    def read(self, instance, count, form="json"):
        records = []

        def enough():
            records.extend(self.ok("GET", f"{instance}/records", accept=media(form)))
            return len(records) >= count

        until(enough)
        return records


def links(value):
    if isinstance(value, list):
        return [url for one in value for url in links(one)]
    if not isinstance(value, dict):
        return []
    own = [url for name, url in value.items() if name in ("self", "related")]
    return own + links(list(value.values()))


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def values(records):
    return sorted(record["value"] for record in records)


def clusters(proxy, *_):
    found = proxy.ok("GET", "/v3/clusters", accept="application/json")
    assert found["kind"] == "KafkaClusterList" and len(found["data"]) == 1, found
    brokers = proxy.v3("GET", "/brokers")["data"]
    assert [broker["broker_id"] for broker in brokers] == proxy.ok("GET", "/brokers")["brokers"]
    assert proxy.ok("GET", "/") == {}


def topics(proxy, *_):
    proxy.topic("rest-topics", 3)
    found = proxy.ok("GET", "/topics/rest-topics")
    assert found["name"] == "rest-topics" and len(found["partitions"]) == 3, found
    assert found["configs"]["cleanup.policy"] == "delete", found
    assert found["partitions"] == proxy.ok("GET", "/topics/rest-topics/partitions")
    proxy.produce("rest-topics", range(9))
    ends = [proxy.ok("GET", f"/topics/rest-topics/partitions/{n}/offsets")["end_offset"] for n in range(3)]
    assert sum(ends) == 9, ends
    defaults = proxy.v3("GET", "/topics/rest-none/default-configs")["data"]
    assert ["delete"] == [config["value"] for config in defaults if config["name"] == "cleanup.policy"], defaults
    proxy.v3_refused(40002, "GET", "/topics/rest-topics/default-configs")
    proxy.refused(40401, "GET", "/topics/rest-none")
    proxy.refused(40402, "GET", "/topics/rest-topics/partitions/7")


def stream(proxy, *_):
    proxy.topic("rest-stream")
    url = f"{proxy.url}{proxy.cluster()}/topics/rest-stream/records"

    def body():
        for number in range(1000):
            record = {"key": {"type": "STRING", "data": str(number)}, "value": {"type": "JSON", "data": {"n": number}}}
            yield json.dumps(record).encode()
        yield b'{"value":{"type":"BINARY","data":"?"}}'

    # A body that is a generator goes out in chunks.
    answer = proxy.session.post(url, data=body(), headers={"Content-Type": "application/json"}, timeout=LIMIT_S)
    reports = [json.loads(line) for line in answer.text.splitlines()]
    assert [report["offset"] for report in reports[:-1]] == list(range(1000)), reports[:3]
    assert {report["error_code"] for report in reports[:-1]} == {200}
    assert reports[-1]["error_code"] == 400, reports[-1]


def v3_schemas(proxy, *_):
    for form, schema, value in FORMATS:
        topic = f"rest-v3-{form}"
        proxy.topic(topic)
        path = f"/topics/{topic}/records"
        by_text = proxy.v3("POST", path, {"value": {"type": form.upper(), "schema": schema, "data": value}})
        assert by_text["error_code"] == 200, by_text
        told = by_text["value"]
        assert (told["type"], told["subject"], told["schema_version"]) == (form.upper(), f"{topic}-value", 1), told
        for naming in ({"schema_id": told["schema_id"]}, {"schema_version": 1}, {}):
            report = proxy.v3("POST", path, {"value": {**naming, "data": value}})
            assert report["value"] == told, (naming, report)
        missing = proxy.v3("POST", path, {"value": {"schema_id": 999999, "data": value}})
        assert missing["error_code"] == 42207, missing


def v2_formats(proxy, *_):
    raw = base64.b64encode(bytes(range(256))).decode()
    for form, schema, value in [("binary", None, raw), ("json", None, {"a": [1, None]}), *FORMATS]:
        topic = f"rest-v2-{form}"
        proxy.topic(topic)
        naming = {} if schema is None else {"value_schema": schema}
        answer = proxy.produce(topic, [value, None], form, **naming)
        assert (answer["value_schema_id"] is None) == (schema is None), answer
        instance = proxy.consumer("rest-formats", form, format=form)
        proxy.ok("POST", f"{instance}/subscription", {"topics": [topic]})
        records = proxy.read(instance, 2, form)
        assert [record["value"] for record in records] == [value, None], records
        proxy.ok("DELETE", instance)


def v2_errors(proxy, *_):
    proxy.topic("rest-errors")
    record = {"records": [{"value": 1}]}
    proxy.refused(415, "POST", "/topics/rest-errors", record, "application/json")
    proxy.refused(406, "GET", "/topics", accept="text/html")
    proxy.refused(42202, "POST", "/topics/rest-errors", record, media("avro"))
    proxy.refused(42203, "POST", "/topics/rest-errors", record, media("binary"))
    proxy.refused(40402, "POST", "/topics/rest-errors/partitions/9", record, media("json"))
    proxy.refused(40403, "GET", "/consumers/none/instances/none/records")
    proxy.refused(42204, "POST", "/consumers/rest-errors", {"auto.offset.reset": "x"})
    instance = proxy.consumer("rest-errors", "one")
    proxy.refused(40902, "POST", "/consumers/rest-errors", {"name": "one"})
    proxy.refused(40601, "GET", f"{instance}/records")
    proxy.refused(40903, "POST", f"{instance}/positions/end", {"partitions": [{"topic": "x", "partition": 0}]})
    proxy.ok("DELETE", instance)
    proxy.refused(40403, "DELETE", instance)


def consumer(proxy, *_):
    proxy.topic("rest-consumer", 2)
    proxy.produce("rest-consumer", range(200))
    one = proxy.consumer("rest-consumer", "one")
    proxy.ok("POST", f"{one}/subscription", {"topic_pattern": "rest-consu.*"})
    assert values(proxy.read(one, 200)) == list(range(200))
    assert proxy.ok("GET", f"{one}/subscription") == {"topics": ["rest-consumer"]}
    two = proxy.consumer("rest-consumer", "two")
    proxy.ok("POST", f"{two}/subscription", {"topics": ["rest-consumer"]})

    def count(instance):
        return len(proxy.ok("GET", f"{instance}/assignments")["partitions"])

    until(lambda: (count(one), count(two)) == (1, 1))
    proxy.ok("DELETE", one)
    until(lambda: count(two) == 2)
    proxy.ok("DELETE", two)


def seek_and_commit(proxy, *_):
    proxy.topic("rest-seek")
    proxy.produce("rest-seek", range(10))
    partition = {"partitions": [{"topic": "rest-seek", "partition": 0}]}
    place = {"topic": "rest-seek", "partition": 0}
    instance = proxy.consumer("rest-seek", "one", **{"auto.commit.enable": "false"})
    proxy.ok("POST", f"{instance}/assignments", partition)
    assert values(proxy.read(instance, 10)) == list(range(10))
    proxy.ok("POST", f"{instance}/positions", {"offsets": [{**place, "offset": 8}]})
    assert values(proxy.read(instance, 2)) == [8, 9]
    proxy.ok("POST", f"{instance}/positions/beginning", partition)
    assert values(proxy.read(instance, 10)) == list(range(10))
    assert proxy.ok("GET", f"{instance}/offsets", partition) == {"offsets": []}
    proxy.ok("POST", f"{instance}/offsets")
    assert proxy.ok("GET", f"{instance}/offsets", partition)["offsets"][0]["offset"] == 10
    proxy.ok("POST", f"{instance}/offsets", {"offsets": [{**place, "offset": 4}]})
    assert proxy.ok("GET", f"{instance}/offsets", partition)["offsets"][0]["offset"] == 5
    proxy.ok("DELETE", instance)
    again = proxy.consumer("rest-seek", "two")
    proxy.ok("POST", f"{again}/subscription", {"topics": ["rest-seek"]})
    assert values(proxy.read(again, 5)) == list(range(5, 10))
    proxy.ok("DELETE", again)


def two_proxies(one, two):
    one.topic("rest-two", 2)
    instance = one.consumer("rest-two", "shared")
    two.ok("POST", f"{instance}/subscription", {"topics": ["rest-two"]})
    seen = []
    for turn in range(10):
        writer, reader = (one, two) if turn % 2 else (two, one)
        writer.produce("rest-two", range(turn * 10, turn * 10 + 10))
        seen.extend(values(reader.read(instance, 10)))
    assert seen == list(range(100)), seen
    two.ok("DELETE", instance)
    one.refused(40403, "GET", f"{instance}/assignments")


def before_the_kill(proxy, *_):
    proxy.topic("rest-killed", 3)
    proxy.produce("rest-killed", range(100))
    instance = proxy.consumer("rest-killed", "shared", **{"auto.commit.enable": "false"})
    proxy.ok("POST", f"{instance}/subscription", {"topics": ["rest-killed"]})
    assert values(proxy.read(instance, 100)) == list(range(100))
    # Counts as received with this, and is kept by the time the next one is answered.
    proxy.ok("GET", f"{instance}/assignments")
    proxy.ok("POST", f"{instance}/offsets")
    proxy.produce("rest-killed", range(100, 200))
    print("half")


def after_the_kill(proxy, *_):
    instance = "/consumers/rest-killed/instances/shared"
    begin = time.monotonic()
    assert values(proxy.read(instance, 100)) == list(range(100, 200))
    # The session of the dead member would have lasted 45 seconds.
    assert time.monotonic() - begin < 30, "the takeover waited for the group"
    assert len(proxy.ok("GET", f"{instance}/assignments")["partitions"]) == 3
    proxy.ok("DELETE", instance)
    print("whole")


def share_group_topic(proxy, *_):
    proxy.topic("rest-share", 3)
    assert proxy.found("/share-groups/rest-share") is None


def share_group(proxy, *_):
    def complete():
        group = proxy.found("/share-groups/rest-share")
        wanted = {"state": "STABLE", "consumer_count": 1, "partition_count": 3}
        return group is not None and wanted.items() <= group.items()

    until(complete)
    group = proxy.found("/share-groups/rest-share")
    assert group["kind"] == "KafkaShareGroup", group
    assert group in proxy.v3("GET", "/share-groups")["data"]
    seen = proxy.follow(group)
    assert sum("/assignments/rest-share/partitions/" in url for url in seen) == 3, seen
    assert proxy.found("/consumer-groups/rest-share") is None
    assert proxy.found("/streams-groups/rest-share") is None
    # Not while it has a consumer.
    proxy.v3_refused(50002, "DELETE", "/share-groups/rest-share")


def share_group_left(proxy, *_):
    until(lambda: proxy.found("/share-groups/rest-share")["state"] == "EMPTY")
    group = proxy.found("/share-groups/rest-share")
    assert group["consumer_count"] == 0, group
    assert [one["partition_id"] for one in group["assigned_topic_partitions"]] == [0, 1, 2], group
    proxy.v3("DELETE", "/share-groups/rest-share")
    assert proxy.found("/share-groups/rest-share") is None


def streams_group(proxy, *_):
    def tasks():
        members = proxy.found("/streams-groups/rest-streams/members") or {"data": []}
        ids = [member["member_id"] for member in members["data"]]
        return sorted(
            (task["subtopology_id"], partition)
            for id in ids
            for task in proxy.found(f"/streams-groups/rest-streams/members/{id}/assignments/active")["data"]
            for partition in task["partition_ids"]
        )

    until(lambda: tasks() == [("0", 0), ("0", 1), ("1", 0), ("1", 1)])
    until(lambda: proxy.found("/streams-groups/rest-streams")["state"] == "STABLE")
    group = proxy.found("/streams-groups/rest-streams")
    assert group["kind"] == "KafkaStreamsGroup" and group["subtopology_count"] == 2, group
    assert group in proxy.v3("GET", "/streams-groups")["data"]
    seen = proxy.follow(group)
    for end in ("/subtopologies/0", "/target-assignments/active/subtopologies/1", "/assignments/warmup"):
        assert any(url.endswith(end) for url in seen), (end, seen)
    first = proxy.found("/streams-groups/rest-streams/subtopologies/0")
    assert first["source_topics"] == ["words-in"], first


if __name__ == "__main__":
    case, *urls = sys.argv[1:]
    globals()[case.replace("-", "_")](*map(Proxy, urls))
