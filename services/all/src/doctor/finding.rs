//! A finding: a code, what it is about, and what was seen.

use super::code::Code;

/// What the doctor has found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// The process it is about; empty if it is about several.
    pub process: String,
    /// Where that was asked.
    pub address: String,
    /// The context it is about, if one.
    pub context: String,
    /// The producer whose events it is about, if one.
    pub producer: String,
    /// What was seen, in one line.
    pub what: String,
}

impl Finding {
    /// A finding about nothing in particular, for what is to be known about a code.
    pub fn unknown(code: Code) -> Self {
        Self::new(code, "")
    }

    /// A finding about nothing in particular yet.
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

    /// About a process, by its name and where it was asked.
    pub(super) fn of(mut self, process: &str, address: &str) -> Self {
        process.clone_into(&mut self.process);
        address.clone_into(&mut self.address);
        self
    }

    /// About a context.
    pub(super) fn in_context(mut self, context: &str) -> Self {
        context.clone_into(&mut self.context);
        self
    }

    /// About the events of a producer.
    pub(super) fn from(mut self, producer: &str) -> Self {
        producer.clone_into(&mut self.producer);
        self
    }

    /// What to do about it.
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
            // What is not known is left to be filled in.
            let unknown = name.replace('{', "<").replace('}', ">");
            let value = if value.is_empty() { &*unknown } else { value };
            remedy.replace(name, value)
        })
    }
}

/// The most of a text from elsewhere that is shown.
const LONGEST: usize = 400;

/// A text from elsewhere, fit to be shown: no control characters, and not too long.
pub(super) fn plain(text: &str) -> String {
    let shown = text.chars().take(LONGEST).map(|c| {
        // Direction marks can make a line read otherwise than it is.
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || hidden { '\u{fffd}' } else { c }
    });
    let mut shown: String = shown.collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_what_it_is_about() {
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
    fn what_comes_from_elsewhere_cannot_write_on_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{202e}d"), "a�[2Jb��c�d");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), 401);
    }
}
