//! Do contracts, contexts, sources, flags and documents keep the rules?
#[cfg(test)]
mod audit;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod events;
#[cfg(test)]
mod flags;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod map;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod port;
#[cfg(test)]
mod rpcs;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod structure;
#[cfg(test)]
mod style;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod workflows;
