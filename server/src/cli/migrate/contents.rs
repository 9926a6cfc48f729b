//! What a live cluster's topics hold, and where its groups are: copied topic by topic, then set group by group.

use std::collections::{BTreeMap, BTreeSet};

use super::copy::{Copied, QueueOf, Queues, copy, count};
use super::export::{Exported, Topic};
use super::made;
use super::merge::Mark;
use super::plan::{Item, Outcome, is_own_group, own_topic, scoped};
use super::report::Report;
use super::target::{Target, targets};
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::quote;
use crate::rocketmq::cluster::Broker;

/// What of it is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) messages: bool,
    pub(super) offsets: bool,
    pub(super) dry_run: bool,
}

/// Where groups are in the queues of one topic.
type Marks = BTreeMap<QueueOf, Vec<Mark>>;

/// Where one group goes on here, and the topics on which that is not known.
#[derive(Debug, Default)]
struct Goal {
    positions: Vec<(Target, u32, u64)>,
    left_out: BTreeSet<String>,
}

pub(super) async fn carry(
    client: &Client,
    brokers: &mut [Broker],
    exported: &Exported,
    default_namespace: &str,
    wanted: Wanted,
    report: &mut Report,
) -> Result<(), Failure> {
    let topics: Vec<_> = exported.topics.iter().filter(|(named, topic)| own_topic(named, topic).is_none()).collect();
    let groups: Vec<_> = exported.groups.keys().filter(|named| !is_own_group(named)).collect();
    report.expect(if wanted.messages { topics.len() } else { 0 } + if wanted.offsets { groups.len() } else { 0 });
    // Before the messages: what a group consumes meanwhile comes again, and none is left out.
    let marks = match wanted.offsets {
        true => marks(brokers, &groups, &topics).await?,
        false => BTreeMap::new(),
    };
    let targets = targets(client).await?;
    let mut goals: BTreeMap<&str, Goal> = BTreeMap::new();
    let none = Marks::new();
    for (named, topic) in topics {
        let place = scoped(named, default_namespace);
        let planned = wanted.dry_run.then(|| Target::planned(&place, queues(topic)));
        let target = targets.get(&place).or(planned.as_ref());
        let marks = marks.get(named.as_str()).unwrap_or(&none);
        let queues = Queues { topic: named, queues: queues(topic) };
        let positions = match wanted.messages {
            true => copied(client, brokers, &queues, target, marks, wanted.dry_run, report).await?,
            false => target.filter(|target| target.is_empty).map(|target| at_the_start(target, marks)),
        };
        let here = marks.values().flatten().map(|mark| mark.group.as_str()).collect::<BTreeSet<_>>();
        for group in here {
            let Some(group) = groups.iter().find(|known| known.as_str() == group) else { continue };
            let goal = goals.entry(group).or_default();
            match (target, &positions) {
                (Some(target), Some(positions)) => {
                    let own = positions.get(group.as_str()).into_iter().flatten();
                    goal.positions.extend(own.map(|(partition, at)| (target.clone(), *partition, *at)));
                }
                _ => drop(goal.left_out.insert(named.clone())),
            }
        }
    }
    if wanted.offsets {
        for group in groups {
            let goal = goals.remove(group.as_str()).unwrap_or_default();
            let item = goal.item(group);
            let outcome = goal.reach(client, group, default_namespace, wanted.dry_run).await?;
            report.add(item, outcome);
        }
    }
    Ok(())
}

fn queues(topic: &Topic) -> u32 {
    topic.read_queue_nums.max(topic.write_queue_nums).max(1)
}

