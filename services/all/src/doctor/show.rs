//! How findings are shown: to people, and to programs.

use std::fmt::Write;

use serde::Serialize;

use super::{
    ask::Answer,
    code::{Code, Severity},
    finding::{Finding, plain},
};

/// So many findings of a kind are shown to people.
const SHOWN: usize = 20;

/// What the doctor has found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the processes said last.
    pub answers: Vec<Answer>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// 0 if nothing is wrong, else the exit code of the worst finding.
    pub fn exit_code(&self) -> u8 {
        let worst = self.findings.first();
        worst.map_or(0, |finding| finding.code.about().exit)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text never fails.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let asked = self.answers.len();
        let silent = self
            .answers
            .iter()
            .filter(|answer| answer.said.is_err())
            .count();
        write!(
            text,
            "Berth doctor: {} asked",
            count(asked, "process", "processes")
        )?;
        match silent {
            0 => writeln!(text, "."),
            _ => writeln!(text, ", {silent} of them did not say how they are."),
        }?;
        let mut left = self.findings.as_slice();
        while let Some(first) = left.first() {
            let same = left
                .iter()
                .take_while(|finding| finding.code == first.code)
                .count();
            let (of_code, rest) = left.split_at(same);
            group(text, first.code, of_code)?;
            left = rest;
        }
        match self.exit_code() {
            0 => writeln!(text, "Nothing is wrong."),
            code => writeln!(
                text,
                "\n{}, exit code {code}.",
                count(self.findings.len(), "finding", "findings")
            ),
        }
    }

    /// For programs: one JSON object.
    pub fn json(&self) -> String {
        let report = Shown {
            healthy: self.findings.is_empty(),
            exit_code: self.exit_code(),
            processes: self.answers.iter().map(process).collect(),
            findings: self.findings.iter().map(finding).collect(),
        };
        // Texts and numbers can always be written.
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// All findings of a code: what it means once, then what was seen and what to do.
fn group(text: &mut String, code: Code, findings: &[Finding]) -> std::fmt::Result {
    let about = code.about();
    let severity = about.severity.name().to_uppercase();
    writeln!(text, "\n{severity} {}\n  {}", about.name, about.meaning)?;
    for finding in findings.iter().take(SHOWN) {
        let mut who = vec![finding.process.as_str(), finding.context.as_str()];
        who.retain(|who| !who.is_empty());
        who.dedup();
        let who = match who.join(", ") {
            nobody if nobody.is_empty() => "all".to_owned(),
            who => who,
        };
        writeln!(text, "  - {who}: {}", finding.what)?;
    }
    if findings.len() > SHOWN {
        writeln!(text, "  - and {} more", findings.len() - SHOWN)?;
    }
    let mut remedies: Vec<String> = findings.iter().take(SHOWN).map(Finding::remedy).collect();
    remedies.dedup();
    for remedy in remedies {
        writeln!(text, "  > {remedy}")?;
    }
    writeln!(text, "  > {}", code.section())
}

#[derive(Serialize)]
struct Shown<'a> {
    healthy: bool,
    exit_code: u8,
    processes: Vec<ShownProcess<'a>>,
    findings: Vec<ShownFinding<'a>>,
}

#[derive(Serialize)]
struct ShownProcess<'a> {
    process: &'a str,
    address: &'a str,
    answers: bool,
    instance: Option<String>,
    version: Option<String>,
    ready: Option<bool>,
    contexts: Vec<String>,
}

#[derive(Serialize)]
struct ShownFinding<'a> {
    code: &'static str,
    severity: &'static str,
    exit_code: u8,
    process: &'a str,
    address: &'a str,
    context: &'a str,
    producer: &'a str,
    what: &'a str,
    meaning: &'static str,
    remedy: String,
    section: String,
}

fn process(answer: &Answer) -> ShownProcess<'_> {
    let said = answer.said.as_ref().ok();
    let who = said.and_then(|said| said.process.as_ref());
    let contexts = said.into_iter().flat_map(|said| &said.contexts);
    ShownProcess {
        process: &answer.process,
        address: &answer.address,
        answers: said.is_some(),
        instance: who.map(|who| plain(&who.instance)),
        version: who.map(|who| plain(&who.version)),
        ready: who.map(|who| who.ready),
        contexts: contexts.map(|context| plain(&context.context)).collect(),
    }
}

fn finding(finding: &Finding) -> ShownFinding<'_> {
    let about = finding.code.about();
    ShownFinding {
        code: about.name,
        severity: Severity::name(about.severity),
        exit_code: about.exit,
        process: &finding.process,
        address: &finding.address,
        context: &finding.context,
        producer: &finding.producer,
        what: &finding.what,
        meaning: about.meaning,
        remedy: finding.remedy(),
        section: finding.code.section(),
    }
}
