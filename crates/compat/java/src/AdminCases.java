package affluent.compat;

import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;
import static affluent.compat.Broker.refused;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics, configurations, offsets and the cluster, through the AdminClient. */
final class AdminCases {
    private AdminCases() {}

    static Map<String, Broker.Case> all() {
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        cases.put("admin-describe-cluster", AdminCases::describeCluster);
        cases.put("admin-create-topics", AdminCases::createTopics);
        cases.put("admin-create-validate-only", AdminCases::createValidateOnly);
        cases.put("admin-create-refused", AdminCases::createRefused);
        cases.put("admin-describe-topics", AdminCases::describeTopics);
        cases.put("admin-describe-topics-paged", AdminCases::describeTopicsPaged);
        cases.put("admin-list-topics", AdminCases::listTopics);
        cases.put("admin-delete-topics", AdminCases::deleteTopics);
        cases.put("admin-create-partitions", AdminCases::createPartitions);
        cases.put("admin-describe-configs", AdminCases::describeConfigs);
        cases.put("admin-alter-configs", AdminCases::alterConfigs);
        cases.put("admin-alter-configs-refused", AdminCases::alterConfigsRefused);
        cases.put("admin-alter-broker-config", AdminCases::alterBrokerConfig);
        cases.put("admin-list-offsets", AdminCases::listOffsets);
        cases.put("admin-delete-records", AdminCases::deleteRecords);
        cases.put("admin-describe-producers", AdminCases::describeProducers);
        cases.put("admin-elect-leaders", AdminCases::electLeaders);
        cases.put("admin-describe-log-dirs", AdminCases::describeLogDirs);
        cases.put("admin-list-reassignments", AdminCases::listReassignments);
        cases.put("admin-list-config-resources", AdminCases::listConfigResources);
        return cases;
    }

    private static void describeCluster(Broker broker) throws Exception {
        try (Admin admin = broker.admin()) {
            DescribeClusterResult cluster = admin.describeCluster();
            equal(22, cluster.clusterId().get().length(), "the length of the cluster id");
            equal(1, cluster.nodes().get().size(), "the number of nodes");
            equal(cluster.nodes().get().iterator().next(), cluster.controller().get(), "the controller");
        }
    }

    private static void createTopics(Broker broker) throws Exception {
        try (Admin admin = broker.admin()) {
            NewTopic plain = new NewTopic("admin-create-plain", Optional.empty(), Optional.empty());
            NewTopic detailed = new NewTopic("admin-create-detailed", 3, (short) 1)
                .configs(Map.of("cleanup.policy", "compact", "segment.bytes", "2097152"));
            int node = admin.describeCluster().controller().get().id();
            NewTopic placed = new NewTopic("admin-create-placed", Map.of(0, List.of(node), 1, List.of(node)));
            CreateTopicsResult result = admin.createTopics(List.of(plain, detailed, placed));
            result.all().get();
            equal(4, result.numPartitions("admin-create-plain").get(), "the default number of partitions");
            equal(3, result.numPartitions("admin-create-detailed").get(), "the number of partitions");
            equal(2, result.numPartitions("admin-create-placed").get(), "the number of placed partitions");
            equal(1, result.replicationFactor("admin-create-plain").get(), "the replication factor");
            check(!result.topicId("admin-create-plain").get().equals(Uuid.ZERO_UUID), "the topic id is zero");
            Config config = result.config("admin-create-detailed").get();
            equal("compact", config.get("cleanup.policy").value(), "the answered cleanup.policy");
            equal("2097152", config.get("segment.bytes").value(), "the answered segment.bytes");
        }
    }

    private static void createValidateOnly(Broker broker) throws Exception {
        try (Admin admin = broker.admin()) {
            List<NewTopic> topics = List.of(new NewTopic("admin-validated", 5, (short) 1));
            CreateTopicsResult result = admin.createTopics(topics, new CreateTopicsOptions().validateOnly(true));
            equal(5, result.numPartitions("admin-validated").get(), "the number of partitions");
            check(!admin.listTopics().names().get().contains("admin-validated"), "validate-only created the topic");
        }
    }

