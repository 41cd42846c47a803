//! What every assignor must keep to, on random groups; and the shapes Kafka documents.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn topic(index: u8) -> Uuid {
    Uuid([index; 16])
}

fn spec(topics: &[i32], members: &[(&str, &[u8])]) -> Spec {
    let ids = |topics: &[u8]| topics.iter().map(|index| topic(*index)).collect();
    let members: BTreeMap<Arc<str>, MemberSpec> = members
        .iter()
        .map(|(id, topics)| {
            let member = MemberSpec {
                topics: Arc::new(ids(topics)),
                ..MemberSpec::default()
            };
            ((*id).into(), member)
        })
        .collect();
    let mut sets = members.values().map(|member| &member.topics);
    let first = sets.next();
    let homogeneous = sets.all(|set| Some(set) == first);
    Spec {
        topics: topics
            .iter()
            .enumerate()
            .map(|(index, count)| (topic(index as u8), *count))
            .filter(|(topic, _)| members.values().any(|member| member.topics.contains(topic)))
            .collect(),
        members,
        homogeneous,
    }
}

fn show(assignment: &BTreeMap<Arc<str>, Partitions>) -> String {
    let members = assignment.iter().map(|(id, partitions)| {
        let topics: Vec<String> = partitions
            .iter()
            .map(|(topic, indexes)| format!("{}{indexes:?}", topic.0[0]))
            .collect();
        format!("{id}: {}", topics.join(" "))
    });
    members.collect::<Vec<_>>().join("; ")
}

