//! Owns turning requests into transactions, against the tree and the changes outstanding.
//! Must not change the tree. The order of the checks is part of the protocol: it decides which
//! error a client sees. Source: `PrepRequestProcessor.pRequest2Txn`.

use bytes::Bytes;
use menagerie_wire::client::{
    CreateRequest, CreateTtlRequest, PathRequest, PathVersionRequest, ReconfigRequest,
    SetAclRequest, SetDataRequest,
};
use menagerie_wire::data::{Acl, StatPersisted, perms};
use menagerie_wire::jute::{DecodeErrorKind, decode_all};
use menagerie_wire::multi::{MultiOp, MultiRequest};
use menagerie_wire::op::{ErrorCode, op_code};
use menagerie_wire::path as path_rules;

use super::create_mode::CreateMode;
use super::outstanding::{Change, Outstanding};
use super::reconfig::EnsembleView;
use crate::acl::{self, AclList, AuthConfig, AuthId};
use crate::event::{Now, Request};
use crate::ids::{SessionId, Zxid};
use crate::quota;
use crate::sessions::Sessions;
use crate::tree::{CONFIG_NODE, CONTAINER_OWNER, Owner, TTL_MAX, Tree, parent_path};
use crate::txn::{CreateKind, Txn};

/// Settings that decide what requests may do.
#[derive(Debug, Clone)]
pub struct PrepConfig {
    /// ACL checks and schemes.
    pub auth: AuthConfig,
    /// `zookeeper.enforceQuota`
    pub enforce_quota: bool,
    /// `zookeeper.enableEagerACLCheck`; a server alone makes nothing of it.
    pub eager_acl_check: bool,
    /// `reconfigEnabled`
    pub reconfig_enabled: bool,
    /// `zookeeper.closeSessionTxn.enabled`
    pub close_session_txn: bool,
    /// Seed of hash maps keyed by what clients choose.
    pub hash_seed: u64,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// A transaction, possibly an error, with its zxid.
    Txn(Txn),
    /// A malformed request that does not even take a zxid.
    Refused(ErrorCode),
}

/// The preparing half of the request processor.
#[derive(Debug)]
pub(crate) struct Prep {
    config: PrepConfig,
    outstanding: Outstanding,
    /// What a reconfiguration starts from; none for a server alone.
    ensemble: Option<EnsembleView>,
    /// Paths with the quotas that were exceeded, until somebody takes them.
    exceeded: Vec<Box<str>>,
}

/// Exceeded quotas that are remembered for who counts them; nobody has to.
const EXCEEDED_MAX: usize = 10_000;

/// What the checks of one request refer to.
struct Ctx<'a> {
    tree: &'a Tree,
    sessions: &'a Sessions,
    session: SessionId,
    op: i32,
    auth: &'a [AuthId],
    zxid: Zxid,
    wall_ms: i64,
}

/// Data as the transaction holds it: a part of the frame, not a copy.
fn share(body: &Bytes, data: Option<&[u8]>) -> Option<Bytes> {
    data.map(|data| {
        if data.is_empty() {
            Bytes::new()
        } else {
            body.slice_ref(data)
        }
    })
}

fn need<T>(value: Option<T>) -> Result<T, ErrorCode> {
    value.ok_or(ErrorCode::MarshallingError)
}

/// A path that `PathUtils.validatePath` sees first: to it, null is as wrong as any other.
fn need_valid<'a>(path: &'a Option<std::borrow::Cow<'_, str>>) -> Result<&'a str, ErrorCode> {
    let path = path.as_deref().ok_or(ErrorCode::BadArguments)?;
    validate(path)?;
    Ok(path)
}

fn validate(path: &str) -> Result<(), ErrorCode> {
    path_rules::validate(path).map_err(|_| ErrorCode::BadArguments)
}

/// The parent of a path that may be deleted. Source: `getParentPathAndValidate`.
fn parent_of_deletable(path: &str) -> Result<&str, ErrorCode> {
    let special = matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | CONFIG_NODE);
    if special || !path.contains('/') || path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    Ok(parent_path(path))
}

/// Source: `checkAndIncVersion`.
const fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BadVersion);
    }
    Ok(current.wrapping_add(1))
}

