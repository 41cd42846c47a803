package affluent.compat;

import static affluent.compat.Broker.await;
import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;
import static affluent.compat.Broker.refused;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidRecordStateException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Share groups (KIP-932): how records are handed out, acknowledged, and handed out again. */
final class ShareCases {
    private static final short ONCE = 1;

    private ShareCases() {}

    static Map<String, Broker.Case> all() {
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        cases.put("share-implicit", ShareCases::implicit);
        cases.put("share-explicit", ShareCases::explicit);
        cases.put("share-release-and-reject", ShareCases::releaseAndReject);
        cases.put("share-renew", ShareCases::renew);
        cases.put("share-renew-off", ShareCases::renewOff);
        cases.put("share-delivery-limit", ShareCases::deliveryLimit);
        cases.put("share-lock-timeout", ShareCases::lockTimeout);
        cases.put("share-acknowledged-late", ShareCases::acknowledgedLate);
        cases.put("share-close", ShareCases::close);
        cases.put("share-unsubscribe", ShareCases::unsubscribe);
        cases.put("share-max-poll-records", ShareCases::maxPollRecords);
        cases.put("share-acquire-mode", ShareCases::acquireMode);
        cases.put("share-isolation", ShareCases::isolation);
        cases.put("share-reset", ShareCases::reset);
        cases.put("share-two-members", ShareCases::twoMembers);
        cases.put("share-two-groups", ShareCases::twoGroups);
        cases.put("share-more-members-than-partitions", ShareCases::moreMembers);
        cases.put("share-member-vanishes", ShareCases::memberVanishes);
        cases.put("share-callback", ShareCases::callback);
        cases.put("share-topic-recreated", ShareCases::topicRecreated);
        cases.put("share-deleted-records", ShareCases::deletedRecords);
        cases.put("share-compressed", ShareCases::compressedBatches);
        return cases;
    }

