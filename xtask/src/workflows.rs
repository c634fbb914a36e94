//! Checks the workflows of GitHub and the scripts that they run. That they run what exists, `tests/contract` checks.
use std::{fs, process::Command};

use anyhow::Result;

use crate::{
    run::run,
    tools::{self, root},
};

/// Runs `actionlint`, `zizmor` and `shellcheck`, as far as they can be installed here.
pub(crate) fn lint() -> Result<()> {
    let linters = tools::linters()?;
    if let Some(actionlint) = tools::actionlint()? {
        let mut lint = Command::new(actionlint);
        // It looks for the shellcheck of the machine otherwise, which may have any version.
        let shellcheck = linters.as_ref().map(|linters| linters.join("shellcheck"));
        run(lint.arg("-shellcheck").arg(shellcheck.unwrap_or_default()))?;
    }
    if let Some(linters) = linters {
        let mut zizmor = Command::new(linters.join("zizmor"));
        let arguments = ["--offline", "--pedantic", "--no-progress", "--quiet"];
        run(zizmor.args(arguments).arg(".github"))?;
        let scripts = fs::read_dir(root().join(".ci"))?;
        let scripts = scripts.map(|script| Ok(script?.path()));
        let scripts = scripts.collect::<Result<Vec<_>>>()?;
        run(Command::new(linters.join("shellcheck")).args(scripts))?;
    }
    Ok(())
}