/// A create request of any kind.
struct Create<'a> {
    op: i32,
    path: Option<&'a str>,
    data: Option<&'a [u8]>,
    acl: Option<&'a [Acl<'a>]>,
    flags: i32,
    ttl: i64,
}

impl<'a> Create<'a> {
    fn plain(op: i32, request: &'a CreateRequest<'a>) -> Self {
        let CreateRequest {
            path,
            data,
            acl,
            flags,
        } = request;
        Self {
            op,
            path: path.as_deref(),
            data: *data,
            acl: acl.as_deref(),
            flags: *flags,
            ttl: -1,
        }
    }

    fn with_ttl(request: &'a CreateTtlRequest<'a>) -> Self {
        let CreateTtlRequest {
            path,
            data,
            acl,
            flags,
            ttl,
        } = request;
        let (path, acl) = (path.as_deref(), acl.as_deref());
        Self {
            op: op_code::CREATE_TTL,
            path,
            data: *data,
            acl,
            flags: *flags,
            ttl: *ttl,
        }
    }
}

impl Prep {
    pub(crate) fn new(config: PrepConfig) -> Self {
        let outstanding = Outstanding::new(config.hash_seed);
        Self {
            config,
            outstanding,
            ensemble: None,
            exceeded: Vec::new(),
        }
    }

    /// Tells what the next reconfiguration starts from.
    pub(crate) fn set_ensemble(&mut self, view: EnsembleView) {
        self.ensemble = Some(view);
    }