    /** Changes one setting of a group. */
    static void configure(Broker broker, String group, String... pairs) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        List<AlterConfigOp> changes = new ArrayList<>();
        for (int i = 0; i < pairs.length; i += 2) {
            changes.add(new AlterConfigOp(new ConfigEntry(pairs[i], pairs[i + 1]), OpType.SET));
        }
        try (Admin admin = broker.admin()) {
            admin.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
            // The controller has agreed; the broker follows as soon as it hears of it.
            await("the settings of " + group, () -> { }, () -> {
                try {
                    var found = admin.describeConfigs(Set.of(resource)).all().get().get(resource);
                    return changes.stream().allMatch(change ->
                        change.configEntry().value().equals(found.get(change.configEntry().name()).value()));
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
        }
    }

    /** A topic with records {@code n-0} and so on in partition 0, and a group of the same name that begins at the first. */
    private static void prepare(Broker broker, String name, int records, String... configs) throws Exception {
        broker.createTopic(name, 1);
        broker.produce(name, 0, records);
        configure(broker, name, "share.auto.offset.reset", "earliest");
        if (configs.length > 0) {
            configure(broker, name, configs);
        }
    }

    private static KafkaShareConsumer<String, String> member(Broker broker, String group, String topic, String... pairs) {
        Properties properties = broker.properties(pairs);
        properties.put("group.id", group);
        KafkaShareConsumer<String, String> consumer =
            new KafkaShareConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private static KafkaShareConsumer<String, String> careful(Broker broker, String name, String... pairs) {
        List<String> all = new ArrayList<>(List.of("share.acknowledgement.mode", "explicit"));
        all.addAll(Arrays.asList(pairs));
        return member(broker, name, name, all.toArray(new String[0]));
    }

    /** The first records that come. */
    private static List<ConsumerRecord<String, String>> next(KafkaShareConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        await("the next records", () -> consumer.poll(Broker.POLL).forEach(records::add), () -> !records.isEmpty());
        return records;
    }

    /** Takes records, accepting each, until so many came. */
    private static List<ConsumerRecord<String, String>> accept(KafkaShareConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        await(count + " records", () -> {
            for (ConsumerRecord<String, String> record : consumer.poll(Broker.POLL)) {
                consumer.acknowledge(record);
                records.add(record);
            }
            committed(consumer.commitSync());
        }, () -> records.size() >= count);
        return records;
    }

    private static void committed(Map<TopicIdPartition, Optional<KafkaException>> answers) {
        answers.forEach((partition, error) -> check(error.isEmpty(), partition + " was not committed: " + error));
    }

    private static List<Long> offsets(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::offset).collect(Collectors.toList());
    }

    private static List<Long> range(long from, long to) {
        return LongStream.range(from, to).boxed().collect(Collectors.toList());
    }

    private static Map<Long, Short> deliveries(List<ConsumerRecord<String, String>> records) {
        Map<Long, Short> found = new TreeMap<>();
        records.forEach(record -> found.put(record.offset(), record.deliveryCount().orElse((short) -1)));
        return found;
    }

    /** Nothing comes for two seconds. */
    private static void nothing(KafkaShareConsumer<String, String> consumer) {
        long until = System.nanoTime() + Duration.ofSeconds(2).toNanos();
        while (System.nanoTime() < until) {
            ConsumerRecords<String, String> records = consumer.poll(Broker.POLL);
            check(records.isEmpty(), "there are still records: " + deliveries(list(records)));
        }
    }

    private static List<ConsumerRecord<String, String>> list(ConsumerRecords<String, String> records) {
        List<ConsumerRecord<String, String>> all = new ArrayList<>();
        records.forEach(all::add);
        return all;
    }

    /**
     * Nothing is left for the group to do, as its administrators see it. Where it starts may lag behind that: the start is
     * written down with a later acknowledgement.
     */
    private static void awaitDone(Broker broker, String name) throws Exception {
        TopicPartition partition = new TopicPartition(name, 0);
        try (Admin admin = broker.admin()) {
            long[] lag = {-2};
            await("the end of the lag of " + name, () -> {
                try {
                    var all = admin.listShareGroupOffsets(Map.of(name, new ListShareGroupOffsetsSpec()))
                        .partitionsToOffsetInfo(name).get();
                    lag[0] = all.get(partition) == null ? -1 : all.get(partition).lag().orElse(-1L);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }, () -> lag[0] == 0);
        }
    }

    /** Whoever polls or commits has accepted what it got before; whoever closes has not. */
    private static void implicit(Broker broker) throws Exception {
        String name = "share-implicit";
        prepare(broker, name, 10);
        try (KafkaShareConsumer<String, String> consumer = member(broker, name, name)) {
            List<ConsumerRecord<String, String>> records = next(consumer);
            equal(range(0, 10), offsets(records), "the offsets");
            check(records.stream().allMatch(record -> record.deliveryCount().equals(Optional.of(ONCE))), "a count is not 1");
            refused(IllegalStateException.class, () -> consumer.acknowledge(records.get(0)));
            committed(consumer.commitSync());
            nothing(consumer);
            broker.produce(name, 0, 5);
            equal(range(10, 15), offsets(next(consumer)), "the next offsets");
        }
        // Closing accepts nothing.
        try (KafkaShareConsumer<String, String> consumer = member(broker, name, name)) {
            List<ConsumerRecord<String, String>> again = next(consumer);
            equal(range(10, 15), offsets(again), "the offsets that were not accepted");
            check(again.stream().allMatch(record -> record.deliveryCount().orElseThrow() == 2), "a count is not 2");
            committed(consumer.commitSync());
        }
        awaitDone(broker, name);
    }

    /** In explicit mode each record must be acknowledged before the next poll. */
    private static void explicit(Broker broker) throws Exception {
        String name = "share-explicit";
        prepare(broker, name, 10);
        try (KafkaShareConsumer<String, String> consumer = careful(broker, name)) {
            List<ConsumerRecord<String, String>> records = next(consumer);
            equal(10, records.size(), "the number of records");
            refused(IllegalStateException.class, () -> consumer.poll(Broker.POLL));
            records.subList(0, 4).forEach(consumer::acknowledge);
            Map<TopicIdPartition, Optional<KafkaException>> answers = consumer.commitSync();
            equal(1, answers.size(), "the partitions committed");
            committed(answers);
            records.subList(4, 10).forEach(consumer::acknowledge);
            // By its offset only a record that could not be read is acknowledged.
            refused(IllegalStateException.class, () -> consumer.acknowledge(name, 0, 9, AcknowledgeType.ACCEPT));
            committed(consumer.commitSync());
            nothing(consumer);
        }
        awaitDone(broker, name);
    }

    /** Released records come again, counted; rejected ones do not. */
    private static void releaseAndReject(Broker broker) throws Exception {
        String name = "share-release";
        prepare(broker, name, 9);
        try (KafkaShareConsumer<String, String> consumer = careful(broker, name)) {
            for (ConsumerRecord<String, String> record : next(consumer)) {
                AcknowledgeType type = List.of(AcknowledgeType.ACCEPT, AcknowledgeType.RELEASE, AcknowledgeType.REJECT)
                    .get((int) (record.offset() % 3));
                consumer.acknowledge(record, type);
            }
            committed(consumer.commitSync());
            List<ConsumerRecord<String, String>> again = new ArrayList<>();
            await("the released records", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Broker.POLL)) {
                    consumer.acknowledge(record);
                    again.add(record);
                }
            }, () -> again.size() >= 3);
            equal(Map.of(1L, (short) 2, 4L, (short) 2, 7L, (short) 2), deliveries(again), "the deliveries");
            committed(consumer.commitSync());
            nothing(consumer);
        }
        awaitDone(broker, name);
    }

