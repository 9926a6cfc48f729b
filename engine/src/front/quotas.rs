//! What callers may do now, by the limits of their namespaces and their own, and how many things there may be.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;

use crate::access::Object;
use crate::front::Engine;
use crate::front::rooms::Rooms;
use crate::identities::IdentityChange;
use crate::model::{Append, Error, NamespaceLimit, Principal, QuotaInfo, Result};
use crate::quotas::{ConnectionPlaces, IN, OUT, Quota, REQUESTS};
use crate::state::{Record, RecordContext};

/// Tables in which groups keep messages of their own: each group has one of each kind at most.
const OF_GROUPS: [&str; 2] = ["%RETRY%", "%DLQ%"];

/// Whose limits a call is held to: the namespace's and the caller's.
pub(super) type Concerned = [Option<Arc<Quota>>; 2];

impl Rooms {
    /// Takes up the limits of all that are there.
    pub(super) fn read_quotas(&self) {
        let names: Vec<Arc<str>> = self.ledger.state.read().catalog().namespaces().cloned().collect();
        names.iter().for_each(|name| self.limit_namespace(name));
        let users: Vec<_> = self.ledger.access.of(|known| known.users().cloned().collect());
        users.iter().for_each(|user| self.quotas.set_user(&user.name, Some(&user.options.limits)));
    }

    /// Takes up what a commit says of limits.
    pub(super) fn limits_applied(&self, records: &[(RecordContext, Record)]) {
        for (_, record) in records {
            record.namespace().into_iter().for_each(|name| self.limit_namespace(name));
            match record.identity() {
                Some(IdentityChange::UserCreated { user, .. }) => {
                    self.quotas.set_user(&user.name, Some(&user.options.limits));
                }
                Some(IdentityChange::UserAltered { user, options }) => {
                    self.quotas.set_user(user, Some(&options.limits));
                }
                Some(IdentityChange::UserDropped { user }) => self.quotas.set_user(user, None),
                _ => {}
            }
        }
    }

    fn limit_namespace(&self, name: &str) {
        let is_there = self.ledger.state.read().catalog().has_namespace(name);
        let limits = is_there.then(|| self.plugins.namespace_limits(name));
        self.quotas.set_namespace(name, limits.as_ref());
    }
}

impl Engine {
    /// Counts requests; refused (`OverQuota`) while there were too many. Of a namespace that the caller may not see, his own limits count
    /// alone.
    pub fn admit_requests(&self, who: &Principal, namespace: &str, requests: u64) -> Result<()> {
        let concerned = self.concerned(who, namespace);
        self.rooms.quotas.check(&concerned, &REQUESTS)?;
        self.rooms.quotas.take(&concerned, &[(NamespaceLimit::RequestsPerSecond, requests)]);
        Ok(())
    }

    /// How long to wait before more is appended by [`Engine::enqueue_paced`]; to be asked again then, and each second.
    pub fn append_pause(&self, who: &Principal, namespace: &str) -> Option<Duration> {
        self.rooms.quotas.pause(&self.concerned(who, namespace), &IN)
    }

    /// How long to wait before more is delivered; to be asked again then, and each second.
    pub fn delivery_pause(&self, who: &Principal, namespace: &str) -> Option<Duration> {
        self.rooms.quotas.pause(&self.concerned(who, namespace), &OUT)
    }

    /// Counts what a reader is sent.
    pub fn delivered(&self, who: &Principal, namespace: &str, rows: u64, bytes: u64) {
        let amounts = [(NamespaceLimit::BytesOutPerSecond, bytes), (NamespaceLimit::RowsOutPerSecond, rows)];
        self.rooms.quotas.take(&self.concerned(who, namespace), &amounts);
    }

    /// The same of rows, by what they take in Arrow's columns.
    pub fn delivered_rows(&self, who: &Principal, namespace: &str, rows: &RecordBatch) {
        let concerned = self.concerned(who, namespace);
        if concerned.iter().any(Option::is_some) {
            let amounts = [
                (NamespaceLimit::BytesOutPerSecond, whole(crate::log::sliced_bytes(rows))),
                (NamespaceLimit::RowsOutPerSecond, whole(rows.num_rows())),
            ];
            self.rooms.quotas.take(&concerned, &amounts);
        }
    }

