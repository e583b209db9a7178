//! Connections that read, each on its own thread. They answer in pages, and have no transaction open between two pages.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::Connection;
use stepflow_engine::ports::StoreError;
use tokio::sync::oneshot;

use super::at_work::AtWork;
use super::files::Files;
use super::plans::Plans;
use super::work::Failure;
use super::{file, outage, stopped};

/// What a question is answered from.
pub(super) struct Access<'a> {
    pub connection: &'a Connection,
    pub files: &'a Files,
    pub plans: &'a Plans,
}

/// Reads with this connection, and says whether the connection is still good.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> bool + Send>;

pub(super) struct Readers {
    path: PathBuf,
    files: Arc<Files>,
    plans: Arc<Plans>,
    at_work: Arc<AtWork>,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub fn start(path: &Path, number: usize, files: Arc<Files>, at_work: Arc<AtWork>) -> std::io::Result<Arc<Self>> {
        let (sender, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let thread = |_| {
            let (path, queue) = (path.to_owned(), Arc::clone(&queue));
            thread::Builder::new().name("sqlite-reader".to_owned()).spawn(move || work(&path, &queue))
        };
        let threads = (0..number.max(1)).map(thread).collect::<Result<_, _>>()?;
        let queue = Mutex::new(Some(sender));
        Ok(Arc::new(Self {
            path: path.to_owned(),
            files,
            plans: Arc::default(),
            at_work,
            queue,
            threads: Mutex::new(threads),
        }))
    }

    /// Reads, in one transaction.
    pub fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Access<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let (path, files, plans) = (self.path.clone(), Arc::clone(&self.files), Arc::clone(&self.plans));
        let at_work = Arc::clone(&self.at_work);
        let job: Job = Box::new(move |connection| {
            let (result, is_good) = match connection {
                Ok(connection) => {
                    let _under_way = at_work.begin(connection);
                    snapshot(&Access { connection, files: &files, plans: &plans }, &path, read)
                }
                Err(why) => (Err(why), false),
            };
            let _ = reply.send(result);
            is_good
        });
        if let Some(queue) = &*self.queue.lock() {
            // Without readers the sender of the answer is dropped, and the receiver sees this.
            let _ = queue.send(job);
        }
        async move { answer.await.unwrap_or_else(|_| Err(stopped())) }.boxed()
    }

    /// Takes no more questions. The readers end with what they have been asked.
    pub fn stop(&self) -> Vec<JoinHandle<()>> {
        drop(self.queue.lock().take());
        std::mem::take(&mut *self.threads.lock())
    }
}

fn snapshot<T>(
    access: &Access<'_>,
    path: &Path,
    read: impl FnOnce(&Access<'_>) -> Result<T, Failure>,
) -> (Result<T, StoreError>, bool) {
    let begun = access.connection.execute_batch("BEGIN").map_err(Failure::from);
    let result = begun.and_then(|()| read(access));
    let ended = access.connection.execute_batch("COMMIT");
    match result {
        Ok(read) => (Ok(read), ended.is_ok()),
        Err(Failure::Refused(why)) => (Err(why), ended.is_ok()),
        Err(Failure::Sql(error)) => (Err(outage::of_database(path, &error)), false),
    }
}

fn work(path: &Path, queue: &Mutex<mpsc::Receiver<Job>>) {
    let mut connection = None;
    loop {
        // One reader waits at the queue, the others for the lock. So a job goes to a reader that is free.
        let job = queue.lock().recv();
        let Ok(job) = job else { return };
        if connection.is_none() {
            connection = Some(file::open_reader(path).map_err(|error| outage::of_database(path, &error)));
        }
        let is_good = match &connection {
            // A panic while one question is answered must not be the end of the others.
            Some(Ok(connection)) => catch_unwind(AssertUnwindSafe(|| job(Ok(connection)))).unwrap_or(false),
            Some(Err(why)) => job(Err(why.clone())),
            None => false,
        };
        if !is_good {
            connection = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::lock::Lock;
    use super::*;

    #[test]
    fn a_read_that_never_ends_can_be_ended_and_the_next_one_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let _lock = Lock::take(&path).unwrap();
        let at_work = Arc::new(AtWork::default());
        let files = Arc::new(Files::new(folder.path().to_owned(), 1));
        let readers = Readers::start(&path, 1, files, Arc::clone(&at_work)).unwrap();
        let ask = |sql: &'static str| {
            readers.ask(move |access| Ok(access.connection.query_row(sql, [], |row| row.get::<_, i64>(0))?))
        };
        let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n";
        let mut endless = ask(endless);
        while (&mut endless).now_or_never().is_none() {
            at_work.interrupt(Duration::from_secs(3_600));
            assert!(at_work.oldest() < Duration::from_secs(3_600));
            if at_work.oldest() > Duration::ZERO {
                at_work.interrupt(Duration::ZERO);
            }
            thread::yield_now();
        }
        let mut next = ask("SELECT 7");
        let answer = loop {
            match (&mut next).now_or_never() {
                Some(answer) => break answer,
                None => thread::yield_now(),
            }
        };
        assert_eq!(answer, Ok(7));
    }
}
