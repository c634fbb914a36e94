//! The stories: end-to-end tests.

#[cfg(test)]
mod accommodation;
#[cfg(test)]
mod availability;
#[cfg(test)]
mod busy_day;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod cut;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod money;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod races;
#[cfg(test)]
mod regress;
#[cfg(test)]
mod stopped;
#[cfg(test)]
mod twins;
