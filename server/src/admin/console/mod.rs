//! Owns the console: pages for people under `/console` on the admin server's port, and the JSON that
//! they are made of. May look at everything a client with the same identities may see, and at what
//! the admin server's commands tell anybody. Changes go the way of a client's requests.

mod clients;
mod guard;
mod history;
mod members;
mod nodes;
mod warnings;
mod writes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use menagerie_core::acl;
use menagerie_core::ids::SessionId;
use menagerie_wire::op::ErrorCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::auth::remote_of;
use crate::http::Asker;
use crate::shared::Shared;
use clients::Talkers;
use guard::{Refusal, Who};
use history::History;
use members::Members;
use nodes::Page;
use writes::Change;

/// How long a request may take, its body included.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of JSON around what is sent.
const JSON_ROOM: usize = 64 << 10;

/// The files of the page: where, of what kind, what.
const FILES: &[(&str, &str, &str)] = &[
    (
        "/console/",
        "text/html; charset=utf-8",
        include_str!("../../../console/index.html"),
    ),
    (
        "/console/style.css",
        "text/css; charset=utf-8",
        include_str!("../../../console/style.css"),
    ),
    (
        "/console/icon.svg",
        "image/svg+xml",
        include_str!("../../../console/icon.svg"),
    ),
    (
        "/console/app.js",
        SCRIPT,
        include_str!("../../../console/app.js"),
    ),
    (
        "/console/api.js",
        SCRIPT,
        include_str!("../../../console/api.js"),
    ),
    (
        "/console/dom.js",
        SCRIPT,
        include_str!("../../../console/dom.js"),
    ),
    (
        "/console/plot.js",
        SCRIPT,
        include_str!("../../../console/plot.js"),
    ),
    (
        "/console/ensemble.js",
        SCRIPT,
        include_str!("../../../console/ensemble.js"),
    ),
    (
        "/console/tree.js",
        SCRIPT,
        include_str!("../../../console/tree.js"),
    ),
    (
        "/console/node.js",
        SCRIPT,
        include_str!("../../../console/node.js"),
    ),
    (
        "/console/clients.js",
        SCRIPT,
        include_str!("../../../console/clients.js"),
    ),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing but what this server sends is loaded or asked, nothing inline runs, and no other page may
/// show this one in a frame.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// What the console keeps.
#[derive(Debug)]
struct Console {
    shared: Arc<Shared>,
    history: Arc<History>,
    members: Members,
    talkers: Talkers,
}

type Its = State<Arc<Console>>;
type Parameters = Query<HashMap<String, String>>;
type Answer = Result<Value, Refusal>;

/// The routes. Samples are taken until `stop` says otherwise.
pub(super) fn router(shared: &Arc<Shared>, stop: watch::Receiver<bool>) -> Router {
    let console = Arc::new(Console {
        shared: Arc::clone(shared),
        history: Arc::default(),
        members: Members::default(),
        talkers: Talkers::default(),
    });
    tokio::spawn(history::run(
        Arc::clone(shared),
        Arc::clone(&console.history),
        stop,
    ));
    let mut router = Router::new().route(
        "/console",
        get(|| async { Redirect::permanent("/console/") }),
    );
    for (path, kind, text) in FILES {
        let file = move || async move { ([(header::CONTENT_TYPE, *kind)], *text) };
        router = router.route(path, get(file));
    }
    router
        .route("/console/api/overview", get(overview))
        .route("/console/api/whoami", get(who_am_i))
        .route("/console/api/node", get(node))
        .route("/console/api/children", get(children))
        .route("/console/api/sessions", get(sessions))
        .route("/console/api/session", get(session))
        .route("/console/api/connections", get(connections))
        .route("/console/api/change", post(change))
        .route("/console/{*rest}", any(nothing))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&console), around))
        .with_state(console)
}

async fn nothing() -> Response {
    send(Err((
        StatusCode::NOT_FOUND,
        "there is nothing here".to_owned(),
    )))
}

fn send(answer: Answer) -> Response {
    let (status, value) = match answer {
        Ok(value) => (StatusCode::OK, value),
        Err((status, error)) => (status, json!({ "error": error })),
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, value.to_string()).into_response()
}

/// Around every answer: where the request comes from, how long it may take, what browsers must not
/// do with the answer.
async fn around(State(console): Its, request: Request, next: Next) -> Response {
    let checked = guard::check_site(&console.shared, request.method(), request.headers());
    let mut response = match checked {
        Err(refusal) => send(Err(refusal)),
        Ok(()) => match tokio::time::timeout(PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => send(Err((
                StatusCode::GATEWAY_TIMEOUT,
                "this took too long".to_owned(),
            ))),
        },
    };
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Who asks for `headers`; refused when the server wants a scheme that they have not.
fn who(console: &Console, headers: &HeaderMap, asker: Asker) -> Result<Who, Refusal> {
    let shared = &console.shared;
    let forwarded = headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok());
    let remote = remote_of(shared, asker.from, forwarded);
    let who = guard::identify(shared, headers, remote)?;
    if !shared.is_authenticated(&who.ids) {
        let why = "this server wants clients to authenticate by another scheme";
        return Err((StatusCode::UNAUTHORIZED, why.to_owned()));
    }
    Ok(who)
}

