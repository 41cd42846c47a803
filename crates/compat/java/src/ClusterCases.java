package affluent.compat;

import static affluent.compat.Broker.await;
import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterClientQuotasOptions;
import org.apache.kafka.clients.admin.ClassicGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.FeatureUpdate.UpgradeType;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.ShareGroupDescription;
import org.apache.kafka.clients.admin.SharePartitionOffsetInfo;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.serialization.StringDeserializer;

/** What an administrator asks of groups of all sorts, features, quotas and transactions; errors word for word. */
final class ClusterCases {
    private static final String FEATURES_REFUSED = "InvalidUpdateVersionException: The update failed for all features since "
        + "the following feature had an error: Invalid update version ";

    /** The release, and what a cluster without controllers and followers has no use for. */
    private static final Set<String> OTHER_FEATURES =
        Set.of("metadata.version", "kraft.version", "eligible.leader.replicas.version");

    private ClusterCases() {}

    static Map<String, Broker.Case> all() {
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        cases.put("admin-describe-classic-groups", ClusterCases::describeClassicGroups);
        cases.put("admin-describe-consumer-groups", ClusterCases::describeConsumerGroups);
        cases.put("admin-list-groups-by-type", ClusterCases::listGroupsByType);
        cases.put("admin-share-group-offsets", ClusterCases::shareGroupOffsets);
        cases.put("admin-group-errors", ClusterCases::groupErrors);
        cases.put("admin-describe-features", ClusterCases::describeFeatures);
        cases.put("admin-update-features", ClusterCases::updateFeatures);
        cases.put("admin-quotas", ClusterCases::quotas);
        cases.put("admin-quota-errors", ClusterCases::quotaErrors);
        cases.put("admin-group-configs", ClusterCases::groupConfigs);
        cases.put("admin-transaction-filters", ClusterCases::transactionFilters);
        cases.put("admin-transaction-errors", ClusterCases::transactionErrors);
        return cases;
    }

    /** Compares errors word for word, and names every one that differs in the end. */
    private static final class Words implements AutoCloseable {
        private final List<String> differences = new ArrayList<>();

        /** The attempt must fail with this Kafka exception and these words. */
        void expect(String wanted, Broker.Attempt attempt) throws Exception {
            String found = "no error";
            try {
                attempt.run();
            } catch (ExecutionException thrown) {
                found = thrown.getCause().getClass().getSimpleName() + ": " + thrown.getCause().getMessage();
            }
            if (!found.equals(wanted)) {
                differences.add("'" + found + "', expected '" + wanted + "'");
            }
        }

        @Override
        public void close() {
            check(differences.isEmpty(), "answered " + String.join("; ", differences));
        }
    }

    private static KafkaConsumer<String, String> member(Broker broker, String name, String protocol, String... pairs) {
        List<String> all = new ArrayList<>(List.of("group.id", name, "group.protocol", protocol, "client.id", name + "-client"));
        all.addAll(Arrays.asList(pairs));
        KafkaConsumer<String, String> consumer = broker.consumer(all.toArray(new String[0]));
        consumer.subscribe(List.of(name));
        await("an assignment", () -> consumer.poll(Broker.POLL), () -> !consumer.assignment().isEmpty());
        return consumer;
    }