    private static void createRefused(Broker broker) throws Exception {
        broker.createTopic("admin-refused", 1);
        try (Admin admin = broker.admin()) {
            refused(TopicExistsException.class, () -> create(admin, new NewTopic("admin-refused", 1, (short) 1)));
            refused(InvalidTopicException.class, () -> create(admin, new NewTopic("no spaces", 1, (short) 1)));
            refused(InvalidTopicException.class, () -> create(admin, new NewTopic("..", 1, (short) 1)));
            refused(InvalidTopicException.class, () -> create(admin, new NewTopic("x".repeat(250), 1, (short) 1)));
            refused(InvalidPartitionsException.class, () -> create(admin, new NewTopic("admin-none", 0, (short) 1)));
            refused(InvalidReplicationFactorException.class, () -> create(admin, new NewTopic("a-3", 1, (short) 3)));
            NewTopic unknown = new NewTopic("admin-unknown", 1, (short) 1).configs(Map.of("no.such.key", "1"));
            refused(InvalidConfigurationException.class, () -> create(admin, unknown));
            NewTopic wrong = new NewTopic("admin-wrong", 1, (short) 1).configs(Map.of("retention.ms", "soon"));
            refused(InvalidConfigurationException.class, () -> create(admin, wrong));
        }
    }

    private static void create(Admin admin, NewTopic topic) throws Exception {
        admin.createTopics(List.of(topic)).all().get();
    }