    /// Takes the paths with the quotas that requests would have exceeded since this was last asked.
    pub(crate) fn take_exceeded(&mut self) -> std::vec::Drain<'_, Box<str>> {
        self.exceeded.drain(..)
    }

    /// Changes waiting to be applied.
    pub(crate) fn outstanding_len(&self) -> usize {
        self.outstanding.len()
    }

    pub(crate) fn config(&self) -> &PrepConfig {
        &self.config
    }

    /// The tree's digest after everything prepared so far.
    pub(crate) fn digest(&self, tree: &Tree) -> u64 {
        self.outstanding.digest(tree)
    }

    /// The tree has everything up to `zxid`.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        self.outstanding.applied(zxid);
    }

    /// Nothing is outstanding: another server leads from now on.
    pub(crate) fn reset(&mut self) {
        self.outstanding = Outstanding::new(self.config.hash_seed);
    }

    /// Prepares a request that would get `zxid`.
    pub(crate) fn prepare(
        &mut self,
        request: &Request,
        zxid: Zxid,
        now: Now,
        tree: &Tree,
        sessions: &Sessions,
    ) -> Prepared {
        let ctx = Ctx {
            tree,
            sessions,
            session: request.session,
            op: request.op,
            auth: &request.auth,
            zxid,
            wall_ms: now.wall_ms,
        };
        let outcome = match request.op {
            op_code::MULTI => return self.multi(&ctx, &request.body),
            op_code::CREATE | op_code::CREATE2 | op_code::CREATE_CONTAINER => {
                decode_all::<CreateRequest<'_>>(&request.body).map(|decoded| {
                    self.create(&ctx, &request.body, &Create::plain(request.op, &decoded))
                })
            }
            op_code::CREATE_TTL => decode_all::<CreateTtlRequest<'_>>(&request.body)
                .map(|decoded| self.create(&ctx, &request.body, &Create::with_ttl(&decoded))),
            op_code::DELETE => decode_all::<PathVersionRequest<'_>>(&request.body)
                .map(|decoded| self.delete(&ctx, &decoded)),
            op_code::DELETE_CONTAINER => match decode_all::<PathRequest<'_>>(&request.body) {
                // Unlike for other operations, a null path does not take a zxid here (observed).
                Ok(PathRequest { path: None }) => {
                    return Prepared::Refused(ErrorCode::MarshallingError);
                }
                decoded => decoded.map(|decoded| self.delete_container(&ctx, &decoded)),
            },
            op_code::SET_DATA => decode_all::<SetDataRequest<'_>>(&request.body)
                .map(|decoded| self.set_data(&ctx, &request.body, &decoded)),
            op_code::SET_ACL => decode_all::<SetAclRequest<'_>>(&request.body)
                .map(|decoded| self.set_acl(&ctx, &decoded)),
            op_code::RECONFIG => decode_all::<ReconfigRequest<'_>>(&request.body)
                .map(|decoded| self.reconfig(&ctx, &decoded)),
            op_code::CLOSE_SESSION => Ok(self.close_session(&ctx)),
            _ => return Prepared::Refused(ErrorCode::Unimplemented),
        };
        match outcome {
            // ZooKeeper decodes before it draws a zxid.
            Err(_) => Prepared::Refused(ErrorCode::MarshallingError),
            Ok(result) => Prepared::Txn(result.unwrap_or_else(Txn::Error)),
        }
    }

    fn check_acl(&self, ctx: &Ctx<'_>, acl: &AclList, perm: i32) -> Result<(), ErrorCode> {
        acl::check(&self.config.auth, acl, perm, ctx.auth)
    }

    fn create(
        &mut self,
        ctx: &Ctx<'_>,
        body: &Bytes,
        request: &Create<'_>,
    ) -> Result<Txn, ErrorCode> {
        let mode = CreateMode::from_flags(request.flags)?;
        self.check_ttl(ctx, mode, request.ttl)?;
        if mode.ephemeral {
            ctx.sessions.check_owner(ctx.session, ctx.op)?;
        } else {
            ctx.sessions.check(ctx.session)?;
        }
        let path = need(request.path)?;
        if !path.contains('/') || path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let parent_name = parent_path(path);
        let acl = acl::fixup(&self.config.auth, request.acl, ctx.auth)?;
        let mut parent = self.outstanding.get(ctx.tree, parent_name)?;
        self.check_acl(ctx, &parent.acl, perms::CREATE)?;
        let mut parent_stat = parent.existing()?;
        let path = if mode.sequential {
            format!("{path}{:010}", parent_stat.cversion)
        } else {
            path.to_owned()
        };
        validate(&path)?;
        if self.outstanding.exists(ctx.tree, &path) {
            return Err(ErrorCode::NodeExists);
        }
        let rules = ctx.tree.owner_rules();
        if matches!(rules.read(parent_stat.ephemeral_owner), Owner::Session(_)) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        self.check_quota(ctx, &path, 0, request.data, 1)?;
        let kind = mode.kind(request.op, request.ttl)?;
        let owner = match kind {
            CreateKind::Container => CONTAINER_OWNER,
            CreateKind::Ttl(ttl) => rules.ttl_owner(ttl),
            CreateKind::Plain {
                ephemeral: true, ..
            } => ctx.session.0,
            CreateKind::Plain {
                ephemeral: false, ..
            } => 0,
        };

        let parent_cversion = parent_stat.cversion.wrapping_add(1);
        // At its maximum the counter wraps and the tree, which only raises it, keeps the old one.
        if parent_cversion > parent_stat.cversion {
            parent_stat.cversion = parent_cversion;
            parent_stat.pzxid = ctx.zxid.0;
        }
        parent.stat = Some(parent_stat);
        parent.children = parent.children.wrapping_add(1);
        self.outstanding
            .update(ctx.tree, parent_name, ctx.zxid, parent);
        let stat = StatPersisted {
            czxid: ctx.zxid.0,
            mzxid: ctx.zxid.0,
            ctime: ctx.wall_ms,
            mtime: ctx.wall_ms,
            ephemeral_owner: owner,
            pzxid: ctx.zxid.0,
            ..StatPersisted::default()
        };
        self.outstanding
            .add(ctx.tree, &path, ctx.zxid, stat, acl.clone(), request.data);
        let data = share(body, request.data);
        Ok(Txn::Create {
            kind,
            path: path.into_boxed_str(),
            data,
            acl,
            parent_cversion,
        })
    }

    /// Source: `validateCreateRequest`, `EphemeralType.validateTTL`.
    fn check_ttl(&self, ctx: &Ctx<'_>, mode: CreateMode, ttl: i64) -> Result<(), ErrorCode> {
        if mode.ttl && !ctx.tree.owner_rules().extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        let valid = if mode.ttl {
            ttl > 0 && ttl <= TTL_MAX
        } else {
            ttl < 0
        };
        if valid {
            Ok(())
        } else {
            Err(ErrorCode::BadArguments)
        }
    }

    fn delete(
        &mut self,
        ctx: &Ctx<'_>,
        request: &PathVersionRequest<'_>,
    ) -> Result<Txn, ErrorCode> {
        ctx.sessions.check(ctx.session)?;
        let path = need(request.path.as_deref())?;
        let parent_name = parent_of_deletable(path)?;
        let parent = self.outstanding.get(ctx.tree, parent_name)?;
        self.check_acl(ctx, &parent.acl, perms::DELETE)?;
        let node = self.outstanding.get(ctx.tree, path)?;
        next_version(node.existing()?.version, request.version)?;
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.unlink(ctx, path, node, parent)?;
        Ok(Txn::Delete {
            op: op_code::DELETE,
            path: path.into(),
        })
    }

    /// A client may send this too; ZooKeeper checks neither session nor ACL.
    fn delete_container(
        &mut self,
        ctx: &Ctx<'_>,
        request: &PathRequest<'_>,
    ) -> Result<Txn, ErrorCode> {
        let path = need(request.path.as_deref())?;
        let parent_name = parent_of_deletable(path)?;
        let node = self.outstanding.get(ctx.tree, path)?;
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        let owner = ctx
            .tree
            .owner_rules()
            .read(node.existing()?.ephemeral_owner);
        if matches!(owner, Owner::Session(_)) {
            return Err(ErrorCode::BadVersion);
        }
        let parent = self.outstanding.get(ctx.tree, parent_name)?;
        self.unlink(ctx, path, node, parent)?;
        Ok(Txn::Delete {
            op: op_code::DELETE_CONTAINER,
            path: path.into(),
        })
    }

    fn unlink(
        &mut self,
        ctx: &Ctx<'_>,
        path: &str,
        node: Change,
        mut parent: Change,
    ) -> Result<(), ErrorCode> {
        let mut stat = parent.existing()?;
        stat.pzxid = ctx.zxid.0;
        parent.stat = Some(stat);
        parent.children = parent.children.wrapping_sub(1);
        self.outstanding
            .update(ctx.tree, parent_path(path), ctx.zxid, parent);
        self.outstanding.remove(ctx.tree, path, ctx.zxid, node);
        Ok(())
    }

    fn set_data(
        &mut self,
        ctx: &Ctx<'_>,
        body: &Bytes,
        request: &SetDataRequest<'_>,
    ) -> Result<Txn, ErrorCode> {
        ctx.sessions.check(ctx.session)?;
        let path = need_valid(&request.path)?;
        let mut node = self.outstanding.get(ctx.tree, path)?;
        self.check_acl(ctx, &node.acl, perms::WRITE)?;
        self.check_quota(ctx, path, node.data_len, request.data, 0)?;
        let mut stat = node.existing()?;
        let version = next_version(stat.version, request.version)?;
        stat.version = version;
        stat.mtime = ctx.wall_ms;
        stat.mzxid = ctx.zxid.0;
        node.stat = Some(stat);
        self.outstanding
            .update_data(ctx.tree, path, ctx.zxid, node, request.data);
        let data = share(body, request.data);
        Ok(Txn::SetData {
            op: op_code::SET_DATA,
            path: path.into(),
            data,
            version,
        })
    }

    fn set_acl(&mut self, ctx: &Ctx<'_>, request: &SetAclRequest<'_>) -> Result<Txn, ErrorCode> {
        ctx.sessions.check(ctx.session)?;
        let path = need_valid(&request.path)?;
        let acl = acl::fixup(&self.config.auth, request.acl.as_deref(), ctx.auth)?;
        let mut node = self.outstanding.get(ctx.tree, path)?;
        self.check_acl(ctx, &node.acl, perms::ADMIN)?;
        let mut stat = node.existing()?;
        let version = next_version(stat.aversion, request.version)?;
        stat.aversion = version;
        node.stat = Some(stat);
        node.acl = acl.clone();
        self.outstanding.update(ctx.tree, path, ctx.zxid, node);
        Ok(Txn::SetAcl {
            path: path.into(),
            acl,
            version,
        })
    }

    fn check(&self, ctx: &Ctx<'_>, request: &PathVersionRequest<'_>) -> Result<Txn, ErrorCode> {
        ctx.sessions.check(ctx.session)?;
        let path = need_valid(&request.path)?;
        let node = self.outstanding.get(ctx.tree, path)?;
        self.check_acl(ctx, &node.acl, perms::READ)?;
        let version = next_version(node.existing()?.version, request.version)?;
        Ok(Txn::Check {
            path: path.into(),
            version,
        })
    }

    /// A server alone has no membership to change.
    fn reconfig(&mut self, ctx: &Ctx<'_>, request: &ReconfigRequest<'_>) -> Result<Txn, ErrorCode> {
        if !self.config.reconfig_enabled {
            return Err(ErrorCode::ReconfigDisabled);
        }
        ctx.sessions.check(ctx.session)?;
        let ensemble = self.ensemble.as_ref().ok_or(ErrorCode::Unimplemented)?;
        let new = ensemble.reconfigure(request, ctx.zxid)?;
        let mut node = self.outstanding.get(ctx.tree, CONFIG_NODE)?;
        self.check_acl(ctx, &node.acl, perms::WRITE)?;
        let data = new.to_string();
        let mut stat = node.existing()?;
        stat.version = -1;
        stat.mtime = ctx.wall_ms;
        stat.mzxid = ctx.zxid.0;
        node.stat = Some(stat);
        let bytes = Some(data.as_bytes());
        self.outstanding
            .update_data(ctx.tree, CONFIG_NODE, ctx.zxid, node, bytes);
        Ok(Txn::SetData {
            op: op_code::RECONFIG,
            path: CONFIG_NODE.into(),
            data: Some(data.into()),
            version: -1,
        })
    }

    fn close_session(&mut self, ctx: &Ctx<'_>) -> Result<Txn, ErrorCode> {
        let mut paths: std::collections::BTreeSet<String> =
            ctx.tree.ephemerals(ctx.session.0).collect();
        for (path, will_be_its) in self.outstanding.ephemeral_changes(ctx.session.0) {
            if will_be_its {
                paths.insert(path.to_owned());
            } else {
                paths.remove(path);
            }
        }
        for path in &paths {
            let node = self.outstanding.get(ctx.tree, path)?;
            let parent = self.outstanding.get(ctx.tree, parent_path(path))?;
            self.unlink(ctx, path, node, parent)?;
        }
        let paths = paths.into_iter().map(String::into_boxed_str).collect();
        Ok(Txn::CloseSession {
            paths: self.config.close_session_txn.then_some(paths),
        })
    }

    /// All operations or none; one zxid. Source: `pRequestHelper`, case multi.
    fn multi(&mut self, ctx: &Ctx<'_>, body: &Bytes) -> Prepared {
        let request = match decode_all::<MultiRequest<'_>>(body) {
            Ok(request) => request,
            Err(error) if error.kind == DecodeErrorKind::Null => {
                return Prepared::Refused(ErrorCode::MarshallingError);
            }
            Err(_) => return Prepared::Txn(Txn::Error(ErrorCode::MarshallingError)),
        };
        let mut ops = Vec::with_capacity(request.ops.len());
        for op in &request.ops {
            match multi_op(op) {
                Ok(op) => ops.push(op),
                Err(Unacceptable::TakesZxid) => {
                    return Prepared::Txn(Txn::Error(ErrorCode::MarshallingError));
                }
                Err(Unacceptable::TakesNone) => {
                    return Prepared::Refused(ErrorCode::MarshallingError);
                }
            }
        }
        self.outstanding.save(ctx.tree);
        let mut failure = None;
        let mut txns = Vec::with_capacity(ops.len());
        for op in &ops {
            if failure.is_some() {
                txns.push(Txn::Error(ErrorCode::RuntimeInconsistency));
                continue;
            }
            match self.sub_request(ctx, body, op) {
                Ok(txn) => txns.push(txn),
                Err(code) => {
                    failure = Some(code);
                    txns.push(Txn::Error(code));
                }
            }
        }
        self.outstanding.finish(failure.is_some());
        if failure == Some(ErrorCode::MarshallingError) {
            return Prepared::Txn(Txn::Error(ErrorCode::MarshallingError));
        }
        Prepared::Txn(Txn::Multi(txns))
    }

    fn sub_request(
        &mut self,
        ctx: &Ctx<'_>,
        body: &Bytes,
        op: &SubRequest<'_>,
    ) -> Result<Txn, ErrorCode> {
        match op {
            SubRequest::Create(create) => self.create(ctx, body, create),
            SubRequest::Delete(request) => self.delete(ctx, request),
            SubRequest::SetData(request) => self.set_data(ctx, body, request),
            SubRequest::Check(request) => self.check(ctx, request),
        }
    }

    /// Compares with the applied statistics, as ZooKeeper does.
    /// Source: `ZooKeeperServer.checkQuota`.
    fn check_quota(
        &mut self,
        ctx: &Ctx<'_>,
        path: &str,
        old_len: usize,
        data: Option<&[u8]>,
        count: i64,
    ) -> Result<(), ErrorCode> {
        if !self.config.enforce_quota {
            return Ok(());
        }
        let signed = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        let bytes = signed(data.map_or(0, <[u8]>::len)) - signed(old_len);
        let Some(prefix) = ctx.tree.quotas().nearest(path) else {
            return Ok(());
        };
        let text = |path: &str| {
            let node = ctx.tree.get(path).ok()?;
            Some(String::from_utf8_lossy(node.data().map_or(&[][..], |data| data)).into_owned())
        };
        let (Some(limits), Some(stats)) = (
            text(&quota::limits_path(prefix)),
            text(&quota::stats_path(prefix)),
        ) else {
            return Ok(());
        };
        let parse = |text: &str| {
            quota::StatsTrack::try_parse(text).map_err(|_| ErrorCode::MarshallingError)
        };
        let (limits, stats) = (parse(&limits)?, parse(&stats)?);
        if quota::exceeds_hard_limit(&limits, &stats, count, bytes) {
            if self.exceeded.len() < EXCEEDED_MAX {
                self.exceeded.push(prefix.into());
            }
            return Err(ErrorCode::QuotaExceeded);
        }
        Ok(())
    }
}