    /** A renewed record stays with its member past the lock's duration (KIP-1222). */
    private static void renew(Broker broker) throws Exception {
        String name = "share-renew";
        prepare(broker, name, 2, "share.record.lock.duration.ms", "15000");
        try (KafkaShareConsumer<String, String> first = careful(broker, name);
                KafkaShareConsumer<String, String> second = careful(broker, name)) {
            List<ConsumerRecord<String, String>> records = next(first);
            equal(2, records.size(), "the number of records");
            equal(Optional.of(15000), first.acquisitionLockTimeoutMs(), "the lock's duration");
            first.acknowledge(records.get(1), AcknowledgeType.RELEASE);
            first.acknowledge(records.get(0), AcknowledgeType.RENEW);
            committed(first.commitSync());
            // The one that was released goes to the other; the one that was renewed does not, past its first lock.
            handOver(first, second);
            long renewals = System.nanoTime() + Duration.ofSeconds(17).toNanos();
            int count = 0;
            while (System.nanoTime() < renewals) {
                for (ConsumerRecord<String, String> record : first.poll(Duration.ofSeconds(1))) {
                    equal(0L, record.offset(), "the renewed record");
                    first.acknowledge(record, AcknowledgeType.RENEW);
                    count++;
                }
                committed(first.commitSync());
                check(second.poll(Broker.POLL).isEmpty(), "a renewed record went to another");
            }
            check(count > 2, "renewed only " + count + " times");
            next(first).forEach(first::acknowledge);
            committed(first.commitSync());
        }
        awaitDone(broker, name);
    }

    /**
     * Awaits the released record at {@code second}. A fetch that the client of {@code first} still had to send,
     * for a poll that ended before, may get the record first: it lets it go again, and keeps the other.
     */
    private static void handOver(KafkaShareConsumer<String, String> first, KafkaShareConsumer<String, String> second) {
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        short[] releases = {1};
        await("the released record", () -> {
            for (ConsumerRecord<String, String> record : second.poll(Broker.POLL)) {
                second.acknowledge(record);
                got.add(record);
            }
            committed(second.commitSync());
            if (!got.isEmpty()) {
                return;
            }
            for (ConsumerRecord<String, String> record : first.poll(Broker.POLL)) {
                boolean released = record.offset() == 1;
                first.acknowledge(record, released ? AcknowledgeType.RELEASE : AcknowledgeType.RENEW);
                releases[0] += released ? 1 : 0;
            }
            committed(first.commitSync());
        }, () -> !got.isEmpty());
        equal(Map.of(1L, (short) (releases[0] + 1)), deliveries(got), "the released record");
    }

