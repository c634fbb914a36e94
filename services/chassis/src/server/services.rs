//! Which services a port carries, and which routes serve a request.

use tonic::service::Routes;

/// The services of a port.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Services of packages `berth.<context>.…`, by context.
    contexts: Vec<(String, Routes)>,
    /// All others.
    others: Routes,
    /// All services of the context that the port belongs to, if it is one.
    only: Option<Routes>,
}

impl Services {
    /// These services and no others.
    pub fn new(services: Routes) -> Self {
        Self {
            contexts: Vec::new(),
            others: services.prepare(),
            only: None,
        }
    }

    /// Adds the services of a context's own package. Its services of other packages are left out, because several contexts
    /// may implement the same.
    #[must_use]
    pub fn and(mut self, context: &str, services: Routes) -> Self {
        self.contexts.push((context.to_owned(), services.prepare()));
        self
    }

    /// Makes the port that of one context: it carries all its services, because every caller of the port means that context.
    #[must_use]
    pub fn only(mut self, services: Routes) -> Self {
        self.only = Some(services.prepare());
        self
    }

    /// The contexts added with [`Services::and`].
    pub(super) fn contexts(&self) -> impl ExactSizeIterator<Item = &str> {
        self.contexts.iter().map(|(name, _)| name.as_str())
    }

    /// The routes that serve the path of a request.
    pub(super) fn routes(&self, path: &str) -> Routes {
        let Some(context) = context_of(path) else {
            return self.others.clone();
        };
        let found = self
            .contexts
            .iter()
            .find(|(name, _)| context == name)
            .map(|(_, routes)| routes);
        found.or(self.only.as_ref()).unwrap_or(&self.others).clone()
    }
}

/// The context of a path: `room` of `/berth.room.v1.RoomService/GetRoom`.
pub(super) fn context_of(path: &str) -> Option<&str> {
    path.strip_prefix("/berth.")?.split('.').next()
}
