//! Checks the chart `helm/berth` and its mesh library as users of both versions of Helm have them: `cargo xtask chart`.
mod cases;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use self::cases::{CONTRADICTIONS, INSTALLATIONS, REFUSED};
use crate::{
    run::run,
    tools::{self, KUBERNETES, root},
};

/// The chart.
const CHART: &str = "helm/berth";
/// What Linkerd is asked for, as a reader sees it first: file, and the values that it is rendered from.
const RENDERED: &str = "mesh/linkerd/rendered";
/// Rewrites what is rendered, instead of comparing it.
const UPDATE: &str = "UPDATE_GOLDEN";
/// The template of mesh objects.
const MESH: &str = "templates/mesh.yaml";
/// The template of alerts.
const MONITORING: &str = "templates/monitoring.yaml";

/// Checks everything, and returns the directory of the renderings. Without Go there is no Helm: then nothing is checked, with a
/// message, or CI fails.
pub(crate) fn check() -> Result<Option<PathBuf>> {
    let (Some(helms), Some(kubeconform)) = (tools::helms()?, tools::kubeconform()?) else {
        return Ok(None);
    };
    let chart = Chart::new(helms)?;
    chart.lint()?;
    chart.render()?;
    chart.refuse()?;
    chart.compare_mesh()?;
    chart.validate(&kubeconform)?;
    names_are_known()?;
    chart.test_alerts()?;
    Ok(Some(chart.dir))
}

/// The chart with both Helms, and the directory of what is rendered.
struct Chart {
    helms: [PathBuf; 2],
    dir: PathBuf,
}

impl Chart {
    fn new(helms: [PathBuf; 2]) -> Result<Self> {
        let dir = root().join("target/chart");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(Self { helms, dir })
    }

    fn lint(&self) -> Result<()> {
        self.with_both(|helm| {
            for (_, file, set) in INSTALLATIONS {
                let mut lint = Command::new(helm);
                lint.args(["lint", "--strict", "--quiet", CHART]);
                values(&mut lint, *file, set);
                succeed(&mut lint)?;
            }
            Ok(())
        })
    }

    /// Renders every installation by each Helm. Both renderings must be equal, so nothing in them is random.
    fn render(&self) -> Result<()> {
        for (name, file, set) in INSTALLATIONS {
            let mut first: Option<String> = None;
            for helm in &self.helms {
                let text = succeed(&mut template(helm, *file, set))?;
                // The two Helms separate documents by different empty lines.
                let lines = text
                    .lines()
                    .map(str::trim_end)
                    .filter(|line| !line.is_empty());
                let text = lines.collect::<Vec<_>>().join("\n");
                match &first {
                    Some(first) => ensure!(*first == text, "two renderings of {name} differ"),
                    None => first = Some(text),
                }
            }
            fs::write(
                self.dir.join(format!("{name}.yaml")),
                first.unwrap_or_default(),
            )?;
        }
        Ok(())
    }

    fn refuse(&self) -> Result<()> {
        self.with_both(|helm| {
            for (value, named) in REFUSED {
                refused(&mut template(helm, None, &[value]), value, named)?;
            }
            for (named, file, set) in CONTRADICTIONS {
                refused(&mut template(helm, *file, set), &set.join(","), named)?;
            }
            Ok(())
        })
    }

    /// Runs a check with both Helms at the same time.
    fn with_both(&self, check: impl Fn(&Path) -> Result<()> + Sync) -> Result<()> {
        let [three, four] = &self.helms;
        let (first, second) = thread::scope(|scope| {
            let other = scope.spawn(|| check(three));
            (check(four), other.join())
        });
        first?;
        second.map_err(|_| anyhow!("the check with Helm 3 panicked"))?
    }

    /// Compares the rendered mesh objects with those that the repository shows.
    fn compare_mesh(&self) -> Result<()> {
        let [_, helm] = &self.helms;
        for (name, file, set) in [
            (
                "development.yaml",
                "values-dev.yaml",
                ["mesh.enabled=true"].as_slice(),
            ),
            ("production.yaml", "values-prod.yaml", &[]),
        ] {
            let mut command = template(helm, Some(file), set);
            let text = succeed(command.args(["--show-only", MESH]))?;
            let path = root().join(RENDERED).join(name);
            if env::var_os(UPDATE).is_some() {
                fs::write(&path, &text)?;
            }
            let shown = fs::read_to_string(&path).unwrap_or_default();
            ensure!(
                shown == text,
                "{RENDERED}/{name} is not what the chart renders; {UPDATE}=1 cargo xtask chart records it"
            );
        }
        Ok(())
    }

    /// Checks every object against the strict schema of its kind.
    fn validate(&self, kubeconform: &Path) -> Result<()> {
        let Some(schemas) = tools::kubernetes_schemas()? else {
            return Ok(());
        };
        let location = schemas.join("{{ .ResourceKind }}{{ .KindSuffix }}.json");
        // Their definitions belong to Linkerd, the Gateway API and the Prometheus operator: `tests/contract` checks the first
        // two, `promtool` the rules.
        let skipped = "AuthorizationPolicy,EgressNetwork,GRPCRoute,HTTPLocalRateLimitPolicy,MeshTLSAuthentication,Server,\
                       TLSRoute,PrometheusRule,ServiceMonitor";
        run(Command::new(kubeconform)
            .args(["-strict", "-summary", "-kubernetes-version", KUBERNETES])
            .args(["-skip", skipped, "-schema-location"])
            .arg(location)
            .arg(&self.dir))
    }

