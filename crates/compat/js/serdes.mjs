// Confluent's serialisers for Node, with every kind of rule that they know, through a registry and a broker: one line of
// JSON a case.
//
// serdes.mjs BOOTSTRAP REGISTRY PYTHON SCRIPT [CASE ...]
//
// Each case registers a schema (through the REST API, as an operator would, or by the serialiser itself), lets a
// serialiser write one record, sends and fetches it with KafkaJS, looks at its bytes, and lets a deserialiser read it.
// The cases with Python have the record written or read by `serdes.py` (SCRIPT), which PYTHON runs. Packages are looked
// up in AFFLUENT_PACKAGES. Without names all cases run; with `--list` as the only argument they are listed.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";

const SECRET = "what-both-sides-know";
const FORMATS = ["avro", "json", "protobuf"];
const ALGORITHMS = ["AES128_GCM", "AES256_GCM", "AES256_SIV"];
const SAMPLE = { name: "Ada Lovelace", mail: "ada@example.com", age: 36 };
const LIMIT_MS = 60_000;
const LATEST = { useLatestVersion: true };
const SECRETS = { secret: SECRET };

const AVRO = {
  type: "record",
  name: "User",
  namespace: "compat",
  fields: [
    { name: "name", type: "string", "confluent:tags": ["PII"] },
    { name: "mail", type: ["null", "string"], default: null, "confluent:tags": ["PII"] },
    { name: "age", type: "int" },
  ],
};
const JSON_SCHEMA = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "User",
  type: "object",
  properties: {
    name: { type: "string", "confluent:tags": ["PII"] },
    mail: { type: "string", "confluent:tags": ["PII"] },
    age: { type: "integer" },
  },
};
const PROTOBUF = `syntax = "proto3";
package compat;

import "confluent/meta.proto";

message User {
  string name = 1 [(confluent.field_meta) = { tags: "PII" }];
  string mail = 2 [(confluent.field_meta) = { tags: "PII" }];
  int32 age = 3;
}
`;

// Listing needs no package.
let sr, kafkajs, protobuf, wkt, internal;

function load() {
  const require = createRequire(`${process.env.AFFLUENT_PACKAGES}/`);
  sr = require("@confluentinc/schemaregistry");
  internal = require("@confluentinc/schemaregistry/dist/serde/rule-registry");
  kafkajs = require("kafkajs");
  protobuf = require("@bufbuild/protobuf");
  wkt = require("@bufbuild/protobuf/wkt");
}

/** What all cases share: a broker, a registry, and the other language. */
class World {
  constructor(bootstrap, registry, python, script) {
    Object.assign(this, { bootstrap, registry, pythonPath: python, script });
    this.kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.NOTHING });
    this.admin = this.kafka.admin();
    this.producer = this.kafka.producer();
  }

  async open() {
    await Promise.all([this.admin.connect(), this.producer.connect()]);
  }

  async close() {
    await Promise.all([this.admin.disconnect(), this.producer.disconnect()]);
  }

  async rest(method, path, body) {
    const headers = { "Content-Type": "application/vnd.schemaregistry.v1+json" };
    const options = { method, headers, signal: AbortSignal.timeout(LIMIT_MS) };
    const answer = await fetch(this.registry + path, body ? { ...options, body: JSON.stringify(body) } : options);
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  async createTopic(topic) {
    await this.admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] });
  }

  async send(topic, value, headers) {
    const [sent] = await this.producer.send({ topic, messages: [{ value, headers }] });
    assert.equal(sent.baseOffset, "0");
  }

  /** The first record of the topic. */
  async receive(topic) {
    const consumer = this.kafka.consumer({ groupId: topic });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    try {
      return await new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error("the record did not come back")), LIMIT_MS).unref();
        consumer.run({ eachMessage: async ({ message }) => resolve(message) }).catch(reject);
      });
    } finally {
      await consumer.disconnect();
    }
  }

  /** What the script for Python prints of that record, or nothing when it writes it. */
  python(task, form, topic) {
    const given = [this.script, task, this.bootstrap, this.registry, form, topic];
    const found = execFileSync(this.pythonPath, given, { timeout: LIMIT_MS, encoding: "utf8" });
    return found ? JSON.parse(found) : null;
  }
}

