//! Which addresses may use a group of routes.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::auth::{Role, Roles};
use crate::config::AllowConfig;

use super::endpoints::{Access, Endpoint};
use super::error::{ApiError, Code};

/// 403 for an address that the endpoint's groups do not name; an empty list names all.
pub(super) fn check(
    allow: &AllowConfig,
    endpoint: &Endpoint,
    address: IpAddr,
) -> Result<(), ApiError> {
    if groups(allow, endpoint).into_iter().all(|group| names(group, address)) {
        return Ok(());
    }
    Err(ApiError::new(Code::AddressNotAllowed, "this may not be asked for from your address"))
}

fn names(group: &[IpNet], address: IpAddr) -> bool {
    group.is_empty() || group.iter().any(|network| network.contains(&address))
}

/// The lists that an endpoint is on: by its path, and `admin` where nobody else may ask.
fn groups<'a>(allow: &'a AllowConfig, endpoint: &Endpoint) -> [&'a [IpNet]; 2] {
    let below = |path: &str| {
        endpoint
            .path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let by_path: &[IpNet] = if below("/api/auth") {
        &allow.auth
    } else if below("/api/webhooks") {
        &allow.webhooks
    } else if below("/metrics") {
        &allow.metrics
    } else {
        &[]
    };
    let is_for_admins = endpoint.access == Access::Roles(Roles::of(&[Role::Admin]));
    [by_path, if is_for_admins { &allow.admin } else { &[] }]
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::super::endpoints::LimitClass;
    use super::*;

    fn endpoint(path: &'static str, access: Access) -> Endpoint {
        Endpoint { method: Method::POST, path, access, limit: LimitClass::Write }
    }

    #[test]
    fn each_group_has_its_own_list_and_an_empty_one_names_all() {
        let only = |text: &str| vec![text.parse().unwrap()];
        let allow = AllowConfig {
            auth: only("10.0.0.0/8"),
            admin: only("10.1.0.0/16"),
            webhooks: only("2001:db8::/32"),
            metrics: Vec::new(),
        };
        let admins = Access::Roles(Roles::of(&[Role::Admin]));
        let both = Access::Roles(Roles::of(&[Role::Admin, Role::Editor]));
        for (path, access, address, is_allowed) in [
            ("/api/auth/login", Access::Public, "10.2.3.4", true),
            ("/api/auth/login", Access::Public, "11.2.3.4", false),
            ("/api/authors", Access::Public, "11.2.3.4", true),
            ("/api/imports", admins, "10.1.3.4", true),
            ("/api/imports", admins, "10.2.3.4", false),
            ("/api/contacts", both, "10.2.3.4", true),
            ("/api/auth/users", admins, "10.2.3.4", false),
            ("/api/auth/users", admins, "10.1.3.4", true),
            ("/api/webhooks", Access::Public, "2001:db8::5", true),
            ("/api/webhooks/{source}", Access::Public, "2001:db9::5", false),
            ("/metrics", Access::Public, "203.0.113.1", true),
        ] {
            let found = check(&allow, &endpoint(path, access), address.parse().unwrap());
            assert_eq!(found.is_ok(), is_allowed, "{path} from {address}");
        }
    }
}
