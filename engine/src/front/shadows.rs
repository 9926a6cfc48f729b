//! Shadows: another version of a plugin beside the one that a topic calls.

use std::sync::Arc;

use crate::access::Action;
use crate::contract::{PluginShadowStatus, ShadowDifference};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Error, Result, TopicInfo, TopicSource};
use crate::state::Change;

/// Shadows of one store: each has a thread and instances of its own.
const MAX_SHADOWS: usize = 16;

impl Engine {
    /// Has a version of a plugin evaluate what the topic's readers are given, beside the version that the topic calls and
    /// without effect. It takes the place of a shadow that is there. Refused if the topic does not call the plugin, or would
    /// give other columns.
    pub fn shadow_topic(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        (plugin, version): (&str, u32),
    ) -> Result<()> {
        let session = self.session(who)?;
        let topic = session.topic(Action::Define, namespace, name)?;
        let shadow = session.plugin_version(Action::Use, namespace, plugin, version)?;
        let others = self.shadowed_topics().iter().filter(|other| other.id != topic.id).count();
        if others >= MAX_SHADOWS {
            return Err(Error::FailedPrecondition(format!(
                "{MAX_SHADOWS} topics have shadows, which is the limit; ALTER TOPIC … DROP SHADOW ends one"
            )));
        }
        self.calls_plugin(&topic, plugin)?;
        self.rooms.evaluations.check_shadow(&topic, &shadow)?;
        self.rooms.evaluations.forget_shadow(topic.id);
        self.record(who, vec![Change::TopicShadowed { topic: topic.id, shadow: Some(shadow.id) }]).map(drop)
    }

    /// Ends the shadow of a topic, and forgets what it has found; false if there was none.
    pub fn unshadow_topic(&self, who: &Principal, namespace: &str, name: &str) -> Result<bool> {
        let topic = self.session(who)?.topic(Action::Define, namespace, name)?;
        if topic.shadow.is_none() {
            return Ok(false);
        }
        self.record(who, vec![Change::TopicShadowed { topic: topic.id, shadow: None }])?;
        self.rooms.evaluations.forget_shadow(topic.id);
        Ok(true)
    }

    /// All shadows with how they fare, by namespace and topic.
    pub fn plugin_shadows(&self, who: &Principal) -> Result<Vec<PluginShadowStatus>> {
        let session = self.session(who)?;
        let mut found = Vec::new();
        for topic in session.allowed_of(Action::See, self.shadowed_topics(), |topic| topic.as_ref().into()) {
            let Some(shadow) = topic.shadow.and_then(|id| self.rooms.ledger.plugin(id).ok()) else { continue };
            let TopicSource::Select { plugins, .. } = &topic.source else { continue };
            let called = plugins.iter().filter_map(|id| self.rooms.ledger.plugin(*id).ok());
            let version = called.filter(|called| called.name == shadow.name).map(|called| called.version).max();
            let (figures, error) = self.rooms.evaluations.shadow_figures(&topic);
            found.push(PluginShadowStatus { version: version.unwrap_or(0), topic, shadow, figures, error });
        }
        Ok(found)
    }

    /// Rows of which the versions say different things: the newest of each shadow, oldest first.
    pub fn shadow_differences(&self, who: &Principal) -> Result<Vec<(Arc<TopicInfo>, Vec<ShadowDifference>)>> {
        let session = self.session(who)?;
        let of = |topic: Arc<TopicInfo>| {
            let differences = self.rooms.evaluations.shadow_differences(&topic);
            (topic, differences)
        };
        let seen = session.allowed_of(Action::See, self.shadowed_topics(), |topic| topic.as_ref().into());
        Ok(seen.into_iter().map(of).collect())
    }

    fn calls_plugin(&self, topic: &TopicInfo, plugin: &str) -> Result<()> {
        let calls = match &topic.source {
            TopicSource::Identity => false,
            TopicSource::Select { plugins, .. } => {
                plugins.iter().any(|id| self.rooms.ledger.plugin(*id).is_ok_and(|called| called.name == plugin))
            }
        };
        if calls {
            return Ok(());
        }
        Err(Error::InvalidInput(format!("topic {:?} does not call plugin {plugin:?}", topic.name)))
    }

    fn shadowed_topics(&self) -> Vec<Arc<TopicInfo>> {
        let state = self.rooms.ledger.state.read();
        let mut topics: Vec<_> = state.catalog().topics().filter(|topic| topic.shadow.is_some()).cloned().collect();
        drop(state);
        topics.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        topics
    }
}