    /// Has a connection count as the caller's until its places are dropped. Refused (`OverQuota`) where he has no more.
    pub fn connect(&self, who: &Principal, places: &ConnectionPlaces) -> Result<()> {
        self.rooms.quotas.connect(who, places)
    }

    /// The limits that are set, as they stand: of namespaces and users that the caller may see.
    pub fn quotas(&self, who: &Principal) -> Result<Vec<QuotaInfo>> {
        let mut all = Vec::new();
        for name in self.namespaces(who)? {
            let Some(quota) = self.rooms.quotas.namespace(&name) else { continue };
            all.extend(self.rooms.quotas.infos(&quota, |limit| match limit {
                NamespaceLimit::Topics => Some(self.count_topics(&name).0),
                NamespaceLimit::Groups => Some(self.count_groups(&name)),
                NamespaceLimit::RetainedBytes => Some(self.retained_bytes(&name)),
                _ => None,
            }));
        }
        for user in self.users(who)? {
            let Some(quota) = self.rooms.quotas.user(&Principal::named(&user.name)) else { continue };
            all.extend(self.rooms.quotas.infos(&quota, |_| None));
        }
        Ok(all)
    }

    fn concerned(&self, who: &Principal, namespace: &str) -> Concerned {
        let of_namespace = self.rooms.quotas.namespace(namespace).filter(|_| {
            // Nobody uses up, or is told of, what is a stranger's.
            !who.is_system() && self.rooms.ledger.access.sees(who, &Object::namespace(namespace))
        });
        [of_namespace, self.rooms.quotas.user(who)]
    }

    /// Counts what is appended to a namespace by who may; with `refuses`, refused while there was too much. Refused where the namespace
    /// is full.
    pub(super) fn admit_appends(
        &self,
        who: &Principal,
        namespace: &str,
        appends: &[Append],
        refuses: bool,
    ) -> Result<()> {
        let quotas = &self.rooms.quotas;
        let concerned = [quotas.namespace(namespace).filter(|_| !who.is_system()), quotas.user(who)];
        let [of_namespace, of_user] = &concerned;
        if of_namespace.is_none() && of_user.is_none() {
            return Ok(());
        }
        if let Some(quota) = of_namespace {
            quotas.check_retained(quota, || self.retained_bytes(namespace))?;
        }
        if refuses {
            quotas.check(&concerned, &IN)?;
        }
        let (rows, bytes) = appends.iter().fold((0, 0), |(rows, bytes), append| {
            (rows + whole(append.batch.num_rows()), bytes + whole(crate::log::sliced_bytes(&append.batch)))
        });
        let amounts = [(NamespaceLimit::BytesInPerSecond, bytes), (NamespaceLimit::RowsInPerSecond, rows)];
        quotas.take(&concerned, &amounts);
        if let Some(quota) = of_namespace {
            quotas.appended(quota, bytes);
        }
        Ok(())
    }

    /// Makes a table or a topic of that name if the namespace's limits let there be one more, or so many.
    pub(super) fn with_room_for_topics<T>(
        &self,
        who: &Principal,
        (namespace, what, name): (&str, &str, &str),
        (count, partitions): (usize, u32),
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let quota = self.rooms.quotas.namespace(namespace).filter(|_| !who.is_system());
        let Some(quota) = quota else { return make() };
        if !is_of_group(name) {
            check_length(&quota, what, name)?;
        }
        check_partitions(&quota, namespace, partitions)?;
        let _turn = quota.defining.lock();
        if let Some(most) = quota.bound(NamespaceLimit::Topics) {
            let (own, of_groups) = self.count_topics(namespace);
            let (there, most) = match is_of_group(name) {
                false => (own, most),
                true => (of_groups, most.saturating_add(self.count_groups(namespace).saturating_add(1) * 2)),
            };
            self.check_count(&quota, (NamespaceLimit::Topics, namespace), (there, whole(count), most))?;
        }
        make()
    }