/** One format, one topic, one subject. */
class Case {
  constructor(world, form) {
    Object.assign(this, { world, form, topic: `serdes-js-${randomUUID().slice(0, 13)}` });
    this.subject = `${this.topic}-value`;
    this.client = new sr.SchemaRegistryClient({ baseURLs: [world.registry], cacheCapacity: 100 });
  }

  text(field = "age") {
    if (this.form === "avro") return JSON.stringify(AVRO).replace('"age"', `"${field}"`);
    if (this.form === "json") return JSON.stringify(JSON_SCHEMA).replace('"age"', `"${field}"`);
    return PROTOBUF.replace(" age ", ` ${field} `);
  }

  register({ ruleSet, properties, field, subject } = {}) {
    const body = { schemaType: this.form.toUpperCase(), schema: this.text(field) };
    if (ruleSet) body.ruleSet = ruleSet;
    if (properties) body.metadata = { properties };
    return this.world.rest("POST", `/subjects/${subject ?? this.subject}/versions`, body);
  }

  /** A serialiser or a deserialiser, with executors of its own: they remember the registry they were made for. */
  make(kind, conf, ruleConfig) {
    const rules = new internal.RuleRegistry();
    const executors = ["CelExecutor", "CelFieldExecutor", "JsonataExecutor", "EncryptionExecutor", "FieldEncryptionExecutor"];
    for (const executor of executors) rules.registerExecutor(new sr[executor]());
    const name = { avro: "Avro", json: "Json", protobuf: "Protobuf" }[this.form] + kind;
    return new sr[name](this.client, sr.SerdeType.VALUE, { ...conf, ruleConfig: ruleConfig ?? {} }, rules);
  }

  async serialize(value = SAMPLE, conf = LATEST, ruleConfig, headers = {}) {
    const serializer = this.make("Serializer", conf, ruleConfig);
    if (this.form !== "protobuf") return [await serializer.serialize(this.topic, { ...value }, headers), headers];
    const description = userDescription();
    serializer.registry.add(description);
    return [await serializer.serialize(this.topic, protobuf.create(description, value), headers), headers];
  }

  /** Serialises, sends and fetches: the bytes and the headers as the broker gives them back. */
  async write(value, conf, ruleConfig) {
    const [payload, headers] = await this.serialize(value, conf, ruleConfig);
    await this.world.createTopic(this.topic);
    await this.world.send(this.topic, payload, headers);
    return this.world.receive(this.topic);
  }

  async read(message, conf = {}, ruleConfig) {
    const value = await this.make("Deserializer", conf, ruleConfig).deserialize(this.topic, message.value, message.headers);
    return plain(value);
  }
}

let described;

/** The message's description, with fields as the schema has them. */
function userDescription() {
  const { STRING, INT32 } = wkt.FieldDescriptorProto_Type;
  const field = (name, number, type) => ({ name, number, type, label: 1, jsonName: name });
  const file = protobuf.create(wkt.FileDescriptorProtoSchema, {
    name: "user.proto",
    package: "compat",
    syntax: "proto3",
    messageType: [{ name: "User", field: [field("name", 1, STRING), field("mail", 2, STRING), field("age", 3, INT32)] }],
  });
  described ??= protobuf.createFileRegistry(file, () => undefined).getMessage("compat.User");
  return described;
}

/** What was read, as a plain object. */
function plain(value) {
  const names = Object.keys(value).filter((name) => !name.startsWith("$"));
  return Object.fromEntries(names.map((name) => [name, value[name]]));
}

function rule(kind, type, rest, mode = "WRITEREAD") {
  return { name: "rule", kind, type, mode, onFailure: "ERROR", ...rest };
}

function isHidden(payload) {
  return !Object.values(SAMPLE).some((text) => typeof text === "string" && payload.includes(text));
}

/** The serialiser registers what it derives from the record. */
function registered(strategy) {
  return async (it) => {
    // Records of one name in several formats have one subject.
    await it.world.rest("PUT", "/config", { compatibility: "NONE" });
    const conf = { subjectNameStrategyType: strategy.toUpperCase().replace("-", "_") };
    const message = await it.write(SAMPLE, { ...conf, autoRegisterSchemas: true });
    assert.deepEqual(await it.read(message, conf), SAMPLE);
    const record = it.form === "avro" ? "Record1" : "compat.User";
    const subject = { topic: it.subject, record, "topic-record": `${it.topic}-${record}` }[strategy];
    const { id } = await it.world.rest("GET", `/subjects/${subject}/versions/latest`);
    assert.equal(message.value.readInt32BE(1), id);
  };
}

