//! All containers that there are, with their mounts, once: for who looks for a log's owner.

use bollard::query_parameters::ListContainersOptions;
use futures::StreamExt;

use super::{DockerError, Engine, identity, inspect};
use crate::model::Container;

/// So many are looked at.
const MOST: usize = 5000;

/// So many are asked about at once.
const AT_ONCE: usize = 8;

impl Engine {
    /// All containers, those that do not run too; guard's own is known by its files, where
    /// this process is in it. `prefix` is what guard's labels begin with, such as `guard.`.
    ///
    /// # Errors
    /// The engine does not answer, or may not be asked.
    pub async fn containers(&self, prefix: &str) -> Result<Vec<Container>, DockerError> {
        let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        let question = self.docker.list_containers(Some(options));
        let listed = self.ask("/containers/json", question).await?;
        let own = identity::own_ids();
        let ids = listed.into_iter().filter_map(|summary| summary.id).take(MOST);
        let answers = futures::stream::iter(ids).map(async |id| {
            let question = self.docker.inspect_container(&id, None);
            self.ask("/containers/json", question).await
        });
        let mut answers = answers.buffered(AT_ONCE);
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(told) => found.extend(inspect::container(told, prefix)),
                // It went meanwhile.
                Err(DockerError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for container in &mut found {
            container.own = own.iter().any(|id| *id == *container.id.0);
        }
        Ok(found)
    }
}
