"""Confluent's serialisers for Python, with every kind of rule, through a registry and a broker: one line of JSON a case.

serdes.py BOOTSTRAP REGISTRY VAULT PROXY [CASE ...]

Each case registers a schema (through the REST API, as an operator would), lets a serialiser write one record, reads the
record back from its topic, looks at its bytes, and lets a deserialiser read it. VAULT is the address of a development server of
OpenBao whose root token is `root`; PROXY that of a REST Proxy which knows the secret. Without names all cases run; with
`--list` as the only argument they are listed.

serdes.py --write BOOTSTRAP REGISTRY FORMAT TOPIC
serdes.py --read BOOTSTRAP REGISTRY FORMAT TOPIC

One side of a case in another language: writes the record that all cases write, by the subject's newest schema, or reads the
topic's first record and prints it as JSON.
"""

import base64
import functools
import json
import sys
import time
import traceback
import urllib.error
import urllib.request
import uuid

SECRET = "what-both-sides-know"
FORMATS = ("avro", "json", "protobuf")
ALGORITHMS = ("AES128_GCM", "AES256_GCM", "AES256_SIV")
SAMPLE = {"name": "Ada Lovelace", "mail": "ada@example.com", "age": 36}
LIMIT_S = 60

AVRO = {
    "type": "record",
    "name": "User",
    "namespace": "compat",
    "fields": [
        {"name": "name", "type": "string", "confluent:tags": ["PII"]},
        {"name": "mail", "type": ["null", "string"], "default": None, "confluent:tags": ["PII"]},
        {"name": "age", "type": "int"},
    ],
}
JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "User",
    "type": "object",
    "properties": {
        "name": {"type": "string", "confluent:tags": ["PII"]},
        "mail": {"type": "string", "confluent:tags": ["PII"]},
        "age": {"type": "integer"},
    },
}
PROTOBUF = """syntax = "proto3";
package compat;

import "confluent/meta.proto";

message User {
  string name = 1 [(confluent.field_meta) = { tags: "PII" }];
  string mail = 2 [(confluent.field_meta) = { tags: "PII" }];
  int32 age = 3;
}
"""


class World:
    """What all cases share: a broker, a registry, a vault, a REST Proxy."""

    def __init__(self, bootstrap, registry, vault, proxy=None):
        from confluent_kafka import Consumer, Producer
        from confluent_kafka.admin import AdminClient

        self.registry, self.vault, self.proxy = registry, vault, proxy
        settings = {"bootstrap.servers": bootstrap}
        self.admin = AdminClient(settings)
        self.producer = Producer(settings)
        self.consumer = Consumer({**settings, "group.id": "serdes", "auto.offset.reset": "earliest"})

    def rest(self, method, path, body=None):
        return ask(method, self.registry + path, body, {"Content-Type": "application/vnd.schemaregistry.v1+json"})

    def transit(self):
        """The id of a key in the vault, which is made with the first use."""
        token = {"X-Vault-Token": "root"}
        mounts = ask("GET", self.vault + "/v1/sys/mounts", None, token)
        if "transit/" not in mounts["data"]:
            ask("POST", self.vault + "/v1/sys/mounts/transit", {"type": "transit"}, token)
            ask("POST", self.vault + "/v1/transit/keys/compat", {}, token)
        return self.vault + "/transit/keys/compat"

    def through_broker(self, topic, payload, headers):
        """Writes one record and reads it back."""
        self.create(topic)
        self.send(topic, payload, headers)
        return self.receive(topic)

    def create(self, topic):
        from confluent_kafka.admin import NewTopic

        for made in self.admin.create_topics([NewTopic(topic, 1, 1)]).values():
            made.result(LIMIT_S)

    def send(self, topic, payload, headers):
        failures = []
        self.producer.produce(topic, payload, headers=headers, on_delivery=lambda error, _: failures.append(error))
        assert self.producer.flush(LIMIT_S) == 0 and failures == [None], failures

    def receive(self, topic):
        """The first record of the topic."""
        from confluent_kafka import TopicPartition

        self.consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            message = self.consumer.poll(1)
            if message is not None and message.error() is None:
                return message.value(), message.headers() or []
        raise AssertionError("the record did not come back")


def ask(method, url, body, headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url}: {error.code} {error.read().decode()}") from error
    return json.loads(text) if text else None


def rule(kind, rule_type, mode="WRITEREAD", **rest):
    return {"name": "rule", "kind": kind, "type": rule_type, "mode": mode, "onFailure": "ERROR", **rest}


