//! Owns the client's handle: operations with paths as the user writes them, below the chroot. May
//! use the session by its channel. Must not block a thread.

use std::borrow::Cow;
use std::sync::Arc;

use menagerie_wire::client as wire;
use menagerie_wire::data::{Acl, Stat};
use menagerie_wire::jute::{Decode, decode_all, to_vec};
use menagerie_wire::op::{ErrorCode, op_code};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::error::ClientError;
use super::event::Event;
use super::session::{Command, OnEvent, Options, Session, SharedState, State};
use super::watches::{Remove, WatchKind};

/// What to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreateKind {
    /// With flags 0 to 3.
    Plain {
        /// Gone with the session.
        ephemeral: bool,
        /// With a number behind the name.
        sequential: bool,
    },
    /// Gone after its last child.
    Container,
    /// Gone after a time without changes.
    Ttl {
        /// With a number behind the name.
        sequential: bool,
        /// ms.
        ttl: i64,
    },
}

/// An ACL that is kept.
pub(crate) type Acls = Vec<Acl<'static>>;

/// The handle. Requests are answered in the order in which they were made.
pub(crate) struct Client {
    commands: mpsc::UnboundedSender<Command>,
    chroot: String,
    state: SharedState,
}

type Result<T> = std::result::Result<T, ClientError>;

impl Client {
    /// Starts a session in the background of the current tokio runtime. `servers` may end with a
    /// chroot; `on_event` is told of every event before any later answer.
    pub(crate) fn start(
        mut options: Options,
        servers: &str,
        on_event: impl Fn(Event) + Send + Sync + 'static,
    ) -> Self {
        let (servers, chroot) = split_chroot(servers);
        options.servers = servers;
        let (commands, receiver) = mpsc::unbounded_channel();
        let state = SharedState::new();
        let below = chroot.clone();
        let on_event: OnEvent = Arc::new(move |mut event: Event| {
            event.path = event.path.map(|path| strip(&below, &path));
            on_event(event);
        });
        tokio::spawn(Session::new(options, state.clone(), on_event).run(receiver));
        Self {
            commands,
            chroot,
            state,
        }
    }

    /// The state now.
    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    /// The path on the server.
    fn full(&self, path: &str) -> String {
        match (self.chroot.as_str(), path) {
            ("", _) => path.to_owned(),
            (chroot, "/") => chroot.to_owned(),
            (chroot, _) => format!("{chroot}{path}"),
        }
    }

