//! How to add things. Each recipe names the files in the order in which they are written, and its code compiles: the
//! running example is a context with one aggregate, a lamp, that borrows two events of the `room` contract.
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
//! 3. `codec.rs`: from the request to the command, collecting everything that is wrong with it:
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
//! 5. `tests/it/rpc.rs`: what a caller sees.
//!
//! # Add an event
//!
//! `events.proto`: the message, in the past tense, with what a reader would otherwise have to ask for. `domain.rs`: the
//! variant of `Event`, its arm in `evolve`. `codec.rs`: what it tells the world, and the list of what is published:
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
//! `policies.rs`: a function named `whenever_<event>_<action>` and a line in `list()`. Its slug is for ever. Its command must
//! be idempotent; a refusal means "not yet" and is tried again. The contract tests fail if nobody publishes the event.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! fn list() -> Policies {
//!     Policies::new().whenever("douse", whenever_room_released_douse_lamp)
//! }
//!
//! /// Whenever a room is given back, its lamp is put out.
//! fn whenever_room_released_douse_lamp(heard: Received<RoomReleased>) -> Result<Then<Lamp>, Malformed> {
//!     Ok(Then::on(heard.event.room_id.parse()?, Command::Douse))
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
//!     Views::new().on(note_lit)
//! }
//!
//! async fn note_lit(conn: &mut dyn Conn, heard: Received<RoomReserved>) -> Result<(), StoreError> {
//!     let sql = "INSERT INTO lit (lamp, since) VALUES ($1, $2) ON CONFLICT DO NOTHING";
//!     conn.execute(sql, args![heard.subject, heard.at]).await.map(|_| ())
//! }
//! # fn main() { assert_eq!((list().iter().count(), MIGRATIONS.len()), (1, 1)); }
//! ```
//!
//! # Add a context
//!
//! Copy the smallest one, give it a contract of its own, one line in `services/all/src/lib.rs`, and say in `lib.rs` what it
//! is: the value from which the process, the tests and the context map are made.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipes/lamp.rs"));
//! fn context() -> Context {
//!     Context::named("lamp").publishes(EVENTS).deadlines::<Lamp>()
//! }
//! # fn main() { assert_eq!(context().name, "lamp"); }
//! ```
