package affluent.compat;

import static affluent.compat.Broker.await;
import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;
import static affluent.compat.Broker.poll;
import static affluent.compat.Broker.refused;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** The classic group protocol, its offsets, and its administration. */
final class GroupCases {
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";

    private GroupCases() {}

    static Map<String, Broker.Case> all() {
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        for (String assignor : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) {
            cases.put("group-of-three-" + assignor, broker -> groupOfThree(broker, assignor));
        }
        cases.put("group-static-restart", GroupCases::staticRestart);
        cases.put("group-static-fenced", GroupCases::staticFenced);
        cases.put("group-commit-metadata", GroupCases::commitMetadata);
        cases.put("group-commit-resumes", GroupCases::commitResumes);
        cases.put("group-commit-after-eviction", GroupCases::commitAfterEviction);
        cases.put("group-session-timeout", GroupCases::sessionTimeout);
        cases.put("group-new-partitions", GroupCases::newPartitions);
        cases.put("group-mixed-assignors", GroupCases::mixedAssignors);
        cases.put("group-describe-and-list", GroupCases::describeAndList);
        cases.put("group-alter-offsets", GroupCases::alterOffsets);
        cases.put("group-remove-members", GroupCases::removeMembers);
        cases.put("group-delete", GroupCases::delete);
        cases.put("group-consumer-protocol", GroupCases::consumerProtocol);
        cases.put("share-group", GroupCases::shareGroup);
        return cases;
    }

    private static KafkaConsumer<String, String> member(Broker broker, String group, String topic, String... pairs) {
        List<String> all = new ArrayList<>(List.of("group.id", group, "heartbeat.interval.ms", "500", "session.timeout.ms", "10000"));
        all.addAll(List.of(pairs));
        KafkaConsumer<String, String> consumer = broker.consumer(all.toArray(new String[0]));
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private static int assigned(Collection<KafkaConsumer<String, String>> members) {
        Set<TopicPartition> all = new HashSet<>();
        members.forEach(member -> all.addAll(member.assignment()));
        int sum = members.stream().mapToInt(member -> member.assignment().size()).sum();
        return all.size() == sum ? sum : -1;
    }

    /** Polls every member in turn until all have a fair share of the partitions, collecting the records. */
    private static void settle(List<KafkaConsumer<String, String>> members, int partitions, Set<String> seen) {
        int fair = partitions / members.size();
        await("a fair assignment of " + partitions + " partitions to " + members.size() + " members",
            () -> members.forEach(member -> collect(member, seen)),
            () -> assigned(members) == partitions && members.stream().allMatch(member -> member.assignment().size() == fair));
    }

    private static void collect(KafkaConsumer<String, String> member, Set<String> seen) {
        for (ConsumerRecord<String, String> record : member.poll(Duration.ofMillis(50))) {
            seen.add(record.partition() + "/" + record.offset());
        }
        member.commitAsync();
    }

    private static void groupOfThree(Broker broker, String assignor) throws Exception {
        String name = "group-three-" + assignor;
        broker.createTopic(name, 6);
        for (int i = 0; i < 6; i++) {
            broker.produce(name, i, 200);
        }
        Set<String> seen = new HashSet<>();
        List<KafkaConsumer<String, String>> members = new ArrayList<>();
        try {
            for (int i = 0; i < 3; i++) {
                members.add(member(broker, name, name, "partition.assignment.strategy", ASSIGNORS + assignor + "Assignor"));
                settle(members, 6, seen);
            }
            members.remove(1).close();
            settle(members, 6, seen);
            await("the records", () -> members.forEach(member -> collect(member, seen)), () -> seen.size() == 1200);
        } finally {
            members.forEach(KafkaConsumer::close);
        }
    }

    /** Counts the rebalances a member goes through. */
    private static final class Counter implements ConsumerRebalanceListener {
        private final AtomicInteger assignments = new AtomicInteger();

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            // Only assignments count.
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            assignments.incrementAndGet();
        }
    }

