//! Owns the admin server: its commands, under the names and with the fields of ZooKeeper 3.9, over
//! HTTP. May look at everything. Must not change anything but statistics, save by the commands that
//! ask for an identity. Source: `JettyAdminServer`, `Commands`.

mod answer;
mod auth;
mod console;
mod ensemble;
mod machine;
mod restore;
mod server;
mod snapshot;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http::{self, Asker, Https};
use crate::shared::Shared;
use answer::Answer;
use restore::Restorer;
use snapshot::Limiter;

/// Source: `Commands.runCommand`.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// A command.
#[derive(Debug, Clone, Copy)]
struct Command {
    /// Its names, the first is the one that answers bear.
    names: &'static [&'static str],
    /// Whether it needs a server that serves.
    needs_server: bool,
    /// Whether it asks for an identity that may do everything with the root.
    needs_auth: bool,
}

const fn command(names: &'static [&'static str]) -> Command {
    Command {
        names,
        needs_server: true,
        needs_auth: false,
    }
}

const fn always(names: &'static [&'static str]) -> Command {
    Command {
        needs_server: false,
        ..command(names)
    }
}

const fn guarded(names: &'static [&'static str]) -> Command {
    Command {
        needs_auth: true,
        ..command(names)
    }
}

/// Every command. Source: the classes within `Commands`.
const COMMANDS: &[Command] = &[
    command(&["configuration", "conf", "config"]),
    command(&["connection_stat_reset", "crst"]),
    command(&["connections", "cons"]),
    command(&["dirs"]),
    command(&["dump"]),
    always(&["environment", "env", "envi"]),
    always(&["get_trace_mask", "gtmk"]),
    command(&["hash"]),
    command(&["initial_configuration", "icfg"]),
    command(&["is_read_only", "isro"]),
    command(&["last_snapshot", "lsnp"]),
    command(&["leader", "lead"]),
    command(&["monitor", "mntr"]),
    command(&["observer_connection_stat_reset", "orst"]),
    command(&["observers", "obsr"]),
    guarded(&["restore", "rest"]),
    command(&["ruok"]),
    command(&["server_stats", "srvr"]),
    always(&["set_trace_mask", "stmk"]),
    guarded(&["shed_connections", "shed"]),
    guarded(&["snapshot", "snap"]),
    command(&["stat_reset", "srst"]),
    command(&["stats", "stat"]),
    always(&["system_properties", "sysp"]),
    command(&["voting_view"]),
    command(&["watch_summary", "wchs"]),
    command(&["watches", "wchc"]),
    command(&["watches_by_path", "wchp"]),
    always(&["zabstate"]),
];

/// What handlers share.
#[derive(Debug)]
struct Admin {
    shared: Arc<Shared>,
    snapshots: Limiter,
    restorer: Restorer,
}

/// What a request brings.
struct Ask {
    method: Method,
    asker: SocketAddr,
    certificate: Option<Arc<[u8]>>,
    parameters: HashMap<String, String>,
    authorization: Option<String>,
    /// What a proxy says of where the request comes from.
    forwarded_for: Option<String>,
}

/// Opens the port and serves on it.
pub(crate) async fn start(
    shared: &Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), (String, io::Error)> {
    let settings = &shared.config.admin;
    let listener = http::listen(&settings.address, settings.port).await?;
    let address = listener
        .local_addr()
        .map_err(|error| (settings.address.clone(), error))?;
    let every = Duration::from_millis(u64::try_from(settings.rate_limit_ms).unwrap_or(0));
    let url = settings.command_url.clone();
    let idle = Duration::from_millis(settings.idle_timeout_ms);
    let admin = Admin {
        shared: Arc::clone(shared),
        snapshots: Limiter::new(every),
        restorer: Restorer::new(every),
    };
    let mut router = Router::new()
        .route(&url, get(list))
        .route(&format!("{url}/"), get(list))
        .route(&format!("{url}/{{command}}"), get(answer).post(answer))
        .with_state(Arc::new(admin));
    if url == "/console" || url.starts_with("/console/") {
        tracing::warn!(url, "no console: admin.commandURL has its place");
    } else if shared.config.has_console() {
        router = router.merge(console::router(shared, stop.clone()));
        tracing::info!("the console is at http://{address}/console/");
    }
    tracing::info!(%address, url, "the admin server answers");
    let https = shared.tls.admin.clone().map(|tls| Https {
        tls,
        plain_too: !settings.force_https,
    });
    let task = tokio::spawn(http::serve(listener, router, idle, https, stop));
    Ok((address, task))
}