async function associated(it) {
  const subject = `of-${it.topic}`;
  await it.register({ subject });
  const association = { subject, associationType: "value", lifecycle: "WEAK" };
  const resource = { resourceName: it.topic, resourceNamespace: "-", resourceId: it.topic, resourceType: "topic" };
  await it.client.createAssociation({ ...resource, associations: [association] });
  const message = await it.write();
  assert.deepEqual(await it.read(message), SAMPLE);
  const subjects = await it.world.rest("GET", "/subjects");
  assert.ok(subjects.includes(subject) && !subjects.includes(it.subject), subjects);
}

async function idInHeader(it) {
  await it.register();
  const message = await it.write(SAMPLE, { ...LATEST, schemaIdSerializer: sr.HeaderSchemaIdSerializer });
  assert.ok(message.headers.__value_schema_id.length >= 17, message.headers);
  assert.deepEqual(await it.read(message), SAMPLE);
}

async function evolved(it) {
  await it.register();
  const message = await it.write();
  const { id } = await it.register({ properties: { owner: "compat" } });
  assert.notEqual(message.value.readInt32BE(1), id);
  assert.deepEqual(await it.read(message, LATEST), SAMPLE);
}

async function cel(it) {
  await it.register({ ruleSet: { domainRules: [rule("CONDITION", "CEL", { expr: "message.age > 18" }, "WRITE")] } });
  assert.deepEqual(await it.read(await it.write()), SAMPLE);
  await assert.rejects(it.serialize({ ...SAMPLE, age: 3 }), /message\.age > 18/);
}

async function celField(it) {
  const expr = "typeName == 'STRING' ; value + '-suffix'";
  await it.register({ ruleSet: { domainRules: [rule("TRANSFORM", "CEL_FIELD", { tags: ["PII"], expr }, "WRITE")] } });
  const found = await it.read(await it.write());
  assert.deepEqual(found, { ...SAMPLE, name: `${SAMPLE.name}-suffix`, mail: `${SAMPLE.mail}-suffix` });
}

async function jsonata(it) {
  const version = "application.major.version";
  await it.world.rest("PUT", `/config/${it.subject}`, { compatibilityGroup: version });
  await it.register({ properties: { [version]: "1" } });
  const message = await it.write(SAMPLE, { useLatestWithMetadata: { [version]: "1" } });
  const up = "$merge([$sift($, function($v, $k) {$k != 'age'}), {'years': $.'age'}])";
  const down = "$merge([$sift($, function($v, $k) {$k != 'years'}), {'age': $.'years'}])";
  const migrationRules = [
    { ...rule("TRANSFORM", "JSONATA", { expr: up }, "UPGRADE"), name: "up" },
    { ...rule("TRANSFORM", "JSONATA", { expr: down }, "DOWNGRADE"), name: "down" },
  ];
  await it.register({ properties: { [version]: "2" }, ruleSet: { migrationRules }, field: "years" });
  const found = await it.read(message, { useLatestWithMetadata: { [version]: "2" } });
  assert.deepEqual(found, { name: SAMPLE.name, mail: SAMPLE.mail, years: 36 });
}

async function kekOf(it, shared, kmsProps = {}) {
  const name = `kek-${randomUUID().slice(0, 13)}`;
  await it.world.rest("POST", "/dek-registry/v1/keks", { name, kmsType: "local-kms", kmsKeyId: name, shared, kmsProps });
  return name;
}

function dek(it, name, algorithm = "AES256_GCM", path = "") {
  return it.world.rest("GET", `/dek-registry/v1/keks/${name}/deks/${it.subject}${path}?algorithm=${algorithm}`);
}

/** Rules that encrypt under that KEK, which the client makes unless `shared`. */
function encrypting(name, { shared = false, type = "ENCRYPT", ...params } = {}) {
  const given = { "encrypt.kek.name": name, ...params };
  if (!shared) Object.assign(given, { "encrypt.kms.type": "local-kms", "encrypt.kms.key.id": name });
  const tags = type === "ENCRYPT" ? { tags: ["PII"] } : {};
  const rules = [rule("TRANSFORM", type, { params: given, ...tags })];
  return { ruleSet: type === "ENCRYPT" ? { domainRules: rules } : { encodingRules: rules } };
}