    /// Runs the unit tests of the alerts on the rules that the chart renders.
    fn test_alerts(&self) -> Result<()> {
        let Some(promtool) = tools::promtool()? else {
            return Ok(());
        };
        let [_, helm] = &self.helms;
        let set = ["monitoring.enabled=true", "mesh.enabled=true"];
        let mut command = template(helm, Some("values-dev.yaml"), &set);
        let text = succeed(command.args(["--show-only", MONITORING]))?;
        let (_, rules) = text
            .split_once("kind: PrometheusRule")
            .and_then(|(_, rule)| rule.split_once("\nspec:\n"))
            .context("no rules are rendered")?;
        let rules = rules.split("\n---").next().unwrap_or_default();
        let rules = rules
            .lines()
            .map(|line| line.strip_prefix("  ").unwrap_or(line));
        let rules: Vec<_> = rules.collect();
        fs::write(self.dir.join("rules.yml"), rules.join("\n"))?;
        let tests = root().join(CHART).join("tests/alerts.yaml");
        let copy = self.dir.join("alerts.yml");
        fs::copy(tests, &copy)?;
        run(Command::new(promtool).args(["test", "rules"]).arg(copy))
    }
}

/// `helm template` of an installation.
fn template(helm: &Path, file: Option<&str>, set: &[&str]) -> Command {
    let mut command = Command::new(helm);
    command.args(["template", "berth", CHART, "--namespace", "berth"]);
    values(&mut command, file, set);
    command
}

/// Values, and the version of Kubernetes, which a Helm built from its module does not know.
fn values(command: &mut Command, file: Option<&str>, set: &[&str]) {
    command.args(["--kube-version", KUBERNETES]);
    if let Some(file) = file {
        command.arg("--values").arg(format!("{CHART}/{file}"));
    }
    command.args(set.iter().flat_map(|value| ["--set", value]));
}

/// Runs a command that must succeed, and returns what it printed.
fn succeed(command: &mut Command) -> Result<String> {
    let output = command.current_dir(root()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!(
            "{command:?} failed:\n{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    Ok(text(&output.stdout))
}

/// Runs a command that must refuse some values, and name the one that is wrong.
fn refused(command: &mut Command, value: &str, named: &str) -> Result<()> {
    let output = command.current_dir(root()).output()?;
    ensure!(!output.status.success(), "{value} is accepted");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        error.contains(named),
        "the refusal of {value} does not name `{named}`:\n{error}"
    );
    Ok(())
}

/// Checks that the settings in the schema, and the metrics in alerts and dashboards, are those of `docs/operating.md`, which is
/// recorded from the code; and that the runbooks that alerts link to are sections there.
fn names_are_known() -> Result<()> {
    let operating = fs::read_to_string(root().join("docs/operating.md"))?;
    let schema = fs::read_to_string(root().join(CHART).join("values.schema.json"))?;
    let documented = words(section(&operating, "settings")?, "BERTH_");
    ensure!(
        words(&schema, "\"BERTH_") == documented,
        "values.schema.json does not have the settings of docs/operating.md"
    );
    let metrics = words(section(&operating, "metrics")?, "berth_");
    let anchors: Vec<String> = operating.lines().filter_map(anchor).collect();
    let mut files = vec![root().join(CHART).join("templates/_alerts.tpl")];
    for file in fs::read_dir(root().join(CHART).join("files/dashboards"))? {
        files.push(file?.path());
    }
    for file in files {
        let text = fs::read_to_string(&file)?;
        for name in words(&text, "berth_") {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            ensure!(
                metrics.contains(&name)
                    || base.is_some_and(|base| metrics.iter().any(|one| one == base)),
                "{}: there is no metric {name}",
                file.display()
            );
        }
        for line in text.lines() {
            let Some((_, runbook)) = line.split_once("runbook_url: ") else {
                continue;
            };
            let named = runbook.split_once('#').map(|(_, named)| named.to_owned());
            ensure!(
                named.as_ref().is_some_and(|named| anchors.contains(named)),
                "docs/operating.md has no section for {runbook}"
            );
        }
    }
    Ok(())
}

/// A recorded section of a document.
fn section<'a>(document: &'a str, name: &str) -> Result<&'a str> {
    let begin = format!("<!-- {name}:begin -->");
    let end = format!("<!-- {name}:end -->");
    let (_, rest) = document.split_once(&begin).context(begin.clone())?;
    let (section, _) = rest.split_once(&end).context(end.clone())?;
    Ok(section)
}

/// The words that begin with a prefix, sorted, each once.
fn words(text: &str, prefix: &str) -> Vec<String> {
    let separates = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '"');
    let words = text.split(separates).filter_map(|word| {
        let word = word.starts_with(prefix).then_some(word)?;
        Some(word.trim_matches('"').to_owned())
    });
    let mut words: Vec<String> = words.collect();
    words.sort();
    words.dedup();
    words
}

/// The anchor of a headline: `## The log filter` is `the-log-filter`.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    Some(title.to_lowercase().replace(' ', "-"))
}