fn size(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

/// Lets the members have what was assigned.
fn settle(spec: &mut Spec, assignment: &BTreeMap<Arc<str>, Partitions>) {
    for (id, member) in &mut spec.members {
        member.assigned = Arc::new(assignment.get(id).cloned().unwrap_or_default());
    }
}

#[test]
fn range_gives_the_same_indexes_of_each_topic() {
    let group = spec(&[3, 3], &[("m0", &[0, 1]), ("m1", &[0, 1])]);
    assert_eq!(
        show(&Assignor::Range.assign(&group)),
        "m0: 0{0, 1} 1{0, 1}; m1: 0{2} 1{2}"
    );
}

#[test]
fn range_puts_static_members_first() {
    let mut group = spec(&[3], &[("a", &[0]), ("b", &[0])]);
    group.members.get_mut("b").unwrap().instance_id = Some("i".into());
    assert_eq!(show(&Assignor::Range.assign(&group)), "a: 0{2}; b: 0{0, 1}");
}

#[test]
fn range_of_different_wishes_counts_the_subscribers_of_each_topic() {
    let group = spec(&[3, 3, 2], &[("a", &[0, 1]), ("b", &[2]), ("c", &[1, 2])]);
    assert_eq!(
        show(&Assignor::Range.assign(&group)),
        "a: 0{0, 1, 2} 1{0, 1}; b: 2{0}; c: 1{2} 2{1}"
    );
}

#[test]
fn uniform_is_even_over_all_topics() {
    let group = spec(&[3, 3], &[("a", &[0, 1]), ("b", &[0, 1]), ("c", &[0, 1])]);
    let sizes: Vec<usize> = Assignor::Uniform
        .assign(&group)
        .values()
        .map(size)
        .collect();
    assert_eq!(sizes, [2, 2, 2]);
}

#[test]
fn uniform_moves_only_what_evenness_asks_for() {
    let mut group = spec(&[6], &[("b", &[0]), ("c", &[0])]);
    let before = Assignor::Uniform.assign(&group);
    settle(&mut group, &before);
    let newcomer = MemberSpec {
        topics: Arc::new([topic(0)].into()),
        ..MemberSpec::default()
    };
    group.members.insert("a".into(), newcomer);
    let after = Assignor::Uniform.assign(&group);
    for id in ["b", "c"] {
        let (before, after) = (&before[id][&topic(0)], &after[id][&topic(0)]);
        assert!(after.is_subset(before), "{before:?} {after:?}");
        assert_eq!(after.len(), 2);
    }
}

#[test]
fn uniform_of_different_wishes_moves_along_chains() {
    // a has what only b can take, b has what only c can take: a single move helps nobody.
    let mut group = spec(&[3, 2], &[("a", &[0]), ("b", &[0, 1]), ("c", &[1])]);
    let own = |topic: Uuid, indexes: &[i32]| {
        Arc::new(Partitions::from([(
            topic,
            indexes.iter().copied().collect(),
        )]))
    };
    group.members.get_mut("a").unwrap().assigned = own(topic(0), &[0, 1, 2]);
    group.members.get_mut("b").unwrap().assigned = own(topic(1), &[0, 1]);
    let sizes: Vec<usize> = Assignor::Uniform
        .assign(&group)
        .values()
        .map(size)
        .collect();
    assert_eq!(sizes, [2, 2, 1]);
}

/// Every partition has exactly one owner, who wants it.
fn check_complete(spec: &Spec, assignment: &BTreeMap<Arc<str>, Partitions>) {
    let mut owned = BTreeSet::new();
    for (id, partitions) in assignment {
        for (topic, indexes) in partitions {
            assert!(!indexes.is_empty());
            assert!(
                spec.members[id].topics.contains(topic),
                "{id} does not want it"
            );
            for index in indexes {
                assert!((0..spec.topics[topic]).contains(index));
                assert!(owned.insert((*topic, *index)), "two owners");
            }
        }
    }
    assert_eq!(owned, spec.partitions().collect());
}

/// No partition can go from a member to one with at least two less that wants its topic.
fn check_even(spec: &Spec, assignment: &BTreeMap<Arc<str>, Partitions>) {
    for (from, partitions) in assignment {
        for (to, member) in &spec.members {
            let wants = partitions.keys().any(|topic| member.topics.contains(topic));
            let (have, would) = (size(partitions), size(&assignment[to]));
            assert!(!wants || have <= would + 1, "{from} {have}, {to} {would}");
        }
    }
}

fn random_spec(rng: &mut StdRng) -> Spec {
    let topics: Vec<i32> = (0..rng.random_range(1..5))
        .map(|_| rng.random_range(1..9))
        .collect();
    let all: Vec<u8> = (0..topics.len() as u8).collect();
    let same = rng.random_bool(0.5);
    let names: Vec<String> = (0..rng.random_range(1..7))
        .map(|index| format!("m{index}"))
        .collect();
    let wishes: Vec<Vec<u8>> = names
        .iter()
        .map(|_| {
            let wanted = all.iter().copied();
            wanted.filter(|_| same || rng.random_bool(0.6)).collect()
        })
        .collect();
    let members: Vec<(&str, &[u8])> = names
        .iter()
        .map(String::as_str)
        .zip(wishes.iter().map(Vec::as_slice))
        .collect();
    spec(&topics, &members)
}

#[test]
fn random_groups_are_assigned_completely_evenly_and_once() {
    let mut rng = StdRng::seed_from_u64(848);
    for _ in 0..500 {
        let mut group = random_spec(&mut rng);
        for _ in 0..4 {
            for assignor in Assignor::ALL {
                let assignment = assignor.assign(&group);
                check_complete(&group, &assignment);
                if assignor == Assignor::Uniform {
                    check_even(&group, &assignment);
                    let mut settled = group.clone();
                    settle(&mut settled, &assignment);
                    assert_eq!(assignor.assign(&settled), assignment, "it does not settle");
                }
            }
            let assignment = Assignor::Uniform.assign(&group);
            settle(&mut group, &assignment);
            // Somebody goes, a topic grows.
            if group.members.len() > 1 && rng.random_bool(0.5) {
                group.members.pop_first();
            }
            let members = &group.members;
            let wanted =
                |topic: &Uuid| members.values().any(|member| member.topics.contains(topic));
            group.topics.retain(|topic, _| wanted(topic));
            if let Some(count) = group.topics.values_mut().next() {
                *count += rng.random_range(0..3);
            }
        }
    }
}
