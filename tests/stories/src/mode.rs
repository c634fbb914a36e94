//! How the platform of a story is set up. A story is written once and told in each of its modes.

/// How the platform is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All contexts in one process on embedded storage, as everybody meets it first.
    One,
    /// Every context a process of its own, as in production: its own ports and peers, a schema of PostgreSQL, JetStream and
    /// real connections between them.
    Mesh,
    /// As in the mesh, with two replicas of every context behind a balancer.
    Twins,
}

impl Mode {
    /// How many processes each context has.
    pub(crate) fn replicas(self) -> usize {
        match self {
            Self::One | Self::Mesh => 1,
            Self::Twins => 2,
        }
    }
}

/// Makes a test of each story in each of its modes: `one::a_f1_…` and `mesh::a_f1_…` of `async fn a_f1_…(mode: Mode)`.
///
/// A story that makes sense in one mode only is listed with that alone, or is a test by itself; why is said there.
#[macro_export]
macro_rules! told {
    ($($mode:ident),+: $names:tt) => {
        $($crate::told!(@$mode $names);)+
    };
    (@one $names:tt) => { $crate::told!(@in one One $names); };
    (@mesh $names:tt) => { $crate::told!(@in mesh Mesh $names); };
    (@twins $names:tt) => { $crate::told!(@in twins Twins $names); };
    (@in $module:ident $mode:ident [$($name:ident),+ $(,)?]) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::mode::Mode::$mode).await;
            })+
        }
    };
}
