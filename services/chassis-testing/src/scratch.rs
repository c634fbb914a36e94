//! A PostgreSQL schema for one test.

use sqlx::{AssertSqlSafe, Connection, Executor, postgres::PgConnection};

use chassis::store::DatabaseSettings;

/// The variable with the URL of a server on which tests may create schemas.
const VARIABLE: &str = "BERTH_TEST_POSTGRES_URL";

/// A schema on a server, dropped at the end of the test.
#[derive(Debug)]
pub struct Scratch {
    server: String,
    schema: String,
    kept: bool,
}

impl Scratch {
    /// A new empty schema.
    ///
    /// # Panics
    ///
    /// Without a server: a test must not pass without the server that it needs.
    #[expect(clippy::panic, reason = "a test may panic")]
    pub async fn new() -> Self {
        let scratch = Self::named(format!("t_{}", uuid::Uuid::new_v4().simple()));
        let sql = format!("CREATE SCHEMA {}", scratch.schema);
        if let Err(error) = run(&scratch.server, &sql).await {
            panic!("{VARIABLE}: {error}");
        }
        scratch
    }

    /// The schema with a name, whether it exists or not.
    ///
    /// # Panics
    ///
    /// Without a server.
    #[expect(clippy::panic, reason = "a test may panic")]
    pub fn named(schema: String) -> Self {
        let Ok(server) = std::env::var(VARIABLE) else {
            panic!(
                "{VARIABLE} is not set; `cargo xtask test` sets it, or `cargo xtask servers -- cargo test`"
            );
        };
        Self {
            server,
            schema,
            kept: false,
        }
    }

    /// Does not drop the schema at the end; it is removed with the server. Returns its name.
    pub fn keep(mut self) -> String {
        self.kept = true;
        self.schema.clone()
    }

    /// Its name, which is also the application name of its connections.
    pub fn name(&self) -> &str {
        &self.schema
    }

    /// The URL of its server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.url_at(&self.server)
    }

    /// Its URL through another address of the server.
    pub fn url_at(&self, server: &str) -> String {
        let (joint, name) = (if server.contains('?') { '&' } else { '?' }, &self.schema);
        format!("{server}{joint}application_name={name}&options=-csearch_path%3D{name}")
    }

    /// Settings of a store in it.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings::of(&self.url())
    }

    /// Runs a statement in it, on a new connection. Returns how many rows it changed.
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
        if self.kept {
            return;
        }
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
            tracing::warn!(schema = self.schema, "schema could not be dropped");
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