/// Copies a topic's messages, and tells of it. Gives where groups go on, if that is known.
async fn copied(
    client: &Client,
    brokers: &mut [Broker],
    queues: &Queues<'_>,
    target: Option<&Target>,
    marks: &Marks,
    dry_run: bool,
    report: &mut Report,
) -> Result<Option<BTreeMap<String, Vec<(u32, u64)>>>, Failure> {
    let item = |remark: String| Item { what: "messages", named: queues.topic.to_owned(), remark };
    let outcome = match target {
        Some(target) if !target.is_empty => Outcome::Exists("its table has messages; none are copied".to_owned()),
        _ if dry_run => {
            let messages = count(brokers, queues).await?;
            report.add(item(format!("{messages} messages")), Outcome::WouldMake);
            return Ok(target.map(|target| at_the_start(target, marks)));
        }
        None => Outcome::Failed("there is no message table for them".to_owned()),
        Some(target) => match copy(client, brokers, queues, target, marks).await {
            Ok(Copied { messages, positions }) => {
                report.add(item(format!("{messages} messages")), Outcome::Made);
                return Ok(Some(positions));
            }
            Err(failure) => Outcome::Failed(format!("{failure}; drop the table before it is tried again")),
        },
    };
    report.add(item(String::new()), outcome);
    Ok(None)
}

/// Of a table that has no messages: each group begins with the first that is sent here.
fn at_the_start(target: &Target, marks: &Marks) -> BTreeMap<String, Vec<(u32, u64)>> {
    let mut partitions: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for ((_, queue), marks) in marks {
        for mark in marks {
            partitions.entry(mark.group.clone()).or_default().insert(queue % target.partitions.max(1));
        }
    }
    let zero = |partitions: BTreeSet<u32>| partitions.into_iter().map(|partition| (partition, 0)).collect();
    partitions.into_iter().map(|(group, partitions)| (group, zero(partitions))).collect()
}

/// Where the groups are, by topic.
async fn marks(
    brokers: &mut [Broker],
    groups: &[&String],
    topics: &[(&String, &Topic)],
) -> Result<BTreeMap<String, Marks>, Failure> {
    let mut marks: BTreeMap<String, Marks> = BTreeMap::new();
    for group in groups {
        for (place, broker) in brokers.iter_mut().enumerate() {
            let consumed = broker.topics_of(group).await?;
            for (named, topic) in topics.iter().filter(|(named, _)| consumed.contains(named)) {
                for queue in 0..queues(topic) {
                    if let Some(offset) = broker.committed(group, named, queue).await? {
                        let of_topic = marks.entry((*named).clone()).or_default();
                        of_topic.entry((place, queue)).or_default().push(Mark { group: (*group).clone(), offset });
                    }
                }
            }
        }
    }
    Ok(marks)
}

impl Goal {
    fn item(&self, group: &str) -> Item {
        let topics: BTreeSet<_> =
            self.positions.iter().map(|(target, ..)| (&target.namespace, &target.table)).collect();
        let mut remark = format!("{} queues of {} topics", self.positions.len(), topics.len());
        if !self.left_out.is_empty() {
            let topics: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
            remark = format!("{remark}; not on {}, whose messages were not copied", topics.join(", "));
        }
        Item { what: "offsets", named: group.to_owned(), remark }
    }

    async fn reach(
        self,
        client: &Client,
        group: &str,
        default_namespace: &str,
        dry_run: bool,
    ) -> Result<Outcome, Failure> {
        if self.positions.is_empty() {
            return Ok(Outcome::Skipped("it has no offsets that mean anything here"));
        }
        if dry_run {
            return Ok(Outcome::WouldMake);
        }
        let (namespace, name) = scoped(group, default_namespace);
        let group = format!("{}.{}", quote::name(&namespace), quote::name(&name));
        let mut statements = vec![format!("CREATE CONSUMER GROUP IF NOT EXISTS {group}")];
        statements.extend(self.positions.iter().map(|(target, partition, at)| {
            let topic = format!("{}.{}", quote::name(&target.namespace), quote::name(&target.table));
            format!("ALTER CONSUMER GROUP {group} SET OFFSET TO {at} ON {topic} PARTITION {partition}")
        }));
        made(client, &statements).await
    }
}
