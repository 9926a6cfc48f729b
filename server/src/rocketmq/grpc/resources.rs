//! Names of topics and groups, as clients over gRPC write them: with a namespace beside the name.

use super::caller::Caller;
use super::proto::{Code, Resource};
use super::status::{Done, Failed};
use crate::rocketmq::names::ScopedName;

const MAX_TOPIC_BYTES: usize = 127;
const MAX_GROUP_BYTES: usize = 255;

/// A topic's name.
pub(super) fn topic(caller: &Caller, named: Option<&Resource>) -> Done<ScopedName> {
    read(caller, named, Code::IllegalTopic, "topic", MAX_TOPIC_BYTES)
}

/// A consumer group's name.
pub(super) fn group(caller: &Caller, named: Option<&Resource>) -> Done<ScopedName> {
    read(caller, named, Code::IllegalConsumerGroup, "consumer group", MAX_GROUP_BYTES)
}

fn read(caller: &Caller, named: Option<&Resource>, code: Code, what: &str, most: usize) -> Done<ScopedName> {
    let named = named.ok_or_else(|| Failed::new(code, format!("the request names no {what}")))?;
    let name = named.name.as_str();
    if name.trim().is_empty() {
        return Err(Failed::new(code, format!("the {what}'s name is empty")));
    }
    if name.len() > most {
        return Err(Failed::new(
            code,
            format!("a {what}'s name has at most {most} bytes; this one has {}", name.len()),
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(Failed::new(code, format!("the {what}'s name has control characters")));
    }
    let namespaces = [named.resource_namespace.as_str(), caller.namespace.as_str()];
    Ok(match namespaces.into_iter().find(|namespace| !namespace.is_empty()) {
        Some(namespace) => ScopedName { namespace: namespace.to_owned(), name: name.to_owned() },
        None => ScopedName::parse(name),
    })
}

/// A name as clients read it.
pub(super) fn written(name: &ScopedName) -> Resource {
    let namespace = if name.is_default() { String::new() } else { name.namespace.clone() };
    Resource { resource_namespace: namespace, name: name.name.clone() }
}

/// A topic's name, and the group's that consumes it, which are in one namespace.
pub(super) fn consumed(
    caller: &Caller,
    named: Option<&Resource>,
    by: Option<&Resource>,
) -> Done<(ScopedName, ScopedName)> {
    let (topic, group) = (topic(caller, named)?, group(caller, by)?);
    if topic.namespace == group.namespace {
        return Ok((topic, group));
    }
    let message = format!(
        "group {:?} and topic {:?} are in different namespaces: {:?} and {:?}",
        group.name, topic.name, group.namespace, topic.namespace
    );
    Err(Failed::new(Code::IllegalConsumerGroup, message))
}
