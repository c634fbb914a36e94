//! How the platform of a story is deployed. A story is written once and runs in each of its modes.

/// How the platform is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All contexts in one process on embedded storage: the default.
    One,
    /// Every context as a process of its own, as in production: its own ports and peers, a schema of PostgreSQL, JetStream
    /// and real connections between them.
    Mesh,
    /// As in the mesh, with two replicas of every context behind a balancer.
    Twins,
}

impl Mode {
    /// The number of processes of each context.
    pub(crate) fn replicas(self) -> usize {
        match self {
            Self::One | Self::Mesh => 1,
            Self::Twins => 2,
        }
    }
}

/// Makes a test of each story in each of its modes: `one::a_story` and `mesh::a_story` of `async fn a_story(mode: Mode)`.
///
/// A story for a single mode is listed with that mode only, or is a test by itself; a comment there has the reason.
#[macro_export]
macro_rules! stories {
    ($($mode:ident),+: $names:tt) => {
        $($crate::stories!(@$mode $names);)+
    };
    (@one $names:tt) => { $crate::stories!(@in one One $names); };
    (@mesh $names:tt) => { $crate::stories!(@in mesh Mesh $names); };
    (@twins $names:tt) => { $crate::stories!(@in twins Twins $names); };
    (@in $module:ident $mode:ident [$($name:ident),+ $(,)?]) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::mode::Mode::$mode).await;
            })+
        }
    };
}
