//! Owns the directed cases of the compatibility matrix: for every operation one case for each of
//! its outcomes. The last step is the case. Must not run anything.

mod creates;
mod multis;
mod reads;
mod sessions;
mod watches;
mod writes;

use menagerie_wire::op::op_code as op;

use super::Flavour;
use super::step::{Body, Connect, Create, Damage, Entry, RelativeZxid, Request, Step};

/// A directed case.
pub(crate) struct Case {
    /// The operation's name.
    pub(crate) operation: &'static str,
    /// What makes the case.
    pub(crate) what: &'static str,
    /// What Apache's server must answer, so that the case is the one it says.
    pub(crate) expected: &'static str,
    /// The servers' settings.
    pub(crate) flavour: Flavour,
    /// What to do.
    pub(crate) steps: Vec<Step>,
}

struct List(Vec<Case>);

const A: &str = "{R}/a";
const NONE: &str = "{R}/none";
const CLOSED: &str = "{R}/closed";

fn world(perms: i32) -> Vec<Entry> {
    vec![(perms, Some("world".to_owned()), Some("anyone".to_owned()))]
}

fn entry(scheme: &str, id: &str) -> Vec<Entry> {
    vec![(31, Some(scheme.to_owned()), Some(id.to_owned()))]
}

fn new(path: &str, flags: i32) -> Create {
    Create {
        path: Some(path.to_owned()),
        data: Some(b"data".to_vec()),
        acl: Some(world(31)),
        flags,
        ttl: None,
    }
}

fn create(path: &str, flags: i32) -> Request {
    Request::new(op::CREATE, Body::Create(new(path, flags)))
}

fn ttl(path: &str, flags: i32, ttl: i64) -> Request {
    let body = Create {
        ttl: Some(ttl),
        ..new(path, flags)
    };
    Request::new(op::CREATE_TTL, Body::Create(body))
}

fn at(code: i32, path: &str) -> Request {
    Request::new(code, Body::Path(Some(path.to_owned())))
}

fn number(code: i32, path: &str, number: i32) -> Request {
    Request::new(code, Body::PathInt(Some(path.to_owned()), number))
}

fn flag(code: i32, path: &str, watch: bool) -> Request {
    Request::new(code, Body::PathFlag(Some(path.to_owned()), watch))
}

fn set(path: &str, version: i32) -> Request {
    let data = Some(b"new".to_vec());
    Request::new(
        op::SET_DATA,
        Body::SetData(Some(path.to_owned()), data, version),
    )
}

fn set_acl(path: &str, acl: Option<Vec<Entry>>, version: i32) -> Request {
    Request::new(
        op::SET_ACL,
        Body::SetAcl(Some(path.to_owned()), acl, version),
    )
}

fn auth(scheme: &str, data: &str) -> Request {
    Request::new(
        op::AUTH,
        Body::Auth(Some(scheme.to_owned()), Some(data.to_owned())),
    )
}

fn multi(parts: &[Request]) -> Request {
    let parts = parts.iter().map(|part| (part.op, part.body.clone()));
    Request::new(op::MULTI, Body::Multi(parts.collect()))
}

fn damaged(mut request: Request, damage: Damage) -> Request {
    request.damage = damage;
    request
}

fn nobody(path: &str) -> Request {
    let mut body = new(path, 0);
    body.acl = Some(vec![(
        16,
        Some("ip".to_owned()),
        Some("10.1.1.1".to_owned()),
    )]);
    Request::new(op::CREATE, Body::Create(body))
}

fn send(request: Request) -> Step {
    Step::Send(0, vec![request])
}

impl List {
    fn add(
        &mut self,
        operation: &'static str,
        what: &'static str,
        expected: &'static str,
        last: Request,
    ) {
        self.with(operation, what, expected, Vec::new(), last);
    }

    /// A case that needs more than the usual nodes.
    fn with(
        &mut self,
        operation: &'static str,
        what: &'static str,
        expected: &'static str,
        before: Vec<Request>,
        last: Request,
    ) {
        let fresh = Connect::New {
            time_out: 30_000,
            read_only: Some(false),
            passwd: 16,
        };
        let mut steps = vec![Step::Connect(0, fresh)];
        steps.extend([create(A, 0), create("{R}/a/b", 0), nobody(CLOSED)].map(send));
        steps.extend(before.into_iter().map(send));
        steps.push(send(last));
        let flavour = Flavour::Everything;
        self.0.push(Case {
            operation,
            what,
            expected,
            flavour,
            steps,
        });
    }

    /// Moves the last case to servers with default settings.
    fn by_default(&mut self) {
        if let Some(case) = self.0.last_mut() {
            case.flavour = Flavour::Defaults;
        }
    }
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut list = List(Vec::new());
    creates::creates(&mut list);
    creates::other_creates(&mut list);
    writes::writes(&mut list);
    reads::reads(&mut list);
    multis::multis(&mut list);
    watches::watches(&mut list);
    sessions::sessions(&mut list);
    list.0
}
