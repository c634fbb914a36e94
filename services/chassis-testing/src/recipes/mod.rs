//! How to add things. Each recipe names the files in the order in which they are written, and its code compiles. The
//! example is a context with one aggregate, a lamp, that uses two events of the `room` contract.
//!
//! # Add a command
//!
//! 1. `proto/berth/<context>/v1/service.proto`: the rpc, its messages, a comment on each, `idempotency_level` and `access`.
//!    `UPDATE_GOLDEN=1 cargo test -p contract` records the new lines of the contract.
//! 2. `domain.rs`: a variant of `Command`, an arm in `decide`, an `Event` if something new happens, and a test for each arm
//!    and refusal:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! use chassis_testing::given;
//!
//! # fn main() {
//! given::<Lamp>([]).when(Command::Light).then([Event::Lit]);
//! given::<Lamp>([Event::Lit]).when(Command::Light).then([]); // a repeat changes nothing
//! given::<Lamp>([]).when(Command::Douse).refuses(&Refusal::Unknown);
//! # }
//! ```
//!
//! 3. `codec.rs`: from the request to the command, with all violations:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! use berth::room::v1::DeleteRoomRequest;
//! use chassis::Violations;
//!
//! fn douse(request: &DeleteRoomRequest) -> Result<(LampId, Command), tonic::Status> {
//!     let mut violations = Violations::new();
//!     let id = violations.parse("room_id", &request.room_id);
//!     violations.check(id).map(|id| (id, Command::Douse))
//! }
//! # fn main() {
//! let refused = douse(&DeleteRoomRequest { room_id: "x".into() }).unwrap_err();
//! assert_eq!(refused.code(), tonic::Code::InvalidArgument);
//! # }
//! ```
//!
//! 4. `grpc.rs`: one short method:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! use berth::room::v1::{DeleteRoomRequest, DeleteRoomResponse};
//! use chassis::{Store, accept};
//! use tonic::{Request, Response, Status};
//!
//! # fn douse(_: &DeleteRoomRequest) -> Result<(LampId, Command), Status> { Err(Status::internal("")) }
//! async fn douse_lamp(store: &Store, request: Request<DeleteRoomRequest>) -> Result<Response<DeleteRoomResponse>, Status> {
//!     let (caller, request) = accept(request);
//!     let (id, command) = douse(&request)?;
//!     store.execute::<Lamp>(id, command, &caller.cause()).await?;
//!     Ok(Response::new(DeleteRoomResponse::default()))
//! }
//! # fn main() {}
//! ```
//!
//! 5. `tests/it/rpc.rs`: the rpc as a caller uses it.
//!
//! # Add an event
//!
//! `events.proto`: the message, in the past tense, with all data that consumers need. `domain.rs`: the
//! variant of `Event`, its arm in `evolve`. `codec.rs`: the fact that it publishes, and the list of published events:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! # fn main() {
//! let names: Vec<String> = EVENTS.iter().map(|event| event.name()).collect();
//! assert_eq!(names, ["berth.room.v1.RoomReserved", "berth.room.v1.RoomReleased"]);
//! # }
//! ```
//!
//! # Add a policy
//!
//! `policies.rs`: a function named `whenever_<event>_<action>` and a line in `list()`. Its slug never changes. Its command
//! must be idempotent; a refusal means "not yet" and is retried. The contract tests fail if no context publishes the event.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! fn list() -> Policies {
//!     Policies::new().whenever("douse", whenever_room_released_douse_lamp)
//! }
//!
//! /// Whenever a room is released, its lamp is put out.
//! fn whenever_room_released_douse_lamp(received: Received<RoomReleased>) -> Result<Then<Lamp>, Malformed> {
//!     Ok(Then::on(received.event.room_id.parse()?, Command::Douse))
//! }
//! # fn main() { assert_eq!(list().iter().count(), 1); }
//! ```
//!
//! # Add a view
//!
//! `views.rs`: a projection for each event, the queries, and the migration of the table. SQL is the common subset of SQLite
//! and PostgreSQL.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! use chassis::{StoreError, Views, args, store::{Conn, Migration}};
//!
//! const MIGRATIONS: &[Migration] =
//!     &[Migration { name: "0001_lit", sql: "CREATE TABLE lit (lamp TEXT PRIMARY KEY, since BIGINT NOT NULL)" }];
//!
//! fn list() -> Views {
//!     Views::new().on(insert_lit)
//! }
//!
//! async fn insert_lit(conn: &mut dyn Conn, received: Received<RoomReserved>) -> Result<(), StoreError> {
//!     let sql = "INSERT INTO lit (lamp, since) VALUES ($1, $2) ON CONFLICT DO NOTHING";
//!     conn.execute(sql, args![received.subject, received.at]).await.map(|_| ())
//! }
//! # fn main() { assert_eq!((list().iter().count(), MIGRATIONS.len()), (1, 1)); }
//! ```
//!
//! # Add a context
//!
//! Copy the smallest one, add its contract and one line in `services/all/src/contexts.rs`, and declare it in `lib.rs`: the
//! process, the tests and the context map are derived from this value.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! fn context() -> Context {
//!     Context::named("lamp").publishes(EVENTS).deadlines::<Lamp>()
//! }
//! # fn main() { assert_eq!(context().name, "lamp"); }
//! ```
