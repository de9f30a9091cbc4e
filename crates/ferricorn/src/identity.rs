//! Finds the accounts that the settings name.

use ferricorn_config::{Account, Layers, Settings};
use ferricorn_unix::identity::{group_id, user_id};

use crate::stop::Stop;

/// Looks whether there are the user and the group that are named.
pub(crate) fn check(layers: &mut Layers) {
    let accounts = [("user", user_id as fn(&str) -> _), ("group", group_id)];
    for (key, find) in accounts {
        let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        let Some(name) = layers.text(key).filter(|name| !is_number(name)) else { continue };
        match find(&name) {
            Ok(Some(_)) => {}
            // gunicorn's words.
            Ok(None) => layers.refuse(key, format!("No such {key}: '{name}'")),
            Err(error) => layers.refuse(key, format!("'{name}' cannot be looked up: {error}")),
        }
    }
}

/// Puts numbers in the place of names.
///
/// # Errors
/// A name that [`check`] has found is gone.
pub(crate) fn find(settings: &mut Settings) -> Result<(), Stop> {
    let accounts = [(&mut settings.user, user_id as fn(&str) -> _), (&mut settings.group, group_id)];
    for (account, find) in accounts {
        if let Some(Account::Name(name)) = account {
            let id = find(name).ok().flatten();
            let id = id.ok_or_else(|| Stop::Fault(format!("There is no account '{name}' any more")))?;
            *account = Some(Account::Id(id));
        }
    }
    Ok(())
}
