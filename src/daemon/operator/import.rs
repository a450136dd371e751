//! Bans that are taken over from fail2ban.

use super::{Operator, Stopping, not_found};
use crate::control::protocol::{BanRefused, Reply};
use crate::model::ForeignBan;
use crate::warden::{ImportRequest, NoSuchJail};

impl Operator {
    pub(super) async fn import_bans(
        &self,
        jail: &str,
        bans: Vec<ForeignBan>,
    ) -> Result<Reply, Stopping> {
        let jail = match self.jail_named(jail).await? {
            Ok(jail) => jail,
            Err(refused) => return Ok(refused),
        };
        let request = ImportRequest { jail: jail.clone(), bans };
        let said = self.warden.import(request).await.ok_or(Stopping)?;
        let taken = match said.answers {
            Ok(taken) => taken,
            Err(NoSuchJail(jail)) => return Ok(not_found(jail.as_str())),
        };
        tracing::warn!(
            event = "imported", %jail, banned = taken.banned, refused = taken.refused.len(),
            "[{jail}] {} bans taken over from fail2ban, {} refused",
            taken.banned, taken.refused.len()
        );
        let refused = taken.refused.into_iter();
        Ok(Reply::Imported {
            jail,
            banned: taken.banned,
            standing: taken.standing,
            ended: taken.ended,
            refused: refused
                .map(|(network, why)| BanRefused { network, message: why.reason() })
                .collect(),
            only_in_memory: said.only_in_memory,
            not_in_kernel: said.not_in_kernel,
        })
    }
}