/// Links to all commands.
async fn list(State(admin): State<Arc<Admin>>) -> Html<String> {
    let url = &admin.shared.config.admin.command_url;
    let mut text = String::new();
    for command in COMMANDS {
        let name = command.names[0];
        let _infallible = writeln!(text, "<a href=\"{url}/{name}\">{name}</a>\n<br/>");
    }
    Html(text)
}

async fn answer(
    State(admin): State<Arc<Admin>>,
    Extension(asker): Extension<Asker>,
    Path(name): Path<String>,
    Query(parameters): Query<HashMap<String, String>>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(command) = COMMANDS
        .iter()
        .find(|command| command.names.contains(&name.as_str()))
    else {
        let error = format!("Unknown command: {name}");
        return Answer::default().send(&name, Some(error));
    };
    // Refusals bear the name that was asked for, answers the first of all.
    if command.needs_server && !admin.shared.answers_clients() {
        return Answer::default().send(&name, Some(NOT_SERVING.to_owned()));
    }
    let header = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let ask = Ask {
        method,
        asker: asker.from,
        certificate: asker.certificate,
        parameters,
        authorization: header(header::AUTHORIZATION),
        forwarded_for: header(HeaderName::from_static("x-forwarded-for")),
    };
    if command.needs_auth
        && let Err((status, error)) = auth::check(&admin.shared, &ask)
    {
        return Answer::bare(status).send(&name, Some(error.to_owned()));
    }
    let name = command.names[0];
    // Only what changes a server takes more than a look.
    let posts = matches!(name, "restore" | "shed_connections");
    if posts != (ask.method == Method::POST) {
        let allowed = if posts { "POST" } else { "GET" };
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, allowed)],
            format!("{name} takes {allowed}\n"),
        )
            .into_response();
    }
    run(&admin, name, ask, body).await.send(name, None)
}

async fn run(admin: &Admin, name: &str, ask: Ask, body: Body) -> Answer {
    let shared = &admin.shared;
    match name {
        "configuration" => server::configuration(shared),
        "connection_stat_reset" => {
            shared.conns.reset_stats(None);
            Answer::default()
        }
        "connections" => server::connections(shared),
        "dirs" => server::dirs(shared),
        "dump" => server::dump(shared).await,
        "environment" => machine::environment(),
        "get_trace_mask" => Answer::of([("tracemask", shared.trace_mask.load(Relaxed).into())]),
        "hash" => server::hash(shared),
        "initial_configuration" => server::initial_configuration(shared),
        "is_read_only" => Answer::of([("read_only", shared.is_read_only().into())]),
        "last_snapshot" => snapshot::last(shared).await,
        "leader" => ensemble::leader(shared),
        "monitor" => server::monitor(shared).await,
        "observers" => ensemble::observers(shared).await,
        "restore" => admin.restorer.restore(shared, body).await,
        "server_stats" => server::stats(shared),
        "set_trace_mask" => set_trace_mask(shared, &ask.parameters),
        "shed_connections" => server::shed(shared, &ask.parameters),
        "snapshot" => snapshot::take(shared, &admin.snapshots, &ask.parameters).await,
        "stat_reset" => {
            shared.stats.reset();
            Answer::default()
        }
        "stats" => server::all_stats(shared),
        "system_properties" => machine::properties(shared),
        "voting_view" => ensemble::voting_view(shared),
        "watch_summary" => server::watch_summary(shared),
        "watches" => server::watches(shared),
        "watches_by_path" => server::watches_by_path(shared),
        "zabstate" => ensemble::zab_state(shared).await,
        // ruok, and the counters of observers, of which there are none to reset.
        _ => Answer::default(),
    }
}

fn set_trace_mask(shared: &Shared, parameters: &HashMap<String, String>) -> Answer {
    let Some(text) = parameters.get("traceMask") else {
        return Answer::wrong("setTraceMask requires long traceMask argument");
    };
    let Ok(mask) = text.parse::<i64>() else {
        return Answer::wrong(
            "setTraceMask requires long traceMask argument, got ".to_owned() + text,
        );
    };
    shared.trace_mask.store(mask, Relaxed);
    Answer::of([("tracemask", mask.into())])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut seen = BTreeSet::new();
        for name in COMMANDS.iter().flat_map(|command| command.names) {
            assert!(seen.insert(name), "{name} twice");
        }
        assert_eq!(COMMANDS.len(), 29);
    }
}
