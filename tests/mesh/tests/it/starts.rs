//! The mesh starts, and the demo plays on it.

use mesh::{Mesh, MeshOptions};

use crate::demo;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_on_a_process_for_each_context() {
    let mesh = Mesh::start(MeshOptions::default()).await.unwrap();
    demo(&mesh.url());
    mesh.stop().await.unwrap();
}