/// An operation of a multi, as it will be prepared.
enum SubRequest<'a> {
    Create(Create<'a>),
    Delete(&'a PathVersionRequest<'a>),
    SetData(&'a SetDataRequest<'a>),
    Check(&'a PathVersionRequest<'a>),
}

/// Why a multi cannot even be tried; the two ways differ in whether a zxid is used up.
enum Unacceptable {
    TakesZxid,
    TakesNone,
}

/// Source: `MultiOperationRecord.deserialize`, `Op.Create.getOpcode`, `getPendingChanges`.
fn multi_op<'a>(op: &'a MultiOp<'a>) -> Result<SubRequest<'a>, Unacceptable> {
    let (sub, path) = match op {
        MultiOp::Create(op, request) => {
            let Ok(mode) = CreateMode::from_flags(request.flags) else {
                return Err(Unacceptable::TakesZxid);
            };
            if request.acl.is_none() {
                return Err(Unacceptable::TakesNone);
            }
            if mode.ttl {
                return Err(Unacceptable::TakesZxid);
            }
            let op = if mode.container {
                op_code::CREATE_CONTAINER
            } else {
                *op
            };
            (
                SubRequest::Create(Create::plain(op, request)),
                &request.path,
            )
        }
        MultiOp::CreateTtl(request) => {
            let mut create = Create::with_ttl(request);
            match CreateMode::from_flags(request.flags) {
                Ok(mode) if mode.ttl => {}
                Ok(mode) if mode.container => {
                    (create.op, create.ttl) = (op_code::CREATE_CONTAINER, -1);
                }
                _ => (create.op, create.ttl) = (op_code::CREATE, -1),
            }
            (SubRequest::Create(create), &request.path)
        }
        MultiOp::Delete(request) => (SubRequest::Delete(request), &request.path),
        MultiOp::SetData(request) => (SubRequest::SetData(request), &request.path),
        MultiOp::Check(request) => (SubRequest::Check(request), &request.path),
        // Reads under the opcode of writes.
        _ => return Err(Unacceptable::TakesZxid),
    };
    if path.is_none() {
        Err(Unacceptable::TakesZxid)
    } else {
        Ok(sub)
    }
}