    /// The same of a consumer group, which may be there already.
    pub(super) fn with_room_for_group<T>(
        &self,
        namespace: &str,
        group: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(quota) = self.rooms.quotas.namespace(namespace) else { return make() };
        let is_there = || self.rooms.ledger.state.read().group(namespace, group).is_some();
        if is_there() {
            return make();
        }
        check_length(&quota, "consumer group", group)?;
        let _turn = quota.defining.lock();
        if let Some(most) = quota.bound(NamespaceLimit::Groups).filter(|_| !is_there()) {
            self.check_count(&quota, (NamespaceLimit::Groups, namespace), (self.count_groups(namespace), 1, most))?;
        }
        make()
    }

    /// Refuses more partitions than tables of the namespace may have.
    pub(super) fn check_quota_of_partitions(&self, namespace: &str, partitions: u32) -> Result<()> {
        let quota = self.rooms.quotas.namespace(namespace);
        quota.map_or(Ok(()), |quota| check_partitions(&quota, namespace, partitions))
    }

    fn check_count(
        &self,
        quota: &Quota,
        (limit, namespace): (NamespaceLimit, &str),
        (there, more, most): (u64, u64, u64),
    ) -> Result<()> {
        if there.saturating_add(more) <= most {
            return Ok(());
        }
        self.rooms.quotas.count(quota, limit);
        let what = limit.name();
        Err(Error::FailedPrecondition(format!(
            "namespace {namespace:?} has {there} {what}, and {what} of it is {most}: drop some that are not used, or raise it with \
             ALTER NAMESPACE"
        )))
    }

    /// Tables and topics of a namespace; and, beside them, those in which groups keep messages.
    fn count_topics(&self, namespace: &str) -> (u64, u64) {
        let state = self.rooms.ledger.state.read();
        let names = state.catalog().topic_names(namespace);
        names.fold((0, 0), |(own, of_groups), name| match is_of_group(name) {
            true => (own, of_groups + 1),
            false => (own + 1, of_groups),
        })
    }

    fn count_groups(&self, namespace: &str) -> u64 {
        let state = self.rooms.ledger.state.read();
        let groups = state.groups().filter(|(of, _, _)| *of == namespace);
        whole(groups.count())
    }

    fn retained_bytes(&self, namespace: &str) -> u64 {
        let state = self.rooms.ledger.state.read();
        let catalog = state.catalog();
        let tables = catalog.tables().filter(|table| table.namespace == namespace);
        let partitions = tables.filter_map(|table| catalog.partitions(table.id)).flatten();
        partitions.map(|partition| partition.log_bytes + partition.segment_bytes).sum()
    }
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn is_of_group(name: &str) -> bool {
    OF_GROUPS.iter().any(|prefix| name.starts_with(prefix))
}

fn check_length(quota: &Quota, what: &str, name: &str) -> Result<()> {
    let least = quota.bound(NamespaceLimit::NameLengthMin).unwrap_or(0);
    let most = quota.bound(NamespaceLimit::NameLengthMax).unwrap_or(u64::MAX);
    let length = u64::try_from(name.chars().count()).unwrap_or(u64::MAX);
    if (least..=most).contains(&length) {
        return Ok(());
    }
    let most = if most == u64::MAX { "more".to_owned() } else { most.to_string() };
    Err(Error::InvalidInput(format!(
        "{what} name {name:?} has {length} characters; in its namespace names have {least} to {most} (name_length_min, \
         name_length_max)"
    )))
}

fn check_partitions(quota: &Quota, namespace: &str, partitions: u32) -> Result<()> {
    let most = quota.bound(NamespaceLimit::Partitions).unwrap_or(u64::MAX);
    if u64::from(partitions) <= most {
        return Ok(());
    }
    Err(Error::InvalidInput(format!(
        "a table of namespace {namespace:?} has {most} partitions at most (partitions), not {partitions}"
    )))
}
