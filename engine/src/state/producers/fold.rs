//! What the log says of producers, folded.

use super::Producers;
use super::ages::Class;
use super::stream::{FORGOTTEN_AT_ONCE, SILENCE_US, Stream, StreamId, is_old};
use super::window::Window;
use crate::model::{Lsn, Result, TableId};
use crate::state::changed::Changed;
use crate::state::family::{Family, Fold};
use crate::state::{Change, ProducerRecord, Record};

impl Family for Producers {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        self.pass_over_silence(fold);
        match record {
            Record::Producer(producer) => {
                // A table that is gone has no producers.
                if let Some(table) = fold.catalog.table(producer.table) {
                    self.record(&table.namespace, producer)?;
                }
                // With each record of a producer, whatever else a commit holds: the writer, and who replays the log, clear the same
                // away at the same place.
                self.clear_old()?;
            }
            Record::Change(change) => match change.as_ref() {
                Change::ProducersForgotten { answers, whole } => {
                    answers.iter().try_for_each(|stream| self.forget_answers(*stream))?;
                    whole.iter().try_for_each(|stream| self.remove(*stream))?;
                }
                Change::TableDropped { table } => self.remove_table(*table),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Producers {
            streams: self.streams.ahead(),
            ages: self.ages.ahead(),
            tables: self.tables.ahead(),
            passed_us: self.passed_us,
            passed_unwritten: Changed::untracked(),
            now_us: self.now_us,
        }
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.streams.end_commit(last, applied);
        self.ages.end_commit(last, applied);
    }
}

impl Producers {
    /// Between two commits: no stream is older for a long silence of the log.
    fn pass_over_silence(&mut self, fold: &Fold<'_>) {
        let silence = fold.context.append_us.saturating_sub(fold.before_us).saturating_sub(SILENCE_US);
        if silence > 0 {
            self.passed_us = self.passed_us.saturating_add(silence);
            self.passed_unwritten.mark(());
        }
        self.now_us = fold.append_us().saturating_sub(self.passed_us);
    }

    fn record(&mut self, namespace: &str, record: &ProducerRecord) -> Result<()> {
        let (key, now_us, epoch) = ((record.table, record.stamp.id), self.now_us, record.stamp.epoch);
        let (before, after) = self.streams.edit(&key, |stream| {
            let before = stream.as_ref().map(Stream::age);
            // What is as good as forgotten begins anew.
            let goes_on = |stream: &Stream| stream.epoch == epoch && !is_old(stream.last_us, now_us);
            let fresh = || Stream { epoch, last_us: now_us, window: Window::default() };
            let mut changed = stream.take().filter(goes_on).unwrap_or_else(fresh);
            changed.last_us = now_us;
            changed.window.push(record.stamp.sequence, &record.appended)?;
            let after = changed.age();
            *stream = Some(changed);
            Ok((before, after))
        })??;
        if before == Some(after) {
            return Ok(());
        }
        if let Some((class, age_us)) = before {
            self.ages.put(&(key.0, class, age_us, key.1), None);
            self.tables.take(key.0, class);
        }
        let (class, age_us) = after;
        self.ages.put(&(key.0, class, age_us, key.1), Some(()));
        self.tables.add(namespace, key.0, class, age_us);
        Ok(())
    }

    /// Takes a stream's answers, if there is such a stream with any.
    fn forget_answers(&mut self, (table, id): StreamId) -> Result<()> {
        let forgotten = self.streams.edit(&(table, id), |stream| {
            let stream = stream.as_mut().filter(|stream| !stream.window.is_empty())?;
            stream.window = Window::default();
            Some(stream.age_us())
        })?;
        if let Some(age_us) = forgotten {
            self.ages.put(&(table, Class::Answering, age_us, id), None);
            self.ages.put(&(table, Class::Forgotten, age_us, id), Some(()));
            self.tables.change(table, Class::Answering, Class::Forgotten);
        }
        Ok(())
    }

    /// Takes a stream away, if it is there.
    fn remove(&mut self, (table, id): StreamId) -> Result<()> {
        let removed = self.streams.edit(&(table, id), Option::take)?;
        if let Some((class, age_us)) = removed.as_ref().map(Stream::age) {
            self.ages.put(&(table, class, age_us, id), None);
            self.tables.take(table, class);
        }
        Ok(())
    }

    fn remove_table(&mut self, table: TableId) {
        if self.tables.get(table).is_some() {
            self.streams.make_void(table.0);
            self.ages.make_void(table.0);
            self.tables.remove(table);
        }
    }

    /// Clears streams away that have been silent for too long: they are not known any more already.
    fn clear_old(&mut self) -> Result<()> {
        let now_us = self.now_us;
        if !self.tables.oldest_us().is_some_and(|oldest_us| is_old(oldest_us, now_us)) {
            return Ok(());
        }
        let mut left = FORGOTTEN_AT_ONCE;
        let mut bounds = Vec::new();
        for table in self.tables.as_old_as(|last_us| is_old(last_us, now_us)) {
            let mut oldest_us = i64::MAX;
            for class in [Class::Answering, Class::Forgotten] {
                for (last_us, stream) in self.oldest_of(table, class, None, left + 1)? {
                    if left == 0 || !is_old(last_us, now_us) {
                        oldest_us = oldest_us.min(last_us);
                        break;
                    }
                    self.remove(stream)?;
                    left -= 1;
                }
            }
            bounds.push((table, oldest_us));
            if left == 0 {
                break;
            }
        }
        self.tables.bound_ages(bounds);
        Ok(())
    }
}