    private static KafkaShareConsumer<String, String> shareMember(Broker broker, String name) throws Exception {
        Properties properties = broker.properties("group.id", name, "client.id", name + "-client");
        KafkaShareConsumer<String, String> consumer =
            new KafkaShareConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(name));
        try (Admin admin = broker.admin()) {
            boolean[] assigned = {false};
            await("an assignment", () -> {
                consumer.poll(Broker.POLL);
                try {
                    assigned[0] = admin.describeShareGroups(List.of(name)).all().get().get(name).members().stream()
                        .anyMatch(member -> !member.assignment().topicPartitions().isEmpty());
                } catch (InterruptedException | ExecutionException notYet) {
                    assigned[0] = false;
                }
            }, () -> assigned[0]);
        }
        return consumer;
    }

    private static void describeClassicGroups(Broker broker) throws Exception {
        String name = "admin-classic";
        broker.createTopic(name, 2);
        try (Words words = new Words();
                Admin admin = broker.admin()) {
            try (KafkaConsumer<String, String> consumer = member(broker, name, "classic", "group.instance.id", "one")) {
                ClassicGroupDescription group = admin.describeClassicGroups(List.of(name)).all().get().get(name);
                equal("consumer", group.protocol(), "the protocol");
                equal("range", group.protocolData(), "the protocol's data");
                equal(ClassicGroupState.STABLE, group.state(), "the state");
                check(!group.isSimpleConsumerGroup(), "the group is called simple");
                equal(admin.describeCluster().controller().get().id(), group.coordinator().id(), "the coordinator");
                MemberDescription member = group.members().iterator().next();
                equal(Optional.of("one"), member.groupInstanceId(), "the instance");
                equal(name + "-client", member.clientId(), "the client");
                equal("/127.0.0.1", member.host(), "the host");
                equal(consumer.assignment(), member.assignment().topicPartitions(), "the assignment");
                equal(Optional.empty(), member.memberEpoch(), "the member's epoch");
                equal(Optional.empty(), member.upgraded(), "whether the member is upgraded");
            }
            String simple = "admin-classic-simple";
            admin.alterConsumerGroupOffsets(simple, Map.of(new TopicPartition(name, 0), new OffsetAndMetadata(0))).all().get();
            ClassicGroupDescription group = admin.describeClassicGroups(List.of(simple)).all().get().get(simple);
            check(group.isSimpleConsumerGroup(), "a group of offsets alone is not called simple");
            equal(ClassicGroupState.EMPTY, group.state(), "its state");
            words.expect("GroupIdNotFoundException: The group id does not exist.",
                () -> admin.describeClassicGroups(List.of("admin-classic-nobody")).all().get());
        }
    }

    private static void describeConsumerGroups(Broker broker) throws Exception {
        String name = "admin-modern";
        broker.createTopic(name, 2);
        try (Words words = new Words();
                Admin admin = broker.admin()) {
            try (KafkaConsumer<String, String> consumer =
                    member(broker, name, "consumer", "client.rack", "r1", "group.instance.id", "one")) {
                ConsumerGroupDescription group = admin.describeConsumerGroups(List.of(name)).all().get().get(name);
                equal(GroupType.CONSUMER, group.type(), "the type");
                equal(GroupState.STABLE, group.groupState(), "the state");
                equal("uniform", group.partitionAssignor(), "the assignor");
                check(group.groupEpoch().orElseThrow() > 0, "the group's epoch is " + group.groupEpoch());
                equal(group.groupEpoch(), group.targetAssignmentEpoch(), "the assignment's epoch");
                MemberDescription member = group.members().iterator().next();
                equal(Optional.of("one"), member.groupInstanceId(), "the instance");
                equal(Optional.of("r1"), member.rackId(), "the rack");
                equal(name + "-client", member.clientId(), "the client");
                equal("/127.0.0.1", member.host(), "the host");
                equal(consumer.assignment(), member.assignment().topicPartitions(), "the assignment");
                equal(consumer.assignment(), member.targetAssignment().orElseThrow().topicPartitions(), "the target");
                equal(group.groupEpoch(), member.memberEpoch(), "the member's epoch");
                equal(Optional.of(true), member.upgraded(), "whether the member is upgraded");
            }
            ConsumerGroupDescription group = admin.describeConsumerGroups(List.of(name)).all().get().get(name);
            // A static member that closes keeps its place.
            equal(1, group.members().size(), "the members after a static one closed");
            words.expect("GroupIdNotFoundException: Group admin-modern-nobody not found.",
                () -> admin.describeConsumerGroups(List.of("admin-modern-nobody")).all().get());
        }
    }

    private static Map<String, String> listed(Admin admin, String prefix, ListGroupsOptions options) throws Exception {
        Map<String, String> found = new TreeMap<>();
        admin.listGroups(options).all().get().forEach(group -> {
            if (group.groupId().startsWith(prefix)) {
                String text = group.type().orElseThrow() + " '" + group.protocol() + "' " + group.groupState().orElseThrow();
                found.put(group.groupId(), text);
            }
        });
        return found;
    }

    private static void listGroupsByType(Broker broker) throws Exception {
        for (String name : List.of("admin-list-c", "admin-list-m", "admin-list-s")) {
            broker.createTopic(name, 1);
        }
        try (Admin admin = broker.admin();
                KafkaConsumer<String, String> classic = member(broker, "admin-list-c", "classic");
                KafkaConsumer<String, String> modern = member(broker, "admin-list-m", "consumer");
                KafkaShareConsumer<String, String> share = shareMember(broker, "admin-list-s")) {
            admin.alterConsumerGroupOffsets("admin-list-o",
                Map.of(new TopicPartition("admin-list-c", 0), new OffsetAndMetadata(0))).all().get();
            check(classic != modern && share != null, "the members are there");
            String c = "Classic 'consumer' Stable";
            String m = "Consumer 'consumer' Stable";
            String s = "Share 'share' Stable";
            String o = "Classic '' Empty";
            String prefix = "admin-list-";
            equal(Map.of("admin-list-c", c, "admin-list-m", m, "admin-list-s", s, "admin-list-o", o),
                listed(admin, prefix, new ListGroupsOptions()), "all groups");
            equal(Map.of("admin-list-c", c, "admin-list-o", o),
                listed(admin, prefix, new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC))), "the classic groups");
            equal(Map.of("admin-list-m", m, "admin-list-s", s),
                listed(admin, prefix, new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER, GroupType.SHARE))),
                "the modern groups");
            equal(Map.of("admin-list-c", c, "admin-list-m", m, "admin-list-o", o),
                listed(admin, prefix, ListGroupsOptions.forConsumerGroups()), "the groups of consumers");
            equal(Map.of("admin-list-s", s), listed(admin, prefix, ListGroupsOptions.forShareGroups()), "the share groups");
            equal(Map.of(), listed(admin, prefix, ListGroupsOptions.forStreamsGroups()), "the streams groups");
            equal(Map.of("admin-list-o", o),
                listed(admin, prefix, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))), "the empty groups");
            equal(Map.of("admin-list-m", m),
                listed(admin, prefix, new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE, GroupState.ASSIGNING))
                    .withTypes(Set.of(GroupType.CONSUMER))), "the stable modern groups");
            equal(Map.of("admin-list-c", c, "admin-list-m", m),
                listed(admin, prefix, new ListGroupsOptions().withProtocolTypes(Set.of("consumer"))), "the groups by protocol");
        }
    }

    private static void shareGroupOffsets(Broker broker) throws Exception {
        String name = "admin-share";
        broker.createTopic(name, 2);
        broker.produce(name, 0, 10);
        TopicPartition zero = new TopicPartition(name, 0);
        TopicPartition one = new TopicPartition(name, 1);
        TopicPartition nowhere = new TopicPartition("admin-share-nowhere", 0);
        try (Words words = new Words();
                Admin admin = broker.admin()) {
            // There is no group yet: what is altered makes it.
            admin.alterShareGroupOffsets(name, Map.of(zero, 4L)).all().get();
            Map<TopicPartition, SharePartitionOffsetInfo> found = shareOffsets(admin, name, new ListShareGroupOffsetsSpec());
            equal(Set.of(zero), found.keySet(), "the partitions with an offset");
            equal(4L, found.get(zero).startOffset(), "the start offset");
            equal(Optional.of(6L), found.get(zero).lag(), "the lag");
            found = shareOffsets(admin, name, new ListShareGroupOffsetsSpec().topicPartitions(List.of(zero, one)));
            equal("4", String.valueOf(found.get(zero).startOffset()), "the start offset, asked for");
            check(found.containsKey(one) && found.get(one) == null, "the other partition has " + found.get(one));
            ShareGroupDescription group = admin.describeShareGroups(List.of(name)).all().get().get(name);
            equal(GroupState.EMPTY, group.groupState(), "the state");
            equal(0, group.members().size(), "the members");
            words.expect("UnknownTopicOrPartitionException: This server does not host this topic-partition.",
                () -> admin.alterShareGroupOffsets(name, Map.of(nowhere, 0L)).partitionResult(nowhere).get());
            words.expect("UnknownTopicOrPartitionException: This server does not host this topic-partition.",
                () -> admin.deleteShareGroupOffsets(name, Set.of(nowhere.topic())).topicResult(nowhere.topic()).get());
            admin.deleteShareGroupOffsets(name, Set.of(name)).all().get();
            equal(Map.of(), shareOffsets(admin, name, new ListShareGroupOffsetsSpec()), "the offsets after their end");
            try (KafkaShareConsumer<String, String> consumer = shareMember(broker, name)) {
                check(consumer.subscription().contains(name), "the member has no subscription");
                words.expect("GroupNotEmptyException: Failed altering group offsets for the following partitions: [admin-share-0]",
                    () -> admin.alterShareGroupOffsets(name, Map.of(zero, 0L)).all().get());
                words.expect("GroupNotEmptyException: The group is not empty.",
                    () -> admin.deleteShareGroupOffsets(name, Set.of(name)).all().get());
                words.expect("GroupNotEmptyException: The group is not empty.",
                    () -> admin.deleteShareGroups(List.of(name)).all().get());
            }
            admin.deleteShareGroups(List.of(name)).all().get();
            words.expect("GroupIdNotFoundException: Group admin-share not found.",
                () -> admin.describeShareGroups(List.of(name)).all().get());
        }
    }

    private static Map<TopicPartition, SharePartitionOffsetInfo> shareOffsets(
            Admin admin, String group, ListShareGroupOffsetsSpec spec) throws Exception {
        return admin.listShareGroupOffsets(Map.of(group, spec)).partitionsToOffsetInfo(group).get();
    }

    /** The wrong group, the wrong sort of group, a group in use. */
    private static void groupErrors(Broker broker) throws Exception {
        String c = "admin-wrong-c";
        String m = "admin-wrong-m";
        String s = "admin-wrong-s";
        for (String name : List.of(c, m, s)) {
            broker.createTopic(name, 1);
        }
        try (Words words = new Words();
                Admin admin = broker.admin();
                KafkaConsumer<String, String> classic = member(broker, c, "classic");
                KafkaConsumer<String, String> modern = member(broker, m, "consumer");
                KafkaShareConsumer<String, String> share = shareMember(broker, s)) {
            check(classic != modern && share != null, "the members are there");
            for (String name : List.of(c, m, s)) {
                words.expect("GroupNotEmptyException: The group is not empty.",
                    () -> admin.deleteConsumerGroups(List.of(name)).all().get());
            }
            words.expect("GroupIdNotFoundException: The group id does not exist.",
                () -> admin.deleteConsumerGroups(List.of("admin-wrong-x")).all().get());
            words.expect("GroupIdNotFoundException: Group admin-wrong-s is not a consumer group.",
                () -> admin.describeConsumerGroups(List.of(s)).all().get());
            words.expect("GroupIdNotFoundException: Group admin-wrong-c is not a share group.",
                () -> admin.describeShareGroups(List.of(c)).all().get());
            words.expect("GroupIdNotFoundException: Group admin-wrong-m is not a share group.",
                () -> admin.describeShareGroups(List.of(m)).all().get());
            words.expect("GroupIdNotFoundException: Group admin-wrong-s is not a streams group.",
                () -> admin.describeStreamsGroups(List.of(s)).all().get());
            words.expect("GroupIdNotFoundException: The group id does not exist.",
                () -> admin.describeClassicGroups(List.of(m)).all().get());
            words.expect("GroupSubscribedToTopicException: Deleting offsets of a topic is forbidden while the consumer group is actively "
                + "subscribed to it.",
                () -> admin.deleteConsumerGroupOffsets(c, Set.of(new TopicPartition(c, 0))).all().get());
            words.expect("UnknownMemberIdException: Failed altering group offsets for the following partitions: [admin-wrong-m-0]",
                () -> admin.alterConsumerGroupOffsets(m, Map.of(new TopicPartition(m, 0), new OffsetAndMetadata(0))).all().get());
            words.expect("GroupIdNotFoundException: Failed altering group offsets for the following partitions: [admin-wrong-s-0]",
                () -> admin.alterConsumerGroupOffsets(s, Map.of(new TopicPartition(s, 0), new OffsetAndMetadata(0))).all().get());
            words.expect("InvalidGroupIdException: The group id is invalid.",
                () -> admin.describeConsumerGroups(List.of("")).all().get());
            words.expect("GroupIdNotFoundException: Group admin-wrong-x not found.",
                () -> admin.deleteShareGroupOffsets("admin-wrong-x", Set.of(c)).all().get());
        }
    }

    private static void describeFeatures(Broker broker) throws Exception {
        try (Admin admin = broker.admin()) {
            FeatureMetadata features = admin.describeFeatures().featureMetadata().get();
            check(features.finalizedFeaturesEpoch().orElseThrow() >= 0, "no epoch");
            Map<String, String> found = new TreeMap<>();
            features.finalizedFeatures().forEach((name, range) -> found.put(name, range.minVersionLevel() + "-" + range.maxVersionLevel()));
            found.keySet().removeAll(OTHER_FEATURES);
            equal(Map.of("group.version", "1-1", "share.version", "1-1", "streams.version", "1-1", "transaction.version", "2-2"),
                found, "the finalized features");
            Map<String, String> supported = new TreeMap<>();
            features.supportedFeatures().forEach((name, range) -> supported.put(name, range.minVersion() + "-" + range.maxVersion()));
            supported.keySet().removeAll(OTHER_FEATURES);
            equal(Map.of("group.version", "0-1", "share.version", "0-1", "streams.version", "0-1", "transaction.version", "0-2"),
                supported, "the supported features");
        }
    }

    private static void update(Admin admin, String name, int level, UpgradeType type, boolean dry) throws Exception {
        admin.updateFeatures(Map.of(name, new FeatureUpdate((short) level, type)), new UpdateFeaturesOptions().validateOnly(dry))
            .values().get(name).get();
    }

    private static void updateFeatures(Broker broker) throws Exception {
        try (Words words = new Words();
                Admin admin = broker.admin()) {
            update(admin, "transaction.version", 1, UpgradeType.SAFE_DOWNGRADE, true);
            words.expect(FEATURES_REFUSED + "9 for feature transaction.version. Local controller 1 only supports versions 0-2",
                () -> update(admin, "transaction.version", 9, UpgradeType.UPGRADE, false));
            words.expect(FEATURES_REFUSED + "1 for feature transaction.version. "
                + "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
                () -> update(admin, "transaction.version", 1, UpgradeType.UPGRADE, false));
            words.expect(FEATURES_REFUSED + "1 for feature no.such.version. Local controller 1 does not support this feature.",
                () -> update(admin, "no.such.version", 1, UpgradeType.UPGRADE, false));
            update(admin, "transaction.version", 2, UpgradeType.UPGRADE, false);
        }
    }

    private static ClientQuotaEntity entity(String... pairs) {
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            map.put(pairs[i], pairs[i + 1]);
        }
        return new ClientQuotaEntity(map);
    }

    private static ClientQuotaAlteration alteration(ClientQuotaEntity entity, String key, Double value) {
        return new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op(key, value)));
    }

    private static Map<ClientQuotaEntity, Map<String, Double>> quotas(Admin admin, ClientQuotaFilter filter) throws Exception {
        return admin.describeClientQuotas(filter).entities().get();
    }

    private static void quotas(Broker broker) throws Exception {
        ClientQuotaEntity u = entity("user", "quota-u");
        ClientQuotaEntity uc = entity("user", "quota-u", "client-id", "quota-c");
        ClientQuotaEntity ud = entity("user", "quota-u", "client-id", null);
        ClientQuotaEntity c = entity("client-id", "quota-c");
        ClientQuotaEntity d = entity("client-id", null);
        ClientQuotaEntity ip = entity("ip", "192.0.2.7");
        List<ClientQuotaEntity> users = List.of(u, uc, ud, c, d);
        try (Admin admin = broker.admin()) {
            List<ClientQuotaAlteration> changes = new ArrayList<>();
            users.forEach(one -> changes.add(alteration(one, "producer_byte_rate", 1e9)));
            changes.add(alteration(ip, "connection_creation_rate", 1e6));
            admin.alterClientQuotas(changes, new AlterClientQuotasOptions().validateOnly(true)).all().get();
            equal(Map.of(), quotas(admin, ClientQuotaFilter.all()), "the quotas after a dry run");
            admin.alterClientQuotas(changes).all().get();
            Set<ClientQuotaEntity> every = new HashSet<>(users);
            every.add(ip);
            await("all quotas", () -> { }, () -> {
                try {
                    return quotas(admin, ClientQuotaFilter.all()).keySet().equals(every);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            ClientQuotaFilterComponent anyUser = ClientQuotaFilterComponent.ofEntityType("user");
            ClientQuotaFilterComponent user = ClientQuotaFilterComponent.ofEntity("user", "quota-u");
            ClientQuotaFilterComponent client = ClientQuotaFilterComponent.ofEntity("client-id", "quota-c");
            ClientQuotaFilterComponent defaultClient = ClientQuotaFilterComponent.ofDefaultEntity("client-id");
            ClientQuotaFilterComponent anyClient = ClientQuotaFilterComponent.ofEntityType("client-id");
            equal(Set.of(u, uc, ud), quotas(admin, ClientQuotaFilter.contains(List.of(anyUser))).keySet(), "any user");
            equal(Set.of(u), quotas(admin, ClientQuotaFilter.containsOnly(List.of(user))).keySet(), "the user alone");
            equal(Set.of(uc), quotas(admin, ClientQuotaFilter.containsOnly(List.of(user, client))).keySet(), "user and client");
            equal(Set.of(ud), quotas(admin, ClientQuotaFilter.containsOnly(List.of(user, defaultClient))).keySet(), "and its default");
            equal(Set.of(uc, ud), quotas(admin, ClientQuotaFilter.contains(List.of(user, anyClient))).keySet(), "and any client");
            equal(Set.of(uc, c), quotas(admin, ClientQuotaFilter.contains(List.of(client))).keySet(), "the client");
            equal(Set.of(c, d), quotas(admin, ClientQuotaFilter.containsOnly(List.of(anyClient))).keySet(), "clients alone");
            equal(Set.of(ip), quotas(admin, ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntityType("ip")))).keySet(), "addresses");
            changes.clear();
            users.forEach(one -> changes.add(alteration(one, "producer_byte_rate", null)));
            changes.add(alteration(ip, "connection_creation_rate", null));
            admin.alterClientQuotas(changes).all().get();
            await("no quotas", () -> { }, () -> {
                try {
                    return quotas(admin, ClientQuotaFilter.all()).isEmpty();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
        }
    }

    private static void quotaErrors(Broker broker) throws Exception {
        ClientQuotaEntity user = entity("user", "quota-e");
        try (Words words = new Words();
                Admin admin = broker.admin()) {
            words.expect("InvalidRequestException: Invalid configuration key no_such_rate",
                () -> admin.alterClientQuotas(List.of(alteration(user, "no_such_rate", 1.0))).all().get());
            words.expect("InvalidRequestException: Quota producer_byte_rate must be greater than 0",
                () -> admin.alterClientQuotas(List.of(alteration(user, "producer_byte_rate", 0.0))).all().get());
            words.expect("InvalidRequestException: producer_byte_rate cannot be a fractional value.",
                () -> admin.alterClientQuotas(List.of(alteration(user, "producer_byte_rate", 1.5))).all().get());
            words.expect("InvalidRequestException: Invalid empty client quota entity",
                () -> admin.alterClientQuotas(List.of(alteration(entity(), "producer_byte_rate", 1.0))).all().get());
            words.expect("InvalidRequestException: Unhandled client quota entity type: planet",
                () -> admin.alterClientQuotas(List.of(alteration(entity("planet", "x"), "producer_byte_rate", 1.0))).all().get());
            words.expect("InvalidRequestException: Empty client-id not supported",
                () -> admin.alterClientQuotas(List.of(alteration(entity("client-id", ""), "producer_byte_rate", 1.0))).all().get());
            words.expect("InvalidRequestException: Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
                () -> admin.alterClientQuotas(List.of(alteration(entity("ip", "192.0.2.1", "user", "a"), "connection_creation_rate", 1.0))).all().get());
            words.expect("InvalidRequestException: nowhere.invalid is not a valid IP or resolvable host.",
                () -> admin.alterClientQuotas(List.of(alteration(entity("ip", "nowhere.invalid"), "connection_creation_rate", 1.0))).all().get());
            words.expect("UnsupportedVersionException: Unsupported entity type planet",
                () -> quotas(admin, ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntityType("planet")))));
            words.expect("InvalidRequestException: Entity type user cannot appear more than once in the filter.",
                () -> quotas(admin, ClientQuotaFilter.contains(List.of(
                    ClientQuotaFilterComponent.ofEntityType("user"), ClientQuotaFilterComponent.ofEntity("user", "a")))));
            words.expect("InvalidRequestException: Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.",
                () -> quotas(admin, ClientQuotaFilter.contains(List.of(
                    ClientQuotaFilterComponent.ofEntityType("user"), ClientQuotaFilterComponent.ofEntityType("ip")))));
        }
    }

    private static void groupConfigs(Broker broker) throws Exception {
        String name = "admin-group-config";
        ShareCases.configure(broker, name, "consumer.session.timeout.ms", "50000");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, name);
        try (Admin admin = broker.admin()) {
            Map<String, String> found = new TreeMap<>();
            admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()
                .forEach(entry -> found.put(entry.name(), entry.value() + " " + entry.source()));
            equal("50000 DYNAMIC_GROUP_CONFIG", found.get("consumer.session.timeout.ms"), "the setting");
            equal("5000 DEFAULT_CONFIG", found.get("consumer.heartbeat.interval.ms"), "another setting");
            Collection<ConfigResource> groups = admin.listConfigResources(Set.of(ConfigResource.Type.GROUP), new ListConfigResourcesOptions()).all().get();
            check(groups.contains(resource), "the group is not among " + groups);
            Set<ConfigResource.Type> types = admin.listConfigResources().all().get().stream()
                .map(ConfigResource::type).collect(Collectors.toCollection(TreeSet::new));
            check(types.containsAll(Set.of(ConfigResource.Type.GROUP, ConfigResource.Type.BROKER, ConfigResource.Type.TOPIC,
                ConfigResource.Type.BROKER_LOGGER)), "the types are " + types);
        }
    }

    private static KafkaProducer<String, String> begun(Broker broker, String id) {
        KafkaProducer<String, String> producer = broker.producer("transactional.id", id);
        producer.initTransactions();
        producer.beginTransaction();
        return producer;
    }

    private static Set<String> ids(Admin admin, ListTransactionsOptions options) throws Exception {
        return admin.listTransactions(options).all().get().stream().map(TransactionListing::transactionalId)
            .filter(id -> id.startsWith("admin-filter")).collect(Collectors.toCollection(TreeSet::new));
    }

    private static void transactionFilters(Broker broker) throws Exception {
        String a = "admin-filter-a";
        String b = "admin-filter-b";
        broker.createTopic(a, 1);
        try (Admin admin = broker.admin();
                KafkaProducer<String, String> open = begun(broker, a);
                KafkaProducer<String, String> done = begun(broker, b)) {
            open.send(new ProducerRecord<>(a, "open")).get();
            done.send(new ProducerRecord<>(a, "done")).get();
            done.abortTransaction();
            await("the aborted transaction", () -> { }, () -> {
                try {
                    return admin.describeTransactions(List.of(b)).description(b).get().state() == TransactionState.COMPLETE_ABORT;
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            TransactionDescription described = admin.describeTransactions(List.of(a)).description(a).get();
            equal(Set.of(a, b), ids(admin, new ListTransactionsOptions()), "all");
            equal(Set.of(a), ids(admin, new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))), "the open ones");
            equal(Set.of(b), ids(admin, new ListTransactionsOptions()
                .filterStates(Set.of(TransactionState.COMPLETE_ABORT, TransactionState.PREPARE_ABORT))), "the aborted ones");
            equal(Set.of(a), ids(admin, new ListTransactionsOptions()
                .filterProducerIds(Set.of(described.producerId(), 999_999_999L))), "those of a producer");
            equal(Set.of(), ids(admin, new ListTransactionsOptions().filterProducerIds(Set.of(999_999_999L))), "those of nobody");
            equal(Set.of(), ids(admin, new ListTransactionsOptions().filterOnDuration(3_600_000)), "the old ones");
            // One that has ended counts from its last start.
            equal(Set.of(a, b), ids(admin, new ListTransactionsOptions().filterOnDuration(1)), "those of longer than a moment");
            equal(Set.of(b), ids(admin, new ListTransactionsOptions().filterOnTransactionalIdPattern("admin-.*-b")), "those by name");
            // A state that the broker does not know is no error.
            equal(Set.of(), ids(admin, new ListTransactionsOptions().filterStates(Set.of(TransactionState.UNKNOWN))), "an unknown state");
            equal(Set.of(a), ids(admin, new ListTransactionsOptions()
                .filterStates(Set.of(TransactionState.UNKNOWN, TransactionState.ONGOING))), "an unknown state and a known one");
            open.abortTransaction();
        }
    }

    private static void transactionErrors(Broker broker) throws Exception {
        try (Words words = new Words();
                Admin admin = broker.admin()) {
            words.expect("TransactionalIdNotFoundException: DescribeTransactions request for transactionalId `admin-nobody` failed because the ID could not be found",
                () -> admin.describeTransactions(List.of("admin-nobody")).description("admin-nobody").get());
            words.expect("InvalidRegularExpression: ListTransactions request sent to broker 1 failed with an unexpected exception",
                () -> ids(admin, new ListTransactionsOptions().filterOnTransactionalIdPattern("a([")));
            admin.fenceProducers(List.of("admin-fenced")).all().get();
            TransactionDescription fenced = admin.describeTransactions(List.of("admin-fenced")).description("admin-fenced").get();
            equal(TransactionState.EMPTY, fenced.state(), "the state after the fencing");
            // Who was never there is fenced too.
            admin.forceTerminateTransaction("admin-terminated").result().get();
        }
    }
}