    async fn ask(
        &self,
        path: &str,
        command: impl FnOnce(oneshot::Sender<super::session::Answer>) -> Command,
    ) -> Result<Vec<u8>> {
        let (sender, receiver) = oneshot::channel();
        let gone = || match self.state() {
            State::AuthFailed => ErrorCode::AuthFailed,
            State::Closed => ErrorCode::SessionExpired,
            _ => ErrorCode::ConnectionLoss,
        };
        let code = match self.commands.send(command(sender)) {
            Err(_) => gone(),
            Ok(()) => match receiver.await {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(code)) => code,
                Err(_) => gone(),
            },
        };
        Err(ClientError::on(code, path))
    }

    async fn call(&self, op: i32, path: &str, body: &impl Serialize) -> Result<Vec<u8>> {
        self.call_watching(op, path, body, None).await
    }

    async fn call_watching(
        &self,
        op: i32,
        path: &str,
        body: &impl Serialize,
        watch: Option<WatchKind>,
    ) -> Result<Vec<u8>> {
        let body = to_vec(body);
        let watch = watch.map(|kind| (kind, self.full(path)));
        self.ask(path, |answer| Command::Request {
            op,
            body,
            watch,
            answer,
        })
        .await
    }

    fn text(&self, path: &str) -> Option<Cow<'static, str>> {
        Some(self.full(path).into())
    }

    /// create; the path as made.
    pub(crate) async fn create(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: Acls,
        kind: CreateKind,
    ) -> Result<String> {
        let (path_text, acl) = (self.text(path), Some(acl));
        let plain = |flags| wire::CreateRequest {
            path: path_text.clone(),
            data,
            acl: acl.clone(),
            flags,
        };
        let (op, body) = match kind {
            CreateKind::Plain {
                ephemeral,
                sequential,
            } => {
                let flags = i32::from(ephemeral) + 2 * i32::from(sequential);
                (op_code::CREATE, to_vec(&plain(flags)))
            }
            CreateKind::Container => (op_code::CREATE_CONTAINER, to_vec(&plain(4))),
            CreateKind::Ttl { sequential, ttl } => {
                let wire::CreateRequest {
                    path,
                    data,
                    acl,
                    flags,
                } = plain(5 + i32::from(sequential));
                let request = wire::CreateTtlRequest {
                    path,
                    data,
                    acl,
                    flags,
                    ttl,
                };
                (op_code::CREATE_TTL, to_vec(&request))
            }
        };
        let answer = self
            .ask(path, |answer| Command::Request {
                op,
                body,
                watch: None,
                answer,
            })
            .await?;
        // create2's reply begins with the path, too.
        let response: wire::PathResponse<'_> = decode(&answer, path)?;
        Ok(strip(&self.chroot, &response.path.unwrap_or_default()))
    }

    /// delete.
    pub(crate) async fn delete(&self, path: &str, version: i32) -> Result<()> {
        let body = wire::PathVersionRequest {
            path: self.text(path),
            version,
        };
        self.call(op_code::DELETE, path, &body).await.map(drop)
    }

    /// exists; an error if it does not.
    pub(crate) async fn stat(&self, path: &str, watch: bool) -> Result<Stat> {
        let body = wire::PathWatchRequest {
            path: self.text(path),
            watch,
        };
        let kind = watch.then_some(WatchKind::Data);
        let answer = self
            .call_watching(op_code::EXISTS, path, &body, kind)
            .await?;
        Ok(decode::<wire::StatResponse>(&answer, path)?.stat)
    }

    /// getData.
    pub(crate) async fn get(&self, path: &str, watch: bool) -> Result<(Option<Vec<u8>>, Stat)> {
        let body = wire::PathWatchRequest {
            path: self.text(path),
            watch,
        };
        let kind = watch.then_some(WatchKind::Data);
        let answer = self
            .call_watching(op_code::GET_DATA, path, &body, kind)
            .await?;
        let response: wire::GetDataResponse<'_> = decode(&answer, path)?;
        Ok((response.data.map(<[u8]>::to_vec), response.stat))
    }

    /// setData.
    pub(crate) async fn set(&self, path: &str, data: &[u8], version: i32) -> Result<Stat> {
        let body = wire::SetDataRequest {
            path: self.text(path),
            data: Some(data),
            version,
        };
        let answer = self.call(op_code::SET_DATA, path, &body).await?;
        Ok(decode::<wire::StatResponse>(&answer, path)?.stat)
    }

    /// getChildren2; names sorted.
    pub(crate) async fn children(&self, path: &str, watch: bool) -> Result<(Vec<String>, Stat)> {
        let body = wire::PathWatchRequest {
            path: self.text(path),
            watch,
        };
        let kind = watch.then_some(WatchKind::Child);
        let answer = self
            .call_watching(op_code::GET_CHILDREN2, path, &body, kind)
            .await?;
        let response: wire::GetChildren2Response<'_> = decode(&answer, path)?;
        Ok((sorted(response.children), response.stat))
    }

    /// getACL.
    pub(crate) async fn get_acl(&self, path: &str) -> Result<(Acls, Stat)> {
        let body = wire::PathRequest {
            path: self.text(path),
        };
        let answer = self.call(op_code::GET_ACL, path, &body).await?;
        let response: wire::GetAclResponse<'_> = decode(&answer, path)?;
        let owned = |text: Option<Cow<'_, str>>| text.unwrap_or_default().into_owned();
        let acls = response.acl.unwrap_or_default();
        let acls = acls
            .into_iter()
            .map(|a| Acl::new(a.perms, owned(a.id.scheme), owned(a.id.id)));
        Ok((acls.collect(), response.stat))
    }

    /// setACL.
    pub(crate) async fn set_acl(&self, path: &str, acl: Acls, version: i32) -> Result<Stat> {
        let body = wire::SetAclRequest {
            path: self.text(path),
            acl: Some(acl),
            version,
        };
        let answer = self.call(op_code::SET_ACL, path, &body).await?;
        Ok(decode::<wire::StatResponse>(&answer, path)?.stat)
    }

    /// sync.
    pub(crate) async fn sync(&self, path: &str) -> Result<()> {
        let body = wire::PathRequest {
            path: self.text(path),
        };
        self.call(op_code::SYNC, path, &body).await.map(drop)
    }

    /// getEphemerals.
    pub(crate) async fn ephemerals(&self, prefix: &str) -> Result<Vec<String>> {
        let body = wire::PathRequest {
            path: self.text(prefix),
        };
        let answer = self.call(op_code::GET_EPHEMERALS, prefix, &body).await?;
        let response: wire::GetEphemeralsResponse<'_> = decode(&answer, prefix)?;
        let paths = sorted(response.ephemerals);
        Ok(paths.iter().map(|path| strip(&self.chroot, path)).collect())
    }

    /// getAllChildrenNumber.
    pub(crate) async fn all_children_number(&self, path: &str) -> Result<i32> {
        let body = wire::PathRequest {
            path: self.text(path),
        };
        let answer = self
            .call(op_code::GET_ALL_CHILDREN_NUMBER, path, &body)
            .await?;
        Ok(decode::<wire::GetAllChildrenNumberResponse>(&answer, path)?.total_number)
    }

    /// whoAmI: schemes and users.
    pub(crate) async fn who_am_i(&self) -> Result<Vec<(String, String)>> {
        let answer = self.call(op_code::WHO_AM_I, "", &()).await?;
        let response: wire::WhoAmIResponse<'_> = decode(&answer, "")?;
        let owned = |text: Option<Cow<'_, str>>| text.unwrap_or_default().into_owned();
        let clients = response.client_info.unwrap_or_default();
        Ok(clients
            .into_iter()
            .map(|c| (owned(c.auth_scheme), owned(c.user)))
            .collect())
    }

    /// addWatch.
    pub(crate) async fn add_watch(&self, path: &str, recursive: bool) -> Result<()> {
        let body = wire::AddWatchRequest {
            path: self.text(path),
            mode: i32::from(recursive),
        };
        let kind = if recursive {
            WatchKind::Recursive
        } else {
            WatchKind::Persistent
        };
        self.call_watching(op_code::ADD_WATCH, path, &body, Some(kind))
            .await
            .map(drop)
    }

    /// removeWatches.
    pub(crate) async fn remove_watches(&self, path: &str, what: Remove, local: bool) -> Result<()> {
        let full = self.full(path);
        let command = |answer| Command::RemoveWatches {
            path: full,
            what,
            local,
            answer,
        };
        self.ask(path, command).await.map(drop)
    }

    /// Adds an identity. A refusal ends the session; there is no other answer.
    pub(crate) fn add_auth(&self, scheme: &str, auth: Option<&[u8]>) {
        let command = Command::Auth {
            scheme: scheme.to_owned(),
            auth: auth.map(<[u8]>::to_vec),
        };
        // A session that is over has said so.
        let _ = self.commands.send(command);
    }

    /// reconfig; the new configuration and the state of its node.
    pub(crate) async fn reconfig(
        &self,
        request: wire::ReconfigRequest<'_>,
    ) -> Result<(Vec<u8>, Stat)> {
        let answer = self.call(op_code::RECONFIG, "", &request).await?;
        let response: wire::GetDataResponse<'_> = decode(&answer, "")?;
        Ok((response.data.unwrap_or_default().to_vec(), response.stat))
    }

    /// getData of the configuration, which no chroot hides.
    pub(crate) async fn config(&self, watch: bool) -> Result<(Vec<u8>, Stat)> {
        const PATH: &str = "/zookeeper/config";
        let body = to_vec(&wire::PathWatchRequest {
            path: Some(PATH.into()),
            watch,
        });
        let watch = watch.then(|| (WatchKind::Data, PATH.to_owned()));
        let op = op_code::GET_DATA;
        let answer = self
            .ask(PATH, |answer| Command::Request {
                op,
                body,
                watch,
                answer,
            })
            .await?;
        let response: wire::GetDataResponse<'_> = decode(&answer, PATH)?;
        Ok((response.data.unwrap_or_default().to_vec(), response.stat))
    }

    /// Closes the session; its last event has been told then.
    pub(crate) async fn close(&self) -> Result<()> {
        self.ask("", |answer| Command::Close { answer }).await?;
        self.commands.closed().await;
        Ok(())
    }
}