@functools.lru_cache(maxsize=None)
def user_class(field="age"):
    """The message class, with fields as the schema has them."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"user_{field}.proto", package="compat", syntax="proto3")
    message = file.message_type.add(name="User")
    text, number = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_INT32
    for at, (name, kind) in enumerate((("name", text), ("mail", text), (field, number)), 1):
        message.field.add(name=name, number=at, type=kind, label=1, json_name=name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("compat.User"))


class Case:
    """One format, one topic, one subject."""

    def __init__(self, world, form, topic=None):
        self.world, self.form = world, form
        self.topic = topic or f"serdes-{uuid.uuid4().hex[:12]}"
        self.subject = self.topic + "-value"
        self.rules = registry_of_rules()

    def text(self, field="age"):
        if self.form == "avro":
            return json.dumps(AVRO).replace('"age"', f'"{field}"')
        if self.form == "json":
            return json.dumps(JSON).replace('"age"', f'"{field}"')
        return PROTOBUF.replace(" age ", f" {field} ")

    def register(self, domain=None, encoding=None, migration=None, properties=None, field="age", subject=None):
        rules = {"domainRules": domain, "encodingRules": encoding, "migrationRules": migration}
        rules = {name: given for name, given in rules.items() if given}
        body = {"schemaType": self.form.upper(), "schema": self.text(field)}
        if rules:
            body["ruleSet"] = rules
        if properties:
            body["metadata"] = {"properties": properties}
        return self.world.rest("POST", f"/subjects/{subject or self.subject}/versions", body)

    def client(self):
        from confluent_kafka.schema_registry import SchemaRegistryClient

        return SchemaRegistryClient({"url": self.world.registry})

    def serializer(self, conf, rule_conf=None, field="age"):
        options = {"rule_conf": rule_conf, "rule_registry": self.rules}
        if self.form == "avro":
            from confluent_kafka.schema_registry.avro import AvroSerializer

            text = self.text(field) if conf.get("auto.register.schemas", True) else None
            return AvroSerializer(self.client(), text, conf=conf, **options)
        if self.form == "json":
            from confluent_kafka.schema_registry.json_schema import JSONSerializer

            return JSONSerializer(self.text(field), self.client(), conf=conf, **options)
        from confluent_kafka.schema_registry.protobuf import ProtobufSerializer

        return ProtobufSerializer(user_class(field), self.client(), conf=conf, **options)

    def deserializer(self, conf=None, rule_conf=None, field="age"):
        options = {"rule_conf": rule_conf, "rule_registry": self.rules}
        if self.form == "avro":
            from confluent_kafka.schema_registry.avro import AvroDeserializer

            return AvroDeserializer(self.client(), conf=conf, **options)
        if self.form == "json":
            from confluent_kafka.schema_registry.json_schema import JSONDeserializer

            return JSONDeserializer(None, schema_registry_client=self.client(), conf=conf, **options)
        from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer

        return ProtobufDeserializer(user_class(field), conf, self.client(), **options)

    def message(self, value, field="age"):
        return user_class(field)(**value) if self.form == "protobuf" else dict(value)

    def plain(self, value):
        """What was read, as a dictionary."""
        if self.form != "protobuf":
            return value
        return {field.name: getattr(value, field.name) for field in value.DESCRIPTOR.fields}

    def context(self, headers=None):
        from confluent_kafka.serialization import MessageField, SerializationContext

        return SerializationContext(self.topic, MessageField.VALUE, headers if headers is not None else [])

    def serialize(self, value=SAMPLE, conf=None, rule_conf=None, field="age"):
        serializer = self.serializer(conf or LATEST, rule_conf, field)
        headers = []
        payload = serializer(self.message(value, field), self.context(headers))
        return payload, headers

    def write(self, value=SAMPLE, conf=None, rule_conf=None, field="age"):
        """Serialises, sends and fetches: the bytes and the headers as the broker gives them back."""
        return self.world.through_broker(self.topic, *self.serialize(value, conf, rule_conf, field))

    def read(self, written, conf=None, rule_conf=None, field="age"):
        payload, headers = written
        return self.plain(self.deserializer(conf, rule_conf, field)(payload, self.context(headers)))


LATEST = {"auto.register.schemas": False, "use.latest.version": True}


def registry_of_rules():
    from confluent_kafka.schema_registry.rule_registry import RuleRegistry
    from confluent_kafka.schema_registry.rules.cel.cel_executor import CelExecutor
    from confluent_kafka.schema_registry.rules.cel.cel_field_executor import CelFieldExecutor
    from confluent_kafka.schema_registry.rules.encryption.encrypt_executor import (
        EncryptionExecutor,
        FieldEncryptionExecutor,
    )
    from confluent_kafka.schema_registry.rules.encryption.hcvault.hcvault_driver import HcVaultKmsDriver
    from confluent_kafka.schema_registry.rules.encryption.localkms.local_driver import LocalKmsDriver
    from confluent_kafka.schema_registry.rules.jsonata.jsonata_executor import JsonataExecutor

    LocalKmsDriver.register()
    HcVaultKmsDriver.register()
    rules = RuleRegistry()
    executors = (CelExecutor, CelFieldExecutor, JsonataExecutor, EncryptionExecutor, FieldEncryptionExecutor)
    for executor in executors:
        rules.register_executor(executor())
    return rules


def is_hidden(payload, value=SAMPLE):
    """Whether no text of the record is in the bytes."""
    return not any(text.encode() in payload for text in value.values() if isinstance(text, str))


def plain(strategy):
    def run(case):
        from confluent_kafka import schema_registry

        # Records of one name in two formats have one subject.
        case.world.rest("PUT", "/config", {"compatibility": "NONE"})
        name = getattr(schema_registry, strategy.replace("-", "_") + "_subject_name_strategy")
        written = case.write(conf={"subject.name.strategy": name})
        assert case.read(written, {"subject.name.strategy": name}) == SAMPLE
        subject = {
            "topic": case.subject,
            "record": "User" if case.form == "json" else "compat.User",
            "topic-record": case.topic + "-" + ("User" if case.form == "json" else "compat.User"),
        }[strategy]
        assert subject in case.world.rest("GET", "/subjects"), subject

    return run


def associated(case):
    """The subject is the one that the topic is associated with in the registry, until that ends."""
    from confluent_kafka.schema_registry import AssociationCreateOrUpdateInfo, AssociationCreateOrUpdateRequest

    subject, cluster = f"associated-{case.topic}", f"cluster-{case.topic}"
    strategy = {"subject.name.strategy.kafka.cluster.id": cluster}
    conf = {"subject.name.strategy.type": "ASSOCIATED", "subject.name.strategy.conf": strategy}
    client = case.client()
    case.register(subject=subject)
    info = AssociationCreateOrUpdateInfo(subject=subject, association_type="value", lifecycle="STRONG", frozen=False)
    client.create_association(
        AssociationCreateOrUpdateRequest(
            resource_name=case.topic,
            resource_namespace=cluster,
            resource_id=f"{cluster}:{case.topic}",
            resource_type="topic",
            associations=[info],
        )
    )
    written = case.write(conf={**LATEST, **conf})
    assert case.read(written, conf) == SAMPLE
    assert case.subject not in client.get_subjects()
    client.delete_associations(resource_id=f"{cluster}:{case.topic}", cascade_lifecycle=True)
    assert subject not in client.get_subjects()
    # Without an association, the topic names the subject.
    case.serialize(conf={"auto.register.schemas": True, **conf})
    assert case.subject in client.get_subjects()


def id_in_header(case):
    from confluent_kafka.schema_registry import header_schema_id_serializer

    payload, headers = case.write(conf={"schema.id.serializer": header_schema_id_serializer})
    assert payload[0] != 0 or case.form != "json", payload
    assert len(headers) == 1 and len(headers[0][1]) >= 17, headers
    assert case.read((payload, headers)) == SAMPLE


def cel(case):
    case.register(domain=[rule("CONDITION", "CEL", "WRITE", expr="message.age > 18")])
    assert case.read(case.write()) == SAMPLE
    try:
        case.serializer(LATEST)(case.message({**SAMPLE, "age": 3}), case.context())
    except Exception as error:
        assert "message.age > 18" in "".join(traceback.format_exception(error)), error
    else:
        raise AssertionError("a record that breaks the rule was written")


def cel_field(case):
    change = "typeName == 'STRING' ; value + '-suffix'"
    case.register(domain=[rule("TRANSFORM", "CEL_FIELD", "WRITE", tags=["PII"], expr=change)])
    expected = {**SAMPLE, "name": SAMPLE["name"] + "-suffix", "mail": SAMPLE["mail"] + "-suffix"}
    found = case.read(case.write())
    assert found == expected, found


def jsonata(case):
    version = "application.major.version"
    case.world.rest("PUT", f"/config/{case.subject}", {"compatibilityGroup": version})
    case.register(properties={version: "1"})
    conf = {"auto.register.schemas": False, "use.latest.with.metadata": {version: "1"}}
    written = case.write(conf=conf)
    up = "$merge([$sift($, function($v, $k) {$k != 'age'}), {'years': $.'age'}])"
    down = "$merge([$sift($, function($v, $k) {$k != 'years'}), {'age': $.'years'}])"
    migration = [
        {**rule("TRANSFORM", "JSONATA", "UPGRADE", expr=up), "name": "up"},
        {**rule("TRANSFORM", "JSONATA", "DOWNGRADE", expr=down), "name": "down"},
    ]
    case.register(properties={version: "2"}, migration=migration, field="years")
    newest = {"use.latest.with.metadata": {version: "2"}}
    found = case.read(written, newest, field="years")
    assert found == {"name": SAMPLE["name"], "mail": SAMPLE["mail"], "years": 36}, found


def kek_of(case, kms_type="local-kms", key_id=None, shared=False, props=None):
    name = "kek-" + uuid.uuid4().hex[:12]
    body = {"name": name, "kmsType": kms_type, "kmsKeyId": key_id or name, "shared": shared, "kmsProps": props or {}}
    case.world.rest("POST", "/dek-registry/v1/keks", body)
    return name


def deks(case, name, path="", algorithm="AES256_GCM"):
    target = f"/dek-registry/v1/keks/{name}/deks/{case.subject}{path}?algorithm={algorithm}"
    return case.world.rest("GET", target)


def encrypting(name, key_id=None, kms_type="local-kms", **params):
    """A rule that encrypts under that KEK."""
    given = {"encrypt.kek.name": name}
    if key_id:
        given.update({"encrypt.kms.type": kms_type, "encrypt.kms.key.id": key_id})
    given.update({key.replace("_", "."): value for key, value in params.items()})
    return {"tags": ["PII"], "params": given}


def there_and_back(case, algorithm="AES256_GCM", rule_conf=None):
    """Encrypted in the topic, and read back; a second time the bytes differ, unless the algorithm is deterministic."""
    written = case.write(rule_conf=rule_conf)
    assert is_hidden(written[0]), written[0]
    found = case.read(written, rule_conf=rule_conf)
    assert found == SAMPLE, found
    again = case.serializer(LATEST, rule_conf)(case.message(SAMPLE), case.context())
    assert (again == written[0]) == (algorithm == "AES256_SIV"), algorithm
    return written


SECRETS = {"secret": SECRET}


def encrypt(algorithm):
    def run(case):
        name = "kek-" + uuid.uuid4().hex[:12]
        given = encrypting(name, name, encrypt_dek_algorithm=algorithm)
        case.register(domain=[rule("TRANSFORM", "ENCRYPT", **given)])
        there_and_back(case, algorithm, SECRETS)
        kek = case.world.rest("GET", f"/dek-registry/v1/keks/{name}")
        assert (kek["kmsType"], kek["kmsKeyId"], kek["shared"]) == ("local-kms", name, False), kek
        assert "keyMaterial" not in deks(case, name, algorithm=algorithm)

    return run


def encrypt_rotated(case):
    name = "kek-" + uuid.uuid4().hex[:12]
    case.register(domain=[rule("TRANSFORM", "ENCRYPT", **encrypting(name, name, encrypt_dek_expiry_days="1"))])
    there_and_back(case, rule_conf=SECRETS)
    listed = f"/dek-registry/v1/keks/{name}/deks/{case.subject}/versions"
    assert case.world.rest("GET", listed) == [1]
    assert deks(case, name, "/versions/latest")["version"] == 1


def encrypt_shared(algorithm):
    def run(case):
        # The client's secret is another: if it used it, nothing would be decrypted.
        name = kek_of(case, shared=True, props={"secret": "what-the-registry-knows"})
        given = encrypting(name, encrypt_dek_algorithm=algorithm)
        case.register(domain=[rule("TRANSFORM", "ENCRYPT", **given)])
        there_and_back(case, algorithm, SECRETS)
        assert deks(case, name, algorithm=algorithm)["keyMaterial"]

    return run


def made_here_opened_there(case):
    """The registry makes the key, the client opens it with the secret, and a key that the client made is opened here."""
    name = kek_of(case, shared=True, props=SECRETS)
    made = case.world.rest("POST", f"/dek-registry/v1/keks/{name}/deks/{case.subject}", {"subject": case.subject})
    case.world.rest("PUT", f"/dek-registry/v1/keks/{name}", {"shared": False})
    case.register(domain=[rule("TRANSFORM", "ENCRYPT", **encrypting(name))])
    written = there_and_back(case, rule_conf=SECRETS)
    assert deks(case, name)["encryptedKeyMaterial"] == made["encryptedKeyMaterial"]
    case.world.rest("PUT", f"/dek-registry/v1/keks/{name}", {"shared": True})
    assert deks(case, name)["keyMaterial"] == made["keyMaterial"]
    other = "kek-" + uuid.uuid4().hex[:12]
    mine = Case(case.world, case.form)
    mine.register(domain=[rule("TRANSFORM", "ENCRYPT", **encrypting(other, other))])
    written = mine.write(rule_conf=SECRETS)
    change = {"shared": True, "kmsProps": SECRETS}
    mine.world.rest("PUT", f"/dek-registry/v1/keks/{other}", change)
    assert base64.b64decode(deks(mine, other)["keyMaterial"])[:2] == b"\x1a\x20"
    # Rewrapped, the key is the same.
    target = f"/dek-registry/v1/keks/{other}/deks/{mine.subject}"
    mine.world.rest("POST", target + "?rewrap=true", {"subject": mine.subject})
    mine.rules = registry_of_rules()
    assert mine.read(written, rule_conf={"secret": "no-longer-needed"}) == SAMPLE


def payload(shared):
    def run(case):
        props = {"secret": "what-the-registry-knows"} if shared else {}
        name = kek_of(case, shared=shared, props=props)
        given = encrypting(name)
        given.pop("tags")
        case.register(encoding=[rule("TRANSFORM", "ENCRYPT_PAYLOAD", **given)])
        there_and_back(case, rule_conf=SECRETS)

    return run


def vault(shared):
    def run(case):
        key_id = case.world.transit()
        token = {"token.id": "root"}
        name = kek_of(case, "hcvault", key_id, shared, token if shared else None)
        case.register(domain=[rule("TRANSFORM", "ENCRYPT", **encrypting(name))])
        there_and_back(case, rule_conf={"token.id": "nobody" if shared else "root"})
        dek = deks(case, name)
        assert base64.b64decode(dek["encryptedKeyMaterial"]).startswith(b"vault:v1:"), dek
        if not shared:
            change = {"shared": True, "kmsProps": token}
            case.world.rest("PUT", f"/dek-registry/v1/keks/{name}?testSharing=true", change)
            assert deks(case, name)["keyMaterial"]

    return run


def vault_denied(case):
    key_id = case.world.transit()
    name = kek_of(case, "hcvault", key_id, True, {"token.id": "nobody"})
    try:
        case.world.rest("POST", f"/dek-registry/v1/keks/{name}/deks/s", {"subject": "s"})
    except AssertionError as error:
        assert "403" in str(error) and "40370" in str(error), error
    else:
        raise AssertionError("the vault let nobody in")


class Proxied:
    """A case's topic as the REST Proxy has it."""

    def __init__(self, case):
        self.case, self.world = case, case.world
        self.media = f"application/vnd.kafka.{'jsonschema' if case.form == 'json' else case.form}.v2+json"

    def ask(self, method, path, body=None, media="application/vnd.kafka.v2+json", accept=None):
        headers = {"Content-Type": media, "Accept": accept or "application/vnd.kafka.v2+json"}
        return ask(method, self.world.proxy + path, body, headers)

    def json(self, value):
        """The record as its format has it in JSON."""
        return {**value, "mail": {"string": value["mail"]}} if self.case.form == "avro" else value

    def write(self, schema_id, value=SAMPLE):
        body = {"value_schema_id": schema_id, "records": [{"value": self.json(value)}]}
        return self.ask("POST", f"/topics/{self.case.topic}", body, self.media)

    def read(self, count):
        """The first records of the topic."""
        form = "jsonschema" if self.case.form == "json" else self.case.form
        made = {"name": "one", "format": form, "auto.offset.reset": "earliest", "fetch.min.bytes": 1}
        self.ask("POST", f"/consumers/{self.case.topic}", made)
        instance = f"/consumers/{self.case.topic}/instances/one"
        self.ask("POST", instance + "/assignments", {"partitions": [{"topic": self.case.topic, "partition": 0}]})
        records = []
        deadline = time.monotonic() + LIMIT_S
        while len(records) < count and time.monotonic() < deadline:
            records += self.ask("GET", instance + "/records", accept=self.media)
        self.ask("DELETE", instance)
        return [record["value"] for record in records]


