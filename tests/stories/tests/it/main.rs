//! The stories.

#[cfg(test)]
mod accommodation;
#[cfg(test)]
mod availability;
#[cfg(test)]
mod money;
#[cfg(test)]
mod races;
