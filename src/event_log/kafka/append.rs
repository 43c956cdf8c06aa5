//! Appending to the topic: each record to its lane, and what became of it.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::position::CONTROL_LANE;

use super::produce::{Appender, Destination, Outcome, block_on};
use super::settings::Packing;
use super::{Ack, KafkaLog, Known, LogError, NewRecord};

/// A delivery report that is still to come.
type Report = oneshot::Receiver<Result<Ack, LogError>>;

impl KafkaLog {
    /// Appends, and resolves when all delivery reports are in.
    pub async fn append(&self, records: impl AsRef<[NewRecord]>) -> Result<Vec<Ack>, LogError> {
        let records = records.as_ref();
        self.check_open()?;
        let known = self.topic.clone().known_for(records).await?;
        let appender = self.appender(&known, Packing::Plain)?;
        let mut reports = Vec::with_capacity(records.len());
        for record in records {
            reports.push(self.enqueue(record, &known, &appender).await?);
        }
        let mut acks = Vec::with_capacity(reports.len());
        for report in reports {
            acks.push(self.settled(report).await?);
        }
        Ok(acks)
    }

    /// The same, with what became of each: one that is refused keeps none from being appended.
    pub async fn append_each(
        &self,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Result<Ack, LogError>>, LogError> {
        self.check_open()?;
        let known = self.topic.clone().known_for(&records).await?;
        let appender = self.appender(&known, self.topic.purpose.packing())?;
        let mut reports = Vec::with_capacity(records.len());
        for record in &records {
            reports.push(self.enqueue(record, &known, &appender).await);
        }
        let mut outcomes = Vec::with_capacity(reports.len());
        for report in reports {
            outcomes.push(match report {
                Ok(report) => self.settled(report).await,
                Err(error) => Err(error),
            });
        }
        Ok(outcomes)
    }

    async fn enqueue(
        &self,
        record: &NewRecord,
        known: &Known,
        appender: &Appender,
    ) -> Result<Report, LogError> {
        let (report, settled) = oneshot::channel();
        let destination = self.destination(record, known)?;
        appender.enqueue(record, destination, Outcome::Awaited(report)).await?;
        Ok(settled)
    }

    async fn settled(&self, report: Report) -> Result<Ack, LogError> {
        report.await.map_err(|_gone| LogError::NotAcknowledged {
            topic: self.topic.config.topic.clone(),
            detail: "the producer ended".to_owned(),
        })?
    }

    /// The way for bulk: blocks only while librdkafka's queue is full.
    pub fn append_blocking(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        self.check_open()?;
        let known = self.topic.known()?;
        let appender = self.appender(&known, Packing::Lz4)?;
        for record in &records {
            let destination = self.destination(record, &known)?;
            self.bulk.begin();
            block_on(appender.enqueue(record, destination, Outcome::Bulk(Arc::clone(&self.bulk))))?;
        }
        Ok(())
    }

    fn destination(&self, record: &NewRecord, known: &Known) -> Result<Destination, LogError> {
        let home = || match &*self.topic.founding.read() {
            Some(founding) => founding.home(&record.key),
            None => self.topic.unfounded(known.lanes).home(&record.key),
        };
        let lane = record.lane.unwrap_or_else(home);
        self.topic.check_lane(lane, known.lanes)?;
        if lane == CONTROL_LANE
            && let Some(detail) = self.control_refused.lock().clone()
        {
            let topic = self.topic.config.control_topic.clone();
            return Err(LogError::Refused { topic, detail });
        }
        Ok(Destination { lane, bytes_max: known.record_bytes_max })
    }

    fn appender(&self, known: &Known, packing: Packing) -> Result<Arc<Appender>, LogError> {
        let mut appender = match packing {
            Packing::Plain => self.appender.lock(),
            Packing::Lz4 => self.bulk_appender.lock(),
        };
        if let Some(appender) = appender.as_ref().filter(|appender| !appender.is_failed()) {
            return Ok(Arc::clone(appender));
        }
        let config = &self.topic.config;
        let timeout = self.topic.purpose.delivery_timeout(config.linger);
        let new = Appender::new(config, known.record_bytes_max, packing, timeout)?;
        let new = Arc::new(new);
        *appender = Some(Arc::clone(&new));
        Ok(new)
    }
}
