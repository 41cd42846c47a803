//! What `sticky` promises: an even load, few moves, copies in other processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{MemberSpec, Spec, SubtopologySpec, assign};
use crate::streams::tasks::{TaskSet, Tasks, each};

fn spec(
    members: &[(&str, &str)],
    subtopologies: &[(&str, i32, bool)],
    standby_replicas: usize,
) -> Spec {
    Spec {
        members: members
            .iter()
            .map(|(id, process)| {
                let member = MemberSpec {
                    process_id: (*process).into(),
                    ..MemberSpec::default()
                };
                ((*id).into(), member)
            })
            .collect(),
        subtopologies: subtopologies
            .iter()
            .map(|(id, tasks, stateful)| {
                let spec = SubtopologySpec {
                    tasks: *tasks,
                    stateful: *stateful,
                };
                ((*id).into(), spec)
            })
            .collect(),
        standby_replicas,
        rack_aware_tags: Arc::default(),
    }
}

/// The same group later, with what was assigned.
fn later(mut spec: Spec, assignment: &BTreeMap<Arc<str>, Tasks>) -> Spec {
    for (id, member) in &mut spec.members {
        member.assigned = Arc::new(assignment.get(id).cloned().unwrap_or_default());
    }
    spec
}

fn show(assignment: &BTreeMap<Arc<str>, Tasks>) -> String {
    let set = |tasks: &TaskSet| {
        let tasks: Vec<String> = each(tasks)
            .map(|(subtopology, partition)| format!("{subtopology}_{partition}"))
            .collect();
        tasks.join(" ")
    };
    let members: Vec<String> = assignment
        .iter()
        .map(|(id, tasks)| match tasks.standby.is_empty() {
            true => format!("{id}: {}", set(&tasks.active)),
            false => format!("{id}: {} + {}", set(&tasks.active), set(&tasks.standby)),
        })
        .collect();
    members.join("; ")
}

/// Every task is active once, copies are in other processes, and active tasks are even among members.
fn check(spec: &Spec, assignment: &BTreeMap<Arc<str>, Tasks>) {
    let mut active = BTreeSet::new();
    let mut of_process: BTreeSet<(Arc<str>, Arc<str>, i32)> = BTreeSet::new();
    let mut counts = Vec::new();
    for (id, member) in &spec.members {
        let tasks = &assignment[id];
        for (subtopology, partition) in each(&tasks.active) {
            assert!(active.insert((subtopology.clone(), partition)));
        }
        for (subtopology, partition) in each(&tasks.active).chain(each(&tasks.standby)) {
            let held = (member.process_id.clone(), subtopology.clone(), partition);
            assert!(
                of_process.insert(held),
                "twice in a process: {assignment:?}"
            );
        }
        counts.push(each(&tasks.active).count());
    }
    let all: i32 = spec.subtopologies.values().map(|spec| spec.tasks).sum();
    assert_eq!(active.len(), usize::try_from(all).unwrap());
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "uneven: {}", show(assignment));
}

#[test]
fn tasks_are_spread_over_members_and_processes() {
    let two = spec(
        &[("a", "p"), ("b", "q")],
        &[("0", 2, false), ("1", 2, true)],
        0,
    );
    let assignment = assign(&two);
    check(&two, &assignment);
    assert_eq!(show(&assignment), "a: 0_0 1_0; b: 0_1 1_1");
    let threads = spec(
        &[("a1", "p"), ("a2", "p"), ("b", "q")],
        &[("0", 6, false)],
        0,
    );
    let assignment = assign(&threads);
    check(&threads, &assignment);
}

#[test]
fn a_new_member_gets_its_share_and_nobody_else_moves() {
    let one = spec(&[("a", "p")], &[("0", 4, true)], 0);
    let first = assign(&one);
    assert_eq!(show(&first), "a: 0_0 0_1 0_2 0_3");
    let mut two = later(one, &first);
    let new = spec(&[("b", "q")], &[], 0).members;
    two.members.extend(new);
    let second = assign(&two);
    check(&two, &second);
    assert_eq!(show(&second), "a: 0_0 0_1; b: 0_2 0_3");
    assert_eq!(
        assign(&later(two.clone(), &second)),
        second,
        "stays as it is"
    );
    let mut alone = later(two, &second);
    alone.members.remove("a");
    assert_eq!(show(&assign(&alone)), "b: 0_0 0_1 0_2 0_3");
}

#[test]
fn standby_tasks_are_in_other_processes_and_take_over() {
    let three = spec(
        &[("a", "p"), ("b", "q"), ("c", "r")],
        &[("0", 3, true), ("1", 3, false)],
        1,
    );
    let first = assign(&three);
    check(&three, &first);
    let copies: usize = first
        .values()
        .map(|tasks| each(&tasks.standby).count())
        .sum();
    assert_eq!(copies, 3, "tasks without state have no copies");
    let owner = |assignment: &BTreeMap<Arc<str>, Tasks>, role: fn(&Tasks) -> &TaskSet| {
        let found = assignment
            .iter()
            .find(|(_, tasks)| each(role(tasks)).any(|(id, at)| &**id == "0" && at == 0));
        found.map(|(id, _)| id.clone()).unwrap()
    };
    let (active, standby) = (owner(&first, |t| &t.active), owner(&first, |t| &t.standby));
    let mut two = later(three, &first);
    two.members.remove(&active);
    let second = assign(&two);
    check(&two, &second);
    assert_eq!(owner(&second, |t| &t.active), standby, "{}", show(&second));
}

