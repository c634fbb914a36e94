//! Do the contracts and the sources keep the rules of the house?
#[cfg(test)]
mod rules;
#[cfg(test)]
mod style;
#[cfg(test)]
mod wire;