fn failed(err: ErrorCode) -> Refusal {
    (
        writes::status(err),
        format!("{}: {}", err.name(), writes::explain(err)),
    )
}

fn ending() -> Refusal {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "the server is ending".to_owned(),
    )
}

fn wanted<'a>(parameters: &'a HashMap<String, String>, name: &str) -> Result<&'a str, Refusal> {
    let found = parameters.get(name).map(String::as_str);
    found.ok_or_else(|| (StatusCode::BAD_REQUEST, format!("{name} is missing")))
}

async fn overview(State(console): Its, Query(parameters): Parameters) -> Response {
    let shared = &console.shared;
    let from = parameters
        .get("from")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let members = console.members.read(shared).await;
    let warnings = warnings::of(shared, &members);
    send(Ok(json!({
        "now": shared.clock.now().wall_ms,
        "alone": shared.config.ensemble.is_none(),
        "state": shared.peer_state(),
        "version": env!("CARGO_PKG_VERSION"),
        "members": members,
        "warnings": warnings,
        "history": console.history.since(from),
    })))
}

async fn who_am_i(
    State(console): Its,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
) -> Response {
    send(who(&console, &headers, asker).map(|who| {
        let config = &console.shared.auth;
        let id =
            |id: &acl::AuthId| json!({"scheme": &*id.scheme, "user": acl::user_name(config, id)});
        json!({
            "logged_in": who.logged_in,
            "super": who.ids.iter().any(acl::AuthId::is_super),
            "ids": who.ids.iter().map(id).collect::<Vec<_>>(),
        })
    }))
}

async fn node(
    State(console): Its,
    Extension(asker): Extension<Asker>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    send(who(&console, &headers, asker).and_then(|who| {
        let path = wanted(&parameters, "path")?;
        let mut shown = nodes::node(&console.shared, path, &who.ids).map_err(failed)?;
        shown["logged_in"] = who.logged_in.into();
        Ok(shown)
    }))
}

async fn children(
    State(console): Its,
    Extension(asker): Extension<Asker>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    send(who(&console, &headers, asker).and_then(|who| {
        let path = wanted(&parameters, "path")?;
        let limit = parameters.get("limit").and_then(|text| text.parse().ok());
        let page = Page {
            after: parameters.get("after").map(String::as_str),
            filter: parameters.get("filter").map_or("", String::as_str),
            limit: limit.unwrap_or(nodes::PAGE_MAX),
        };
        nodes::children(&console.shared, path, &page, &who.ids).map_err(failed)
    }))
}

async fn sessions(
    State(console): Its,
    Extension(asker): Extension<Asker>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = who(&console, &headers, asker) {
        return send(Err(refusal));
    }
    let filter = parameters.get("filter").map_or("", String::as_str);
    send(
        clients::sessions(&console.shared, filter)
            .await
            .ok_or_else(ending),
    )
}

async fn session(
    State(console): Its,
    Extension(asker): Extension<Asker>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    let id = wanted(&parameters, "id").and_then(|text| {
        let digits = text.strip_prefix("0x").unwrap_or_default();
        let id = u64::from_str_radix(digits, 16).map(u64::cast_signed);
        id.map_err(|_| {
            (
                StatusCode::BAD_REQUEST,
                "id is a number such as 0x1a".to_owned(),
            )
        })
    });
    let found = match (id, who(&console, &headers, asker)) {
        (Err(refusal), _) | (_, Err(refusal)) => return send(Err(refusal)),
        (Ok(id), Ok(who)) => clients::session(&console.shared, SessionId(id), &who.ids).await,
    };
    send(found.ok_or_else(ending).and_then(|found| match found {
        Value::Null => Err((StatusCode::NOT_FOUND, "there is no such session".to_owned())),
        found => Ok(found),
    }))
}

async fn connections(
    State(console): Its,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
) -> Response {
    send(who(&console, &headers, asker).map(|_| console.talkers.read(&console.shared)))
}

async fn change(
    State(console): Its,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Response {
    send(changed(&console, asker, request).await)
}

async fn changed(console: &Console, asker: Asker, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    // Before anything of the body is read.
    guard::check_json(&parts.headers)?;
    let from = asker.from;
    let who = who(console, &parts.headers, asker)?;
    if !who.logged_in {
        return Err((
            StatusCode::UNAUTHORIZED,
            "log in to change something".to_owned(),
        ));
    }
    let limit = console.shared.config.jute_max_buffer / 3 * 4 + JSON_ROOM;
    let too_long = || {
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("more than {limit} bytes"),
        )
    };
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(too_long());
    }
    let bytes = match tokio::time::timeout(BODY_PATIENCE, to_bytes(body, limit)).await {
        Err(_) => {
            let why = "the request did not come in time".to_owned();
            return Err((StatusCode::REQUEST_TIMEOUT, why));
        }
        Ok(Err(_)) => return Err(too_long()),
        Ok(Ok(bytes)) => bytes,
    };
    let change: Change = serde_json::from_slice(&bytes).map_err(|error| {
        (
            StatusCode::BAD_REQUEST,
            format!("the request is wrong: {error}"),
        )
    })?;
    let shared = Arc::clone(&console.shared);
    // In a task of its own: who goes away does not leave a session half made.
    let made = tokio::spawn(async move { writes::make(&shared, &change, who, from).await });
    made.await.unwrap_or_else(|_| Err(ending()))
}