/** Encrypted in the topic, and read back; a second time the bytes differ, unless the algorithm is deterministic. */
async function thereAndBack(it, algorithm = "AES256_GCM") {
  const message = await it.write(SAMPLE, LATEST, SECRETS);
  assert.ok(isHidden(message.value));
  assert.deepEqual(await it.read(message, {}, SECRETS), SAMPLE);
  const [again] = await it.serialize(SAMPLE, LATEST, SECRETS);
  assert.equal(again.equals(message.value), algorithm === "AES256_SIV");
}

function encrypt(algorithm) {
  return async (it) => {
    const name = `kek-${randomUUID().slice(0, 13)}`;
    await it.register(encrypting(name, { "encrypt.dek.algorithm": algorithm }));
    await thereAndBack(it, algorithm);
    const kek = await it.world.rest("GET", `/dek-registry/v1/keks/${name}`);
    assert.deepEqual([kek.kmsType, kek.kmsKeyId, kek.shared], ["local-kms", name, false]);
    assert.equal((await dek(it, name, algorithm)).keyMaterial, undefined);
  };
}

function encryptShared(algorithm) {
  return async (it) => {
    // The client's secret is another: if it used it, nothing would be decrypted.
    const name = await kekOf(it, true, { secret: "what-the-registry-knows" });
    await it.register(encrypting(name, { shared: true, "encrypt.dek.algorithm": algorithm }));
    await thereAndBack(it, algorithm);
    assert.ok((await dek(it, name, algorithm)).keyMaterial);
  };
}

async function encryptRotated(it) {
  const name = `kek-${randomUUID().slice(0, 13)}`;
  await it.register(encrypting(name, { "encrypt.dek.expiry.days": "1" }));
  await thereAndBack(it);
  assert.deepEqual(await it.world.rest("GET", `/dek-registry/v1/keks/${name}/deks/${it.subject}/versions`), [1]);
  assert.equal((await dek(it, name, "AES256_GCM", "/versions/latest")).version, 1);
}

function payload(shared) {
  return async (it) => {
    const name = await kekOf(it, shared, shared ? { secret: "what-the-registry-knows" } : {});
    await it.register(encrypting(name, { shared: true, type: "ENCRYPT_PAYLOAD" }));
    await thereAndBack(it);
  };
}

function toPython(encrypted) {
  return async (it) => {
    await it.register(encrypted ? encrypting(`kek-${randomUUID().slice(0, 13)}`) : {});
    const message = await it.write(SAMPLE, LATEST, SECRETS);
    assert.equal(isHidden(message.value), encrypted);
    assert.deepEqual(it.world.python("--read", it.form, it.topic), SAMPLE);
  };
}

function fromPython(encrypted) {
  return async (it) => {
    await it.register(encrypted ? encrypting(`kek-${randomUUID().slice(0, 13)}`) : {});
    it.world.python("--write", it.form, it.topic);
    const message = await it.world.receive(it.topic);
    assert.equal(isHidden(message.value), encrypted);
    assert.deepEqual(await it.read(message, {}, SECRETS), SAMPLE);
  };
}

/** The client's own calls of the registry and of the DEK registry. */
async function registryClient(it) {
  const { client, subject, world } = it;
  const info = { schemaType: "AVRO", schema: it.text(), metadata: { properties: { owner: "compat" } } };
  const id = await client.register(subject, info, false);
  assert.equal(await client.getId(subject, info, false), id);
  assert.equal(await client.getVersion(subject, info, false), 1);
  assert.deepEqual(await client.getAllVersions(subject), [1]);
  assert.deepEqual(JSON.parse((await client.getBySubjectAndId(subject, id)).schema), AVRO);
  const { guid } = await client.getLatestSchemaMetadata(subject);
  assert.deepEqual(JSON.parse((await client.getByGuid(guid)).schema), AVRO);
  assert.equal((await client.getLatestWithMetadata(subject, { owner: "compat" }, false)).version, 1);
  await client.updateCompatibility(subject, "FULL");
  assert.equal(await client.getCompatibility(subject), "FULL");
  assert.equal(await client.testSubjectCompatibility(subject, info), true);
  const narrowed = { schemaType: "AVRO", schema: JSON.stringify({ ...AVRO, fields: [{ name: "other", type: "string" }] }) };
  assert.equal(await client.testSubjectCompatibility(subject, narrowed), false);
  await client.updateConfig(subject, { compatibilityLevel: "BACKWARD", alias: "other" });
  assert.equal((await client.getConfig(subject)).alias, "other");
  assert.ok((await client.getAllSubjects()).includes(subject));
  await world.rest("DELETE", `/config/${subject}`);
  assert.deepEqual(await client.deleteSubject(subject), [1]);
  assert.deepEqual(await client.deleteSubject(subject, true), [1]);
  // This client remembers the newest version beyond the subject's end.
  const { client: fresh } = new Case(world, it.form);
  await assert.rejects(fresh.getLatestSchemaMetadata(subject), (error) => error.errorCode === 40401);
}