def through_the_proxy(case, registered, rule_conf):
    """What the proxy encrypts a client reads, and the other way round."""
    proxy = Proxied(case)
    case.world.create(case.topic)
    proxy.write(registered["id"])
    written = case.world.receive(case.topic)
    assert is_hidden(written[0]), written[0]
    found = case.read(written, rule_conf=rule_conf)
    assert found == SAMPLE, found
    case.rules = registry_of_rules()
    case.world.send(case.topic, *case.serialize(rule_conf=rule_conf))
    found = proxy.read(2)
    assert found == [proxy.json(SAMPLE)] * 2, found


def proxy_fields(case):
    name = "kek-" + uuid.uuid4().hex[:12]
    given = encrypting(name, name, encrypt_dek_expiry_days="1")
    registered = case.register(domain=[rule("TRANSFORM", "ENCRYPT", **given)])
    through_the_proxy(case, registered, SECRETS)


def proxy_payload(case):
    given = encrypting(kek_of(case))
    given.pop("tags")
    registered = case.register(encoding=[rule("TRANSFORM", "ENCRYPT_PAYLOAD", **given)])
    through_the_proxy(case, registered, SECRETS)


def proxy_cel(case):
    change = "typeName == 'STRING' ; value + '-suffix'"
    registered = case.register(domain=[
        rule("CONDITION", "CEL", "WRITE", expr="message.age > 18 && message.mail.endsWith('.com')"),
        {**rule("TRANSFORM", "CEL_FIELD", "WRITE", tags=["PII"], expr=change), "name": "suffix"},
    ])
    proxy = Proxied(case)
    case.world.create(case.topic)
    proxy.write(registered["id"])
    found = case.read(case.world.receive(case.topic))
    assert found == {**SAMPLE, "name": SAMPLE["name"] + "-suffix", "mail": SAMPLE["mail"] + "-suffix"}, found
    try:
        proxy.write(registered["id"], {**SAMPLE, "age": 3})
    except AssertionError as error:
        assert "42207" in str(error) and "message.age > 18" in str(error), error
    else:
        raise AssertionError("a record that breaks the rule was written")


