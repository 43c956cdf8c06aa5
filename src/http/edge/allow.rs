//! Which addresses may use a group of routes.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::json;

use crate::auth::{Principal, Role, Roles};
use crate::config::AllowConfig;

use crate::http::exchange::endpoint::{Access, Endpoint};
use crate::http::exchange::error::{ApiError, Code};

/// 403 for an address that the endpoint's groups do not name; an empty list names all.
pub(crate) fn check(
    allow: &AllowConfig,
    endpoint: &Endpoint,
    address: IpAddr,
) -> Result<(), ApiError> {
    if groups(endpoint).all(|group| names(group.list(allow), address)) {
        return Ok(());
    }
    Err(not_from_here())
}

pub(crate) fn not_from_here() -> ApiError {
    ApiError::new(Code::AddressNotAllowed, "this may not be asked for from your address")
}

/// A principal without the role admin, where that does not hold at the address.
pub(crate) fn as_seen_from(
    allow: &AllowConfig,
    address: IpAddr,
    principal: Arc<Principal>,
) -> Arc<Principal> {
    if !principal.roles.has(Role::Admin) || names(&allow.admin, address) {
        return principal;
    }
    let mut seen = Principal::clone(&principal);
    (seen.roles, seen.withheld) = (seen.roles.without(Role::Admin), Roles::of(&[Role::Admin]));
    Arc::new(seen)
}

/// Why somebody may not do what only the role admin lets through.
pub(crate) fn needs_admin(principal: Option<&Principal>, why: String) -> ApiError {
    if principal.is_some_and(|principal| principal.withheld.has(Role::Admin)) {
        return not_from_here();
    }
    ApiError::new(Code::Forbidden, why).with_details(json!({ "requiredRoles": ["admin"] }))
}

fn names(list: &[IpNet], address: IpAddr) -> bool {
    list.is_empty() || list.iter().any(|network| network.contains(&address))
}

/// Endpoints with one list of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Auth,
    Webhooks,
    Metrics,
    Admin,
}

impl Group {
    const ALL: [Self; 4] = [Self::Auth, Self::Webhooks, Self::Metrics, Self::Admin];

    /// By its path, and `Admin` where nobody else may ask.
    fn has(self, endpoint: &Endpoint) -> bool {
        let is_below = |path: &str| {
            let rest = endpoint.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self {
            Self::Auth => is_below("/api/auth"),
            Self::Webhooks => is_below("/api/webhooks"),
            Self::Metrics => is_below("/metrics"),
            Self::Admin => endpoint.access == Access::Roles(Roles::of(&[Role::Admin])),
        }
    }

    fn list(self, allow: &AllowConfig) -> &[IpNet] {
        match self {
            Self::Auth => &allow.auth,
            Self::Webhooks => &allow.webhooks,
            Self::Metrics => &allow.metrics,
            Self::Admin => &allow.admin,
        }
    }
}

/// The lists that an endpoint is on.
pub(crate) fn groups(endpoint: &Endpoint) -> impl Iterator<Item = Group> {
    Group::ALL.into_iter().filter(move |group| group.has(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::endpoints;
    use crate::http::services::Optional;

    fn endpoint(path: &'static str, access: Access) -> Endpoint {
        Endpoint { path, access, ..endpoints(Optional::ALL).next().unwrap().clone() }
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
