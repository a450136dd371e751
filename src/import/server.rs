//! What fail2ban's own configuration, `fail2ban.conf`, says to its server.

use super::{Level, Remark, Remarks};
use crate::filter::Settings;

/// What fail2ban has built in where nothing is said.
const USUAL_AGE: &str = "1d";

/// A word on what has been changed in `fail2ban.conf` and what is beside it.
pub fn of_server(settings: &Settings) -> Vec<Remark> {
    let mut remarks = Remarks::default();
    let mut options = settings.options("Definition");
    options.push("dbpurgeage".to_owned());
    options.sort();
    options.dedup();
    for option in options {
        let setting = match settings.get("Definition", &option) {
            Ok(Some(setting)) if !setting.is_empty() => setting,
            Ok(_) => continue,
            Err(error) => {
                remarks.broken(&format!("`{option}`"), &error);
                continue;
            }
        };
        let (place, text) = (setting.place(), setting.text());
        if option == "dbpurgeage" {
            if text != USUAL_AGE {
                let what = format!(
                    "`dbpurgeage = {text}`: how long guard remembers is said on its own service, \
                     and is 90d otherwise"
                );
                remarks.add(Level::Changed, &place, what, "set GUARD_HISTORY there");
            }
        } else if !place.file.ends_with("fail2ban.conf") {
            let what = format!("`{option}` is for fail2ban itself");
            remarks.note(&place, what, "guard's own variables are in its README, under Settings");
        }
    }
    remarks.all
}