def cases():
    every = {f"plain-{strategy}": plain(strategy) for strategy in ("topic", "record", "topic-record")}
    every["plain-associated"] = associated
    every.update({"id-in-header": id_in_header, "cel": cel, "cel-field": cel_field, "jsonata": jsonata})
    every.update({f"encrypt-{algorithm}": encrypt(algorithm) for algorithm in ALGORITHMS})
    every.update({f"encrypt-shared-{algorithm}": encrypt_shared(algorithm) for algorithm in ALGORITHMS})
    every["encrypt-rotated"] = encrypt_rotated
    every["encrypt-made-here-opened-there"] = made_here_opened_there
    every.update({"payload": payload(False), "payload-shared": payload(True)})
    every.update({"vault": vault(False), "vault-shared": vault(True)})
    every.update({"proxy-cel": proxy_cel, "proxy-encrypt": proxy_fields, "proxy-payload": proxy_payload})
    named = {f"{form}-{name}": (form, body) for form in FORMATS for name, body in every.items()}
    named["vault-denied"] = ("avro", vault_denied)
    return named


def one_side(task, bootstrap, registry, form, topic):
    """What a case in another language needs of this one."""
    world = World(bootstrap, registry, None)
    case = Case(world, form, topic)
    if task == "--write":
        world.create(topic)
        world.send(topic, *case.serialize(rule_conf=SECRETS))
    else:
        print(json.dumps(case.read(world.receive(topic), rule_conf=SECRETS)))


def main(arguments):
    named = cases()
    if arguments[:1] in (["--write"], ["--read"]):
        one_side(*arguments)
        return
    if arguments == ["--list"]:
        print(json.dumps(list(named)))
        return
    bootstrap, registry, vault_address, proxy, *wanted = arguments
    world = World(bootstrap, registry, vault_address, proxy)
    for name in wanted or named:
        form, body = named[name]
        begin = time.monotonic()
        failure = None
        try:
            body(Case(world, form))
        except Exception:
            failure = traceback.format_exc()
        seconds = round(time.monotonic() - begin, 2)
        print(json.dumps({"case": name, "failure": failure, "seconds": seconds}), flush=True)


main(sys.argv[1:])