    /** A static member that comes back within its session gets its partitions without a rebalance (KIP-345). */
    private static void staticRestart(Broker broker) throws Exception {
        String name = "group-static";
        broker.createTopic(name, 4);
        Set<String> seen = new HashSet<>();
        Counter counter = new Counter();
        try (KafkaConsumer<String, String> stays = member(broker, name, name, "group.instance.id", "stays")) {
            stays.subscribe(List.of(name), counter);
            KafkaConsumer<String, String> leaves = member(broker, name, name, "group.instance.id", "leaves");
            settle(List.of(stays, leaves), 4, seen);
            Set<TopicPartition> before = leaves.assignment();
            int rebalances = counter.assignments.get();
            leaves.close();
            try (KafkaConsumer<String, String> back = member(broker, name, name, "group.instance.id", "leaves")) {
                settle(List.of(stays, back), 4, seen);
                equal(before, back.assignment(), "the assignment after the restart");
                equal(rebalances, counter.assignments.get(), "the rebalances of the member that stayed");
            }
        }
    }

    private static void staticFenced(Broker broker) throws Exception {
        String name = "group-fenced";
        broker.createTopic(name, 2);
        Set<String> seen = new HashSet<>();
        try (KafkaConsumer<String, String> first = member(broker, name, name, "group.instance.id", "same")) {
            settle(List.of(first), 2, seen);
            try (KafkaConsumer<String, String> second = member(broker, name, name, "group.instance.id", "same")) {
                settle(List.of(second), 2, seen);
                refused(FencedInstanceIdException.class, () -> {
                    for (int i = 0; i < 100; i++) {
                        first.poll(Broker.POLL);
                        first.commitSync(Duration.ofSeconds(5));
                    }
                });
            }
        }
    }