    /** A group may forbid it. */
    private static void renewOff(Broker broker) throws Exception {
        String name = "share-renew-off";
        prepare(broker, name, 1, "share.renew.acknowledge.enable", "false");
        try (KafkaShareConsumer<String, String> consumer = careful(broker, name)) {
            ConsumerRecord<String, String> record = next(consumer).get(0);
            consumer.acknowledge(record, AcknowledgeType.RENEW);
            Map<TopicIdPartition, Optional<KafkaException>> answers = consumer.commitSync();
            equal(1, answers.size(), "the partitions answered");
            KafkaException error = answers.values().iterator().next().orElseThrow();
            equal("InvalidRecordStateException: The record state is invalid. The acknowledgement of delivery could not be completed.",
                error.getClass().getSimpleName() + ": " + error.getMessage(), "the error");
        }
    }

    /** A record that was delivered as often as the group allows is given up. */
    private static void deliveryLimit(Broker broker) throws Exception {
        String name = "share-limit";
        prepare(broker, name, 3, "share.delivery.count.limit", "2");
        List<Short> counts = new ArrayList<>();
        try (KafkaShareConsumer<String, String> consumer = careful(broker, name)) {
            await("both deliveries of all", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Broker.POLL)) {
                    counts.add(record.deliveryCount().orElseThrow());
                    consumer.acknowledge(record, AcknowledgeType.RELEASE);
                }
                committed(consumer.commitSync());
            }, () -> counts.size() >= 6);
            nothing(consumer);
        }
        counts.sort(null);
        equal(List.of((short) 1, (short) 1, (short) 1, (short) 2, (short) 2, (short) 2), counts, "the delivery counts");
        awaitDone(broker, name);
    }

    /** What is not acknowledged before the lock ends goes to another. */
    private static void lockTimeout(Broker broker) throws Exception {
        String name = "share-lock";
        prepare(broker, name, 3, "share.record.lock.duration.ms", "15000");
        try (KafkaShareConsumer<String, String> idle = careful(broker, name)) {
            long start = System.nanoTime();
            equal(3, next(idle).size(), "the number of records");
            try (KafkaShareConsumer<String, String> other = careful(broker, name)) {
                Map<Long, Short> found = deliveries(accept(other, 3));
                long elapsed = (System.nanoTime() - start) / 1_000_000;
                equal(Map.of(0L, (short) 2, 1L, (short) 2, 2L, (short) 2), found, "the deliveries");
                check(elapsed > 14_000, "the lock lasts 15 s, and they came after " + elapsed + " ms");
            }
        }
    }

    /** An acknowledgement after the lock's end is refused, unless the group has gone on behind its record. */
    private static void acknowledgedLate(Broker broker) throws Exception {
        String name = "share-late";
        prepare(broker, name, 2, "share.record.lock.duration.ms", "15000");
        try (KafkaShareConsumer<String, String> late = careful(broker, name);
                KafkaShareConsumer<String, String> other = careful(broker, name)) {
            List<ConsumerRecord<String, String>> records = next(late);
            equal(range(0, 2), offsets(records), "the offsets");
            // The first of them stays with the other member, so that the group goes on behind neither.
            other.acknowledge(next(other).get(1));
            committed(other.commitSync());
            late.acknowledge(records.get(1));
            Optional<KafkaException> answer = late.commitSync().values().iterator().next();
            check(answer.isPresent() && answer.get() instanceof InvalidRecordStateException, "the answer is " + answer);
        }
    }

    /** Closing gives back what was not acknowledged, at once. */
    private static void close(Broker broker) throws Exception {
        String name = "share-close";
        prepare(broker, name, 4);
        KafkaShareConsumer<String, String> first = careful(broker, name);
        List<ConsumerRecord<String, String>> records = next(first);
        equal(4, records.size(), "the number of records");
        first.acknowledge(records.get(0));
        first.acknowledge(records.get(1), AcknowledgeType.REJECT);
        first.close();
        long start = System.nanoTime();
        try (KafkaShareConsumer<String, String> second = careful(broker, name)) {
            equal(Map.of(2L, (short) 2, 3L, (short) 2), deliveries(accept(second, 2)), "the deliveries");
        }
        long elapsed = (System.nanoTime() - start) / 1_000_000;
        check(elapsed < 20_000, "they came only after " + elapsed + " ms");
        awaitDone(broker, name);
    }

    /** Unsubscribing commits nothing: what was got comes again, to whoever is there. */
    private static void unsubscribe(Broker broker) throws Exception {
        String name = "share-unsubscribe";
        prepare(broker, name, 2, "share.record.lock.duration.ms", "15000");
        try (KafkaShareConsumer<String, String> first = careful(broker, name)) {
            List<ConsumerRecord<String, String>> records = next(first);
            first.acknowledge(records.get(0));
            first.unsubscribe();
            equal(Set.of(), first.subscription(), "the subscription");
            refused(IllegalStateException.class, () -> first.poll(Broker.POLL));
            try (KafkaShareConsumer<String, String> second = careful(broker, name)) {
                equal(Map.of(0L, (short) 2, 1L, (short) 2), deliveries(accept(second, 2)), "the deliveries");
            }
        }
    }

    private static void maxPollRecords(Broker broker) throws Exception {
        String name = "share-max-poll";
        prepare(broker, name, 100);
        try (KafkaShareConsumer<String, String> consumer = careful(broker, name, "max.poll.records", "7")) {
            Set<Long> seen = new HashSet<>();
            await("all records", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Broker.POLL)) {
                    check(seen.add(record.offset()), "offset " + record.offset() + " came twice");
                    consumer.acknowledge(record);
                }
            }, () -> seen.size() == 100);
            committed(consumer.commitSync());
        }
        awaitDone(broker, name);
    }

    /** With {@code record_limit} a poll acquires no more than it returns, even within a batch (KIP-1206). */
    private static void acquireMode(Broker broker) throws Exception {
        String name = "share-acquire";
        prepare(broker, name, 20);
        String[] strict = {"max.poll.records", "7", "share.acquire.mode", "record_limit"};
        try (KafkaShareConsumer<String, String> first = careful(broker, name, strict);
                KafkaShareConsumer<String, String> second = careful(broker, name, strict)) {
            List<ConsumerRecord<String, String>> mine = next(first);
            equal(range(0, 7), offsets(mine), "the first member's offsets");
            // Whatever else the first member has asked for already, the second gets no more than it may, and none of those.
            List<Long> theirs = offsets(next(second));
            check(theirs.size() <= 7 && theirs.get(0) >= 7, "the second member's offsets are " + theirs);
            mine.forEach(first::acknowledge);
            committed(first.commitSync());
            List<Long> more = offsets(next(first));
            check(more.size() <= 7 && more.get(0) >= 7 && !more.contains(theirs.get(0)),
                "the first member's next offsets are " + more + ", the second has " + theirs);
        }
    }

    /** {@code read_committed} hands out no record of an aborted transaction; {@code read_uncommitted} all. */
    private static void isolation(Broker broker) throws Exception {
        String name = "share-isolation";
        broker.createTopic(name, 1);
        configure(broker, name, "share.auto.offset.reset", "earliest", "share.isolation.level", "read_committed");
        configure(broker, name + "-all", "share.auto.offset.reset", "earliest", "share.isolation.level", "read_uncommitted");
        try (KafkaProducer<String, String> producer = broker.producer("transactional.id", name)) {
            producer.initTransactions();
            for (String value : List.of("kept-1", "lost-1", "kept-2", "lost-2")) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(name, 0, null, value)).get();
                if (value.startsWith("kept")) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(name, 0, null, "open")).get();
            try (KafkaShareConsumer<String, String> all = member(broker, name + "-all", name);
                    KafkaShareConsumer<String, String> committed = member(broker, name, name)) {
                equal(List.of("kept-1", "lost-1", "kept-2", "lost-2", "open"), values(all, 5), "all records");
                equal(List.of("kept-1", "kept-2"), values(committed, 2), "the committed records");
                nothing(committed);
                producer.commitTransaction();
                equal(List.of("open"), values(committed, 1), "the record committed last");
            }
        }
    }

    private static List<String> values(KafkaShareConsumer<String, String> consumer, int count) {
        List<String> values = new ArrayList<>();
        await(count + " records", () -> consumer.poll(Broker.POLL).forEach(record -> values.add(record.value())),
            () -> values.size() >= count);
        return values;
    }

    /** Where a new group begins: at the end, at the beginning, or so long ago. */
    private static void reset(Broker broker) throws Exception {
        String name = "share-reset";
        prepare(broker, name, 5);
        configure(broker, name + "-ago", "share.auto.offset.reset", "by_duration:PT1H");
        try (KafkaShareConsumer<String, String> earliest = member(broker, name, name);
                KafkaShareConsumer<String, String> ago = member(broker, name + "-ago", name);
                KafkaShareConsumer<String, String> latest = member(broker, name + "-end", name)) {
            equal(range(0, 5), offsets(next(earliest)), "what a group from the beginning gets");
            equal(range(0, 5), offsets(next(ago)), "what a group from an hour ago gets");
            check(onlyNew(broker, name, latest) >= 5, "a group from the end gets what was there");
        }
    }

    /** The first offset that comes to a group which begins with its first member, while records are produced. */
    private static long onlyNew(Broker broker, String topic, KafkaShareConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        await("the first record", () -> {
            try {
                broker.produce(topic, 0, 1);
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
            consumer.poll(Broker.POLL).forEach(records::add);
        }, () -> !records.isEmpty());
        return records.get(0).offset();
    }

    /** Two members of one partition get each record once between them. */
    private static void twoMembers(Broker broker) throws Exception {
        String name = "share-two";
        prepare(broker, name, 0);
        Map<Long, Integer> seen = new TreeMap<>();
        int[] each = new int[2];
        try (KafkaShareConsumer<String, String> first = member(broker, name, name, "max.poll.records", "10");
                KafkaShareConsumer<String, String> second = member(broker, name, name, "max.poll.records", "10")) {
            List<KafkaShareConsumer<String, String>> members = List.of(first, second);
            members.forEach(member -> member.poll(Duration.ofSeconds(2)));
            for (int i = 0; i < 20; i++) {
                broker.produce(name, 0, 20);
            }
            await("all records", () -> {
                for (int i = 0; i < 2; i++) {
                    for (ConsumerRecord<String, String> record : members.get(i).poll(Broker.POLL)) {
                        seen.merge(record.offset(), 1, Integer::sum);
                        each[i]++;
                    }
                }
            }, () -> seen.size() == 400);
            members.forEach(member -> committed(member.commitSync()));
        }
        check(seen.values().stream().allMatch(count -> count == 1), "a record came twice");
        check(each[0] > 0 && each[1] > 0, "one member had all: " + Arrays.toString(each));
        awaitDone(broker, name);
    }

    /** Groups do not see each other. */
    private static void twoGroups(Broker broker) throws Exception {
        String name = "share-groups";
        prepare(broker, name, 6);
        configure(broker, name + "-b", "share.auto.offset.reset", "earliest");
        try (KafkaShareConsumer<String, String> a = member(broker, name, name);
                KafkaShareConsumer<String, String> b = member(broker, name + "-b", name)) {
            equal(range(0, 6), offsets(next(a)), "the first group's offsets");
            equal(range(0, 6), offsets(next(b)), "the second group's offsets");
        }
    }

    /** Three members, one partition: each of them is assigned it. */
    private static void moreMembers(Broker broker) throws Exception {
        String name = "share-many";
        prepare(broker, name, 0);
        List<KafkaShareConsumer<String, String>> members = new ArrayList<>();
        try (Admin admin = broker.admin()) {
            for (int i = 0; i < 3; i++) {
                members.add(member(broker, name, name));
            }
            int[] assigned = {0};
            await("the assignment of three members", () -> {
                members.forEach(member -> member.poll(Duration.ofMillis(100)));
                try {
                    assigned[0] = admin.describeShareGroups(List.of(name)).all().get().get(name).members().stream()
                        .mapToInt(member -> member.assignment().topicPartitions().size()).sum();
                } catch (Exception error) {
                    assigned[0] = 0;
                }
            }, () -> assigned[0] == 3);
        } finally {
            members.forEach(KafkaShareConsumer::close);
        }
    }

    /** A member that leaves without a word loses its records when its session or their locks end. */
    private static void memberVanishes(Broker broker) throws Exception {
        String name = "share-vanishes";
        prepare(broker, name, 3, "share.record.lock.duration.ms", "15000");
        KafkaShareConsumer<String, String> gone = careful(broker, name);
        equal(3, next(gone).size(), "the number of records");
        Thread closer = new Thread(() -> gone.close(Duration.ZERO));
        closer.setDaemon(true);
        closer.start();
        try (KafkaShareConsumer<String, String> other = careful(broker, name)) {
            equal(Map.of(0L, (short) 2, 1L, (short) 2, 2L, (short) 2), deliveries(accept(other, 3)), "the deliveries");
        }
    }

    private static void callback(Broker broker) throws Exception {
        String name = "share-callback";
        prepare(broker, name, 4);
        Set<Long> told = new HashSet<>();
        List<Exception> errors = new ArrayList<>();
        try (KafkaShareConsumer<String, String> consumer = careful(broker, name)) {
            consumer.setAcknowledgementCommitCallback((offsets, error) -> {
                offsets.values().forEach(told::addAll);
                if (error != null) {
                    errors.add(error);
                }
            });
            next(consumer).forEach(consumer::acknowledge);
            consumer.commitAsync();
            await("the callback", () -> consumer.poll(Broker.POLL), () -> told.size() == 4);
        }
        equal(List.of(), errors, "the errors");
    }

    /** A new topic of the same name is another topic: the group begins anew. */
    private static void topicRecreated(Broker broker) throws Exception {
        String name = "share-recreated";
        prepare(broker, name, 3);
        try (KafkaShareConsumer<String, String> consumer = member(broker, name, name, "metadata.max.age.ms", "500")) {
            equal(range(0, 3), offsets(next(consumer)), "the offsets");
            committed(consumer.commitSync());
            broker.deleteTopic(name);
            broker.createTopic(name, 1);
            broker.produce(name, 0, 2);
            equal(range(0, 2), offsets(next(consumer)), "the offsets of the new topic");
            committed(consumer.commitSync());
        }
        awaitDone(broker, name);
    }

    /** Records that are deleted under the group are not waited for. */
    private static void deletedRecords(Broker broker) throws Exception {
        String name = "share-deleted";
        prepare(broker, name, 10);
        TopicPartition partition = new TopicPartition(name, 0);
        try (Admin admin = broker.admin();
                KafkaShareConsumer<String, String> consumer = careful(broker, name, "max.poll.records", "2",
                    "share.acquire.mode", "record_limit")) {
            next(consumer).forEach(record -> consumer.acknowledge(record, AcknowledgeType.RELEASE));
            committed(consumer.commitSync());
            admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(6))).all().get();
            List<Long> found = new ArrayList<>();
            await("the records left", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Broker.POLL)) {
                    consumer.acknowledge(record);
                    found.add(record.offset());
                }
                committed(consumer.commitSync());
            }, () -> found.contains(9L));
            // What a fetch for an earlier poll had brought before is still the consumer's.
            long before = found.stream().filter(offset -> offset < 6).count();
            check(before <= 2, "more than a fetch of deleted records: " + found);
            found.removeIf(offset -> offset < 6);
            equal(range(6, 10), found, "the offsets left");
        }
        awaitDone(broker, name);
    }

    /** Single records of compressed batches are acknowledged apart from their neighbours. */
    private static void compressedBatches(Broker broker) throws Exception {
        String name = "share-compressed";
        prepare(broker, name, 0);
        try (KafkaProducer<String, String> producer =
                broker.producer("compression.type", "zstd", "linger.ms", "200", "batch.size", "65536")) {
            for (int i = 0; i < 50; i++) {
                producer.send(new ProducerRecord<>(name, 0, null, "v-" + i));
            }
        }
        try (KafkaShareConsumer<String, String> consumer = careful(broker, name)) {
            Map<Long, Short> second = new TreeMap<>();
            Set<Long> first = new HashSet<>();
            await("all records and the released ones again", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Broker.POLL)) {
                    boolean again = record.deliveryCount().orElseThrow() > 1;
                    if (again) {
                        second.put(record.offset(), record.deliveryCount().get());
                    } else {
                        first.add(record.offset());
                    }
                    equal("v-" + record.offset(), record.value(), "the value");
                    consumer.acknowledge(record,
                        again || record.offset() % 7 != 0 ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
                }
                committed(consumer.commitSync());
            }, () -> first.size() == 50 && second.size() == 8);
            equal(Set.of(0L, 7L, 14L, 21L, 28L, 35L, 42L, 49L), second.keySet(), "the records that came again");
        }
        awaitDone(broker, name);
    }
}
