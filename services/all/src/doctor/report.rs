//! The report of an examination, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::{
    code::{Code, Severity},
    finding::{Finding, plain},
    inspector::Answer,
};

/// The largest number of findings of one code in the text.
const MAX_SHOWN: usize = 20;

/// The result of an examination.
#[derive(Clone, Debug)]
pub struct Report {
    /// The answers of the second sample.
    pub answers: Vec<Answer>,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// 0 without findings, else the exit code of the worst one.
    pub fn exit_code(&self) -> u8 {
        let worst = self.findings.first();
        worst.map_or(0, |finding| finding.code.about().exit)
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let asked = self.answers.len();
        let unanswered = self
            .answers
            .iter()
            .filter(|answer| answer.response.is_err())
            .count();
        write!(
            text,
            "Berth doctor: {} inspected",
            count(asked, "process", "processes")
        )?;
        match unanswered {
            0 => writeln!(text, "."),
            _ => writeln!(text, ", {unanswered} of them without a valid answer."),
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
            0 => writeln!(text, "No findings."),
            code => writeln!(
                text,
                "\n{}, exit code {code}.",
                count(self.findings.len(), "finding", "findings")
            ),
        }
    }

    /// The report as one JSON object.
    pub fn json(&self) -> String {
        let report = ReportJson {
            healthy: self.findings.is_empty(),
            exit_code: self.exit_code(),
            processes: self.answers.iter().map(process).collect(),
            findings: self.findings.iter().map(finding).collect(),
        };
        // Strings and numbers always serialise.
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// All findings of a code: its meaning, the observed values, and what to do.
fn group(text: &mut String, code: Code, findings: &[Finding]) -> std::fmt::Result {
    let about = code.about();
    let severity = about.severity.name().to_uppercase();
    writeln!(text, "\n{severity} {}\n  {}", about.name, about.meaning)?;
    for finding in findings.iter().take(MAX_SHOWN) {
        let mut who = vec![finding.process.as_str(), finding.context.as_str()];
        who.retain(|who| !who.is_empty());
        who.dedup();
        let who = match who.join(", ") {
            nobody if nobody.is_empty() => "all".to_owned(),
            who => who,
        };
        writeln!(text, "  - {who}: {}", finding.what)?;
    }
    if findings.len() > MAX_SHOWN {
        writeln!(text, "  - and {} more", findings.len() - MAX_SHOWN)?;
    }
    let mut remedies: Vec<String> = findings
        .iter()
        .take(MAX_SHOWN)
        .map(Finding::remedy)
        .collect();
    remedies.dedup();
    for remedy in remedies {
        writeln!(text, "  > {remedy}")?;
    }
    writeln!(text, "  > {}", code.section())
}

#[derive(Serialize)]
struct ReportJson<'a> {
    healthy: bool,
    exit_code: u8,
    processes: Vec<ProcessJson<'a>>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    process: &'a str,
    address: &'a str,
    answers: bool,
    instance: Option<String>,
    version: Option<String>,
    ready: Option<bool>,
    contexts: Vec<String>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
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

fn process(answer: &Answer) -> ProcessJson<'_> {
    let response = answer.response.as_ref().ok();
    let who = response.and_then(|response| response.process.as_ref());
    let contexts = response.into_iter().flat_map(|response| &response.contexts);
    ProcessJson {
        process: &answer.process,
        address: &answer.address,
        answers: response.is_some(),
        instance: who.map(|who| plain(&who.instance)),
        version: who.map(|who| plain(&who.version)),
        ready: who.map(|who| who.ready),
        contexts: contexts.map(|context| plain(&context.context)).collect(),
    }
}

fn finding(finding: &Finding) -> FindingJson<'_> {
    let about = finding.code.about();
    FindingJson {
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
