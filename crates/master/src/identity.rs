//! Whom workers become, and what they must be able to write to then.

use ferricorn_config::{Account, LogTarget, Settings};
use ferricorn_unix::identity::Identity;

/// Whom the workers of these settings become.
#[must_use]
pub fn of_workers(settings: &Settings) -> Identity {
    let number = |account: &Option<Account>| match account {
        Some(Account::Id(id)) => Some(*id),
        Some(Account::Name(_)) | None => None,
    };
    Identity { user: number(&settings.user), group: number(&settings.group), all_groups: settings.initgroups }
}

/// Has the log files be the workers', which open them again after a rotation.
///
/// # Errors
/// A line for the operator.
pub fn provide_logs(settings: &Settings) -> Result<(), String> {
    let identity = of_workers(settings);
    for target in settings.accesslog.iter().chain([&settings.errorlog]) {
        if let LogTarget::File(path) = target {
            identity.provide(path).map_err(|error| {
                format!("the log '{}' cannot be given to the workers' user: {error}", path.display())
            })?;
        }
    }
    Ok(())
}