#[test]
fn one_process_has_no_room_for_copies() {
    let one = spec(&[("a1", "p"), ("a2", "p")], &[("0", 2, true)], 2);
    let assignment = assign(&one);
    check(&one, &assignment);
    assert_eq!(show(&assignment), "a1: 0_0; a2: 0_1");
    let two = spec(&[("a", "p"), ("b", "q")], &[("0", 2, true)], 2);
    let assignment = assign(&two);
    check(&two, &assignment);
    assert_eq!(show(&assignment), "a: 0_0 + 0_1; b: 0_1 + 0_0");
}

#[test]
fn groups_of_any_shape_are_assigned_evenly_and_settle() {
    for members in 1..6_usize {
        for processes in 1..4_usize {
            for (tasks, replicas) in [(1, 0), (5, 1), (7, 2), (12, 1)] {
                let names: Vec<(String, String)> = (0..members)
                    .map(|at| (format!("m{at}"), format!("p{}", at % processes)))
                    .collect();
                let members: Vec<(&str, &str)> = names
                    .iter()
                    .map(|(id, process)| (id.as_str(), process.as_str()))
                    .collect();
                let group = spec(&members, &[("0", tasks, true), ("1", 3, false)], replicas);
                let first = assign(&group);
                check_once(&group, &first);
                let again = later(group, &first);
                let second = assign(&again);
                let active = |assignment: &BTreeMap<Arc<str>, Tasks>| -> Vec<TaskSet> {
                    assignment
                        .values()
                        .map(|tasks| tasks.active.clone())
                        .collect()
                };
                assert_eq!(
                    active(&first),
                    active(&second),
                    "{members:?} {tasks} {replicas}"
                );
            }
        }
    }
}

/// As [`check`] without the load: processes of different size share unevenly.
fn check_once(spec: &Spec, assignment: &BTreeMap<Arc<str>, Tasks>) {
    let active: Vec<_> = assignment
        .values()
        .flat_map(|tasks| each(&tasks.active))
        .collect();
    let distinct: BTreeSet<_> = active.iter().collect();
    assert_eq!(active.len(), distinct.len());
    let all: i32 = spec.subtopologies.values().map(|spec| spec.tasks).sum();
    assert_eq!(active.len(), usize::try_from(all).unwrap());
}

#[test]
fn tasks_with_state_are_spread_on_their_own() {
    // a has everything with state, b the rest: both have two tasks, and yet half of each moves.
    let mut group = spec(
        &[("a", "p"), ("b", "q")],
        &[("0", 2, true), ("1", 2, false)],
        0,
    );
    let all = |id: &str| {
        let mut tasks = Tasks::default();
        tasks.active.insert(id.into(), [0, 1].into());
        Arc::new(tasks)
    };
    group.members.get_mut("a").unwrap().assigned = all("0");
    group.members.get_mut("b").unwrap().assigned = all("1");
    let assignment = assign(&group);
    check(&group, &assignment);
    assert_eq!(show(&assignment), "a: 0_0 1_1; b: 0_1 1_0");
}

#[test]
fn state_on_disk_draws_its_task() {
    let mut group = spec(&[("a", "p"), ("b", "q"), ("c", "r")], &[("0", 3, true)], 0);
    let mut report = |member: &str, partition: i32, offset: i64| {
        let mut offsets = crate::streams::group::TaskOffsets::default();
        offsets.positions.insert(("0".into(), partition), offset);
        group.members.get_mut(member).unwrap().offsets = Arc::new(offsets);
    };
    // b is further than a with task 2, and c has the last one.
    report("a", 2, 10);
    report("b", 2, 20);
    report("c", 0, 1);
    assert_eq!(show(&assign(&group)), "a: 0_1; b: 0_2; c: 0_0");
}

#[test]
fn copies_are_in_other_racks_first() {
    let mut group = spec(
        &[("a", "p"), ("b", "q"), ("c", "r"), ("d", "s")],
        &[("0", 4, true)],
        1,
    );
    group.rack_aware_tags = Arc::new(["zone".to_owned()]);
    for (member, zone) in [("a", "z1"), ("b", "z1"), ("c", "z2"), ("d", "z2")] {
        let tags = &mut group.members.get_mut(member).unwrap().client_tags;
        tags.insert("zone".to_owned(), zone.to_owned());
    }
    let first = assign(&group);
    check(&group, &first);
    let zone = |member: &str| &group.members[member].client_tags["zone"];
    for (member, tasks) in &first {
        for (subtopology, partition) in each(&tasks.standby) {
            let active = first.iter().find(|(_, tasks)| {
                each(&tasks.active).any(|task| task == (subtopology, partition))
            });
            let (active, _) = active.unwrap();
            assert_ne!(zone(member), zone(active), "{}", show(&first));
        }
    }
    // Nothing moves when nothing has changed.
    assert_eq!(assign(&later(group, &first)), first);
}