async function dekRegistryClient(it) {
  const client = sr.DekRegistryClient.newClient({ baseURLs: [it.world.registry], cacheCapacity: 100 });
  const name = `kek-${randomUUID().slice(0, 13)}`;
  const props = { region: "here" };
  const kek = await client.registerKek(name, "local-kms", name, false, { ...props, ...SECRETS }, "a key");
  // What is secret is not told.
  assert.deepEqual([kek.name, kek.doc, kek.kmsProps], [name, "a key", props]);
  assert.equal((await client.getKek(name)).kmsKeyId, name);
  const given = Buffer.from("wrapped").toString("base64");
  const made = await client.registerDek(name, it.subject, "AES256_GCM", 1, given);
  assert.deepEqual([made.version, made.encryptedKeyMaterial], [1, given]);
  assert.equal((await client.getDek(name, it.subject, "AES256_GCM", 1)).encryptedKeyMaterial, given);
  assert.equal((await client.getDek(name, it.subject, "AES256_GCM", -1)).version, 1);
  await assert.rejects(client.getKek("nobody-has-this"), (error) => error.errorCode === 40470);
}

function cases() {
  const every = { associated, "id-in-header": idInHeader, evolved, cel, "cel-field": celField };
  every["registered-topic"] = registered("topic");
  for (const algorithm of ALGORITHMS) every[`encrypt-${algorithm}`] = encrypt(algorithm);
  for (const algorithm of ALGORITHMS) every[`encrypt-shared-${algorithm}`] = encryptShared(algorithm);
  Object.assign(every, { "encrypt-rotated": encryptRotated, payload: payload(false), "payload-shared": payload(true) });
  Object.assign(every, { "to-python": toPython(false), "from-python": fromPython(false) });
  Object.assign(every, { "encrypted-to-python": toPython(true), "encrypted-from-python": fromPython(true) });
  const named = FORMATS.flatMap((form) => Object.entries(every).map(([name, body]) => [`${form}-${name}`, [form, body]]));
  // A schema derived from JSON has no title, and so no name; the deserialiser for Protobuf runs no migrations.
  for (const form of ["avro", "protobuf"]) {
    for (const strategy of ["record", "topic-record"]) {
      named.push([`${form}-registered-${strategy}`, [form, registered(strategy)]]);
    }
  }
  for (const form of ["avro", "json"]) named.push([`${form}-jsonata`, [form, jsonata]]);
  named.push(["registry-client", ["avro", registryClient]], ["dek-registry-client", ["avro", dekRegistryClient]]);
  return new Map(named);
}

async function main(given) {
  const named = cases();
  if (given.length === 1 && given[0] === "--list") {
    console.log(JSON.stringify([...named.keys()]));
    return;
  }
  load();
  sr.LocalKmsDriver.register();
  const [bootstrap, registry, python, script, ...wanted] = given;
  const world = new World(bootstrap, registry, python, script);
  await world.open();
  for (const name of wanted.length ? wanted : named.keys()) {
    const [form, body] = named.get(name);
    const began = performance.now();
    let failure = null;
    try {
      await body(new Case(world, form));
    } catch (error) {
      // The reason comes last, where it is looked for.
      failure = `${error?.stack}\n${error}`;
    }
    const seconds = Math.round((performance.now() - began) / 10) / 100;
    console.log(JSON.stringify({ case: name, failure, seconds }));
  }
  await world.close();
}

await main(process.argv.slice(2));
