//! A clock that only the story moves, and whose wall time can be set.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use jiff::{SignedDuration, Timestamp};
use stepflow_engine::ports::Clock;
use tokio::sync::oneshot;

pub struct VirtualClock {
    state: Mutex<State>,
}

struct State {
    elapsed: Duration,
    /// The wall time when the clock started.
    began: Timestamp,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl VirtualClock {
    pub fn new() -> Self {
        let began = "2026-01-01T00:00:00Z".parse().unwrap();
        Self { state: Mutex::new(State { elapsed: Duration::ZERO, began, sleepers: Vec::new() }) }
    }

    /// Sets the wall time forward or back. The time that only goes forward is not changed.
    pub fn set_wall_time(&self, by: SignedDuration) {
        let mut state = self.state.lock().unwrap();
        state.began = state.began.checked_add(by).unwrap();
    }

    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock().unwrap();
        state.elapsed += by;
        let now = state.elapsed;
        let (due, still) = std::mem::take(&mut state.sleepers).into_iter().partition(|(until, _)| *until <= now);
        state.sleepers = still;
        drop(state);
        let due: Vec<(Duration, oneshot::Sender<()>)> = due;
        for (_, sleeper) in due {
            let _ = sleeper.send(());
        }
    }

    /// The time until the first sleeper wakes.
    pub fn until_next(&self) -> Option<Duration> {
        let mut state = self.state.lock().unwrap();
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        let next = state.sleepers.iter().map(|(until, _)| *until).min()?;
        Some(next.saturating_sub(state.elapsed))
    }

    /// How many sleep.
    pub fn sleepers(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        state.sleepers.len()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let state = self.state.lock().unwrap();
        state.began.checked_add(SignedDuration::try_from(state.elapsed).unwrap()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.state.lock().unwrap().elapsed
    }

    fn sleep_until(&self, elapsed: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock().unwrap();
        if elapsed <= state.elapsed {
            return ready(()).boxed();
        }
        let (sleeper, woken) = oneshot::channel();
        state.sleepers.push((elapsed, sleeper));
        woken.map(drop).boxed()
    }
}
