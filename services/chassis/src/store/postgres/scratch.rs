//! A schema of its own for each test, on the server that tests are given.

use sqlx::{AssertSqlSafe, Connection, Executor, postgres::PgConnection};

use crate::store::DatabaseSettings;

/// The variable that says where tests may make schemas.
const VARIABLE: &str = "BERTH_TEST_POSTGRES_URL";

/// A schema on a real server, dropped at the end.
#[derive(Debug)]
pub struct Scratch {
    server: String,
    schema: String,
}

impl Scratch {
    /// A new schema, with nothing in it.
    ///
    /// # Panics
    ///
    /// Without a server: a test that needs one does not pass without it.
    #[expect(clippy::panic, reason = "a test may panic")]
    pub async fn new() -> Self {
        let Ok(server) = std::env::var(VARIABLE) else {
            panic!(
                "{VARIABLE} is not set; `cargo xtask test` sets it, or `cargo xtask servers -- cargo test`"
            );
        };
        let schema = format!("t_{}", uuid::Uuid::new_v4().simple());
        let scratch = Self { server, schema };
        let sql = format!("CREATE SCHEMA {}", scratch.schema);
        if let Err(error) = run(&scratch.server, &sql).await {
            panic!("{VARIABLE}: {error}");
        }
        scratch
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let joint = if self.server.contains('?') { '&' } else { '?' };
        format!(
            "{}{joint}options=-csearch_path%3D{}",
            self.server, self.schema
        )
    }

    /// Settings for a store in it.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings::of(&self.url())
    }

    /// Runs a statement in it, on a connection of its own. Answers how many rows it changed.
    ///
    /// # Panics
    ///
    /// If the statement fails.
    #[expect(clippy::panic, reason = "a test may panic")]
    pub async fn run(&self, sql: &str) -> u64 {
        match run(&self.url(), sql).await {
            Ok(changed) => changed,
            Err(error) => panic!("{sql}: {error}"),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (server, sql) = (
            self.server.clone(),
            format!("DROP SCHEMA {} CASCADE", self.schema),
        );
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime
                .block_on(run(&server, &sql))
                .map_err(std::io::Error::other)
        });
        if !matches!(dropped.join(), Ok(Ok(_))) {
            tracing::warn!(schema = self.schema, "left behind");
        }
    }
}

async fn run(url: &str, sql: &str) -> Result<u64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let done = connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
        .await?;
    connection.close().await?;
    Ok(done.rows_affected())
}