    private static void commitMetadata(Broker broker) throws Exception {
        String name = "group-metadata";
        broker.createTopic(name, 2);
        TopicPartition partition = new TopicPartition(name, 0);
        TopicPartition untouched = new TopicPartition(name, 1);
        try (KafkaConsumer<String, String> consumer = broker.consumer("group.id", name)) {
            consumer.assign(List.of(partition));
            equal(2, consumer.committed(Set.of(partition, untouched)).size(), "the answers for a group without offsets");
            check(consumer.committed(Set.of(partition)).get(partition) == null, "a new group has an offset");
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(7, "seven")));
            OffsetAndMetadata found = consumer.committed(Set.of(partition)).get(partition);
            equal(7L, found.offset(), "the committed offset");
            equal("seven", found.metadata(), "the committed metadata");
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(8)));
            equal("", consumer.committed(Set.of(partition)).get(partition).metadata(), "the metadata of a commit without");
            refused(org.apache.kafka.common.errors.OffsetMetadataTooLarge.class,
                () -> consumer.commitSync(Map.of(partition, new OffsetAndMetadata(9, "x".repeat(5000)))));
            check(consumer.committed(Set.of(untouched)).get(untouched) == null, "the other partition has an offset");
        }
    }

    private static void commitResumes(Broker broker) throws Exception {
        String name = "group-resumes";
        broker.createTopic(name, 1);
        broker.produce(name, 0, 50);
        try (KafkaConsumer<String, String> consumer = member(broker, name, name, "max.poll.records", "20")) {
            equal(0L, poll(consumer, 20).get(0).offset(), "the first offset");
            consumer.commitSync();
        }
        try (KafkaConsumer<String, String> consumer = member(broker, name, name)) {
            equal(20L, poll(consumer, 30).get(0).offset(), "the offset the group resumes at");
        }
    }

    /** A member that did not poll in time has left; what it commits then is refused. */
    private static void commitAfterEviction(Broker broker) throws Exception {
        String name = "group-evicted";
        broker.createTopic(name, 2);
        broker.produce(name, 0, 10);
        try (KafkaConsumer<String, String> slow = member(broker, name, name, "max.poll.interval.ms", "2000");
                KafkaConsumer<String, String> other = member(broker, name, name)) {
            poll(slow, 10);
            await("the other member's sole assignment", () -> other.poll(Broker.POLL), () -> other.assignment().size() == 2);
            refused(CommitFailedException.class,
                () -> slow.commitSync(Map.of(new TopicPartition(name, 0), new OffsetAndMetadata(10))));
        }
    }

    /** A member that vanishes without leaving is gone after its session timeout. */
    private static void sessionTimeout(Broker broker) throws Exception {
        String name = "group-vanishes";
        broker.createTopic(name, 2);
        Set<String> seen = new HashSet<>();
        try (KafkaConsumer<String, String> stays = member(broker, name, name)) {
            KafkaConsumer<String, String> vanishes =
                member(broker, name, name, "session.timeout.ms", "6000");
            settle(List.of(stays, vanishes), 2, seen);
            vanishes.close(CloseOptions.groupMembershipOperation(GroupMembershipOperation.REMAIN_IN_GROUP));
            long start = System.nanoTime();
            settle(List.of(stays), 2, seen);
            long elapsed = (System.nanoTime() - start) / 1_000_000;
            check(elapsed > 3_000, "the member was gone after " + elapsed + " ms, its session lasts 6000");
        }
    }

    private static void newPartitions(Broker broker) throws Exception {
        String name = "group-grows";
        broker.createTopic(name, 2);
        Set<String> seen = new HashSet<>();
        try (KafkaConsumer<String, String> consumer = member(broker, name, name, "metadata.max.age.ms", "500");
                Admin admin = broker.admin()) {
            settle(List.of(consumer), 2, seen);
            admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all().get();
            settle(List.of(consumer), 4, seen);
        }
    }

    /** The group settles on the one assignor both know. */
    private static void mixedAssignors(Broker broker) throws Exception {
        String name = "group-mixed";
        broker.createTopic(name, 4);
        Set<String> seen = new HashSet<>();
        String range = ASSIGNORS + "RangeAssignor";
        String robin = ASSIGNORS + "RoundRobinAssignor";
        try (KafkaConsumer<String, String> both = member(broker, name, name, "partition.assignment.strategy", robin + "," + range);
                KafkaConsumer<String, String> one = member(broker, name, name, "partition.assignment.strategy", range);
                Admin admin = broker.admin()) {
            settle(List.of(both), 4, seen);
            equal("roundrobin", describe(admin, name).partitionAssignor(), "the assignor of a group of one");
            settle(List.of(both, one), 4, seen);
            equal("range", describe(admin, name).partitionAssignor(), "the assignor both members know");
            try (KafkaConsumer<String, String> stranger =
                    member(broker, name, name, "partition.assignment.strategy", ASSIGNORS + "StickyAssignor")) {
                refused(org.apache.kafka.common.errors.InconsistentGroupProtocolException.class, () -> poll(stranger, 1));
            }
        }
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    }

    private static void describeAndList(Broker broker) throws Exception {
        String name = "group-described";
        broker.createTopic(name, 3);
        Set<String> seen = new HashSet<>();
        try (Admin admin = broker.admin()) {
            try (KafkaConsumer<String, String> consumer = member(broker, name, name, "client.id", "described-client")) {
                settle(List.of(consumer), 3, seen);
                ConsumerGroupDescription group = describe(admin, name);
                equal(GroupState.STABLE, group.groupState(), "the state");
                equal(1, group.members().size(), "the number of members");
                equal("described-client", group.members().iterator().next().clientId(), "the client id");
                equal("/127.0.0.1", group.members().iterator().next().host(), "the host");
                equal(3, group.members().iterator().next().assignment().topicPartitions().size(), "the assignment");
                equal(admin.describeCluster().controller().get().id(), group.coordinator().id(), "the coordinator");
                ListGroupsOptions stable = ListGroupsOptions.forConsumerGroups().inGroupStates(Set.of(GroupState.STABLE));
                check(listed(admin, stable).contains(name), "the group is not among the stable ones");
            }
            equal(GroupState.EMPTY, describe(admin, name).groupState(), "the state after the member left");
            ListGroupsOptions stable = ListGroupsOptions.forConsumerGroups().inGroupStates(Set.of(GroupState.STABLE));
            check(!listed(admin, stable).contains(name), "the empty group is among the stable ones");
            refused(GroupIdNotFoundException.class, () -> describe(admin, "group-nowhere"));
        }
    }

    private static Set<String> listed(Admin admin, ListGroupsOptions options) throws Exception {
        Set<String> ids = new HashSet<>();
        admin.listGroups(options).all().get().forEach(group -> ids.add(group.groupId()));
        return ids;
    }

    private static void alterOffsets(Broker broker) throws Exception {
        String name = "group-altered";
        broker.createTopic(name, 2);
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        offsets.put(new TopicPartition(name, 0), new OffsetAndMetadata(3));
        offsets.put(new TopicPartition(name, 1), new OffsetAndMetadata(4));
        try (Admin admin = broker.admin()) {
            admin.alterConsumerGroupOffsets(name, offsets).all().get();
            Map<String, ListConsumerGroupOffsetsSpec> two =
                Map.of(name, new ListConsumerGroupOffsetsSpec(), "group-unknown", new ListConsumerGroupOffsetsSpec());
            Map<String, Map<TopicPartition, OffsetAndMetadata>> found = admin.listConsumerGroupOffsets(two).all().get();
            equal(4L, found.get(name).get(new TopicPartition(name, 1)).offset(), "the altered offset");
            equal(0, found.get("group-unknown").size(), "the offsets of a group nobody knows");
            admin.deleteConsumerGroupOffsets(name, Set.of(new TopicPartition(name, 0))).all().get();
            equal(1, admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get().size(), "the offsets left");
        }
    }

    private static void removeMembers(Broker broker) throws Exception {
        String name = "group-removed";
        broker.createTopic(name, 2);
        Set<String> seen = new HashSet<>();
        try (KafkaConsumer<String, String> consumer = member(broker, name, name, "group.instance.id", "removed");
                Admin admin = broker.admin()) {
            settle(List.of(consumer), 2, seen);
            admin.removeMembersFromConsumerGroup(name,
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("removed")))).all().get();
            equal(0, describe(admin, name).members().size(), "the number of members");
        }
    }

    private static void delete(Broker broker) throws Exception {
        String name = "group-deleted";
        broker.createTopic(name, 1);
        Set<String> seen = new HashSet<>();
        try (Admin admin = broker.admin()) {
            try (KafkaConsumer<String, String> consumer = member(broker, name, name)) {
                settle(List.of(consumer), 1, seen);
                consumer.commitSync(Map.of(new TopicPartition(name, 0), new OffsetAndMetadata(0)));
                refused(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(name)).all().get());
            }
            admin.deleteConsumerGroups(List.of(name)).all().get();
            check(!listed(admin, ListGroupsOptions.forConsumerGroups()).contains(name), "the group is still listed");
            refused(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(name)).all().get());
        }
    }

    private static void consumerProtocol(Broker broker) throws Exception {
        String name = "group-848";
        broker.createTopic(name, 2);
        broker.produce(name, 0, 5);
        Map<String, String> pairs = Map.of("group.id", name, "group.protocol", "consumer");
        try (KafkaConsumer<String, String> consumer =
                broker.consumer(pairs.entrySet().stream().flatMap(e -> List.of(e.getKey(), e.getValue()).stream()).toArray(String[]::new))) {
            consumer.subscribe(List.of(name));
            equal(5, poll(consumer, 5).size(), "the records");
        }
    }

    private static void shareGroup(Broker broker) throws Exception {
        String name = "group-share";
        broker.createTopic(name, 1);
        try (KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(
                broker.properties("group.id", name), new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(name));
            // A share group starts at the end: it must be there before the records are.
            AtomicInteger count = new AtomicInteger();
            await("the first record", () -> {
                try {
                    broker.produce(name, 0, 1);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
                count.addAndGet(consumer.poll(Broker.POLL).count());
            }, () -> count.get() > 0);
        }
    }
}