fn decode<'a, T: Decode<'a>>(body: &'a [u8], path: &str) -> Result<T> {
    decode_all(body).map_err(|_| ClientError::on(ErrorCode::MarshallingError, path))
}

fn sorted(names: Option<Vec<Cow<'_, str>>>) -> Vec<String> {
    let mut names: Vec<_> = names
        .unwrap_or_default()
        .into_iter()
        .map(Cow::into_owned)
        .collect();
    names.sort();
    names
}

/// `h1:p1,h2/chroot` to servers with ports and a chroot, empty for none.
/// Source: `ConnectStringParser`.
fn split_chroot(text: &str) -> (Vec<String>, String) {
    let (servers, chroot) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let chroot = if chroot == "/" {
        ""
    } else {
        chroot.trim_end_matches('/')
    };
    let servers = servers.split(',').map(str::trim).filter(|s| !s.is_empty());
    let with_port = |server: &str| {
        let has_port = match server.rfind(']') {
            Some(end) => server.get(end..).is_some_and(|rest| rest.contains(':')),
            None => server.contains(':'),
        };
        if has_port {
            server.to_owned()
        } else {
            format!("{server}:2181")
        }
    };
    (servers.map(with_port).collect(), chroot.to_owned())
}

/// A server-side path as the user sees it. Paths outside the chroot, such as the configuration's,
/// stay as they are.
fn strip(chroot: &str, path: &str) -> String {
    match path.strip_prefix(chroot) {
        Some("") if !chroot.is_empty() => "/".to_owned(),
        Some(rest) if chroot.is_empty() || rest.starts_with('/') => rest.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_have_servers_and_a_chroot() {
        let (servers, chroot) = split_chroot("a:1, b ,[::1]:3,[::2]/x/y/");
        assert_eq!(servers, ["a:1", "b:2181", "[::1]:3", "[::2]:2181"]);
        assert_eq!(chroot, "/x/y");
        assert_eq!(split_chroot("a/").1, "");
    }

    #[test]
    fn paths_lose_only_the_whole_chroot() {
        assert_eq!(strip("/x", "/x/a"), "/a");
        assert_eq!(strip("/x", "/x"), "/");
        assert_eq!(strip("/x", "/xy"), "/xy");
        assert_eq!(strip("/x", "/zookeeper/config"), "/zookeeper/config");
        assert_eq!(strip("", "/a"), "/a");
    }
}