    private static void describeTopics(Broker broker) throws Exception {
        broker.createTopic("admin-described", 3);
        try (Admin admin = broker.admin()) {
            TopicDescription byName =
                admin.describeTopics(List.of("admin-described")).allTopicNames().get().get("admin-described");
            equal(3, byName.partitions().size(), "the number of partitions");
            equal(1, byName.partitions().get(0).replicas().size(), "the number of replicas");
            check(!byName.isInternal(), "the topic is called internal");
            check(byName.authorizedOperations() == null, "operations came although nobody asked");
            TopicCollection ids = TopicCollection.ofTopicIds(List.of(byName.topicId()));
            TopicDescription byId = admin.describeTopics(ids).allTopicIds().get().get(byName.topicId());
            equal("admin-described", byId.name(), "the name of the topic with that id");
            TopicCollection strange = TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()));
            refused(UnknownTopicIdException.class, () -> admin.describeTopics(strange).allTopicIds().get());
            refused(UnknownTopicOrPartitionException.class,
                () -> admin.describeTopics(List.of("admin-nowhere")).allTopicNames().get());
        }
    }

    /** DescribeTopicPartitions answers in pages with a cursor (KIP-966). */
    private static void describeTopicsPaged(Broker broker) throws Exception {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < 7; i++) {
            names.add("admin-paged-" + i);
            broker.createTopic("admin-paged-" + i, 5);
        }
        try (Admin admin = broker.admin()) {
            DescribeTopicsOptions options = new DescribeTopicsOptions().partitionSizeLimitPerResponse(3);
            Map<String, TopicDescription> found = admin.describeTopics(names, options).allTopicNames().get();
            equal(7, found.size(), "the number of topics");
            for (TopicDescription description : found.values()) {
                equal(5, description.partitions().size(), "the partitions of " + description.name());
            }
        }
    }

    private static void listTopics(Broker broker) throws Exception {
        broker.createTopic("admin-listed", 1);
        try (Admin admin = broker.admin()) {
            check(admin.listTopics().names().get().contains("admin-listed"), "the topic is not listed");
            broker.consumer("group.id", "admin-listing").committed(Set.of(new TopicPartition("admin-listed", 0)));
            check(!admin.listTopics().names().get().contains("__consumer_offsets"), "an internal topic is listed");
            ListTopicsOptions internal = new ListTopicsOptions().listInternal(true);
            check(admin.listTopics(internal).names().get().contains("__consumer_offsets"), "no internal topic listed");
        }
    }

    private static void deleteTopics(Broker broker) throws Exception {
        broker.createTopic("admin-deleted", 1);
        try (Admin admin = broker.admin()) {
            Uuid first = id(admin, "admin-deleted");
            admin.deleteTopics(TopicCollection.ofTopicIds(List.of(first))).all().get();
            Broker.awaitListing(admin, "admin-deleted", false);
            refused(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of("admin-deleted")).all().get());
            broker.createTopic("admin-deleted", 2);
            check(!id(admin, "admin-deleted").equals(first), "a new topic of the same name has the old id");
            admin.deleteTopics(List.of("admin-deleted")).all().get();
        }
    }

    private static TopicDescription describe(Admin admin, String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private static Uuid id(Admin admin, String topic) throws Exception {
        return describe(admin, topic).topicId();
    }

    private static void createPartitions(Broker broker) throws Exception {
        broker.createTopic("admin-grows", 2);
        try (Admin admin = broker.admin()) {
            admin.createPartitions(Map.of("admin-grows", NewPartitions.increaseTo(5))).all().get();
            Broker.await("the fifth partition", () -> { }, () -> {
                try {
                    return describe(admin, "admin-grows").partitions().size() == 5;
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            refused(InvalidPartitionsException.class,
                () -> admin.createPartitions(Map.of("admin-grows", NewPartitions.increaseTo(5))).all().get());
            refused(UnknownTopicOrPartitionException.class,
                () -> admin.createPartitions(Map.of("admin-nowhere", NewPartitions.increaseTo(5))).all().get());
        }
        broker.produce("admin-grows", 4, 10);
        equal(10, broker.readAll("admin-grows", 4, 10).size(), "the records of the new partition");
    }

    private static ConfigResource topic(String name) {
        return new ConfigResource(ConfigResource.Type.TOPIC, name);
    }

    private static void describeConfigs(Broker broker) throws Exception {
        broker.createTopic("admin-config", 1, "retention.ms", "3600000");
        try (Admin admin = broker.admin()) {
            DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
            Config config = admin.describeConfigs(List.of(topic("admin-config")), options).all().get().get(topic("admin-config"));
            ConfigEntry retention = config.get("retention.ms");
            equal("3600000", retention.value(), "retention.ms");
            equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, retention.source(), "the source of retention.ms");
            equal(ConfigEntry.ConfigType.LONG, retention.type(), "the type of retention.ms");
            check(retention.documentation() != null && retention.documentation().length() > 20, "no documentation");
            check(!retention.isReadOnly() && !retention.isSensitive() && !retention.isDefault(), "retention.ms is " + retention);
            ConfigEntry segment = config.get("segment.bytes");
            equal(ConfigEntry.ConfigSource.DEFAULT_CONFIG, segment.source(), "the source of segment.bytes");
            check(segment.isDefault(), "segment.bytes is not called a default");
            equal("log.segment.bytes", segment.synonyms().get(0).name(), "the synonym of segment.bytes");
            equal(ConfigEntry.ConfigType.LIST, config.get("cleanup.policy").type(), "the type of cleanup.policy");
            check(config.entries().size() >= 30, "only " + config.entries().size() + " topic configs are described");
            refused(UnknownTopicOrPartitionException.class,
                () -> admin.describeConfigs(List.of(topic("admin-nowhere"))).all().get());
        }
    }

    private static void alter(Admin admin, String topic, String key, String value, OpType type) throws Exception {
        Collection<AlterConfigOp> operations = List.of(new AlterConfigOp(new ConfigEntry(key, value), type));
        admin.incrementalAlterConfigs(Map.of(topic(topic), operations)).all().get();
    }

    private static String value(Admin admin, ConfigResource resource, String key) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(key).value();
    }

    private static void alterConfigs(Broker broker) throws Exception {
        String name = "admin-altered";
        broker.createTopic(name, 1);
        try (Admin admin = broker.admin()) {
            alter(admin, name, "retention.ms", "1000000", OpType.SET);
            alter(admin, name, "cleanup.policy", "compact", OpType.APPEND);
            becomes("1000000", admin, topic(name), "retention.ms");
            becomes("delete,compact", admin, topic(name), "cleanup.policy");
            alter(admin, name, "cleanup.policy", "delete", OpType.SUBTRACT);
            becomes("compact", admin, topic(name), "cleanup.policy");
            alter(admin, name, "retention.ms", "", OpType.DELETE);
            becomes("604800000", admin, topic(name), "retention.ms");
            Collection<AlterConfigOp> set = List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "5"), OpType.SET));
            AlterConfigsOptions validate = new AlterConfigsOptions().validateOnly(true);
            admin.incrementalAlterConfigs(Map.of(topic(name), set), validate).all().get();
            equal("604800000", value(admin, topic(name), "retention.ms"), "retention.ms after validate-only");
        }
    }

    private static void alterConfigsRefused(Broker broker) throws Exception {
        String name = "admin-unaltered";
        broker.createTopic(name, 1);
        try (Admin admin = broker.admin()) {
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "retention.ms", "soon", OpType.SET));
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "retention.ms", "-2", OpType.SET));
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "no.such.key", "1", OpType.SET));
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "compression.type", "rar", OpType.SET));
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "retention.ms", "1", OpType.APPEND));
            refused(UnknownTopicOrPartitionException.class,
                () -> alter(admin, "admin-nowhere", "retention.ms", "1", OpType.SET));
        }
    }

    private static void alterBrokerConfig(Broker broker) throws Exception {
        broker.createTopic("admin-inherits", 1);
        try (Admin admin = broker.admin()) {
            String id = admin.describeCluster().controller().get().idString();
            ConfigResource resource = new ConfigResource(ConfigResource.Type.BROKER, id);
            ConfigEntry entry = new ConfigEntry("log.retention.ms", "7200000");
            admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(entry, OpType.SET)))).all().get();
            // The controller has agreed; the broker follows as soon as it hears of it.
            becomes("7200000", admin, resource, "log.retention.ms");
            becomes("7200000", admin, topic("admin-inherits"), "retention.ms");
            admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(entry, OpType.DELETE)))).all().get();
            becomes("604800000", admin, topic("admin-inherits"), "retention.ms");
        }
    }

    private static void becomes(String wanted, Admin admin, ConfigResource resource, String key) {
        Broker.await(key + "=" + wanted, () -> { }, () -> {
            try {
                return wanted.equals(value(admin, resource, key));
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
    }

    private static ListOffsetsResultInfo offset(Admin admin, String topic, OffsetSpec spec) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        return admin.listOffsets(Map.of(partition, spec)).all().get().get(partition);
    }

    private static void listOffsets(Broker broker) throws Exception {
        String name = "admin-offsets";
        broker.createTopic(name, 1);
        try (Admin admin = broker.admin()) {
            equal(-1L, offset(admin, name, OffsetSpec.maxTimestamp()).offset(), "the maximum of an empty partition");
            ProducerCases.produceAt(broker, name, 1000L, 3000L, 2000L);
            equal(0L, offset(admin, name, OffsetSpec.earliest()).offset(), "the earliest offset");
            equal(3L, offset(admin, name, OffsetSpec.latest()).offset(), "the latest offset");
            equal(0L, offset(admin, name, OffsetSpec.earliestLocal()).offset(), "the earliest local offset");
            ListOffsetsResultInfo maximum = offset(admin, name, OffsetSpec.maxTimestamp());
            equal(1L, maximum.offset(), "the offset with the greatest timestamp");
            equal(3000L, maximum.timestamp(), "the greatest timestamp");
            ListOffsetsResultInfo at = offset(admin, name, OffsetSpec.forTimestamp(1500L));
            equal(1L, at.offset(), "the first offset at or after 1500");
            equal(3000L, at.timestamp(), "its timestamp");
            equal(-1L, offset(admin, name, OffsetSpec.forTimestamp(9000L)).offset(), "the offset after the end");
            check(at.leaderEpoch().isPresent(), "no leader epoch came");
        }
    }

    private static void deleteRecords(Broker broker) throws Exception {
        String name = "admin-truncated";
        broker.createTopic(name, 1);
        broker.produce(name, 0, 20);
        TopicPartition partition = new TopicPartition(name, 0);
        try (Admin admin = broker.admin()) {
            long low = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(7)))
                .lowWatermarks().get(partition).get().lowWatermark();
            equal(7L, low, "the low watermark");
            equal(7L, offset(admin, name, OffsetSpec.earliest()).offset(), "the earliest offset");
            equal("n-7", broker.readAll(name, 0, 13).get(0).value(), "the first record left");
            admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).all().get();
            equal(20L, offset(admin, name, OffsetSpec.earliest()).offset(), "the earliest offset after deleting all");
            refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
                () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(21))).all().get());
        }
        broker.produce(name, 0, 1);
        equal(20L, broker.readAll(name, 0, 1).get(0).offset(), "the offset of the next record");
    }

    private static void describeProducers(Broker broker) throws Exception {
        String name = "admin-producers";
        broker.createTopic(name, 1);
        broker.produce(name, 0, 5);
        TopicPartition partition = new TopicPartition(name, 0);
        try (Admin admin = broker.admin()) {
            List<ProducerState> states = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
            equal(1, states.size(), "the number of producers");
            equal(4, states.get(0).lastSequence(), "the last sequence");
            equal(0, states.get(0).producerEpoch(), "the producer epoch");
            check(states.get(0).producerId() >= 0, "the producer id is " + states.get(0).producerId());
            check(states.get(0).currentTransactionStartOffset().isEmpty(), "there is a transaction");
        }
    }

    private static void electLeaders(Broker broker) throws Exception {
        broker.createTopic("admin-elects", 2);
        try (Admin admin = broker.admin()) {
            TopicPartition partition = new TopicPartition("admin-elects", 0);
            Map<TopicPartition, Optional<Throwable>> result =
                admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get();
            Throwable error = result.get(partition).orElse(null);
            check(error instanceof org.apache.kafka.common.errors.ElectionNotNeededException, "the answer is " + error);
            admin.electLeaders(ElectionType.PREFERRED, null).partitions().get();
        }
    }

    private static void describeLogDirs(Broker broker) throws Exception {
        broker.createTopic("admin-logdirs", 2);
        broker.produce("admin-logdirs", 1, 100);
        try (Admin admin = broker.admin()) {
            int node = admin.describeCluster().controller().get().id();
            Map<String, LogDirDescription> directories = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
            equal(1, directories.size(), "the number of log directories");
            LogDirDescription directory = directories.values().iterator().next();
            check(directory.error() == null, "the directory reports " + directory.error());
            check(directory.totalBytes().getAsLong() > 0, "the directory has no size");
            check(directory.usableBytes().getAsLong() > 0, "the directory has no room");
            check(directory.replicaInfos().get(new TopicPartition("admin-logdirs", 1)).size() > 100, "no bytes in partition 1");
            equal(0L, directory.replicaInfos().get(new TopicPartition("admin-logdirs", 0)).size(), "the size of partition 0");
        }
    }

    private static void listReassignments(Broker broker) throws Exception {
        try (Admin admin = broker.admin()) {
            equal(Map.of(), admin.listPartitionReassignments().reassignments().get(), "the reassignments");
        }
    }

    private static void listConfigResources(Broker broker) throws Exception {
        broker.createTopic("admin-resource", 1);
        try (Admin admin = broker.admin()) {
            Collection<ConfigResource> all = admin.listConfigResources().all().get();
            check(all.contains(topic("admin-resource")), "the topic is not among " + all);
        }
    }
}
