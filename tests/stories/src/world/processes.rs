//! Crashes and restarts processes, and isolates contexts.

use std::time::Duration;

use chassis::{base::time::SignedDuration, runtime::supervisor::Failed};
use futures::future::{join, join_all};
use tokio::net::TcpStream;

use super::{Process, World, eventually, process};

/// After this time every circuit breaker lets a call through again.
const BREAKER_OPEN: SignedDuration = SignedDuration::from_secs(5);

impl World {
    /// Crashes every process and starts it again.
    pub async fn crash_and_restart(&mut self) {
        self.crash().await;
        self.restart().await;
    }

    /// Crashes every process.
    pub async fn crash(&mut self) {
        join_all(self.processes.iter_mut().map(Process::crash)).await;
    }

    /// Starts every process that does not run, concurrently.
    pub async fn restart(&mut self) {
        join_all(self.processes.iter_mut().map(Process::start)).await;
        self.connect().await;
        if self.infrastructure.balancer.is_some() {
            // While no replica was ready the balancer refused calls, and circuit breakers have opened.
            self.clock.turn(BREAKER_OPEN);
        }
    }

    /// Crashes the processes of a context.
    pub async fn crash_of(&mut self, context: &str) {
        join_all(self.processes_of(context).map(Process::crash)).await;
    }

    /// Starts the processes of a context that do not run, and advances the clock past open circuit breakers.
    pub async fn restart_of(&mut self, context: &str) {
        join_all(self.processes_of(context).map(Process::start)).await;
        self.recover().await;
    }

    /// Restarts the processes of a context with an empty SQLite database.
    pub async fn restart_on_sqlite(&mut self, context: &str) {
        self.crash_of(context).await;
        for process in self.processes_of(context) {
            process.options().config.database.database_url = None;
        }
        self.restart_of(context).await;
    }

    /// Crashes the leader of a context.
    pub async fn crash_leader(&mut self, context: &str) {
        let mut processes = self.processes_of(context);
        let leader = processes.find(|process| process.leads(context));
        leader.expect("a leader").crash().await;
    }

    /// The number of replicas of a context that lead.
    pub fn leaders(&self, context: &str) -> usize {
        let processes = self.processes.iter();
        processes.filter(|process| process.leads(context)).count()
    }

    /// Waits until every request is routed to a running process, and advances the clock past open circuit breakers.
    pub async fn recover(&self) {
        self.connect().await;
        self.clock.turn(BREAKER_OPEN);
    }

    /// Starts the processes of all contexts; those of one context start last, when all others listen.
    pub async fn restart_with_last(&mut self, context: &str) {
        let last = |process: &&mut Process| process.contexts().contains(&context);
        let (last, first): (Vec<_>, Vec<_>) = self.processes.iter_mut().partition(last);
        let ports: Vec<_> = first.iter().map(|process| process.admin()).collect();
        let first = join_all(first.into_iter().map(Process::start));
        let last = async {
            let listens = async || {
                let connections = ports.iter().map(TcpStream::connect);
                join_all(connections).await.iter().all(Result::is_ok)
            };
            eventually(listens).await;
            join_all(last.into_iter().map(Process::start)).await;
        };
        join(first, last).await;
        self.connect().await;
    }

    /// Connects the people to the running processes.
    async fn connect(&self) {
        let Some(balancer) = &self.infrastructure.balancer else {
            for process in &self.processes {
                for context in process.contexts() {
                    self.line.turn(context, process.channel());
                }
            }
            return;
        };
        self.line.turn_to(process::channel(balancer.public()));
        for context in all::contexts() {
            let running = self.runtimes_of(context.name);
            let (count, timeout) = (running.count(), Duration::from_mins(2));
            let ready = balancer.until_ready(context.name, count, timeout).await;
            ready.expect("is ready");
        }
    }

    fn processes_of(&mut self, context: &str) -> impl Iterator<Item = &mut Process> {
        let has = move |process: &&mut Process| process.contexts().contains(&context);
        self.processes.iter_mut().filter(has)
    }

    /// Waits until the process of a context ends by itself.
    pub async fn ended(&mut self, context: &str) -> Result<(), Failed> {
        let platform = self.processes_of(context).find_map(Process::platform_mut);
        platform.expect("a running platform").ended().await
    }

    /// A context neither responds to other contexts nor consumes their events.
    pub fn down(&self, context: &str) {
        for point in points(context) {
            self.faults.arm(point, u32::MAX);
        }
    }

    /// It responds and consumes again. The clock is advanced past open circuit breakers.
    pub async fn up(&self, context: &str) {
        for point in points(context) {
            self.faults.disarm(&point);
        }
        self.clock.turn(BREAKER_OPEN);
        tokio::task::yield_now().await;
    }
}

fn points(context: &str) -> [String; 3] {
    [
        format!("peer.{context}"),
        format!("consumer.{context}"),
        format!("consumer.{context}.views"),
    ]
}
