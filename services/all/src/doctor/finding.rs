//! A finding: a code, its subject, and the observed values.

use chassis::base::text::{is_ignorable, is_line_break};

use super::code::Code;

/// A finding of the doctor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The kind of finding.
    pub code: Code,
    /// The process; empty if several are affected.
    pub process: String,
    /// The URL of its admin port.
    pub address: String,
    /// The context, or empty.
    pub context: String,
    /// The producer of the events, or empty.
    pub producer: String,
    /// The observed values, in one line.
    pub what: String,
}

impl Finding {
    /// A finding without a subject, for the description of a code.
    pub fn unknown(code: Code) -> Self {
        Self::new(code, "")
    }

    /// A finding without a subject yet.
    pub(super) fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            process: String::new(),
            address: String::new(),
            context: String::new(),
            producer: String::new(),
            what: what.into(),
        }
    }

    /// Sets the process.
    pub(super) fn of(mut self, process: &str, address: &str) -> Self {
        process.clone_into(&mut self.process);
        address.clone_into(&mut self.address);
        self
    }

    /// Sets the context.
    pub(super) fn in_context(mut self, context: &str) -> Self {
        context.clone_into(&mut self.context);
        self
    }

    /// Sets the producer.
    pub(super) fn from(mut self, producer: &str) -> Self {
        producer.clone_into(&mut self.producer);
        self
    }

    /// What to do, with the subject filled in.
    pub fn remedy(&self) -> String {
        let host = self.address.trim_start_matches("http://");
        let known = [
            ("{process}", self.process.as_str()),
            ("{address}", &self.address),
            ("{host}", host.trim_end_matches('/')),
            ("{context}", &self.context),
            ("{producer}", &self.producer),
        ];
        let remedy = self.code.about().remedy.to_owned();
        known.into_iter().fold(remedy, |remedy, (name, value)| {
            // The operator fills in what is unknown.
            let unknown = name.replace('{', "<").replace('}', ">");
            let value = if value.is_empty() { &*unknown } else { value };
            remedy.replace(name, value)
        })
    }
}

/// The longest text from another process that is shown, in characters.
const MAX_LENGTH: usize = 400;

/// Makes a text from another process safe for a terminal: no control characters, limited length.
pub(super) fn plain(text: &str) -> String {
    let shown = text.chars().take(MAX_LENGTH).map(|c| {
        let is_hidden = c.is_control() || is_line_break(c) || is_ignorable(c);
        if is_hidden { '\u{fffd}' } else { c }
    });
    let mut shown: String = shown.collect();
    if text.chars().nth(MAX_LENGTH).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_its_subject() {
        let finding = Finding::new(Code::DeadLettersParked, "3 wait")
            .of("message", "http://127.0.0.1:9205")
            .in_context("message");
        let remedy = finding.remedy();
        assert!(
            remedy.contains(r#"-d '{"context": "message"}' 127.0.0.1:9205 berth"#),
            "{remedy}"
        );
        let unknown = Finding::new(Code::LogRegressed, "").remedy();
        assert!(unknown.contains("`<producer>`"), "{unknown}");
        for code in Code::ALL {
            let remedy = Finding::new(*code, "").remedy();
            assert!(
                !remedy.replace("{\"context\"", "").contains('{'),
                "{remedy}"
            );
        }
    }

    #[test]
    fn texts_of_other_processes_cannot_control_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{202e}d"), "a�[2Jb��c�d");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), 401);
    }
}
