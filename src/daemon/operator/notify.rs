//! Tests of notices, asked for by guardctl.

use super::Operator;
use crate::control::protocol::{RefusedKind, Reply};
use crate::labels;

impl Operator {
    /// Sends a test to the target of that name, or to all.
    pub(super) async fn notify(&self, target: Option<&str>) -> Reply {
        let names = self.notices.names();
        if names.is_empty() {
            let message = "there are no targets: set GUARD_NOTIFY, such as ntfy://ntfy.sh/topic";
            return Reply::refused(RefusedKind::Refused, message);
        }
        if let Some(target) = target.filter(|target| !names.iter().any(|name| name == target)) {
            let near = labels::nearest(target, names.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", names.join(", ")),
            };
            let message = format!("no notices go to `{target}`; {hint}");
            return Reply::refused(RefusedKind::NotFound, message);
        }
        Reply::Notified { targets: self.notices.test(target).await }
    }
}
